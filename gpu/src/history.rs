//! The history that a search learns from: one pair's bars in every timeframe that is asked for.
//!
//! Owns loading, the longer bars made from the base series, and the places where the same moment lies in
//! each of them. Must not know of variants or results.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sep_contract::candles::data_hash;
use sep_contract::{Digest, Pair, Provenance, Timeframe};

use crate::aggregate::{AggregateError, aggregate};
use crate::bars::Bars;
use crate::store::{Store, StoreError};

/// One pair's bars.
#[derive(Debug, Clone)]
pub struct History {
    pub pair: Pair,
    pub provenance: Provenance,
    /// Of the candles of the base series.
    pub hash: Digest,
    base: Timeframe,
    series: BTreeMap<Timeframe, Bars>,
}

/// Why there is no history.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "no {pair} candles in {store} from {from} to {to}: see 'sep-gpu candles show' and 'sep-gpu candles import --help'"
    )]
    Empty { pair: Pair, store: String, from: Timestamp, to: Timestamp },
    #[error(transparent)]
    Aggregate(#[from] AggregateError),
}

impl History {
    /// Loads what opened from `from` up to, but without, `to`: M1 where the store has it, and the longer
    /// bars made from it; without M1, the one timeframe that is asked for, as it was imported.
    pub fn load(
        store: &Store,
        pair: Pair,
        timeframes: &[Timeframe],
        (from, to): (Timestamp, Timestamp),
    ) -> Result<Self, HistoryError> {
        let imported = match timeframes {
            [only] if store.months(pair, Timeframe::M1)?.is_empty() => *only,
            _ => Timeframe::M1,
        };
        let set = store.load(pair, imported, from, to)?;
        if set.candles.is_empty() {
            return Err(HistoryError::Empty { pair, store: store.root().display().to_string(), from, to });
        }
        let hash = data_hash(&set);
        Ok(Self { hash, provenance: set.provenance.clone(), ..Self::of(Bars::new(&set), timeframes)? })
    }

    /// The history of a base series and the longer bars made from it; without provenance.
    pub fn of(base: Bars, timeframes: &[Timeframe]) -> Result<Self, HistoryError> {
        let (pair, shortest) = (base.pair, base.timeframe);
        let candles = base.candles();
        let end = base.time.last().map_or(0, |open| open + shortest.seconds());
        let known = Timestamp::from_second(end).unwrap_or(Timestamp::MAX);
        let mut series = BTreeMap::new();
        for timeframe in timeframes.iter().copied().filter(|timeframe| *timeframe != shortest) {
            let longer = aggregate(&candles, timeframe, known)?;
            series.insert(timeframe, Bars::of(pair, timeframe, base.synthetic, &longer));
        }
        series.insert(shortest, base);
        let provenance = Provenance::default();
        Ok(Self { pair, provenance, hash: Digest::of(&[]), base: shortest, series })
    }

    /// The series that all others are made from.
    pub fn base(&self) -> &Bars {
        &self.series[&self.base]
    }

    /// The bars of a timeframe.
    pub fn bars(&self, timeframe: Timeframe) -> Option<&Bars> {
        self.series.get(&timeframe)
    }

    /// The same, to be changed.
    pub fn bars_mut(&mut self, timeframe: Timeframe) -> Option<&mut Bars> {
        self.series.get_mut(&timeframe)
    }

    /// The base bars that a bar of another timeframe is made of: the first, and one past the last.
    pub fn in_base(&self, timeframe: Timeframe, bar: usize) -> (usize, usize) {
        let (base, bars) = (self.base(), &self.series[&timeframe]);
        let open = bars.time[bar];
        let place = |moment: i64| base.time.partition_point(|open| *open < moment);
        (place(open), place(open + timeframe.seconds()))
    }
}
