//! The slices of a history, at the same moments in every timeframe.
//!
//! Owns where they begin and end. Each slice of a timeframe loses its first bars: the longest window plus the
//! longest hold (purge), plus the embargo, in bars of that timeframe.

use std::collections::BTreeMap;
use std::ops::Range;

use sep_contract::Timeframe;

use super::TrainError;
use crate::history::History;
use crate::variant::Space;
use crate::verdict::folds::{TooShort, cut};

/// The slices, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slices {
    /// In bars of the base series.
    pub base: Vec<Range<usize>>,
    by_timeframe: BTreeMap<Timeframe, Vec<Range<usize>>>,
    /// The purge of the base series, in its bars.
    pub purge: usize,
}

impl Slices {
    /// Cuts a history for the timeframes of a space.
    pub fn new(history: &History, space: &Space, count: usize, embargo: usize) -> Result<Self, TrainError> {
        let longest_window = space.windows.iter().max().copied().unwrap_or(0) as usize;
        let longest_hold = space.holds.iter().max().map_or(0, |hold| hold.unsigned_abs() as usize);
        let purge = longest_window + longest_hold;
        let base = history.base();
        let whole = |source| TrainError::TooShort { timeframe: base.timeframe, source };
        let pieces = cut(base.len(), count, 0, 0).map_err(whole)?;
        let mut by_timeframe = BTreeMap::new();
        // The longest first: it is the first that a history is too short for.
        let mut timeframes = space.timeframes.clone();
        timeframes.sort_unstable_by(|one, other| other.cmp(one));
        for timeframe in timeframes {
            let Some(bars) = history.bars(timeframe) else { continue };
            let place = |bar: usize| match base.time.get(bar) {
                Some(moment) => bars.time.partition_point(|open| open < moment),
                None => bars.len(),
            };
            let gap = purge + embargo;
            let slices: Vec<Range<usize>> =
                pieces.iter().map(|piece| place(piece.start) + gap..place(piece.end)).collect();
            // A slice that loses more than it keeps says nothing.
            if slices.iter().any(|slice| slice.end < slice.start + gap) {
                let source = TooShort { bars: bars.len(), slices: count, gap, needed: 2 * gap * count };
                return Err(TrainError::TooShort { timeframe, source });
            }
            by_timeframe.insert(timeframe, slices);
        }
        // The same moments in the base: the shortest timeframe that trades begins first.
        let shortest = space.timeframes.iter().min().copied().unwrap_or(base.timeframe);
        let ratio = usize::try_from(shortest.seconds() / base.timeframe.seconds()).unwrap_or(1).max(1);
        let purge = purge * ratio;
        let base = cut(base.len(), count, purge, embargo * ratio).map_err(whole)?;
        Ok(Self { base, by_timeframe, purge })
    }

    /// The slices in bars of a timeframe; none of one that is not searched.
    pub fn of(&self, timeframe: Timeframe) -> &[Range<usize>] {
        self.by_timeframe.get(&timeframe).map_or(&[], Vec::as_slice)
    }
}
