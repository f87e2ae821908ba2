//! What a set holds: every file with its size and hash, and what is needed to restore it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::hash;

const NAME: &str = "manifest.json";
const SEAL: &str = "manifest.sha256";
/// Raised when the layout of a set changes.
const FORMAT: u32 = 1;

/// The contents of manifest.json.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    /// UTC.
    pub created: String,
    /// Version that made it.
    pub sepctl: String,
    /// PostgreSQL's `server_version`.
    pub server: String,
    pub databases: Vec<DatabaseEntry>,
    /// By path below the set.
    pub files: BTreeMap<String, FileEntry>,
}

/// One database of a set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatabaseEntry {
    pub name: String,
    /// Bytes it had in the server.
    pub bytes: u64,
    /// A restore needs the same version.
    pub timescaledb: String,
}

/// One file of a set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileEntry {
    pub bytes: u64,
    pub sha256: String,
}

/// What is wrong with a set.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("{}: {source}", .path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{}: {source}", .path.display())]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("{}: found format {found}, expected {FORMAT}", .path.display())]
    Format { path: PathBuf, found: u32 },
    #[error("{}: its hash is not the one that was sealed", .path.display())]
    Seal { path: PathBuf },
    #[error("{}: found {found}, expected {expected}", .path.display())]
    Damaged { path: PathBuf, found: String, expected: String },
    #[error("{}: not in the manifest", .path.display())]
    Foreign { path: PathBuf },
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> ManifestError {
    let path = path.to_owned();
    move |source| ManifestError::Io { path, source }
}

impl Manifest {
    /// Describes every file below `set`, by reading it.
    pub fn describe(
        set: &Path,
        created: &str,
        server: String,
        databases: Vec<DatabaseEntry>,
    ) -> Result<Self, ManifestError> {
        let mut files = BTreeMap::new();
        for path in files_below(set)? {
            files.insert(relative(set, &path), entry(&path)?);
        }
        Ok(Self {
            format: FORMAT,
            created: created.to_owned(),
            sepctl: env!("CARGO_PKG_VERSION").to_owned(),
            server,
            databases,
            files,
        })
    }

    /// Writes the manifest and its seal.
    pub fn write(&self, set: &Path) -> Result<(), ManifestError> {
        let path = set.join(NAME);
        let text = serde_json::to_vec_pretty(self)
            .map_err(|source| ManifestError::Json { path: path.clone(), source })?;
        std::fs::write(&path, &text).map_err(io(&path))?;
        let seal = set.join(SEAL);
        std::fs::write(&seal, format!("{}  {NAME}\n", hash::sha256(&text))).map_err(io(&seal))
    }

    /// Reads the manifest and checks its seal; its files are [`Manifest::verify`]'s.
    pub fn read(set: &Path) -> Result<Self, ManifestError> {
        let (path, seal) = (set.join(NAME), set.join(SEAL));
        let text = std::fs::read(&path).map_err(io(&path))?;
        let sealed = std::fs::read_to_string(&seal).map_err(io(&seal))?;
        if sealed.split(' ').next() != Some(&hash::sha256(&text)) {
            return Err(ManifestError::Seal { path });
        }
        let manifest: Self = serde_json::from_slice(&text)
            .map_err(|source| ManifestError::Json { path: path.clone(), source })?;
        if manifest.format != FORMAT {
            return Err(ManifestError::Format { path, found: manifest.format });
        }
        Ok(manifest)
    }

    /// Reads every file of the set: all there, all as described, nothing else.
    pub fn verify(&self, set: &Path) -> Result<(), ManifestError> {
        for (name, expected) in &self.files {
            let path = set.join(name);
            let found = entry(&path)?;
            if found != *expected {
                let shown = |e: &FileEntry| format!("{} bytes with hash {}", e.bytes, e.sha256);
                return Err(ManifestError::Damaged { path, found: shown(&found), expected: shown(expected) });
            }
        }
        for path in files_below(set)? {
            let name = relative(set, &path);
            if !self.files.contains_key(&name) {
                return Err(ManifestError::Foreign { path });
            }
        }
        Ok(())
    }

    /// Size of all its files.
    pub fn bytes(&self) -> u64 {
        self.files.values().map(|file| file.bytes).sum()
    }
}

fn entry(path: &Path) -> Result<FileEntry, ManifestError> {
    let mut file = File::open(path).map_err(io(path))?;
    let (mut hash, mut bytes) = (Sha256::new(), 0_u64);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = file.read(&mut buffer).map_err(io(path))?;
        if read == 0 {
            return Ok(FileEntry { bytes, sha256: hash::hex(&hash.finalize()) });
        }
        hash.update(&buffer[..read]);
        bytes += read as u64;
    }
}

/// Files below a set, without the manifest and its seal.
fn files_below(set: &Path) -> Result<Vec<PathBuf>, ManifestError> {
    let (mut folders, mut files) = (vec![set.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(io(&folder))? {
            let path = entry.map_err(io(&folder))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if folder != set || ![NAME, SEAL].iter().any(|name| path.ends_with(name)) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn relative(set: &Path, path: &Path) -> String {
    path.strip_prefix(set).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str) -> PathBuf {
        let set = std::env::temp_dir().join(format!("sepctl-set-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&set);
        std::fs::create_dir_all(set.join("db")).unwrap();
        std::fs::write(set.join("db/toc.dat"), b"table of contents").unwrap();
        std::fs::write(set.join("roles.sql"), b"create role a;").unwrap();
        let manifest = Manifest::describe(&set, "2026-11-21T02:00:00Z", "17.6".into(), Vec::new()).unwrap();
        manifest.write(&set).unwrap();
        set
    }

    fn fault(set: &Path) -> String {
        Manifest::read(set).and_then(|m| m.verify(set)).unwrap_err().to_string()
    }

    #[test]
    fn a_whole_set_passes_and_any_damage_is_named() {
        let whole = set("whole");
        let manifest = Manifest::read(&whole).unwrap();
        manifest.verify(&whole).unwrap();
        assert_eq!(manifest.bytes(), 31);

        let flipped = set("flipped");
        std::fs::write(flipped.join("db/toc.dat"), b"table of Contents").unwrap();
        assert!(fault(&flipped).contains("toc.dat: found 17 bytes with hash"), "{}", fault(&flipped));

        let missing = set("missing");
        std::fs::remove_file(missing.join("roles.sql")).unwrap();
        assert!(fault(&missing).contains("roles.sql: No such file"), "{}", fault(&missing));

        let foreign = set("foreign");
        std::fs::write(foreign.join("db/more"), b"").unwrap();
        assert!(fault(&foreign).contains("more: not in the manifest"), "{}", fault(&foreign));

        let edited = set("edited");
        let text = std::fs::read_to_string(edited.join(NAME)).unwrap().replace("17.6", "17.7");
        std::fs::write(edited.join(NAME), text).unwrap();
        assert!(fault(&edited).contains("its hash is not the one that was sealed"), "{}", fault(&edited));
    }
}
