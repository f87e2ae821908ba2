//! Many signals: the batch, and (feature `parquet`) its two file forms.
//!
//! A batch is what a file of signals means: sorted by key, duplicates collapsed, free of conflicts, named
//! by a hash of its contents, so that the same signals in another order or form are the same batch.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use crate::digest::{Canonical, Digest};
use crate::signal::{Signal, SignalFault, SignalKey};

#[cfg(feature = "parquet")]
mod error;
#[cfg(feature = "parquet")]
mod form_csv;
#[cfg(feature = "parquet")]
mod form_parquet;
#[cfg(test)]
pub(crate) mod samples;

#[cfg(feature = "parquet")]
pub use error::{CellFault, SignalFileError};
#[cfg(feature = "parquet")]
pub use form_csv::{read_csv, write_csv};
#[cfg(feature = "parquet")]
pub use form_parquet::{read_parquet, write_parquet};

/// Where a signal stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Line of a text file, from 1.
    Line { file: String, line: u64 },
    /// Row of a Parquet file, from 1.
    Row { file: String, row: u64 },
    /// Position in a list, from 1.
    Item { number: u64 },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Line { file, line } => write!(f, "{file}:{line}"),
            Place::Row { file, row } => write!(f, "{file}, row {row}"),
            Place::Item { number } => write!(f, "signal {number}"),
        }
    }
}

/// Signals sorted by key, each key once.
#[derive(Debug, Clone, PartialEq)]
pub struct SignalBatch {
    signals: Vec<Signal>,
    batch_id: Digest,
    collapsed: usize,
    synthetic: bool,
}

/// Why signals make no batch.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BatchError {
    #[error("{place}: {}: {fault}", fault.field())]
    Invalid { place: Place, fault: SignalFault },
    #[error(
        "{second}: conflict: {first} holds another signal of the same key ({key}); they differ in {}. \
        Keep one of the two.",
        fields.join(", ")
    )]
    Conflict { first: Place, second: Place, key: Box<SignalKey>, fields: Vec<&'static str> },
}

impl SignalBatch {
    /// A batch of a list of signals.
    pub fn new(signals: Vec<Signal>) -> Result<Self, BatchError> {
        let numbered = (1..).map(|number| Place::Item { number }).zip(signals);
        Self::from_places(numbered)
    }

    /// A batch of signals with the places they were read from. Rows of the same key and content collapse
    /// into one; the same key with other content is a [`BatchError::Conflict`] that names both places.
    pub fn from_places(signals: impl IntoIterator<Item = (Place, Signal)>) -> Result<Self, BatchError> {
        let mut by_key: BTreeMap<SignalKey, (Place, Signal, Digest)> = BTreeMap::new();
        let mut collapsed = 0;
        for (place, signal) in signals {
            if let Err(fault) = signal.validate() {
                return Err(BatchError::Invalid { place, fault });
            }
            let hash = signal.content_hash();
            match by_key.entry(signal.key()) {
                Entry::Vacant(free) => {
                    free.insert((place, signal, hash));
                }
                Entry::Occupied(taken) if taken.get().2 == hash => collapsed += 1,
                Entry::Occupied(taken) => {
                    let (first, other, _) = taken.get();
                    return Err(BatchError::Conflict {
                        first: first.clone(),
                        second: place,
                        key: Box::new(signal.key()),
                        fields: differing(other, &signal),
                    });
                }
            }
        }
        let mut hashes: Vec<Digest> = by_key.values().map(|(_, _, hash)| *hash).collect();
        hashes.sort_unstable();
        let canonical = hashes
            .iter()
            .fold(Canonical::new("sep-batch/1"), |text, hash| text.field("signal", &hash.to_string()));
        let signals = by_key.into_values().map(|(_, signal, _)| signal).collect();
        Ok(Self { signals, batch_id: canonical.digest(), collapsed, synthetic: false })
    }

    /// The same batch, marked as made from candles that no market ever showed, or not. The mark stands in
    /// Parquet files, not in the batch's name: what the signals say is the same.
    pub fn marked(self, synthetic: bool) -> Self {
        Self { synthetic, ..self }
    }

    /// Whether it is marked as made from made-up candles.
    pub fn is_synthetic(&self) -> bool {
        self.synthetic
    }

    /// The signals, sorted by key.
    pub fn signals(&self) -> &[Signal] {
        &self.signals
    }

    /// The signals, sorted by key.
    pub fn into_signals(self) -> Vec<Signal> {
        self.signals
    }

    /// SHA-256 over the line `sep-batch/1` and a line `signal:64:HASH` for each content hash, sorted: the
    /// same signals are the same batch.
    pub fn batch_id(&self) -> Digest {
        self.batch_id
    }

    /// How many rows were left out because they repeated another row of the same file.
    pub fn collapsed(&self) -> usize {
        self.collapsed
    }
}

/// Names of the fields in which two signals of one key differ.
fn differing(one: &Signal, other: &Signal) -> Vec<&'static str> {
    let mut fields = Vec::new();
    let mut note = |name, differs: bool| {
        if differs {
            fields.push(name);
        }
    };
    note("side", one.side != other.side);
    note("confidence", one.confidence != other.confidence);
    for (name, (a, b)) in crate::signal::QfhMetrics::NAMES
        .into_iter()
        .zip(one.metrics.values().into_iter().zip(other.metrics.values()))
    {
        note(name, a != b);
    }
    note("stop", one.stop != other.stop);
    note("target", one.target != other.target);
    note("expires_at", one.expires_at != other.expires_at);
    note("model_hash", one.model_hash != other.model_hash);
    note("override_reason", one.override_reason != other.override_reason);
    fields
}

#[cfg(test)]
mod tests {
    use super::samples::signal;
    use super::*;

    #[test]
    fn order_and_repetition_do_not_change_a_batch() {
        let one = SignalBatch::new(vec![signal(1), signal(2), signal(3)]).unwrap();
        let two = SignalBatch::new(vec![signal(3), signal(1), signal(2), signal(1)]).unwrap();
        assert_eq!(one.batch_id(), two.batch_id());
        assert_eq!((one.signals(), one.collapsed(), two.collapsed()), (two.signals(), 0, 1));
        let three = SignalBatch::new(vec![signal(1), signal(2)]).unwrap();
        assert_ne!(one.batch_id(), three.batch_id());
    }

    #[test]
    fn the_batch_id_is_what_the_documentation_says() {
        let batch = SignalBatch::new((1..=5).map(signal).collect()).unwrap();
        let mut hashes: Vec<String> = (1..=5).map(|at| signal(at).content_hash().to_string()).collect();
        hashes.sort_unstable();
        let lines: String = hashes.iter().map(|hash| format!("signal:64:{hash}\n")).collect();
        assert_eq!(batch.batch_id(), Digest::of(format!("sep-batch/1\n{lines}").as_bytes()));
    }

    #[test]
    fn another_content_under_the_same_key_is_a_conflict_that_names_both() {
        let mut other = signal(1);
        other.target += rust_decimal::Decimal::new(1, 5);
        other.metrics.buy_score = 0.5;
        let error = SignalBatch::new(vec![signal(1), signal(2), other]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "signal 3: conflict: signal 1 holds another signal of the same key \
            (primary/qfh EUR_USD M1 2025-07-23T20:41:00Z); they differ in buy_score, target. \
            Keep one of the two."
        );
    }

    #[test]
    fn an_unsound_signal_makes_no_batch() {
        let mut bad = signal(2);
        bad.account = "no good".into();
        let error = SignalBatch::new(vec![signal(1), bad]).unwrap_err();
        assert!(error.to_string().starts_with("signal 2: account: 'no good'"), "{error}");
    }
}
