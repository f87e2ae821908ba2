//! A directory with its owner, group and mode.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::file::ownership_diff;
use super::{Ahead, ApplyError, Finding, Kind, Workstation};
use crate::machine::{Machine, MachineError, Ownership};
use crate::plan::Action;

/// A directory; what is in it is not looked at.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Directory {
    pub path: String,
    pub owner: String,
    pub group: String,
    pub mode: u32,
}

impl Directory {
    /// A directory with its owner's group of the same name.
    pub fn new(path: impl Into<String>, owner: &str, mode: u32) -> Self {
        Self { path: path.into(), owner: owner.into(), group: owner.into(), mode }
    }

    fn ownership(&self) -> Ownership {
        Ownership { owner: self.owner.clone(), group: self.group.clone(), mode: self.mode }
    }
}

impl Kind for Directory {
    fn id(&self) -> String {
        format!("directory {}", self.path)
    }

    fn check(&self, machine: &Machine, ahead: &Ahead) -> Result<Option<Finding>, MachineError> {
        let wanted = self.ownership();
        let found = machine.metadata(Path::new(&self.path))?;
        match found {
            Some(found) if !ahead.mounts_over(&self.path) => {
                if !found.is_dir {
                    return Err(MachineError::Expectation(format!(
                        "found no directory but something else at {}; move it away",
                        self.path
                    )));
                }
                let lines = ownership_diff(&found.ownership, &wanted);
                Ok((!lines.is_empty())
                    .then(|| Finding::with(Action::Update, "its owner or mode differs", lines)))
            }
            _ => {
                let line = format!("+{}:{} {:04o}", wanted.owner, wanted.group, wanted.mode);
                Ok(Some(Finding::with(Action::Create, "is missing", vec![line])))
            }
        }
    }

    fn apply(&self, machine: &Machine, _: &mut dyn Workstation) -> Result<(), ApplyError> {
        Ok(machine.create_dir(Path::new(&self.path), &self.ownership())?)
    }
}
