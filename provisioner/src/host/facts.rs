//! Gathering this machine's facts.

use std::path::Path;

use crate::facts::Facts;
use crate::machine::{Machine, MachineError};

/// What desired states are made from; cheap enough for every exchange.
pub fn gather(machine: &Machine) -> Result<Facts, MachineError> {
    let os_release = machine.read(Path::new("/etc/os-release"))?.unwrap_or_default();
    let field = |name: &str| {
        os_release
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .map(|value| value.trim_matches('"').to_owned())
            .unwrap_or_default()
    };
    let meminfo = machine.read(Path::new("/proc/meminfo"))?.unwrap_or_default();
    let memory = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok())
        .unwrap_or(0)
        * 1024;
    let cores =
        std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX));
    Ok(Facts {
        os: field("ID"),
        os_version: field("VERSION_ID"),
        architecture: std::env::consts::ARCH.to_owned(),
        memory,
        cores,
    })
}
