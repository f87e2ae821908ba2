//! Files: looked at without following links, written whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{Machine, MachineError};

/// Who owns a path, and its permission bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ownership {
    pub owner: String,
    pub group: String,
    pub mode: u32,
}

/// What stands at a path.
#[derive(Debug, Clone)]
pub struct Metadata {
    pub ownership: Ownership,
    pub is_dir: bool,
    pub is_file: bool,
    pub is_link: bool,
    /// Microseconds since the epoch.
    pub modified: i64,
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> MachineError {
    let path = path.to_owned();
    move |source| MachineError::Io { path, source }
}

impl Machine {
    /// What stands there, links not followed; `None`: nothing.
    pub fn metadata(&self, path: &Path) -> Result<Option<Metadata>, MachineError> {
        let found = match fs::symlink_metadata(path) {
            Ok(found) => found,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => return Ok(None),
            Err(e) => return Err(io(path)(e)),
        };
        Ok(Some(Metadata {
            ownership: Ownership {
                owner: account_name("/etc/passwd", found.uid())?,
                group: account_name("/etc/group", found.gid())?,
                mode: found.mode() & 0o7777,
            },
            is_dir: found.is_dir(),
            is_file: found.is_file(),
            is_link: found.is_symlink(),
            modified: found.mtime() * 1_000_000 + found.mtime_nsec() / 1000,
        }))
    }

    /// The file's text; `None` when there is none.
    pub fn read(&self, path: &Path) -> Result<Option<String>, MachineError> {
        match fs::read(path) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(io(path)(e)),
        }
    }

    /// Where a link points; `None` when it is none.
    pub fn link_target(&self, path: &Path) -> Option<PathBuf> {
        fs::read_link(path).ok()
    }

    /// Writes a file whole: beside the target, synced, then renamed over it.
    pub fn write(&self, path: &Path, content: &[u8], ownership: &Ownership) -> Result<(), MachineError> {
        let temporary = beside(path);
        let result = self.write_there(&temporary, content, ownership).and_then(|()| {
            fs::rename(&temporary, path).map_err(io(path))?;
            sync_parent(path)
        });
        if result.is_err() {
            // Nothing half-written stays behind.
            let _ = fs::remove_file(&temporary);
        }
        result
    }

    fn write_there(&self, path: &Path, content: &[u8], ownership: &Ownership) -> Result<(), MachineError> {
        // A leftover of a killed run.
        let _ = fs::remove_file(path);
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io(path))?;
        file.write_all(content).map_err(io(path))?;
        self.set_ownership(path, ownership)?;
        file.sync_all().map_err(io(path))
    }

    /// Points a link somewhere, atomically.
    pub fn link(&self, path: &Path, target: &Path) -> Result<(), MachineError> {
        let temporary = beside(path);
        let _ = fs::remove_file(&temporary);
        std::os::unix::fs::symlink(target, &temporary).map_err(io(&temporary))?;
        fs::rename(&temporary, path).map_err(io(path))?;
        sync_parent(path)
    }

    /// Owner, group and mode.
    pub fn set_ownership(&self, path: &Path, ownership: &Ownership) -> Result<(), MachineError> {
        let uid = account_id("user", "/etc/passwd", &ownership.owner)?;
        let gid = account_id("group", "/etc/group", &ownership.group)?;
        std::os::unix::fs::lchown(path, Some(uid), Some(gid)).map_err(io(path))?;
        fs::set_permissions(path, fs::Permissions::from_mode(ownership.mode)).map_err(io(path))
    }

    /// A directory with its missing parents (which get root and 0755).
    pub fn create_dir(&self, path: &Path, ownership: &Ownership) -> Result<(), MachineError> {
        fs::create_dir_all(path).map_err(io(path))?;
        self.set_ownership(path, ownership)
    }

    /// Removes a file or link; fine when there is none.
    pub fn remove(&self, path: &Path) -> Result<(), MachineError> {
        match fs::remove_file(path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(io(path)(e)),
            _ => Ok(()),
        }
    }

    /// Whether an account of that name exists.
    pub fn has_account(&self, kind: &'static str, name: &str) -> bool {
        let file = if kind == "user" { "/etc/passwd" } else { "/etc/group" };
        account_id(kind, file, name).is_ok()
    }
}

fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.sep-new"))
}

/// A rename is on the disk once its directory is.
fn sync_parent(path: &Path) -> Result<(), MachineError> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    File::open(parent).and_then(|dir| dir.sync_all()).map_err(io(parent))
}

/// Looks an id up; a number without a name is shown as the number.
fn account_name(file: &str, id: u32) -> Result<String, MachineError> {
    let text = fs::read_to_string(file).map_err(io(Path::new(file)))?;
    let wanted = id.to_string();
    Ok(text
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.get(2) == Some(&wanted.as_str()))
        .and_then(|fields| fields.first().map(|name| (*name).to_owned()))
        .unwrap_or(wanted))
}

fn account_id(kind: &'static str, file: &str, name: &str) -> Result<u32, MachineError> {
    let text = fs::read_to_string(file).map_err(io(Path::new(file)))?;
    text.lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.first() == Some(&name))
        .and_then(|fields| fields.get(2)?.parse().ok())
        .ok_or_else(|| MachineError::NoAccount { kind, name: name.to_owned() })
}

impl Machine {
    /// A folder into which the workstation may write over SFTP: private to the SSH user.
    pub fn incoming(&self) -> Result<PathBuf, MachineError> {
        let path = Path::new("/var/lib/sep/incoming");
        let owner = std::env::var("SUDO_USER").unwrap_or_else(|_| "root".into());
        let state = Ownership { owner: "root".into(), group: "root".into(), mode: 0o755 };
        self.create_dir(Path::new("/var/lib/sep"), &state)?;
        self.create_dir(path, &Ownership { owner, group: "root".into(), mode: 0o700 })?;
        Ok(path.to_owned())
    }
}
