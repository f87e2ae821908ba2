//! New candles into the months that are there.
//!
//! Pure but for reading the months: the same bar with the same content changes nothing, a bar of other
//! content is a conflict unless it is to be replaced, made-up candles never meet real ones.

use std::collections::BTreeMap;

use sep_contract::{Candle, CandleSet, Month, Pair, Provenance, Timeframe};

use crate::store::{Store, StoreError, join, kind};

/// Candles with where they were read, for conflicts to speak of.
#[derive(Debug, Clone)]
pub struct Sourced {
    pub candle: Candle,
    /// `FILE:LINE`.
    pub place: Place,
}

/// A line of one of the files that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Index into the list of files.
    pub file: usize,
    /// Line, from 1.
    pub line: u64,
}

/// What is to be merged.
#[derive(Debug)]
pub struct Incoming {
    pub pair: Pair,
    pub timeframe: Timeframe,
    pub provenance: Provenance,
    /// In order, each time once.
    pub candles: Vec<Sourced>,
}

/// What a merge would do to one month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct MonthChange {
    #[serde(serialize_with = "month_text")]
    pub month: Month,
    /// Bars that were not there.
    pub new: usize,
    /// Bars that were there with the same content.
    pub same: usize,
    /// Bars whose content is replaced.
    pub replaced: usize,
}

fn month_text<S: serde::Serializer>(month: &Month, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(month)
}

/// A merge, worked out but not yet written.
#[derive(Debug)]
pub struct Merge {
    pub changes: Vec<MonthChange>,
    /// Months that differ from what is stored.
    pub months: Vec<(Month, CandleSet)>,
}

/// Why candles do not fit what is there.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "the store holds {stored} ({series}), these are {incoming}: they never mix. \
        Give another folder with --store."
    )]
    Kind { stored: &'static str, series: String, incoming: &'static str },
    #[error("{0}. Replace what is stored with --replace, or give another folder with --store.")]
    Conflicts(Box<Conflicts>),
}

/// Bars that are there with other content.
#[derive(Debug)]
pub struct Conflicts {
    /// How many.
    pub count: usize,
    pub month: Month,
    /// The first: what is stored and what came.
    pub stored: Candle,
    pub incoming: Sourced,
}

impl std::error::Error for Conflicts {}

impl std::fmt::Display for Conflicts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (one, other) = (&self.stored, &self.incoming.candle);
        let noun = if self.count == 1 { "bar is" } else { "bars are" };
        write!(f, "{} {noun} stored with other content; the first, of {}: ", self.count, one.time)?;
        let mut parts = Vec::new();
        for (side, one, other) in [("bid", one.bid, other.bid), ("ask", one.ask, other.ask)] {
            for ((field, stored), (_, new)) in one.named().into_iter().zip(other.named()) {
                if stored != new {
                    parts.push(format!("{side} {field} {stored} stored, {new} new"));
                }
            }
        }
        if one.volume != other.volume {
            parts.push(format!("volume {} stored, {} new", one.volume, other.volume));
        }
        write!(f, "{} (prices in ticks)", parts.join("; "))
    }
}

/// Works out what the incoming candles change.
pub fn merge(store: &Store, incoming: Incoming, replace: bool) -> Result<Merge, MergeError> {
    let Incoming { pair, timeframe, provenance, candles } = incoming;
    refuse_other_kind(store, &provenance)?;
    let stored_months = store.months(pair, timeframe)?;
    let mut by_month: BTreeMap<Month, Vec<Sourced>> = BTreeMap::new();
    for sourced in candles {
        by_month.entry(Month::of(sourced.candle.time)).or_default().push(sourced);
    }
    let mut merge = Merge { changes: Vec::new(), months: Vec::new() };
    let mut conflicts: Option<Conflicts> = None;
    for (month, sourced) in by_month {
        let mut set = if stored_months.contains(&month) {
            store.read_month(pair, timeframe, month)?
        } else {
            let provenance = Provenance { synthetic: provenance.synthetic, ..Provenance::default() };
            CandleSet { pair, timeframe, provenance, candles: Vec::new() }
        };
        let stored = set.candles.len();
        let mut change = MonthChange { month, new: 0, same: 0, replaced: 0 };
        let mut bars: BTreeMap<_, Candle> = set.candles.iter().map(|candle| (candle.time, *candle)).collect();
        for sourced in sourced {
            let candle = sourced.candle;
            match bars.insert(candle.time, candle) {
                None => change.new += 1,
                Some(stored) if stored == candle => change.same += 1,
                Some(_) if replace => change.replaced += 1,
                Some(stored) => {
                    conflicts
                        .get_or_insert(Conflicts { count: 0, month, stored, incoming: sourced })
                        .count += 1;
                }
            }
        }
        if change.new + change.replaced > 0 {
            set.candles = bars.into_values().collect();
            if replace && change.same + change.replaced == stored {
                // Nothing is left that only the month's old sources and marks speak of.
                set.provenance = provenance.clone();
            } else {
                join(&mut set.provenance, &provenance);
            }
            merge.months.push((month, set));
        }
        merge.changes.push(change);
    }
    match conflicts {
        Some(conflicts) => Err(MergeError::Conflicts(Box::new(conflicts))),
        None => Ok(merge),
    }
}

/// A store holds made-up candles or real ones, in all its series. A month that cannot be read says nothing of its
/// kind, and is no reason to keep other candles out: it is told of where it is wanted itself, and by `check`.
fn refuse_other_kind(store: &Store, incoming: &Provenance) -> Result<(), MergeError> {
    for (pair, timeframe) in store.series()? {
        let mut months = store.months(pair, timeframe)?.into_iter();
        if let Some((set, _)) = months.find_map(|month| store.describe_month(pair, timeframe, month).ok()) {
            let stored = set.provenance.synthetic;
            if stored != incoming.synthetic {
                return Err(MergeError::Kind {
                    stored: kind(stored),
                    series: format!("{pair} {timeframe}"),
                    incoming: kind(incoming.synthetic),
                });
            }
        }
    }
    Ok(())
}
