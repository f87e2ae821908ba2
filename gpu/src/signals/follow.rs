//! Following a store: what the promoted models say now, and whenever a bar has closed since.
//!
//! Owns what was seen before, so that nothing is read again that has not changed and nothing is said twice. Must
//! not wait or watch a clock: it looks when it is asked to, and is told the time.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use rayon::prelude::*;
use sep_contract::signals::BatchError;
use sep_contract::{CandleSet, Digest, Pair, Signal, SignalBatch, Timeframe};

use super::outbox::{Outbox, OutboxError};
use super::recent::recent;
use super::speaker::NoSpeaker;
use super::{Address, Speaker, SpeechError, Word, speak};
use crate::model::{ModelError, Models};
use crate::store::{Store, StoreError};

/// Follows the candles of the promoted models.
#[derive(Debug)]
pub struct Follower {
    store: Store,
    models: Models,
    outbox: Outbox,
    address: Address,
    /// These pairs alone; none: all that have a promoted model.
    only: Vec<Pair>,
    seen: BTreeMap<Pair, Seen>,
}

/// What a pair looked like when it was last looked at.
#[derive(Debug, Default)]
struct Seen {
    promotion: Option<Stamp>,
    candles: Option<(PathBuf, Option<Stamp>)>,
    /// When the next candle closes that the store holds already.
    next_close: Option<Timestamp>,
    speaker: Option<Speaker>,
    bar_close: Option<Timestamp>,
}

/// What tells one content of a file from another without reading it: files are published by renaming, so a new
/// content has a new inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    seconds: i64,
    nanoseconds: i64,
}

/// What one look found. Pairs about which nothing is new are not in it.
#[derive(Debug, Default)]
pub struct Look {
    pub said: Vec<Said>,
    pub failed: Vec<(Pair, FollowError)>,
    /// The file that the new signals were written to.
    pub written: Option<PathBuf>,
}

/// What a pair's model says of its newest bar.
#[derive(Debug)]
pub struct Said {
    pub pair: Pair,
    pub timeframe: Timeframe,
    pub model: Digest,
    pub override_reason: Option<String>,
    pub synthetic: bool,
    /// None where no bar has closed yet.
    pub bar_close: Option<Timestamp>,
    pub signal: Option<Signal>,
    /// The file that the signal stands in.
    pub file: Option<PathBuf>,
    pub before: Before,
}

/// Whether a signal of the bar had been written before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    No,
    /// This very signal.
    Same,
    /// Another one, which stands: candles or model have changed since.
    Other,
}

/// Why a pair says nothing, or nothing could be written.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    NoSpeaker(#[from] NoSpeaker),
    #[error(transparent)]
    Speech(#[from] SpeechError),
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    #[error(transparent)]
    Batch(#[from] Box<BatchError>),
    #[error("cannot look at {}: {source}", path.display())]
    Look { path: PathBuf, source: io::Error },
    #[error("{pair} has no promoted model: see 'sep-gpu promote --help'")]
    NotPromoted { pair: Pair },
    #[error("{pair}: there are no {timeframe} candles in {}: see 'sep-gpu candles import --help'", store.display())]
    NoCandles { pair: Pair, timeframe: Timeframe, store: PathBuf },
}

impl Follower {
    /// Follows these pairs, or, where none are named, all that have a promoted model.
    pub fn new(store: Store, models: Models, outbox: Outbox, address: Address, only: Vec<Pair>) -> Self {
        Self { store, models, outbox, address, only, seen: BTreeMap::new() }
    }

    /// Looks once: reads what has changed, makes signals of the newest bars closed by then, and writes those
    /// that are not written yet, in one file.
    pub fn look(&mut self, at: Timestamp) -> Result<Look, FollowError> {
        let mut look = Look::default();
        let mut speakers = Vec::new();
        let pairs = if self.only.is_empty() { self.models.pairs()? } else { self.only.clone() };
        for pair in pairs {
            match self.changed(pair, at) {
                Ok(speaker) => speakers.extend(speaker),
                Err(error) => look.failed.push((pair, error)),
            }
        }
        let candles: Vec<Result<CandleSet, StoreError>> =
            speakers.par_iter().map(|speaker| recent(&self.store, speaker, at)).collect();
        let mut loaded = Vec::with_capacity(speakers.len());
        for (speaker, candles) in speakers.into_iter().zip(candles) {
            match candles {
                Ok(candles) => loaded.push((speaker, candles)),
                Err(error) => look.failed.push((speaker.pair, error.into())),
            }
        }
        let words = speak(&loaded, at, &self.address);
        for ((speaker, candles), word) in loaded.iter().zip(words) {
            match word {
                Ok(word) => look.said.extend(self.hear(speaker, candles, word, at)),
                Err(error) => look.failed.push((speaker.pair, error.into())),
            }
        }
        self.write(&mut look)?;
        Ok(look)
    }

    /// The speaker of a pair of which something may be new. What is wrong is said once, not at every look.
    fn changed(&mut self, pair: Pair, at: Timestamp) -> Result<Option<Speaker>, FollowError> {
        let named = !self.only.is_empty();
        let promotion = stamp(&self.models.folder(pair).join("promoted.json"))?;
        let known = self.seen.get(&pair).map(|seen| seen.promotion);
        let seen = self.seen.entry(pair).or_default();
        if known != Some(promotion) {
            *seen = Seen { promotion, bar_close: seen.bar_close, ..Seen::default() };
            let Some((stored, promotion)) = self.models.promoted(pair)? else {
                return if named { Err(FollowError::NotPromoted { pair }) } else { Ok(None) };
            };
            seen.speaker = Some(Speaker::of(&stored, &promotion)?);
        }
        let Some(speaker) = &seen.speaker else { return Ok(None) };
        let months = self.store.months(pair, speaker.base)?;
        let candles = match months.last() {
            Some(newest) => {
                let path = self.store.path(pair, speaker.base, *newest);
                let stamp = stamp(&path)?;
                (path, stamp)
            }
            None => (self.store.root().to_owned(), None),
        };
        let due = seen.next_close.is_some_and(|close| close <= at);
        if seen.candles.as_ref() == Some(&candles) && !due {
            return Ok(None);
        }
        seen.candles = Some(candles);
        if months.is_empty() {
            let (timeframe, store) = (speaker.base, self.store.root().to_owned());
            return Err(FollowError::NoCandles { pair, timeframe, store });
        }
        Ok(Some(speaker.clone()))
    }

    /// Notes what a pair said; None where it speaks of a bar that was spoken of before.
    fn hear(&mut self, speaker: &Speaker, candles: &CandleSet, word: Word, at: Timestamp) -> Option<Said> {
        let seen = self.seen.entry(speaker.pair).or_default();
        let length = SignedDuration::from_secs(candles.timeframe.seconds());
        seen.next_close = candles.candles.iter().map(|candle| candle.time + length).find(|close| *close > at);
        let bar_close = word.bar_close();
        if bar_close.is_some() && bar_close <= seen.bar_close {
            return None;
        }
        seen.bar_close = bar_close;
        let signal = if let Word::Signal(signal) = word { Some(*signal) } else { None };
        Some(Said {
            pair: speaker.pair,
            timeframe: speaker.variant.timeframe,
            model: speaker.model,
            override_reason: speaker.override_reason.clone(),
            synthetic: speaker.synthetic,
            bar_close,
            signal,
            file: None,
            before: Before::No,
        })
    }

    /// Writes the signals that no file holds yet.
    fn write(&self, look: &mut Look) -> Result<(), FollowError> {
        let signals = || look.said.iter().filter_map(|said| said.signal.as_ref());
        let Some(oldest) = signals().map(|signal| signal.bar_close).min() else { return Ok(()) };
        let sent = self.outbox.since(oldest)?;
        let new: Vec<Signal> =
            signals().filter(|signal| !sent.contains_key(&signal.key())).cloned().collect();
        let batch = SignalBatch::new(new).map_err(Box::new)?;
        look.written = self.outbox.put(&batch)?;
        for said in &mut look.said {
            let Some(signal) = &said.signal else { continue };
            (said.file, said.before) = match sent.get(&signal.key()) {
                None => (look.written.clone(), Before::No),
                Some(sent) if sent.content == signal.content_hash() => {
                    (Some(sent.file.clone()), Before::Same)
                }
                Some(sent) => (Some(sent.file.clone()), Before::Other),
            };
        }
        Ok(())
    }
}

/// What tells a file's content; None where there is no such file.
fn stamp(path: &Path) -> Result<Option<Stamp>, FollowError> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some(Stamp {
            inode: found.ino(),
            size: found.size(),
            seconds: found.mtime(),
            nanoseconds: found.mtime_nsec(),
        })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FollowError::Look { path: path.to_owned(), source }),
    }
}
