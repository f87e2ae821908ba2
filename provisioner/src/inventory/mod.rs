//! inventory.yaml: read, check, resolve.
//!
//! [`parse`] is pure: text in, resolved hosts or all that is wrong out. [`read`] is its only way to the
//! disk. Secrets are never fetched here, only referred to.

mod checks;
pub mod cron;
mod file;
mod findings;
pub mod model;
pub mod network;
mod positions;
pub mod problem;
mod resolve;
mod shape;
pub mod shown;
mod spec;
#[cfg(test)]
mod tests;
pub mod units;

use std::path::{Path, PathBuf};

pub use file::read;
pub use positions::Position;
pub use problem::{InventoryError, InventoryErrors, Notice, Place, Problem, Warning};

use findings::Findings;
use resolve::Base;
use spec::Layer;

/// A checked inventory.
#[derive(Debug, Clone, PartialEq)]
pub struct Inventory {
    /// The file as the user named it.
    pub file: PathBuf,
    /// The file's folder: what relative paths stand for, and where secret commands run.
    pub folder: PathBuf,
    /// At least one; in the order of the file.
    pub hosts: Vec<model::Host>,
    /// What works, but should be known.
    pub warnings: Vec<Warning>,
}

/// A host that the inventory does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    #[error("{}: no host `{name}`: {}", .file.display(), meant(.suggestion, .known))]
    Unknown { file: PathBuf, name: String, suggestion: Option<String>, known: Vec<String> },
    #[error("{}: there are {} hosts: name one with --host ({})", .file.display(), .known.len(), .known.join(", "))]
    Several { file: PathBuf, known: Vec<String> },
}

fn meant(suggestion: &Option<String>, known: &[String]) -> String {
    match suggestion {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("there is {}", known.join(", ")),
    }
}

impl Inventory {
    /// The host of that name.
    pub fn host(&self, name: &str) -> Result<&model::Host, HostError> {
        self.hosts.iter().find(|host| host.name == name).ok_or_else(|| HostError::Unknown {
            file: self.file.clone(),
            name: name.to_owned(),
            suggestion: problem::nearest(name, self.hosts.iter().map(|host| host.name.as_str())),
            known: self.names(),
        })
    }

    /// The host of that name; without a name the only one there is.
    pub fn only(&self, name: Option<&str>) -> Result<&model::Host, HostError> {
        match (name, self.hosts.as_slice()) {
            (Some(name), _) => self.host(name),
            (None, [host]) => Ok(host),
            (None, _) => Err(HostError::Several { file: self.file.clone(), known: self.names() }),
        }
    }

    fn names(&self) -> Vec<String> {
        self.hosts.iter().map(|host| host.name.clone()).collect()
    }
}

/// Where an inventory's text came from.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The name to show in messages.
    pub file: &'a Path,
    /// What relative paths stand for.
    pub folder: &'a Path,
    /// What `~` stands for.
    pub home: Option<&'a Path>,
}

/// Reads, checks and resolves an inventory's text.
///
/// Mistakes in the file's shape (not YAML, unknown keys, wrong types) end the reading; of everything else
/// all that is wrong is told at once.
pub fn parse(text: &str, origin: &Origin<'_>) -> Result<Inventory, InventoryErrors> {
    let (spec, positions) = shape::read(text, origin.file)?;
    let mut findings = Findings::new(origin.file, &positions);
    let base = Base { folder: origin.folder, home: origin.home };
    let defaults = spec.defaults.unwrap_or_default();
    let mut hosts: Vec<(Option<Position>, model::Host)> = Vec::new();
    for (name, own) in spec.hosts.unwrap_or_default() {
        findings.examine(&name);
        let merged = own.unwrap_or_default().over(defaults.clone());
        let host = resolve::host(&name, merged, base, &mut findings);
        checks::host(&host, &mut findings);
        hosts.push((findings.place_of(&format!("hosts.{name}")).position, host));
    }
    hosts.sort_by_key(|(position, _)| *position);
    let hosts: Vec<_> = hosts.into_iter().map(|(_, host)| host).collect();
    checks::together(&hosts, &mut findings);
    let warnings = findings.finish()?;
    Ok(Inventory { file: origin.file.to_owned(), folder: origin.folder.to_owned(), hosts, warnings })
}
