//! The nftables table of our own: its file, and what the kernel has loaded.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Ahead, ApplyError, Finding, Kind, Workstation};
use crate::machine::{Command, Machine, MachineError, Ownership};
use crate::plan::{Action, diff};

/// A ruleset file that replaces one table as a whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Firewall {
    pub path: String,
    /// Such as `inet sep`.
    pub table: String,
    pub rules: String,
}

impl Firewall {
    /// Lists what the kernel has loaded.
    fn loaded(&self) -> Command {
        Command::new("nft", self.list())
    }

    /// Arguments that list the table without counters and without what its dynamic sets hold now.
    fn list(&self) -> Vec<&str> {
        let mut args = vec!["--stateless", "--terse", "list", "table"];
        args.extend(self.table.split(' '));
        args
    }

    /// Lists the rules as this host's nft does: loaded into a network namespace of their own, which touches nothing.
    fn wanted(&self) -> Command {
        let script = format!("nft -f /dev/stdin && nft {}", self.list().join(" "));
        Command::new("unshare", ["--net", "sh", "-c", &script]).stdin(self.rules.as_bytes())
    }
}

impl Kind for Firewall {
    fn id(&self) -> String {
        format!("firewall {}", self.table)
    }

    fn probes(&self) -> Vec<Command> {
        vec![self.loaded(), self.wanted()]
    }

    fn check(&self, machine: &Machine, ahead: &Ahead) -> Result<Option<Finding>, MachineError> {
        let found = machine.read(Path::new(&self.path))?.unwrap_or_default();
        let lines = diff(&found, &self.rules);
        if !lines.is_empty() {
            return Ok(Some(Finding::with(Action::Update, "its rules differ", lines)));
        }
        if ahead.changes_kind("packages") && !Path::new("/usr/sbin/nft").exists() {
            return Ok(Some(Finding::new(Action::Create, "is not loaded")));
        }
        let (Some(0), loaded) = machine.probe(&self.loaded())? else {
            return Ok(Some(Finding::new(Action::Create, "is not loaded")));
        };
        let wanted = self.wanted();
        let wanted = wanted.succeeded(machine.probe(&wanted)?)?;
        let lines = diff(&loaded.stdout, &wanted.stdout);
        Ok((!lines.is_empty())
            .then(|| Finding::with(Action::Update, "the loaded rules are not those of its file", lines)))
    }

    fn apply(&self, machine: &Machine, _: &mut dyn Workstation) -> Result<(), ApplyError> {
        let check = Command::new("nft", ["--check", "--file", "/dev/stdin"]).stdin(self.rules.as_bytes());
        machine.run(&check)?;
        let ownership = Ownership { owner: "root".into(), group: "root".into(), mode: 0o600 };
        if let Some(folder) = Path::new(&self.path).parent()
            && machine.metadata(folder)?.is_none()
        {
            machine.create_dir(folder, &Ownership { mode: 0o755, ..ownership.clone() })?;
        }
        machine.write(Path::new(&self.path), self.rules.as_bytes(), &ownership)?;
        machine.run(&Command::new("nft", ["--file", &self.path]))?;
        Ok(())
    }
}
