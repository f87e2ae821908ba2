//! Files that are whole or absent: written beside their place, synced, renamed into it, the folder synced.
//!
//! Owns that one way of writing a file. (The store publishes several months together, in a way of its own.) Must
//! not know what is in a file.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What could not be done, and to what.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct PublishError {
    pub action: &'static str,
    pub path: PathBuf,
    pub source: io::Error,
}

/// Publishes a file, making its folder if need be. After an error the place is as it was before.
pub fn publish(path: &Path, content: &[u8]) -> Result<(), PublishError> {
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source| PublishError { action, path, source }
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder).map_err(failed("make", folder))?;
    // By the process: another one that publishes the same file now has a place of its own to write in.
    let mut part = path.as_os_str().to_owned();
    part.push(format!(".{}.part", std::process::id()));
    let part = PathBuf::from(part);
    let published = File::create(&part)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        .map_err(failed("write", &part))
        .and_then(|()| fs::rename(&part, path).map_err(failed("publish", path)));
    if published.is_err() {
        // Best effort: what is told is the first error.
        let _ = fs::remove_file(&part);
    }
    published?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_whole_or_not_at_all() {
        let folder = std::env::temp_dir().join(format!("sep-whole-file-{}", std::process::id()));
        let path = folder.join("new/name.json");
        publish(&path, b"first").unwrap();
        publish(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        // A folder stands in the place: nothing is left beside it.
        fs::create_dir(folder.join("new/taken")).unwrap();
        let error = publish(&folder.join("new/taken"), b"third").unwrap_err();
        assert_eq!(error.action, "publish");
        assert_eq!(fs::read_dir(folder.join("new")).unwrap().count(), 2);
        fs::remove_dir_all(&folder).unwrap();
    }
}
