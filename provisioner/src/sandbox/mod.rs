//! Droplets on this machine: a whole Debian 13 server, with systemd, sshd and a volume, booted from a folder.
//!
//! Owns /var/lib/sepctl-sandbox, /var/cache/sepctl-sandbox, and on the outer machine whatever carries the name
//! `sepctl-sandbox-*` (cgroups) or `sepctl-v*` (veths). Must not know what is deployed on a droplet, and must not
//! change the outer machine beyond that: no NAT, no forwarding, no firewall rules, no mounts.
//!
//! A droplet is systemd-nspawn over an overlay; nothing runs on its behalf outside, so a `reboot` typed inside ends
//! it and the next `up` boots it again.

mod boot;
mod cgroup;
mod error;
mod image;
mod inside;
mod lifecycle;
mod network;
mod place;
mod program;
mod report;
mod requirements;
mod seed;
mod state;
mod steps;
mod subnet;
mod sweep;
mod volume;

pub use cgroup::Hierarchies;
pub use error::SandboxError;
pub use image::PREFETCH;
pub use lifecycle::{UpOptions, cut_power, down, exec, reboot, reset, up};
pub use place::{Name, names};
pub use report::{Droplet, Report};
pub use requirements::check as check_requirements;
pub use steps::Steps;
pub use sweep::{forget_empty_root, orphans};

/// The droplet that is meant where none is named. Its address is 10.213.0.2 whenever that is free.
pub const DEFAULT_NAME: &str = "sandbox";
/// Name of a droplet's volume, as in /dev/disk/by-id/scsi-0DO_Volume_sep-data.
pub const DEFAULT_VOLUME: &str = "sep-data";
/// Bytes of a droplet's volume; the file is sparse.
pub const DEFAULT_VOLUME_SIZE: u64 = 50 << 30;

/// Reads a size such as `50GiB`.
pub fn parse_size(text: &str) -> Result<u64, SandboxError> {
    let bad = || SandboxError::BadSize { text: text.to_owned() };
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
    let (number, unit) = text.split_at(unit_at);
    let shift = match unit {
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return Err(bad()),
    };
    let size =
        number.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift)).ok_or_else(bad)?;
    // Below this ext4 has no room for a journal; above it no file system can hold the file.
    if (64 << 20..=8 << 40).contains(&size) { Ok(size) } else { Err(bad()) }
}

/// Checks the name of a volume.
pub fn parse_volume_name(text: &str) -> Result<String, SandboxError> {
    let good = (1..=64).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if good { Ok(text.to_owned()) } else { Err(SandboxError::BadVolumeName { text: text.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit() {
        assert_eq!(parse_size("50GiB").unwrap(), DEFAULT_VOLUME_SIZE);
        assert_eq!(parse_size("64MiB").unwrap(), 64 << 20);
        for bad in ["", "50", "50GB", "-1GiB", "GiB", "1MiB", "99999999999999TiB", "1 GiB"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn volume_names_stay_within_their_folder() {
        assert!(parse_volume_name("sep-data").is_ok());
        for bad in ["", "../x", "a/b", "Sep"] {
            assert!(parse_volume_name(bad).is_err(), "{bad}");
        }
    }
}
