//! Which /30 of 10.213.0.0/16 a droplet gets. Pure: the routes and the taken ones are given.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::error::SandboxError;

/// 10.213.0.0: a corner of the private addresses that home and office networks rarely use.
const BASE: u32 = 0x0AD5_0000;
/// How many /30 a /16 holds.
const COUNT: u16 = 1 << 14;

/// The n-th /30 of the range: .1 of the four is outside, .2 inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Subnet(u16);

impl Subnet {
    /// That of the default droplet.
    #[cfg(test)]
    pub const FIRST: Self = Self(0);

    fn base(self) -> u32 {
        BASE + u32::from(self.0) * 4
    }

    /// The outer machine's address.
    pub fn outside(self) -> Ipv4Addr {
        Ipv4Addr::from(self.base() + 1)
    }

    /// The droplet's address.
    pub fn inside(self) -> Ipv4Addr {
        Ipv4Addr::from(self.base() + 2)
    }

    /// Name of the veth's outer end: at most 13 characters, of the 15 that the kernel allows.
    pub fn link(self) -> String {
        format!("sepctl-v{}", self.0)
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/30", Ipv4Addr::from(self.base()))
    }
}

/// A destination that the outer machine has a route to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    base: u32,
    bits: u8,
}

impl Route {
    /// Reads `10.0.0.0/8` or `10.0.0.1`. The default route gives `None`: it overlaps everything and disturbs nothing.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/').unwrap_or((text, "32"));
        let bits: u8 = bits.parse().ok().filter(|bits| (1..=32).contains(bits))?;
        let address: Ipv4Addr = address.parse().ok()?;
        Some(Self { base: u32::from(address), bits })
    }

    /// Whether the two ranges have an address in common.
    pub fn overlaps(self, subnet: Subnet) -> bool {
        let shift = 32 - u32::from(self.bits.min(30));
        self.base >> shift == subnet.base() >> shift
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.base), self.bits)
    }
}

/// The first free /30. The default droplet tries the very first, which the others leave to it.
pub fn choose(is_default: bool, taken: &BTreeSet<Subnet>, routes: &[Route]) -> Result<Subnet, SandboxError> {
    (u16::from(!is_default)..COUNT)
        .map(Subnet)
        .find(|subnet| !taken.contains(subnet) && !routes.iter().any(|route| route.overlaps(*subnet)))
        .ok_or(SandboxError::NoSubnet)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(texts: &[&str]) -> Vec<Route> {
        texts.iter().filter_map(|text| Route::parse(text)).collect()
    }

    #[test]
    fn default_droplet_has_the_first_addresses() {
        let subnet = choose(true, &BTreeSet::new(), &routes(&["default", "192.0.2.0/24"])).unwrap();
        assert_eq!(subnet, Subnet::FIRST);
        assert_eq!(subnet.to_string(), "10.213.0.0/30");
        assert_eq!(
            (subnet.outside().to_string(), subnet.inside().to_string()),
            ("10.213.0.1".into(), "10.213.0.2".into())
        );
    }

    #[test]
    fn others_leave_the_first_free_and_skip_what_is_taken() {
        let taken = BTreeSet::from([Subnet(1), Subnet(2)]);
        assert_eq!(choose(false, &taken, &[]).unwrap(), Subnet(3));
    }

    #[test]
    fn routes_are_never_overlapped() {
        // A /24 over the first 64 of them, a single address in the next, and a default route.
        let routes = routes(&["10.213.0.0/24", "10.213.1.2", "default", "0.0.0.0/0"]);
        assert_eq!(choose(true, &BTreeSet::new(), &routes).unwrap().to_string(), "10.213.1.4/30");
    }

    #[test]
    fn a_route_over_everything_leaves_none() {
        assert!(matches!(
            choose(true, &BTreeSet::new(), &routes(&["10.0.0.0/8"])),
            Err(SandboxError::NoSubnet)
        ));
    }

    #[test]
    fn link_names_fit_the_kernel() {
        assert!(Subnet(COUNT - 1).link().len() <= 15);
    }
}
