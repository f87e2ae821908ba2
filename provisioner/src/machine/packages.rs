//! Installed packages, read from dpkg's own status file: one read instead of one process for each package.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::{Machine, MachineError, lock};

/// One entry of /var/lib/dpkg/status.
#[derive(Debug, Clone, PartialEq)]
pub struct Package {
    pub version: String,
    pub state: PackageState,
    /// Marked by `apt-mark hold`.
    pub held: bool,
}

/// How far dpkg got with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackageState {
    Installed,
    /// Unpacked, half-configured, triggers pending: dpkg was interrupted.
    Interrupted,
    /// Removed, perhaps with its configuration left.
    Absent,
}

impl Machine {
    /// All packages by name, read once.
    pub fn packages(&self) -> Result<Arc<HashMap<String, Package>>, MachineError> {
        let mut cached = lock(&self.packages);
        if let Some(packages) = &*cached {
            return Ok(Arc::clone(packages));
        }
        let status = self.read(Path::new("/var/lib/dpkg/status"))?.unwrap_or_default();
        let packages = Arc::new(parse(&status));
        *cached = Some(Arc::clone(&packages));
        Ok(packages)
    }
}

fn parse(status: &str) -> HashMap<String, Package> {
    let mut packages = HashMap::new();
    for stanza in status.split("\n\n") {
        let field =
            |name: &str| stanza.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
        let (Some(name), Some(state)) = (field("Package"), field("Status")) else { continue };
        let mut words = state.split(' ');
        let want = words.next().unwrap_or_default();
        let state = match words.nth(1) {
            Some("installed") => PackageState::Installed,
            Some("not-installed" | "config-files") | None => PackageState::Absent,
            Some(_) => PackageState::Interrupted,
        };
        let package =
            Package { version: field("Version").unwrap_or_default().to_owned(), state, held: want == "hold" };
        packages.insert(name.to_owned(), package);
    }
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_of_dpkg_are_told_apart() {
        let status = "Package: a\nStatus: install ok installed\nVersion: 1\n\n\
                      Package: b\nStatus: hold ok installed\nVersion: 2\n\n\
                      Package: c\nStatus: deinstall ok config-files\nVersion: 3\n\n\
                      Package: d\nStatus: install ok half-configured\nVersion: 4\n";
        let packages = parse(status);
        let state = |name: &str| (packages[name].state, packages[name].held);
        assert_eq!(state("a"), (PackageState::Installed, false));
        assert_eq!(state("b"), (PackageState::Installed, true));
        assert_eq!(state("c"), (PackageState::Absent, false));
        assert_eq!(state("d"), (PackageState::Interrupted, false));
        assert_eq!(packages["b"].version, "2");
    }
}
