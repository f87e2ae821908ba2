//! Backup sets on the host: taken, listed, verified. Runs there, as the unit's user.
//!
//! A set is a folder named by its time. It is complete or it is not there: it is made beside, read back, synced and
//! then renamed to its name. Sets share the volume with the database; pulling them off the host is another's work.

mod manifest;
mod take;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use manifest::{DatabaseEntry, FileEntry, Manifest, ManifestError};
pub use take::{TakeError, TakeOptions, take, verify};

/// A set that could not be read is listed with its fault: an unreadable backup is news.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Listed {
    /// The folder's name, `2026-11-21T020000Z`.
    pub name: String,
    pub bytes: u64,
    pub databases: Vec<DatabaseEntry>,
    /// `None`: the manifest is whole. Files are read by a verification only.
    pub fault: Option<String>,
}

/// The sets below `target`, oldest first.
pub fn list(target: &Path) -> std::io::Result<Vec<Listed>> {
    let mut sets = Vec::new();
    for entry in std::fs::read_dir(target)? {
        let path = entry?.path();
        let name = name_of(&path);
        if path.is_dir() && is_set_name(&name) {
            sets.push(match Manifest::read(&path) {
                Ok(manifest) => {
                    let bytes = manifest.bytes();
                    Listed { name, bytes, databases: manifest.databases, fault: None }
                }
                Err(error) => {
                    Listed { name, bytes: 0, databases: Vec::new(), fault: Some(error.to_string()) }
                }
            });
        }
    }
    sets.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(sets)
}

/// Names of sets begin with a date; everything else in the folder is not ours to touch.
pub fn is_set_name(name: &str) -> bool {
    let shape: String = name.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    shape == "0000-00-00T000000Z"
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Which set is meant by a name given by a person; without one, the newest.
pub fn choose(target: &Path, name: Option<&str>) -> Result<PathBuf, String> {
    let sets = list(target).map_err(|e| format!("cannot read {}: {e}", target.display()))?;
    let known = || sets.iter().map(|set| set.name.as_str()).collect::<Vec<_>>().join(", ");
    match name {
        None => {
            sets.last().map(|set| target.join(&set.name)).ok_or_else(|| "there is no backup yet".to_owned())
        }
        Some(name) if sets.iter().any(|set| set.name == name) => Ok(target.join(name)),
        Some(name) => Err(format!("there is no backup `{name}`; there are: {}", known())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_named_by_a_time_are_sets() {
        assert!(is_set_name("2026-11-21T020000Z"));
        for other in ["lost+found", ".partial-2026-11-21T020000Z", "2026-11-21T020000Z.old", ""] {
            assert!(!is_set_name(other), "{other}");
        }
    }
}
