//! A symbolic link.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Ahead, ApplyError, Finding, Kind, Workstation};
use crate::machine::{Machine, MachineError};
use crate::plan::Action;

/// A link and where it points.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Link {
    pub path: String,
    pub target: String,
}

impl Kind for Link {
    fn id(&self) -> String {
        format!("link {}", self.path)
    }

    fn check(&self, machine: &Machine, _: &Ahead) -> Result<Option<Finding>, MachineError> {
        let path = Path::new(&self.path);
        let wanted = format!("+-> {}", self.target);
        match machine.link_target(path) {
            Some(found) if found == Path::new(&self.target) => Ok(None),
            Some(found) => {
                let lines = vec![format!("--> {}", found.display()), wanted];
                Ok(Some(Finding::with(Action::Update, "points elsewhere", lines)))
            }
            None if machine.metadata(path)?.is_some_and(|found| found.is_dir) => {
                Err(MachineError::Expectation(format!(
                    "found a directory at {}, expected a link; move it away",
                    self.path
                )))
            }
            None => Ok(Some(Finding::with(Action::Create, "is missing", vec![wanted]))),
        }
    }

    fn apply(&self, machine: &Machine, _: &mut dyn Workstation) -> Result<(), ApplyError> {
        Ok(machine.link(Path::new(&self.path), Path::new(&self.target))?)
    }
}
