//! The history that a search learns from: one pair's bars in every timeframe that is asked for.
//!
//! Owns loading, the longer bars made from the base series, and the places where the same moment lies in
//! each of them. Must not know of results, nor, but for [`confirmed`], of variants.

pub mod confirmed;

use std::collections::BTreeMap;

use jiff::Timestamp;
use rust_decimal::Decimal;
use sep_contract::candles::data_hash;
use sep_contract::{Digest, Pair, Provenance, Ticks, Timeframe};

use crate::aggregate::{AggregateError, aggregate};
use crate::backtest::MAX_MOVE;
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
        "no {pair} candles in {store}{}: see 'sep-gpu candles show' and 'sep-gpu candles import --help'",
        span(*from, *to)
    )]
    Empty { pair: Pair, store: String, from: Timestamp, to: Timestamp },
    #[error(
        "{pair}: there are no {timeframe} candles in {store}, and {timeframe} bars are not made from {found}: import \
        {timeframe} candles, or ask for a timeframe that is there"
    )]
    Missing { pair: Pair, timeframe: Timeframe, store: String, found: String },
    #[error(
        "{pair}: {timeframe} bars depend on the broker's day and are taken as they were imported, never made: ask for \
        {timeframe} alone"
    )]
    Apart { pair: Pair, timeframe: Timeframe },
    #[error(
        "{pair} was at {price}: pairs above {} are not played, since their moves leave what the engine counts in",
        Ticks::new(DEAREST).to_decimal(*pair)
    )]
    TooDear { pair: Pair, price: Decimal },
    #[error(transparent)]
    Aggregate(#[from] AggregateError),
}

/// The highest price that is played, in ticks. Moves are booked up to a tenth of it: further no pair goes while a
/// position is held.
const DEAREST: i32 = 10 * MAX_MOVE;

impl History {
    /// The stored series that bars of these timeframes are taken or made from: the shortest of M1 to H1, M1 where
    /// the store has it. H4 and D1, which are not made from anything, are their own.
    pub fn base_of(store: &Store, pair: Pair, timeframes: &[Timeframe]) -> Result<Timeframe, HistoryError> {
        if let Some(timeframe) = timeframes.iter().copied().find(|timeframe| is_apart(*timeframe)) {
            return match timeframes {
                [_] => Ok(timeframe),
                _ => Err(HistoryError::Apart { pair, timeframe }),
            };
        }
        let stored = store.series()?;
        let shortest = stored.iter().find(|(of, _)| *of == pair).map(|(_, timeframe)| *timeframe);
        // Where nothing is stored, M1 is what is missing.
        Ok(shortest.unwrap_or(Timeframe::M1))
    }

    /// Loads what opened from `from` up to, but without, `to`: the series of [`Self::base_of`], and the longer
    /// bars made from it.
    pub fn load(
        store: &Store,
        pair: Pair,
        timeframes: &[Timeframe],
        (from, to): (Timestamp, Timestamp),
    ) -> Result<Self, HistoryError> {
        let imported = Self::base_of(store, pair, timeframes)?;
        let mut stored = store.series()?;
        stored.retain(|(of, _)| *of == pair);
        let there = stored.contains(&(pair, imported));
        let missing = |timeframe: &Timeframe| !there || *timeframe < imported;
        if let Some(timeframe) = timeframes.iter().copied().find(missing).filter(|_| !stored.is_empty()) {
            let found: Vec<&str> = stored.iter().map(|(_, timeframe)| timeframe.as_str()).collect();
            let (store, found) = (store.root().display().to_string(), found.join(", "));
            return Err(HistoryError::Missing { pair, timeframe, store, found });
        }
        let set = store.load(pair, imported, from, to)?;
        if set.candles.is_empty() {
            return Err(HistoryError::Empty { pair, store: store.root().display().to_string(), from, to });
        }
        let dearest = set.candles.iter().map(|candle| candle.ask.high).max();
        if let Some(price) = dearest.filter(|price| price.get() > DEAREST) {
            return Err(HistoryError::TooDear { pair, price: price.to_decimal(pair) });
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

/// Whether bars of a timeframe are never made from shorter ones.
fn is_apart(timeframe: Timeframe) -> bool {
    matches!(timeframe, Timeframe::H4 | Timeframe::D1)
}

/// The bounds that were asked for, in words; of those at the ends of time nobody asked.
fn span(from: Timestamp, to: Timestamp) -> String {
    let bound = |word: &str, time: Timestamp, none: Timestamp| {
        if time == none { String::new() } else { format!(" {word} {time}") }
    };
    bound("from", from, Timestamp::MIN) + &bound("to", to, Timestamp::MAX)
}
