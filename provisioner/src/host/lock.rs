//! One deployment at a time: a lock that the kernel drops with its holder, and a note of who holds it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

const LOCK: &str = "/var/lib/sep/deploy.lock";

/// Held until dropped, or until the process ends in whatever way.
pub struct DeployLock(File);

/// Why the lock was not to be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("another deployment is under way: {0}")]
    Held(String),
    #[error("cannot use {LOCK}: {0}")]
    Io(#[from] std::io::Error),
}

impl DeployLock {
    /// Takes the lock, or says who has it.
    pub fn take(holder: &str) -> Result<Self, LockError> {
        if let Some(parent) = Path::new(LOCK).parent() {
            std::fs::create_dir_all(parent)?;
        }
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(LOCK)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut note = String::new();
            file.read_to_string(&mut note)?;
            return Err(LockError::Held(note.trim().to_owned()));
        }
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{holder}, since {}", now())?;
        Ok(Self(file))
    }
}

impl Drop for DeployLock {
    fn drop(&mut self) {
        // The note is only of use while the lock is held.
        let _ = self.0.set_len(0);
    }
}

/// This moment, to the second, in UTC.
pub(super) fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
