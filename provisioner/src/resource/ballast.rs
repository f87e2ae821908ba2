//! A file that is there to be removed: room to act when the volume is full.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Ahead, ApplyError, Finding, Kind, Workstation};
use crate::machine::{Command, Machine, MachineError};
use crate::plan::Action;

/// A file of that size, its blocks reserved.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ballast {
    pub path: String,
    /// Bytes.
    pub size: u64,
}

impl Kind for Ballast {
    fn id(&self) -> String {
        format!("ballast {}", self.path)
    }

    fn check(&self, _: &Machine, _: &Ahead) -> Result<Option<Finding>, MachineError> {
        let found = match std::fs::metadata(Path::new(&self.path)) {
            Ok(found) => found.len(),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => 0,
            Err(source) => return Err(MachineError::Io { path: self.path.clone().into(), source }),
        };
        Ok((found != self.size).then(|| {
            let lines = vec![format!("-{found} bytes"), format!("+{} bytes", self.size)];
            Finding::with(Action::Create, "has another size", lines)
        }))
    }

    fn apply(&self, machine: &Machine, _: &mut dyn Workstation) -> Result<(), ApplyError> {
        machine.remove(Path::new(&self.path))?;
        let size = self.size.to_string();
        let command = Command::new("fallocate", ["--length", &size, &self.path]);
        machine.run(&command.limit(Duration::from_secs(300)))?;
        Ok(())
    }
}
