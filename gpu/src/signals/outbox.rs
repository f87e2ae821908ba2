//! The outbox: the folder that files of signals lie in until they are pushed, and afterwards.
//!
//! Owns the files' names (the close of the newest bar, and the batch's content) and the rule that of one bar
//! nothing is said twice: what stands in a file stands, whoever asks again, also after a restart or from another
//! process at the same time. Files are whole or absent. Must not make signals.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sep_contract::signals::{SignalFileError, read_parquet, write_parquet};
use sep_contract::{Signal, SignalBatch, SignalKey};

use crate::whole_file::{PublishError, publish};

/// How the names of files begin: the close of the newest bar within, UTC. Sorted by name is sorted by time.
const TIME: &str = "%Y%m%dT%H%M%SZ";
/// Characters of the batch's name that stand in the file's.
const CONTENT: usize = 12;

/// A folder of files of signals.
#[derive(Debug, Clone)]
pub struct Outbox {
    root: PathBuf,
}

/// Held from looking at what stands to writing what is new, so that nobody else writes the same in between.
/// Dropping it lets the next one in.
#[derive(Debug)]
pub struct OutboxLock {
    _file: File,
}

/// A signal that stands in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    pub file: PathBuf,
    pub signal: Signal,
}

/// Why the outbox cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{0}: move the file away, or write it again")]
    File(#[from] Box<SignalFileError>),
    #[error("{}: {detail}", path.display())]
    Unwritable { path: PathBuf, detail: String },
}

fn io_error<'a>(action: &'static str, path: &'a Path) -> impl Fn(io::Error) -> OutboxError + use<'a> {
    move |source| OutboxError::Io { action, path: path.to_owned(), source }
}

impl Outbox {
    /// The outbox in a folder, which need not exist yet.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The newest file and its signals.
    pub fn newest(&self) -> Result<Option<(PathBuf, SignalBatch)>, OutboxError> {
        let Some(file) = self.files()?.into_iter().next_back() else { return Ok(None) };
        let batch = read(&file)?;
        Ok(Some((file, batch)))
    }

    /// Waits for whoever else writes here, and keeps others out. Makes the folder if need be, and clears away
    /// what an interrupted writer left.
    pub fn lock(&self) -> Result<OutboxLock, OutboxError> {
        fs::create_dir_all(&self.root).map_err(io_error("make", &self.root))?;
        let path = self.root.join(".lock");
        let file = File::create(&path).map_err(io_error("open", &path))?;
        file.lock().map_err(io_error("lock", &path))?;
        for left in self.entries()?.iter().filter(|path| path.extension().is_some_and(|e| e == "part")) {
            fs::remove_file(left).map_err(io_error("remove", left))?;
        }
        Ok(OutboxLock { _file: file })
    }

    /// All signals of bars that closed at that moment or later.
    pub fn since(&self, bar_close: Timestamp) -> Result<BTreeMap<SignalKey, Sent>, OutboxError> {
        let first = bar_close.strftime(TIME).to_string();
        let mut sent = BTreeMap::new();
        for file in self.files()? {
            // A file is named by the newest of its bars: an earlier one holds nothing that is asked for.
            if name_of(&file) < first.as_str() {
                continue;
            }
            for signal in read(&file)?.into_signals() {
                sent.entry(signal.key()).or_insert_with(|| Sent { file: file.clone(), signal });
            }
        }
        Ok(sent)
    }

    /// Writes a batch; none of an empty one.
    pub fn put(&self, _lock: &OutboxLock, batch: &SignalBatch) -> Result<Option<PathBuf>, OutboxError> {
        let Some(newest) = batch.signals().iter().map(|signal| signal.bar_close).max() else {
            return Ok(None);
        };
        let content: String = batch.batch_id().to_string().chars().take(CONTENT).collect();
        let path = self.root.join(format!("{}-{content}.parquet", newest.strftime(TIME)));
        let bytes = write_parquet(batch)
            .map_err(|error| OutboxError::Unwritable { path: path.clone(), detail: error.to_string() })?;
        publish(&path, &bytes)?;
        Ok(Some(path))
    }

    /// The files of signals, sorted by name.
    fn files(&self) -> Result<Vec<PathBuf>, OutboxError> {
        let mut files = self.entries()?;
        // Files of other names are not ours.
        files.retain(|path| {
            name_of(path).split_once('-').is_some_and(|(time, _)| {
                time.len() == 16 && time.ends_with('Z') && path.extension().is_some_and(|e| e == "parquet")
            })
        });
        files.sort_unstable();
        Ok(files)
    }

    /// Whatever lies in the folder; nothing where there is none.
    fn entries(&self) -> Result<Vec<PathBuf>, OutboxError> {
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io_error("list", &self.root)(error)),
        };
        let path = |entry: io::Result<fs::DirEntry>| Ok(entry.map_err(io_error("list", &self.root))?.path());
        entries.map(path).collect()
    }
}

fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

fn read(path: &Path) -> Result<SignalBatch, OutboxError> {
    let bytes = fs::read(path).map_err(io_error("read", path))?;
    read_parquet(&bytes, &path.display().to_string()).map_err(|error| Box::new(error).into())
}
