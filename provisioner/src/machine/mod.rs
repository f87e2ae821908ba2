//! The machine that resources look at and change: files, commands, and what is read once for many checks.
//!
//! Everything cached here is dropped by [`Machine::forget`] after each applied resource.
//! Decides nothing.

mod command;
mod files;
mod packages;
mod postgres;
mod units;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use command::{Command, Output};
pub use files::{Metadata, Ownership};
pub use packages::{Package, PackageState};
pub use postgres::{Database, PostgresTarget, identifier, literal, socket};
pub use units::{Unit, timestamp_micros};

/// What went wrong on the machine; the resource adds which one.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    #[error("{}: {source}", .path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("cannot start {program}: {source}")]
    Spawn { program: String, source: std::io::Error },
    #[error("`{command}` ended with {status}: {stderr}")]
    Command { command: String, status: String, stderr: String },
    #[error("`{command}` did not end within {} s", .limit.as_secs())]
    Deadline { command: String, limit: Duration },
    #[error("`{command}` printed what cannot be understood: {found}")]
    Output { command: String, found: String },
    #[error("there is no {kind} `{name}` on the host")]
    NoAccount { kind: &'static str, name: String },
    #[error("PostgreSQL database {database}: {reason}")]
    Postgres { database: String, reason: String },
    #[error("PostgreSQL lets nobody look at {database}: {reason}")]
    PostgresShut { database: String, reason: String },
    #[error("{0}")]
    Expectation(String),
}

/// The machine this process runs on.
#[derive(Default)]
pub struct Machine {
    packages: Mutex<Option<Arc<HashMap<String, Package>>>>,
    units: Mutex<HashMap<String, Unit>>,
    databases: Mutex<HashMap<String, Arc<Mutex<Database>>>>,
    listening: Mutex<HashMap<u16, bool>>,
    probes: Mutex<HashMap<Command, (Option<i32>, Output)>>,
}

impl Machine {
    /// Drops everything read so far: something has been changed.
    pub fn forget(&self) {
        *lock(&self.packages) = None;
        lock(&self.units).clear();
        lock(&self.databases).clear();
        lock(&self.listening).clear();
        lock(&self.probes).clear();
    }
}

/// A poisoned lock guards only a cache: what is in it is either whole or read again.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
