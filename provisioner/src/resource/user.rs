//! A system account that a service runs as.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Ahead, ApplyError, Finding, Kind, Workstation};
use crate::machine::{Command, Machine, MachineError};
use crate::plan::Action;

const SHELL: &str = "/usr/sbin/nologin";

/// A system user with a group of its own, no home and no shell.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct User {
    pub name: String,
}

impl Kind for User {
    fn id(&self) -> String {
        format!("user {}", self.name)
    }

    fn check(&self, machine: &Machine, _: &Ahead) -> Result<Option<Finding>, MachineError> {
        let passwd = machine.read(Path::new("/etc/passwd"))?.unwrap_or_default();
        let entry = passwd.lines().find(|line| line.split(':').next() == Some(&self.name));
        let Some(entry) = entry else {
            return Ok(Some(Finding::new(Action::Create, "is missing")));
        };
        let shell = entry.rsplit(':').next().unwrap_or_default();
        Ok((shell != SHELL).then(|| {
            let lines = vec![format!("-shell {shell}"), format!("+shell {SHELL}")];
            Finding::with(Action::Update, "may log in", lines)
        }))
    }

    fn apply(&self, machine: &Machine, _: &mut dyn Workstation) -> Result<(), ApplyError> {
        if machine.has_account("user", &self.name) {
            machine.run(&Command::new("usermod", ["--shell", SHELL, &self.name]))?;
            return Ok(());
        }
        let group = if machine.has_account("group", &self.name) { "--gid" } else { "--user-group" };
        let mut args = vec!["--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", SHELL];
        args.push(group);
        if group == "--gid" {
            args.push(&self.name);
        }
        args.push(&self.name);
        machine.run(&Command::new("useradd", args))?;
        Ok(())
    }
}
