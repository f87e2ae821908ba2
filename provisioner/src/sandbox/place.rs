//! Where a droplet lives on the outer machine: its name, its folder, and the lock on that folder.
//!
//! A lock is an flock on the folder itself, so that nothing is left behind when the folder goes.

use std::fmt;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::SandboxError;
use super::program::wait_for;

/// Everything that droplets own, one folder each.
pub const STATE_ROOT: &str = "/var/lib/sepctl-sandbox";
/// Images, kept when droplets go.
pub const CACHE_ROOT: &str = "/var/cache/sepctl-sandbox";
/// How long a verb waits for another that works on the same droplet. A first image takes about a minute.
const LOCK_LIMIT: Duration = Duration::from_secs(600);

/// A checked droplet name: fit for a folder, a host name, a cgroup and a machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// Checks the name.
    pub fn new(text: &str) -> Result<Self, SandboxError> {
        let good = (1..=32).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && !text.ends_with('-')
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if good { Ok(Self(text.to_owned())) } else { Err(SandboxError::BadName { name: text.to_owned() }) }
    }

    /// The name as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the droplet's cgroup, scope and machine are called.
    pub fn unit(&self) -> String {
        format!("sepctl-sandbox-{}", self.0)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The files of one droplet.
#[derive(Debug, Clone)]
pub struct Place {
    dir: PathBuf,
}

impl Place {
    /// The place of a droplet, whether it exists or not.
    pub fn of(name: &Name) -> Self {
        Self { dir: Path::new(STATE_ROOT).join(name.as_str()) }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }
    pub fn state(&self) -> PathBuf {
        self.dir.join("state.json")
    }
    pub fn console(&self) -> PathBuf {
        self.dir.join("console.log")
    }
    pub fn identity(&self) -> PathBuf {
        self.dir.join("id_ed25519")
    }
    pub fn known_hosts(&self) -> PathBuf {
        self.dir.join("known_hosts")
    }
    pub fn inventory(&self) -> PathBuf {
        self.dir.join("inventory.yaml")
    }
    /// What only root may look into: the droplet's root file system is in it, set-uid programs and all.
    pub fn disks(&self) -> PathBuf {
        self.dir.join("disks")
    }
    pub fn upper(&self) -> PathBuf {
        self.disks().join("upper")
    }
    pub fn work(&self) -> PathBuf {
        self.disks().join("work")
    }
    /// Mount point of the overlay, within the droplet's own mount namespace only.
    pub fn merged(&self) -> PathBuf {
        self.disks().join("merged")
    }
    pub fn volume(&self) -> PathBuf {
        self.disks().join("volume.img")
    }
    /// What the droplet sees as /dev/disk/by-id.
    pub fn by_id(&self) -> PathBuf {
        self.disks().join("by-id")
    }
}

/// The names of all droplets on this machine, in order. A folder without a state file counts: it is a leftover.
pub fn names() -> Result<Vec<Name>, SandboxError> {
    let root = Path::new(STATE_ROOT);
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(SandboxError::io("list", root)(error)),
    };
    let mut names: Vec<Name> =
        entries.flatten().filter_map(|entry| Name::new(entry.file_name().to_str()?).ok()).collect();
    names.sort();
    Ok(names)
}

/// Makes a folder of this mode with its parents, if it is not there.
pub fn make_dir(path: &Path, mode: u32) -> Result<(), SandboxError> {
    DirBuilder::new().recursive(true).mode(mode).create(path).map_err(SandboxError::io("make", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(SandboxError::io("set the mode of", path))
}

fn open(dir: &Path) -> Result<File, SandboxError> {
    File::open(dir).map_err(SandboxError::io("open", dir))
}

/// An exclusive lock on a folder, held until dropped (or until the process ends, however it ends).
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, making the folder first; waits for another holder up to ten minutes.
    pub fn take(dir: &Path, what: &str) -> Result<Self, SandboxError> {
        wait_for(LOCK_LIMIT, || Self::try_take(dir))?
            .ok_or_else(|| SandboxError::Locked { what: what.to_owned(), seconds: LOCK_LIMIT.as_secs() })
    }

    /// Takes the lock if nobody holds it.
    pub fn try_take(dir: &Path) -> Result<Option<Self>, SandboxError> {
        loop {
            // The holder may remove the folder, or its parent, between any two steps.
            let file = match make_dir(dir, 0o755).and_then(|()| open(dir)) {
                Ok(file) => file,
                Err(SandboxError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(SandboxError::io("lock", dir)(error)),
            }
            // The former holder may have removed the folder, and somebody else made another of that name.
            let mine = file.metadata().map_err(SandboxError::io("look at", dir))?;
            match fs::metadata(dir) {
                Ok(now) if (now.dev(), now.ino()) == (mine.dev(), mine.ino()) => {
                    return Ok(Some(Self { _file: file }));
                }
                _ => continue,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_for_hosts_and_folders_only() {
        for good in ["sandbox", "a", "t12x3", "two-words"] {
            assert_eq!(Name::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "A", "1st", "-x", "x-", "a/b", "..", "a.b", &"x".repeat(33)] {
            assert!(Name::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lock_is_exclusive_and_survives_removal_of_the_folder() {
        let dir = std::env::temp_dir().join(format!("sepctl-lock-{}", std::process::id()));
        let first = Lock::try_take(&dir).unwrap().unwrap();
        assert!(Lock::try_take(&dir).unwrap().is_none());
        fs::remove_dir(&dir).unwrap();
        // Another folder of the same name is another lock.
        let second = Lock::try_take(&dir).unwrap().unwrap();
        drop(first);
        assert!(Lock::try_take(&dir).unwrap().is_none());
        drop(second);
        fs::remove_dir(&dir).unwrap();
    }
}
