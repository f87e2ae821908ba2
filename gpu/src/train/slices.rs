//! The slices of a history, at the same moments in every timeframe.
//!
//! Owns where they begin and end. Each slice of a timeframe loses its first bars: the longest window plus the
//! longest hold (purge), plus the embargo, in bars of that timeframe. In the base series a slice begins where the
//! first of the timeframes does: minutes may be missing, so that no number of base bars says where that is.

use std::collections::BTreeMap;
use std::ops::Range;

use sep_contract::Timeframe;

use super::{Request, TrainError};
use crate::history::History;
use crate::verdict::folds::{TooShort, cut};

/// The slices, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slices {
    /// In bars of the base series: all that any timeframe plays on lies within them.
    pub base: Vec<Range<usize>>,
    by_timeframe: BTreeMap<Timeframe, Vec<Range<usize>>>,
    /// The purge of the longest timeframe, in bars of the base series: as far as a trade may reach.
    pub apart: usize,
}

impl Slices {
    /// Cuts a history for a search.
    pub fn new(history: &History, request: &Request) -> Result<Self, TrainError> {
        let Request { space, slices: count, embargo, .. } = request;
        let (count, embargo) = (*count, *embargo);
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
            let gap = purge.saturating_add(embargo);
            let slices: Vec<Range<usize>> =
                pieces.iter().map(|piece| place(piece.start).saturating_add(gap)..place(piece.end)).collect();
            // A slice that loses more than it keeps says nothing.
            if slices.iter().any(|slice| slice.end < slice.start.saturating_add(gap)) {
                let source =
                    TooShort { bars: bars.len(), slices: count, gap, needed: gap.saturating_mul(2 * count) };
                return Err(TrainError::TooShort { timeframe, source });
            }
            by_timeframe.insert(timeframe, slices);
        }
        let first_played = |slice: usize| {
            let starts = by_timeframe.iter().map(|(timeframe, slices): (&Timeframe, &Vec<Range<usize>>)| {
                history.in_base(*timeframe, slices[slice].start).0
            });
            starts.min().unwrap_or(pieces[slice].start)
        };
        let base_slices = (0..count).map(|slice| first_played(slice)..pieces[slice].end).collect();
        let longest = by_timeframe.keys().max().copied().unwrap_or(base.timeframe);
        let ratio = usize::try_from(longest.seconds() / base.timeframe.seconds()).unwrap_or(1).max(1);
        Ok(Self { base: base_slices, by_timeframe, apart: purge * ratio })
    }

    /// The slices in bars of a timeframe; none of one that is not searched.
    pub fn of(&self, timeframe: Timeframe) -> &[Range<usize>] {
        self.by_timeframe.get(&timeframe).map_or(&[], Vec::as_slice)
    }
}
