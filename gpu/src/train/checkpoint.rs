//! A search's work so far, on disk: what was played is not played again after an interruption.
//!
//! Owns the file: a line that names the search, then pieces of cells, each with its own digest, so that a
//! piece that was cut short or damaged counts as never written; and the place of it, apart for every search.
//! Must not know what the cells mean.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::mem;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sep_contract::Digest;

use crate::verdict::matrix::Cell;
use crate::whole_file::PublishError;

/// Bytes of a cell: net, squares, trades.
const CELL: usize = 8 + 8 + 4;
const DIGEST: usize = 32;
/// A piece that did not reach the disk before the power went counts as never written, so no search waits for the
/// disk after each of them: this much work may be lost.
const SYNC_EVERY: Duration = Duration::from_secs(5);

/// A file of finished work.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    file: File,
    cells: Vec<Cell>,
    /// When the file was last known to be on the disk.
    synced: Instant,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("cannot {action} the checkpoint {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("another training writes to {}: wait for it to end", path.display())]
    Busy { path: PathBuf },
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// How files of unfinished work are called in a pair's folder.
const BEGINS: &str = "search-";
/// Digits of each name that tell searches apart there; the whole names stand in the files.
const DIGITS: usize = 12;

/// Where a search leaves its unfinished work: by the question that it asks, and by all that its outcome depends
/// on, which changes when candles are added or the program is another.
pub fn place(folder: &Path, question: &Digest, name: &Digest) -> PathBuf {
    let file: String = begins(question).chars().chain(name.to_string().chars().take(DIGITS)).collect();
    folder.join(file).with_extension("checkpoint")
}

/// Removes all unfinished work on a question: it is answered. That of other questions stays.
pub fn clear(folder: &Path, question: &Digest) -> Result<(), CheckpointError> {
    let error = |action, path: &Path| {
        let path = path.to_owned();
        move |source| CheckpointError::Io { action, path, source }
    };
    let begins = begins(question);
    for entry in fs::read_dir(folder).map_err(error("list", folder))? {
        let path = entry.map_err(error("list", folder))?.path();
        if path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(&begins)) {
            fs::remove_file(&path).map_err(error("remove", &path))?;
        }
    }
    Ok(())
}

fn begins(question: &Digest) -> String {
    let digits: String = question.to_string().chars().take(DIGITS).collect();
    format!("{BEGINS}{digits}-")
}

impl Checkpoint {
    /// Opens the checkpoint of the search that `name` stands for, or begins one. One of another search is
    /// begun anew; one that is being written is left alone.
    pub fn open(path: &Path, name: &Digest) -> Result<Self, CheckpointError> {
        let error = |action| move |source| CheckpointError::Io { action, path: path.to_owned(), source };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(error("make the folder of"))?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(error("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(CheckpointError::Busy { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(error("lock")(source)),
        }
        let mut found = Vec::new();
        file.read_to_end(&mut found).map_err(error("read"))?;
        let (cells, sound) = match found.strip_prefix(name.as_bytes()) {
            Some(pieces) => read(pieces),
            None => (Vec::new(), 0),
        };
        let end = if sound == 0 { 0 } else { name.as_bytes().len() + sound };
        file.set_len(end as u64).map_err(error("shorten"))?;
        file.seek(SeekFrom::End(0)).map_err(error("read"))?;
        if end == 0 {
            file.write_all(name.as_bytes()).map_err(error("write"))?;
        }
        Ok(Self { path: path.to_owned(), file, cells, synced: Instant::now() })
    }

    /// What was finished before, in rows of so many slices.
    pub fn rows(&self, slices: usize) -> usize {
        self.cells.len() / slices.max(1)
    }

    /// Hands out what was finished before; it is kept no longer.
    pub fn take(&mut self) -> Vec<Cell> {
        mem::take(&mut self.cells)
    }

    /// Adds finished work.
    pub fn add(&mut self, cells: &[Cell]) -> Result<(), CheckpointError> {
        let mut piece = Vec::with_capacity(8 + cells.len() * CELL + DIGEST);
        piece.extend_from_slice(&(cells.len() as u64).to_le_bytes());
        for cell in cells {
            piece.extend_from_slice(&cell.net.to_le_bytes());
            piece.extend_from_slice(&cell.squares.to_le_bytes());
            piece.extend_from_slice(&cell.trades.to_le_bytes());
        }
        let digest = Digest::of(&piece);
        piece.extend_from_slice(digest.as_bytes());
        self.file.write_all(&piece).map_err(|source| self.error("write", source))?;
        if self.synced.elapsed() >= SYNC_EVERY { self.sync() } else { Ok(()) }
    }

    /// Waits until all that was added is on the disk.
    pub fn sync(&mut self) -> Result<(), CheckpointError> {
        let done = self.file.sync_data().map_err(|source| self.error("write", source));
        self.synced = Instant::now();
        done
    }

    fn error(&self, action: &'static str, source: io::Error) -> CheckpointError {
        CheckpointError::Io { action, path: self.path.clone(), source }
    }
}

/// The cells of all whole pieces, and their length in bytes.
fn read(pieces: &[u8]) -> (Vec<Cell>, usize) {
    let (mut cells, mut rest) = (Vec::new(), pieces);
    while let Some((count, _)) = rest.split_first_chunk::<8>() {
        let length = usize::try_from(u64::from_le_bytes(*count))
            .ok()
            .and_then(|count| count.checked_mul(CELL)?.checked_add(8));
        let Some((piece, after)) = length.and_then(|length| rest.split_at_checked(length)) else { break };
        let Some((digest, after)) = after.split_at_checked(DIGEST) else { break };
        if Digest::of(piece).as_bytes() != digest {
            break;
        }
        let (rows, _) = piece[8..].as_chunks::<CELL>();
        cells.extend(rows.iter().map(cell));
        rest = after;
    }
    (cells, pieces.len() - rest.len())
}

fn cell(row: &[u8; CELL]) -> Cell {
    let [n0, n1, n2, n3, n4, n5, n6, n7, s0, s1, s2, s3, s4, s5, s6, s7, t0, t1, t2, t3] = *row;
    Cell {
        net: i64::from_le_bytes([n0, n1, n2, n3, n4, n5, n6, n7]),
        squares: u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]),
        trades: u32::from_le_bytes([t0, t1, t2, t3]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(count: i64) -> Vec<Cell> {
        (0..count).map(|at| Cell { net: at - 3, squares: at.unsigned_abs() * 7, trades: 2 }).collect()
    }

    #[test]
    fn what_was_finished_is_there_again_and_what_was_cut_short_is_not() {
        let folder = std::env::temp_dir().join(format!("sep-checkpoint-{}", std::process::id()));
        let path = folder.join("work");
        let name = Digest::of(b"a search");
        let mut checkpoint = Checkpoint::open(&path, &name).unwrap();
        assert_eq!(checkpoint.take(), []);
        assert!(matches!(Checkpoint::open(&path, &name), Err(CheckpointError::Busy { .. })));
        checkpoint.add(&cells(5)).unwrap();
        checkpoint.add(&cells(3)).unwrap();
        drop(checkpoint);
        let whole = fs::read(&path).unwrap();
        let expected = [cells(5), cells(3)].concat();
        let mut checkpoint = Checkpoint::open(&path, &name).unwrap();
        assert_eq!((checkpoint.rows(4), checkpoint.take()), (2, expected));
        drop(checkpoint);
        let first = 32 + 8 + 5 * CELL + 32;
        for length in 32..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let found = Checkpoint::open(&path, &name).unwrap().take();
            assert_eq!(found, if length < first { Vec::new() } else { cells(5) }, "{length} bytes");
        }
        let mut damaged = whole.clone();
        damaged[first + 20] ^= 1;
        fs::write(&path, &damaged).unwrap();
        let mut checkpoint = Checkpoint::open(&path, &name).unwrap();
        assert_eq!(checkpoint.take(), cells(5));
        checkpoint.add(&cells(3)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), whole);
        drop(checkpoint);
        // Another search begins anew.
        assert_eq!(Checkpoint::open(&path, &Digest::of(b"another")).unwrap().take(), []);
        fs::remove_dir_all(&folder).unwrap();
    }

    /// Each search leaves its work in a place of its own. An answered question takes its own along, of older
    /// candles too, and nothing else.
    #[test]
    fn unfinished_work_lies_apart_until_its_question_is_answered() {
        let folder = std::env::temp_dir().join(format!("sep-places-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let digest = |text: &str| Digest::of(text.as_bytes());
        let of = |question, name| place(&folder, &digest(question), &digest(name));
        let (older, newer, other) = (of("one", "older"), of("one", "newer"), of("other", "older"));
        let model = folder.join("model.json");
        for path in [&older, &newer, &other, &model] {
            fs::write(path, "").unwrap();
        }
        clear(&folder, &digest("one")).unwrap();
        let left: Vec<bool> = [&older, &newer, &other, &model].map(|path| path.exists()).to_vec();
        assert_eq!(left, [false, false, true, true]);
        fs::remove_dir_all(&folder).unwrap();
    }
}
