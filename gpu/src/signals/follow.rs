//! Following a store: what the promoted models say now, and whenever a bar has closed since.
//!
//! Owns what was seen before, so that nothing is read again that has not changed and nothing is said twice; and
//! that what went wrong once is tried again. Must not wait or watch a clock: it looks when it is asked to, and is
//! told the time.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use rayon::prelude::*;
use sep_contract::signals::BatchError;
use sep_contract::{CandleSet, Digest, Pair, Signal, SignalBatch, Timeframe};

use super::outbox::{Outbox, OutboxError, Sent};
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
    /// What was wrong with a pair when it was last looked at: it is told once, and tried again at every look.
    told: BTreeMap<Pair, String>,
}

/// What a pair looked like when it was last looked at, and all that followed was done.
#[derive(Debug, Default)]
struct Seen {
    promotion: Option<Stamp>,
    speaker: Option<Speaker>,
    candles: Option<Candles>,
    /// When the next candle closes that the store holds already.
    next_close: Option<Timestamp>,
    bar_close: Option<Timestamp>,
}

/// The month that a moment lies in, or the last before it, and what its file was.
type Candles = (PathBuf, Option<Stamp>);

/// What tells one content of a file from another without reading it: files are published by renaming, so a new
/// content has a new inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    seconds: i64,
    nanoseconds: i64,
}

/// A pair of which something may be new.
struct Turn {
    speaker: Speaker,
    candles: Candles,
}

/// What a pair said in its turn. It is kept as seen only once everything is written.
struct Heard {
    pair: Pair,
    candles: Candles,
    next_close: Option<Timestamp>,
    bar_close: Option<Timestamp>,
    /// None where it speaks of a bar that was spoken of before.
    said: Option<Said>,
}

/// What one look found. Pairs about which nothing is new are not in it.
#[derive(Debug, Default)]
pub struct Look {
    pub said: Vec<Said>,
    pub failed: Vec<(Pair, FollowError)>,
    /// The files that the new signals were written to. What is made up or expired stands in files of its own:
    /// whoever pushes a file must be able to leave these out, and a file is stored whole or not at all.
    pub written: Vec<PathBuf>,
}

/// What a pair's model says of its newest bar; where a file holds a signal of that bar, what stands there.
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
        let (seen, told) = Default::default();
        Self { store, models, outbox, address, only, seen, told }
    }

    /// Looks once: reads what has changed, makes signals of the newest bars closed by then, and writes those
    /// that are not written yet. After an error nothing counts as seen: the next look does it all again.
    pub fn look(&mut self, at: Timestamp) -> Result<Look, FollowError> {
        let pairs = if self.only.is_empty() { self.models.pairs()? } else { self.only.clone() };
        let mut failed = Vec::new();
        let mut turns = Vec::new();
        for pair in pairs {
            match self.turn(pair, at) {
                Ok(Some(turn)) => turns.push(turn),
                Ok(None) => {}
                Err(error) => failed.push((pair, error)),
            }
        }
        let candles: Vec<Result<CandleSet, StoreError>> =
            turns.par_iter().map(|turn| recent(&self.store, &turn.speaker, at)).collect();
        let mut stamps = Vec::with_capacity(turns.len());
        let mut loaded = Vec::with_capacity(turns.len());
        for (turn, candles) in turns.into_iter().zip(candles) {
            match candles {
                Ok(candles) => {
                    stamps.push(turn.candles);
                    loaded.push((turn.speaker, candles));
                }
                Err(error) => failed.push((turn.speaker.pair, error.into())),
            }
        }
        let words = speak(&loaded, at, &self.address);
        let mut heard = Vec::with_capacity(words.len());
        for (((speaker, candles), word), stamp) in loaded.iter().zip(words).zip(stamps) {
            match word {
                Ok(word) => heard.push(self.hear(speaker, candles, word, stamp, at)),
                Err(error) => failed.push((speaker.pair, error.into())),
            }
        }
        let written = self.write(&mut heard, at)?;
        let mut said = Vec::new();
        for heard in heard {
            let seen = self.seen.entry(heard.pair).or_default();
            seen.candles = Some(heard.candles);
            (seen.next_close, seen.bar_close) = (heard.next_close, heard.bar_close);
            self.told.remove(&heard.pair);
            said.extend(heard.said);
        }
        failed.retain(|(pair, error)| {
            let error = error.to_string();
            self.told.insert(*pair, error.clone()) != Some(error)
        });
        Ok(Look { said, failed, written })
    }

    /// The turn of a pair of which something may be new.
    fn turn(&mut self, pair: Pair, at: Timestamp) -> Result<Option<Turn>, FollowError> {
        let promotion = stamp(&self.models.folder(pair).join("promoted.json"))?;
        if self.seen.get(&pair).is_none_or(|seen| seen.promotion != promotion || seen.speaker.is_none()) {
            let speaker = match self.models.promoted(pair)? {
                Some((stored, promotion)) => Speaker::of(&stored, &promotion)?,
                None if self.only.is_empty() => return Ok(None),
                None => return Err(FollowError::NotPromoted { pair }),
            };
            let seen = self.seen.entry(pair).or_default();
            *seen = Seen {
                promotion,
                speaker: Some(speaker),
                bar_close: seen.bar_close,
                candles: None,
                next_close: None,
            };
        }
        let Some((seen, speaker)) =
            self.seen.get(&pair).and_then(|seen| Some((seen, seen.speaker.as_ref()?)))
        else {
            return Ok(None);
        };
        let months = self.store.months(pair, speaker.base)?;
        if months.is_empty() {
            let (timeframe, store) = (speaker.base, self.store.root().to_owned());
            return Err(FollowError::NoCandles { pair, timeframe, store });
        }
        let candles = match months.iter().rev().find(|month| month.start() <= at) {
            Some(newest) => {
                let path = self.store.path(pair, speaker.base, *newest);
                let stamp = stamp(&path)?;
                (path, stamp)
            }
            None => (self.store.root().to_owned(), None),
        };
        let due = seen.next_close.is_some_and(|close| close <= at);
        let new = due || seen.candles.as_ref() != Some(&candles);
        Ok(new.then(|| Turn { speaker: speaker.clone(), candles }))
    }

    /// What there is to note of what a pair said.
    fn hear(
        &self,
        speaker: &Speaker,
        candles: &CandleSet,
        word: Word,
        stamp: Candles,
        at: Timestamp,
    ) -> Heard {
        let before = self.seen.get(&speaker.pair).and_then(|seen| seen.bar_close);
        let length = SignedDuration::from_secs(candles.timeframe.seconds());
        let next_close = candles.candles.iter().map(|candle| candle.time + length).find(|close| *close > at);
        let bar_close = word.bar_close();
        let new = bar_close.is_none() || bar_close > before;
        let signal = if let Word::Signal(signal) = word { Some(*signal) } else { None };
        let said = new.then(|| Said {
            pair: speaker.pair,
            timeframe: speaker.variant.timeframe,
            model: speaker.model,
            override_reason: speaker.override_reason.clone(),
            synthetic: speaker.synthetic,
            bar_close,
            signal,
            file: None,
            before: Before::No,
        });
        Heard { pair: speaker.pair, candles: stamp, next_close, bar_close: bar_close.max(before), said }
    }

    /// Writes the signals that no file holds yet.
    fn write(&self, heard: &mut [Heard], at: Timestamp) -> Result<Vec<PathBuf>, FollowError> {
        let said = || heard.iter().filter_map(|heard| heard.said.as_ref());
        let Some(oldest) = said().filter_map(|said| Some(said.signal.as_ref()?.bar_close)).min() else {
            return Ok(Vec::new());
        };
        let lock = self.outbox.lock()?;
        let sent = self.outbox.since(oldest)?;
        let mut new: BTreeMap<(bool, bool), Vec<Signal>> = BTreeMap::new();
        for said in said() {
            if let Some(signal) = said.signal.as_ref().filter(|signal| !sent.contains_key(&signal.key())) {
                new.entry((said.synthetic, signal.expires_at <= at)).or_default().push(signal.clone());
            }
        }
        let mut written = BTreeMap::new();
        for (kind, signals) in new {
            let (synthetic, _) = kind;
            let batch = SignalBatch::new(signals).map_err(Box::new)?.marked(synthetic);
            written.extend(self.outbox.put(&lock, &batch)?.map(|file| (kind, file)));
        }
        for said in heard.iter_mut().filter_map(|heard| heard.said.as_mut()) {
            let Some(signal) = &said.signal else { continue };
            let kind = (said.synthetic, signal.expires_at <= at);
            match sent.get(&signal.key()) {
                None => said.file = written.get(&kind).cloned(),
                Some(sent) => said.give_way(sent),
            }
        }
        Ok(written.into_values().collect())
    }
}

impl Said {
    /// A file holds a signal of this bar: that is the one that stands.
    fn give_way(&mut self, sent: &Sent) {
        let same = self.signal.as_ref().is_some_and(|own| own.content_hash() == sent.signal.content_hash());
        self.before = if same { Before::Same } else { Before::Other };
        self.model = sent.signal.model_hash;
        self.override_reason.clone_from(&sent.signal.override_reason);
        self.signal = Some(sent.signal.clone());
        self.file = Some(sent.file.clone());
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
