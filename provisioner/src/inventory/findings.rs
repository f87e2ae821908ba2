//! Collects what is wrong with an inventory and finds the place of each mistake.
//!
//! The checks speak of keys of a host (`volume.size`); here they are turned into the place where the value
//! was written, in the host, in `defaults`, or in the mapping where it should have been.

use std::path::Path;

use super::positions::Positions;
use super::problem::{InventoryError, InventoryErrors, Notice, Place, Problem, Warning};

/// All findings of one file; `host` is the one under examination.
pub(super) struct Findings<'a> {
    file: &'a Path,
    positions: &'a Positions,
    host: String,
    errors: Vec<InventoryError>,
    warnings: Vec<Warning>,
}

impl<'a> Findings<'a> {
    pub fn new(file: &'a Path, positions: &'a Positions) -> Self {
        Self { file, positions, host: String::new(), errors: Vec::new(), warnings: Vec::new() }
    }

    /// From here on keys are those of this host.
    pub fn examine(&mut self, host: &str) {
        self.host = format!("hosts.{host}");
    }

    /// Something is wrong with the value of `key`.
    pub fn refuse(&mut self, key: &str, problem: Problem) {
        self.refuse_any(&[key], problem);
    }

    /// Something is wrong with the values of `keys` taken together: told at the first that was written.
    pub fn refuse_any(&mut self, keys: &[&str], problem: Problem) {
        let place = self.place(keys);
        self.refuse_at(place, problem);
    }

    /// Something is wrong at a place that is no key of the host.
    pub fn refuse_at(&mut self, place: Place, problem: Problem) {
        // A mistake in `defaults` is met once with every host.
        let text = problem.to_string();
        if !self.errors.iter().any(|known| known.place == place && known.problem.to_string() == text) {
            self.errors.push(InventoryError { place, problem });
        }
    }

    pub fn warn(&mut self, key: &str, notice: Notice) {
        let warning = Warning { place: self.place(&[key]), notice };
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Whether nobody wrote the value of `key`.
    pub fn is_default(&self, key: &str) -> bool {
        [self.host.as_str(), "defaults"]
            .iter()
            .all(|layer| self.positions.of_value(&format!("{layer}.{key}")).is_none())
    }

    /// A place by its full path.
    pub fn place_of(&self, path: &str) -> Place {
        let position = self.positions.nearest(path).map(|(_, position)| position);
        Place { file: self.file.to_owned(), position, path: path.to_owned() }
    }

    fn place(&self, keys: &[&str]) -> Place {
        for key in keys {
            for layer in [self.host.as_str(), "defaults"] {
                let path = format!("{layer}.{key}");
                if let Some(position) = self.positions.of_value(&path) {
                    return Place { file: self.file.to_owned(), position: Some(position), path };
                }
            }
        }
        self.place_of(&format!("{}.{}", self.host, keys.first().copied().unwrap_or_default()))
    }

    /// The warnings, or all errors; both in the order of the file.
    pub fn finish(mut self) -> Result<Vec<Warning>, InventoryErrors> {
        self.errors.sort_by_key(|error| error.place.position);
        self.warnings.sort_by_key(|warning| warning.place.position);
        if self.errors.is_empty() { Ok(self.warnings) } else { Err(InventoryErrors(self.errors)) }
    }
}
