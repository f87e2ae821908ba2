//! Names the engine: a number that changes with its sources, so that no unfinished work of another engine is gone on
//! with. The version alone stays the same while a program is worked on.
//!
//! Must not depend on when or where it is built.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What the results of a search follow from, from this crate's folder.
const SOURCES: [&str; 4] = ["src", "kernels", "../contract/src", "../Cargo.lock"];

fn main() -> io::Result<()> {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let mut hasher = DefaultHasher::new();
    let mut out = io::stdout();
    for source in SOURCES {
        writeln!(out, "cargo::rerun-if-changed={source}")?;
        let path = root.join(source);
        for file in files(&path)? {
            file.strip_prefix(&root).unwrap_or(&file).hash(&mut hasher);
            fs::read(&file)?.hash(&mut hasher);
        }
    }
    writeln!(out, "cargo::rustc-env=SEP_ENGINE={:016x}", hasher.finish())
}

/// The file, or all files below the folder, sorted.
fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut entries = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    let below = entries.iter().map(|path| files(path)).collect::<io::Result<Vec<_>>>()?;
    Ok(below.into_iter().flatten().collect())
}
