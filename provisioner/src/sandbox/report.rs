//! What is told about droplets: a table for people, JSON for programs.

use std::io::Write;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;

use super::error::SandboxError;
use super::place::{self, Name, Place};
use super::state::State;

/// All that was asked for.
#[derive(Debug, Serialize)]
pub struct Report {
    pub droplets: Vec<Droplet>,
}

/// One droplet, as others need to know it.
#[derive(Debug, Serialize)]
pub struct Droplet {
    pub name: String,
    /// `running`, `booting` or `stopped`.
    pub state: &'static str,
    /// The droplet's own address.
    pub address: String,
    /// The outer machine's address on the cable between them.
    pub gateway: String,
    /// An inventory with this one host.
    pub inventory: PathBuf,
    /// The private key that root and admin let in.
    pub identity: PathBuf,
    pub known_hosts: PathBuf,
    /// What the droplet's systemd wrote to its console since it was started.
    pub console: PathBuf,
    /// Its PID 1 as numbered outside; `null` while stopped.
    pub pid: Option<u32>,
    /// Its root folder as seen from outside, for root only; `null` while stopped.
    pub root: Option<PathBuf>,
    /// When it had last finished booting; `null` while it has not.
    pub up_since: Option<Timestamp>,
    /// The loop device under its volume; `null` while stopped.
    pub loop_device: Option<String>,
    /// Key of its image.
    pub image: String,
}

impl Report {
    /// Looks at one droplet (none there: an empty report) or at all.
    pub fn take(name: Option<&Name>) -> Result<Self, SandboxError> {
        let names = match name {
            Some(name) => vec![name.clone()],
            None => place::names()?,
        };
        let mut droplets = Vec::new();
        for name in names {
            droplets.extend(State::load(&name)?.map(|state| Droplet::of(&name, &state)));
        }
        Ok(Self { droplets })
    }

    /// Writes it: one JSON document, or a table.
    pub fn write(&self, json: bool, out: &mut dyn Write) -> Result<(), SandboxError> {
        let written = if json {
            serde_json::to_writer(&mut *out, self).map_err(Into::into).and_then(|()| writeln!(out))
        } else {
            out.write_all(self.table().as_bytes())
        };
        written.map_err(SandboxError::Output)
    }

    fn table(&self) -> String {
        if self.droplets.is_empty() {
            return String::new();
        }
        let width = self.droplets.iter().map(|droplet| droplet.name.len()).chain([7]).max().unwrap_or(7);
        let mut text =
            format!("{:width$}  {:7}  {:15}  {:>7}  INVENTORY\n", "DROPLET", "STATE", "ADDRESS", "PID");
        for droplet in &self.droplets {
            let pid = droplet.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
            text.push_str(&format!(
                "{:width$}  {:7}  {:15}  {pid:>7}  {}\n",
                droplet.name,
                droplet.state,
                droplet.address,
                droplet.inventory.display()
            ));
        }
        text
    }
}

impl Droplet {
    fn of(name: &Name, state: &State) -> Self {
        let place = Place::of(name);
        let pid = state.running().map(|inner| inner.pid);
        Self {
            name: name.to_string(),
            state: match (state.is_up(), pid) {
                (true, _) => "running",
                (false, Some(_)) => "booting",
                (false, None) => "stopped",
            },
            address: state.subnet.inside().to_string(),
            gateway: state.subnet.outside().to_string(),
            inventory: place.inventory(),
            identity: place.identity(),
            known_hosts: place.known_hosts(),
            console: place.console(),
            pid,
            root: pid.map(|pid| PathBuf::from(format!("/proc/{pid}/root"))),
            up_since: state.boot.as_ref().filter(|_| state.is_up()).and_then(|boot| boot.up_since),
            loop_device: state.boot.as_ref().filter(|_| pid.is_some()).map(|boot| boot.loop_device.clone()),
            image: state.image.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::subnet::Subnet;

    #[test]
    fn a_stopped_droplet_has_no_pid() {
        let name = Name::new("box").unwrap();
        let state = State::new(Subnet::FIRST, "sep-data".into(), 1 << 30, "trixie-0".into());
        let report = Report { droplets: vec![Droplet::of(&name, &state)] };
        let mut json = Vec::new();
        report.write(true, &mut json).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json["droplets"][0]["state"], "stopped");
        assert!(json["droplets"][0]["pid"].is_null());
        assert_eq!(
            report.table(),
            "DROPLET  STATE    ADDRESS              PID  INVENTORY\n\
             box      stopped  10.213.0.2             -  /var/lib/sepctl-sandbox/box/inventory.yaml\n"
        );
    }
}
