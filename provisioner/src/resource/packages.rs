//! Distribution packages: all in one transaction.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Ahead, ApplyError, Finding, Kind, Workstation};
use crate::machine::{Command, Machine, MachineError, PackageState};
use crate::plan::Action;

/// A fresh droplet's first boot may hold dpkg's lock for minutes.
const LOCK_WAIT: &str = "DPkg::Lock::Timeout=300";
const PATIENCE: Duration = Duration::from_secs(900);

/// Packages to be installed, and which of them stay at their version.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Packages {
    pub install: Vec<String>,
    /// Held back from upgrades: a new extension library needs a planned change in every database.
    pub hold: Vec<String>,
}

impl Packages {
    fn missing(&self, machine: &Machine) -> Result<Vec<&str>, MachineError> {
        let found = machine.packages()?;
        let installed = |name: &str| found.get(name).is_some_and(|p| p.state == PackageState::Installed);
        Ok(self.install.iter().map(String::as_str).filter(|name| !installed(name)).collect())
    }

    fn unheld(&self, machine: &Machine) -> Result<Vec<&str>, MachineError> {
        let found = machine.packages()?;
        let held = |name: &str| found.get(name).is_some_and(|p| p.held);
        Ok(self.hold.iter().map(String::as_str).filter(|name| !held(name)).collect())
    }
}

impl Kind for Packages {
    fn id(&self) -> String {
        "packages apt".into()
    }

    fn check(&self, machine: &Machine, _: &Ahead) -> Result<Option<Finding>, MachineError> {
        let interrupted: Vec<String> = machine
            .packages()?
            .iter()
            .filter(|(_, p)| p.state == PackageState::Interrupted)
            .map(|(name, _)| format!("~{name} is half installed"))
            .collect();
        let missing = self.missing(machine)?;
        let mut lines = interrupted;
        lines.sort();
        lines.extend(missing.iter().map(|name| format!("+{name}")));
        let action = if missing.is_empty() { Action::Update } else { Action::Create };
        lines.extend(self.unheld(machine)?.iter().map(|name| format!("+hold {name}")));
        if lines.is_empty() {
            return Ok(None);
        }
        let why = if missing.is_empty() { "are not all held or configured" } else { "are not all installed" };
        Ok(Some(Finding::with(action, why, lines)))
    }

    fn apply(&self, machine: &Machine, _: &mut dyn Workstation) -> Result<(), ApplyError> {
        if Path::new("/usr/bin/cloud-init").exists() {
            // Its failure is not ours; what matters is that it has ended.
            let wait = Command::new("cloud-init", ["status", "--wait"]).limit(PATIENCE);
            machine.try_run(&wait)?;
        }
        let interrupted = machine.packages()?.values().any(|p| p.state == PackageState::Interrupted);
        if interrupted {
            machine.run(&noninteractive(Command::new("dpkg", ["--configure", "-a", "--force-confold"])))?;
        }
        let missing = self.missing(machine)?;
        if !missing.is_empty() {
            // Lists that are there are tried as they are; where they are out of date the second try has new ones.
            if !has_lists() || machine.run(&install(&missing)).is_err() {
                machine.run(&noninteractive(Command::new("apt-get", ["update", "-qq", "-o", LOCK_WAIT])))?;
                machine.run(&install(&missing))?;
            }
        }
        machine.forget();
        let unheld = self.unheld(machine)?;
        if !unheld.is_empty() {
            let mut args = vec!["hold"];
            args.extend(unheld);
            machine.run(&Command::new("apt-mark", args))?;
        }
        Ok(())
    }
}

fn install(packages: &[&str]) -> Command {
    let mut args = vec!["install", "-qq", "-y", "--no-install-recommends", "-o", LOCK_WAIT];
    args.extend(["-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"]);
    args.extend(packages);
    noninteractive(Command::new("apt-get", args))
}

fn noninteractive(command: Command) -> Command {
    command.env("DEBIAN_FRONTEND", "noninteractive").env("NEEDRESTART_SUSPEND", "1").limit(PATIENCE)
}

fn has_lists() -> bool {
    std::fs::read_dir("/var/lib/apt/lists").is_ok_and(|mut entries| {
        entries.any(|e| e.is_ok_and(|e| e.file_name().to_string_lossy().contains("_Packages")))
    })
}
