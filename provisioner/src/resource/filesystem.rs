//! A filesystem on the volume: made only where there is nothing at all.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Ahead, ApplyError, Finding, Kind, Workstation};
use crate::machine::{Command, Machine, MachineError};
use crate::plan::Action;

/// A filesystem that fills a whole device.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Filesystem {
    /// A /dev/disk/by-id path.
    pub device: String,
    /// `ext4` or `xfs`.
    pub filesystem: String,
}

impl Filesystem {
    /// What blkid finds on the device by looking at its blocks; `None`: no signature of any kind.
    fn signature(&self, machine: &Machine) -> Result<Option<String>, MachineError> {
        let blkid = Command::new("blkid", ["--probe", "--output", "export", &self.device]);
        let (status, output) = machine.try_run(&blkid)?;
        let field = |name: &str| output.stdout.lines().find_map(|line| line.strip_prefix(name));
        match status {
            // Status 2: nothing found; 8: contradictory signatures.
            Some(2) => self.damaged(machine),
            Some(0) => Ok(Some(
                field("TYPE=")
                    .map(str::to_owned)
                    .or_else(|| field("PTTYPE=").map(|t| format!("{t} partition table")))
                    .unwrap_or_else(|| "something unknown".into()),
            )),
            Some(8) => Ok(Some("several signatures".into())),
            _ => Err(MachineError::Output {
                command: format!("blkid --probe {}", self.device),
                found: output.stderr,
            }),
        }
    }
}

impl Filesystem {
    /// blkid passes over a signature whose checksum is wrong; wipefs lists it (and, without --all, does no more).
    fn damaged(&self, machine: &Machine) -> Result<Option<String>, MachineError> {
        let list = Command::new("wipefs", ["--noheadings", "--output", "TYPE", &self.device]);
        let listed = machine.run(&list)?.stdout;
        Ok(listed.lines().next().map(|kind| format!("a damaged {}", kind.trim())))
    }
}

impl Kind for Filesystem {
    fn id(&self) -> String {
        format!("filesystem {}", self.device)
    }

    fn check(&self, machine: &Machine, _: &Ahead) -> Result<Option<Finding>, MachineError> {
        let device = std::fs::canonicalize(&self.device).map_err(|_| {
            MachineError::Expectation(format!(
                "there is no device {}; found: {}; attach the volume, or correct `volume.device` in the inventory",
                self.device,
                attached()
            ))
        })?;
        let mounts = machine.read(Path::new("/proc/self/mounts"))?.unwrap_or_default();
        let device_text = device.display().to_string();
        for line in mounts.lines() {
            let mut fields = line.split(' ');
            let (source, point, kind) = (fields.next(), fields.next(), fields.next());
            if source == Some(&device_text) && kind == Some(&self.filesystem) {
                // The kernel itself has read it as what it should be.
                return Ok(None);
            }
            let partition = source.is_some_and(|s| s.starts_with(&device_text));
            if partition && let Some(point) = point {
                return Err(MachineError::Expectation(format!(
                    "{} is in use: {} is mounted on {point}; sepctl touches no disk that is in use. Name the volume as `volume.device`",
                    self.device,
                    source.unwrap_or_default()
                )));
            }
        }
        match self.signature(machine)? {
            None => {
                let line = format!("+{} on {}", self.filesystem, device.display());
                Ok(Some(Finding::with(Action::Create, "the device is empty", vec![line])))
            }
            Some(found) if found == self.filesystem => Ok(None),
            Some(found) => Err(MachineError::Expectation(format!(
                "found {found} on {}, expected {} or an empty device; sepctl never formats over anything. If its content may go, run `wipefs --all {}` on the host",
                self.device, self.filesystem, self.device
            ))),
        }
    }

    fn apply(&self, machine: &Machine, _: &mut dyn Workstation) -> Result<(), ApplyError> {
        let command = match self.filesystem.as_str() {
            // -F only says that a whole device is meant; the check has just found it empty.
            "ext4" => Command::new("mkfs.ext4", ["-q", "-m", "1", "-L", "sep_data", &self.device]),
            _ => Command::new("mkfs.xfs", ["-q", "-L", "sep_data", &self.device]),
        };
        machine.run(&command.limit(std::time::Duration::from_secs(300)))?;
        Ok(())
    }
}

fn attached() -> String {
    let mut names: Vec<String> = std::fs::read_dir("/dev/disk/by-id")
        .map(|dir| dir.flatten().map(|e| e.path().display().to_string()).collect())
        .unwrap_or_default();
    names.sort();
    if names.is_empty() { "no device under /dev/disk/by-id".into() } else { names.join(", ") }
}
