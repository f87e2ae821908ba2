//! Models: what a training found, in one JSON file each, and which of them speaks for a pair.
//!
//! Owns the file's shape, its place below the models' folder, and the two pointers beside it: the model that
//! was trained last, and the one that was promoted. What was ever tried is counted beside it, in
//! [`searches`]. Must not judge a model, nor make signals of it.

pub mod searches;

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sep_contract::{Digest, Pair, Timeframe};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::backtest::Costs;
use crate::history::History;
use crate::qfh::Constants;
use crate::variant::{Search, Space, Variant};
use crate::verdict::{Evidence, Plan, Verdict};
use crate::whole_file::{PublishError, publish};

/// The format that this program writes and reads.
pub const FORMAT: &str = "sep-model/2";

/// What a training found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// [`FORMAT`].
    pub format: String,
    /// Version of the program that trained it.
    pub program: String,
    pub pair: Pair,
    /// The finalist; none where no variant traded often enough.
    pub variant: Option<Variant>,
    pub verdict: Verdict,
    pub data: Data,
    pub costs: Costs,
    pub constants: Constants,
    pub searched: Searched,
    pub plan: Plan,
    pub evidence: Evidence,
    /// The variants that the evidence speaks of, by their place in the search.
    pub variants: BTreeMap<usize, Variant>,
}

/// The candles it was trained on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// SHA-256 of the candles (see [`sep_contract::candles::data_hash`]).
    pub hash: Digest,
    pub timeframe: Timeframe,
    pub bars: usize,
    /// Open of the first, close of the last.
    pub first: Timestamp,
    pub last: Timestamp,
    pub sources: Vec<String>,
    /// Made up: such a model is for trying things out.
    pub synthetic: bool,
    pub assumed_spread: bool,
}

/// The search that it comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Searched {
    pub space: Space,
    pub search: Search,
    /// Variants tried.
    pub variants: usize,
    /// Variants that other searches tried on this pair and time before (see [`searches`]).
    pub variants_before: u64,
}

/// A model file with what it is named by.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    pub model: Model,
    /// SHA-256 of the file: what signals carry.
    pub hash: Digest,
    pub path: PathBuf,
}

/// Which model speaks for a pair, and by whose word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promotion {
    pub model: Digest,
    /// Why a model that failed its gate was promoted all the same.
    pub override_reason: Option<String>,
}

/// The folder of models: `PAIR/HASH.json`, `PAIR/trained.json`, `PAIR/promoted.json`, `PAIR/searches.json`.
#[derive(Debug, Clone)]
pub struct Models {
    root: PathBuf,
}

/// Held while a pair is trained: what was tried is read, counted and written down by one at a time.
#[derive(Debug)]
pub struct TrainingLock {
    _file: File,
}

/// Why a model cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{}: {source}: this is no file of sep-gpu {}", path.display(), env!("CARGO_PKG_VERSION"))]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("{}: its format is '{found}', expected '{FORMAT}': train again", path.display())]
    Format { path: PathBuf, found: String },
    #[error("{}: its content is {found}, its name says {expected}: it was changed after training", path.display())]
    Changed { path: PathBuf, found: Digest, expected: Digest },
    #[error("{}: it is for {found}, expected {expected}", path.display())]
    OtherPair { path: PathBuf, found: Pair, expected: Pair },
    #[error("another training of {pair} writes to {}: wait for it to end", path.display())]
    Busy { pair: Pair, path: PathBuf },
    #[error(
        "{}: {detail}. It counts what was tried on this pair, which the gate must know: bring it back from a backup; \
        without one, remove it, and know that the gate then takes the next search for the first",
        path.display()
    )]
    Searches { path: PathBuf, detail: String },
}

impl Data {
    /// What there is to say of a history.
    pub fn of(history: &History) -> Self {
        let base = history.base();
        let moment = |second: Option<i64>| {
            second.and_then(|second| Timestamp::from_second(second).ok()).unwrap_or(Timestamp::UNIX_EPOCH)
        };
        let last = base.len().checked_sub(1).map(|bar| base.close_time(bar));
        Self {
            hash: history.hash,
            timeframe: base.timeframe,
            bars: base.len(),
            first: moment(base.time.first().copied()),
            last: moment(last),
            sources: history.provenance.sources.iter().cloned().collect(),
            synthetic: base.synthetic,
            assumed_spread: history.provenance.assumed_spread,
        }
    }
}

impl Models {
    /// The models below a folder, which need not exist yet.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of a pair.
    pub fn folder(&self, pair: Pair) -> PathBuf {
        self.root.join(pair.as_str())
    }

    /// The pairs that have models, sorted.
    pub fn pairs(&self) -> Result<Vec<Pair>, ModelError> {
        let mut pairs: Vec<Pair> = names(&self.root)?.iter().filter_map(|name| name.parse().ok()).collect();
        pairs.sort_unstable();
        Ok(pairs)
    }

    /// What the models of a pair are named by, sorted.
    pub fn names(&self, pair: Pair) -> Result<Vec<Digest>, ModelError> {
        let mut hashes: Vec<Digest> = names(&self.folder(pair))?
            .iter()
            .filter_map(|name| name.strip_suffix(".json")?.parse().ok())
            .collect();
        hashes.sort_unstable();
        Ok(hashes)
    }

    /// Lets one training of a pair go on at a time.
    pub fn lock(&self, pair: Pair) -> Result<TrainingLock, ModelError> {
        let folder = self.folder(pair);
        let error = |action, path: &Path| {
            let path = path.to_owned();
            move |source| ModelError::Io { action, path, source }
        };
        fs::create_dir_all(&folder).map_err(error("make", &folder))?;
        let path = folder.join(".lock");
        let file = File::create(&path).map_err(error("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(TrainingLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(ModelError::Busy { pair, path: folder }),
            Err(TryLockError::Error(source)) => Err(error("lock", &path)(source)),
        }
    }

    /// Keeps a model. It is not the one trained last before [`Self::remember`] says so.
    pub fn keep(&self, model: &Model) -> Result<Stored, ModelError> {
        let mut text = serde_json::to_vec_pretty(model)
            .map_err(|source| ModelError::Json { path: self.folder(model.pair), source })?;
        text.push(b'\n');
        let hash = Digest::of(&text);
        let path = self.path(model.pair, &hash);
        publish(&path, &text)?;
        Ok(Stored { model: model.clone(), hash, path })
    }

    /// Remembers a model as the one trained last: the last step of a training, as others take it for done by this.
    pub fn remember(&self, stored: &Stored) -> Result<(), ModelError> {
        let pointer = Promotion { model: stored.hash, override_reason: None };
        self.point(stored.model.pair, "trained.json", &pointer)
    }

    /// Lets a model speak for its pair.
    pub fn promote(&self, stored: &Stored, override_reason: Option<String>) -> Result<(), ModelError> {
        let promotion = Promotion { model: stored.hash, override_reason };
        self.point(stored.model.pair, "promoted.json", &promotion)
    }

    /// The model that was trained last.
    pub fn trained(&self, pair: Pair) -> Result<Option<Stored>, ModelError> {
        let pointer = self.pointer(pair, "trained.json")?;
        pointer.map(|pointer| self.read(pair, &pointer.model)).transpose()
    }

    /// The model that speaks for a pair, and its promotion.
    pub fn promoted(&self, pair: Pair) -> Result<Option<(Stored, Promotion)>, ModelError> {
        let pointer = self.pointer(pair, "promoted.json")?;
        pointer.map(|pointer| Ok((self.read(pair, &pointer.model)?, pointer))).transpose()
    }

    /// A model by its hash.
    pub fn read(&self, pair: Pair, hash: &Digest) -> Result<Stored, ModelError> {
        let stored = read(&self.path(pair, hash))?;
        let path = stored.path.clone();
        if stored.hash != *hash {
            return Err(ModelError::Changed { path, found: stored.hash, expected: *hash });
        }
        if stored.model.pair != pair {
            return Err(ModelError::OtherPair { path, found: stored.model.pair, expected: pair });
        }
        Ok(stored)
    }

    fn path(&self, pair: Pair, hash: &Digest) -> PathBuf {
        self.folder(pair).join(format!("{hash}.json"))
    }

    fn point(&self, pair: Pair, name: &str, pointer: &Promotion) -> Result<(), ModelError> {
        let path = self.folder(pair).join(name);
        let text = serde_json::to_vec_pretty(pointer)
            .map_err(|source| ModelError::Json { path: path.clone(), source })?;
        Ok(publish(&path, &text)?)
    }

    fn pointer(&self, pair: Pair, name: &str) -> Result<Option<Promotion>, ModelError> {
        let path = self.folder(pair).join(name);
        match fs::read(&path) {
            Ok(text) => Ok(Some(parse(&path, &text)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ModelError::Io { action: "read", path, source }),
        }
    }
}

/// Reads a model file wherever it lies.
pub fn read(path: &Path) -> Result<Stored, ModelError> {
    #[derive(Deserialize)]
    struct Head {
        format: String,
    }
    let text =
        fs::read(path).map_err(|source| ModelError::Io { action: "read", path: path.to_owned(), source })?;
    let Head { format } = parse(path, &text)?;
    if format != FORMAT {
        return Err(ModelError::Format { path: path.to_owned(), found: format });
    }
    Ok(Stored { model: parse(path, &text)?, hash: Digest::of(&text), path: path.to_owned() })
}

fn parse<T: DeserializeOwned>(path: &Path, text: &[u8]) -> Result<T, ModelError> {
    serde_json::from_slice(text).map_err(|source| ModelError::Json { path: path.to_owned(), source })
}

fn names(folder: &Path) -> Result<Vec<String>, ModelError> {
    let error = |source| ModelError::Io { action: "list", path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(error(source)),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(error)?.file_name().into_string());
    }
    Ok(names)
}
