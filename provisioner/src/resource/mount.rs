//! The volume's mount, as a systemd unit of its own.
//!
//! A unit in /etc/systemd/system takes precedence over an fstab line and over a provider's own unit of that name,
//! and services can require it by `RequiresMountsFor=`. A missing volume does not stop the boot.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Ahead, ApplyError, Finding, Kind, Workstation};
use crate::machine::{Command, Machine, MachineError, Ownership};
use crate::plan::{Action, diff};

/// A mounted filesystem.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mount {
    pub device: String,
    pub path: String,
    pub filesystem: String,
    /// Comma separated.
    pub options: String,
}

impl Mount {
    /// systemd's name for the unit of this path: `/mnt/sep_data` is `mnt-sep_data.mount`.
    pub fn unit(&self) -> String {
        let mut name = String::new();
        for (i, c) in self.path.trim_matches('/').chars().enumerate() {
            match c {
                '/' => name.push('-'),
                c if c.is_ascii_alphanumeric() || c == '_' || c == ':' || (c == '.' && i > 0) => name.push(c),
                c => {
                    let mut bytes = [0; 4];
                    for byte in c.encode_utf8(&mut bytes).bytes() {
                        name.push_str(&format!("\\x{byte:02x}"));
                    }
                }
            }
        }
        format!("{name}.mount")
    }

    fn unit_path(&self) -> String {
        format!("/etc/systemd/system/{}", self.unit())
    }

    fn unit_text(&self) -> String {
        format!(
            "# Written by sepctl.\n[Unit]\nDescription=Data volume of the trading droplet\n\n[Mount]\nWhat={}\nWhere={}\nType={}\nOptions={}\nTimeoutSec=30\n\n[Install]\nWantedBy=multi-user.target\n",
            self.device, self.path, self.filesystem, self.options
        )
    }

    /// The device that is mounted there, and its options.
    fn mounted(&self, machine: &Machine) -> Result<Option<(String, String)>, MachineError> {
        let mounts = machine.read(Path::new("/proc/self/mounts"))?.unwrap_or_default();
        // The last line of a path is the one on top.
        Ok(mounts.lines().rev().find_map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            (fields.get(1) == Some(&self.path.as_str()))
                .then(|| (fields[0].to_owned(), fields.get(3).copied().unwrap_or_default().to_owned()))
        }))
    }

    /// Where else the device is mounted.
    fn elsewhere(&self, machine: &Machine) -> Result<Option<String>, MachineError> {
        let mounts = machine.read(Path::new("/proc/self/mounts"))?.unwrap_or_default();
        let device = self.device_node();
        Ok(mounts.lines().find_map(|line| {
            let mut fields = line.split(' ');
            let (source, point) = (fields.next()?, fields.next()?);
            (source == device).then(|| point.to_owned())
        }))
    }

    fn device_node(&self) -> String {
        std::fs::canonicalize(&self.device)
            .map_or_else(|_| self.device.clone(), |path| path.display().to_string())
    }
}

impl Kind for Mount {
    fn id(&self) -> String {
        format!("mount {}", self.path)
    }

    fn units(&self) -> Vec<String> {
        vec![self.unit()]
    }

    fn check(&self, machine: &Machine, _: &Ahead) -> Result<Option<Finding>, MachineError> {
        let mounted = self.mounted(machine)?;
        if let Some((source, _)) = &mounted
            && *source != self.device_node()
        {
            return Err(MachineError::Expectation(format!(
                "found {source} mounted on {}, expected {}; unmount it, or correct `volume` in the inventory",
                self.path, self.device
            )));
        }
        if mounted.is_none()
            && let Some(point) = self.elsewhere(machine)?
        {
            return Err(MachineError::Expectation(format!(
                "{} is in use: it is mounted on {point}, expected {} or nowhere; unmount it, or correct `volume` in the inventory",
                self.device, self.path
            )));
        }
        let found = machine.read(Path::new(&self.unit_path()))?;
        let mut lines = diff(found.as_deref().unwrap_or_default(), &self.unit_text());
        let mut why = "its unit differs";
        if machine.unit(&self.unit())?.file != "enabled" {
            lines.push("+enabled".into());
            why = "is not mounted at boot";
        }
        match &mounted {
            None => {
                lines.push(format!("+mounted on {}", self.path));
                why = "is not mounted";
            }
            Some((_, options)) => {
                let have: Vec<&str> = options.split(',').collect();
                let wanted = self.options.split(',').filter(|o| ["noatime", "discard", "ro"].contains(o));
                for option in wanted.filter(|o| !have.contains(o)) {
                    lines.push(format!("+{option}"));
                    why = "is mounted with other options";
                }
            }
        }
        let action = if mounted.is_none() { Action::Create } else { Action::Update };
        Ok((!lines.is_empty()).then(|| Finding::with(action, why, lines)))
    }

    fn apply(&self, machine: &Machine, _: &mut dyn Workstation) -> Result<(), ApplyError> {
        let point = Path::new(&self.path);
        let mounted = self.mounted(machine)?.is_some();
        if !mounted {
            let root = Ownership { owner: "root".into(), group: "root".into(), mode: 0o755 };
            if machine.metadata(point)?.is_none() {
                machine.create_dir(point, &root)?;
            }
            // With the volume missing nothing may be written to the system disk in its place. Not every
            // filesystem knows the attribute; the units' own mount assertions hold without it.
            machine.try_run(&Command::new("chattr", ["+i", &self.path]))?;
        }
        let root = Ownership { owner: "root".into(), group: "root".into(), mode: 0o644 };
        machine.write(Path::new(&self.unit_path()), self.unit_text().as_bytes(), &root)?;
        machine.run(&Command::new("systemctl", ["daemon-reload"]))?;
        machine.run(&Command::new("systemctl", ["enable", &self.unit()]))?;
        if mounted {
            let options = format!("remount,{}", self.options);
            machine.run(&Command::new("mount", ["-o", &options, &self.path]))?;
        } else {
            machine.run(&Command::new("systemctl", ["start", &self.unit()]))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_named_as_systemd_escapes_it() {
        for (path, unit) in [
            ("/mnt/sep_data", "mnt-sep_data.mount"),
            ("/mnt/sep-data", "mnt-sep\\x2ddata.mount"),
            ("/srv/a b", "srv-a\\x20b.mount"),
        ] {
            let mount = Mount {
                device: "/dev/disk/by-id/x".into(),
                path: path.into(),
                filesystem: "ext4".into(),
                options: "noatime".into(),
            };
            assert_eq!(mount.unit(), unit);
        }
    }
}
