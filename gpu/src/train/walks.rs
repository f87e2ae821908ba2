//! The random walks that a search was repeated on so far, on disk: each of them costs as much as the search itself.
//!
//! Owns the file: the name of the search, a ratio for each walk in order, and a digest of both, so that a file that
//! was damaged, or is another search's, counts as none. Must not walk, nor know what a ratio is good for.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sep_contract::Digest;

use super::CheckpointError;
use crate::whole_file::publish;

/// A file of finished walks.
#[derive(Debug)]
pub struct Walks {
    path: PathBuf,
    name: Digest,
    ratios: Vec<f64>,
}

impl Walks {
    /// The finished walks of the search that `name` stands for; none where there is no such file.
    pub fn open(path: &Path, name: &Digest) -> Result<Self, CheckpointError> {
        let found = match fs::read(path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(CheckpointError::Io { action: "read", path: path.to_owned(), source }),
        };
        Ok(Self { path: path.to_owned(), name: *name, ratios: read(&found, name).unwrap_or_default() })
    }

    /// How many are finished.
    pub fn finished(&self) -> usize {
        self.ratios.len()
    }

    /// What a walk came to, if it is finished.
    pub fn ratio(&self, walk: usize) -> Option<f64> {
        self.ratios.get(walk).copied()
    }

    /// Adds what the next walk came to.
    pub fn add(&mut self, ratio: f64) -> Result<(), CheckpointError> {
        self.ratios.push(ratio);
        let mut content = self.name.as_bytes().to_vec();
        content.extend(self.ratios.iter().flat_map(|ratio| ratio.to_le_bytes()));
        content.extend_from_slice(Digest::of(&content).as_bytes());
        Ok(publish(&self.path, &content)?)
    }
}

fn read(found: &[u8], name: &Digest) -> Option<Vec<f64>> {
    let (content, digest) = found.split_last_chunk::<32>()?;
    if Digest::of(content).as_bytes() != digest {
        return None;
    }
    let (ratios, rest) = content.strip_prefix(name.as_bytes())?.as_chunks::<8>();
    rest.is_empty().then(|| ratios.iter().map(|ratio| f64::from_le_bytes(*ratio)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finished_walks_are_there_again_and_damaged_ones_are_not() {
        let folder = std::env::temp_dir().join(format!("sep-walks-{}", std::process::id()));
        let (path, name) = (folder.join("walks"), Digest::of(b"a search"));
        let mut walks = Walks::open(&path, &name).unwrap();
        assert_eq!(walks.ratio(0), None);
        walks.add(0.1 + 0.2).unwrap();
        walks.add(-3.5).unwrap();
        let walks = Walks::open(&path, &name).unwrap();
        assert_eq!(walks.finished(), 2);
        assert_eq!(
            (0..3).map(|walk| walks.ratio(walk)).collect::<Vec<_>>(),
            [Some(0.1 + 0.2), Some(-3.5), None]
        );
        assert_eq!(Walks::open(&path, &Digest::of(b"another")).unwrap().ratio(0), None);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&path, &damaged).unwrap();
            assert_eq!(Walks::open(&path, &name).unwrap().ratio(0), None, "byte {at}");
            fs::write(&path, &whole[..at]).unwrap();
            assert_eq!(Walks::open(&path, &name).unwrap().ratio(0), None, "{at} bytes");
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
