//! The leak test: what is said of a bar must not change when the future does.
//!
//! Owns the test itself: it cuts a series after a bar, puts other futures in the place of the real one, and
//! demands that everything said of the bars up to the cut is the same, bit for bit. It does not know what is
//! watched: that is handed in as a function of candles, so that the test can be shown makers that do leak. Must
//! not write anything, nor decide anything about models.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sep_contract::{CandleSet, Pair, Timeframe};
use serde::Serialize;

mod future;
mod watch;

pub use future::Future;
pub use watch::{watch, watch_variant};

/// Fewest bars of a series that can be tested.
pub const FEWEST: usize = 200;

/// One thing that is said of every bar at its close, as bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// One a bar. A column that says nothing of the newest bars may be shorter.
    pub values: Vec<u32>,
}

/// How thoroughly to test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// After so many bars, drawn from the seed, the future is replaced, once by each kind of future.
    pub cuts: usize,
    pub seed: u64,
}

/// A column that knew the future.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Leak {
    pub column: String,
    /// In how many of the checks it changed.
    pub changes: usize,
    /// The first of them: what took the future's place, after the bar of which time, and which bar's value,
    /// long since past, was then another.
    pub future: Future,
    pub cut: Timestamp,
    pub changed: Timestamp,
}

/// What the test of a series found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    pub pair: Pair,
    pub timeframe: Timeframe,
    pub bars: usize,
    pub columns: usize,
    /// Cuts times futures.
    pub checks: usize,
    /// Values compared.
    pub values: usize,
    pub leaks: Vec<Leak>,
}

/// Tests what `watch` says of the candles. `None` where there are fewer than [`FEWEST`].
pub fn examine<E>(
    candles: &CandleSet,
    settings: Settings,
    watch: impl Fn(&CandleSet) -> Result<Vec<Column>, E>,
) -> Result<Option<Report>, E> {
    if candles.candles.len() < FEWEST {
        return Ok(None);
    }
    let known = watch(candles)?;
    let mut report = Report {
        pair: candles.pair,
        timeframe: candles.timeframe,
        bars: candles.candles.len(),
        columns: known.len(),
        checks: 0,
        values: 0,
        leaks: Vec::new(),
    };
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
    for cut in cuts(candles.candles.len(), settings.cuts, &mut rng) {
        for future in Future::ALL {
            let found = watch(&future.after(candles, cut, &mut rng))?;
            report.checks += 1;
            for column in &known {
                report.values += cut + 1;
                let found = found.iter().find(|found| found.name == column.name);
                if let Some(changed) = first_change(column, found, cut) {
                    let time = |bar: usize| candles.candles[bar].time;
                    report.leak(&column.name, future, time(cut), time(changed));
                }
            }
        }
    }
    Ok(Some(report))
}

impl Report {
    fn leak(&mut self, column: &str, future: Future, cut: Timestamp, changed: Timestamp) {
        match self.leaks.iter_mut().find(|leak| leak.column == column) {
            Some(leak) => leak.changes += 1,
            None => self.leaks.push(Leak { column: column.to_owned(), changes: 1, future, cut, changed }),
        }
    }
}

/// Different bars from the first half of [`FEWEST`] on, with at least one bar after them, oldest first.
fn cuts(bars: usize, count: usize, rng: &mut ChaCha8Rng) -> BTreeSet<usize> {
    let first = FEWEST / 2;
    let choice = bars - 1 - first;
    let mut cuts = BTreeSet::new();
    while cuts.len() < count.min(choice) {
        cuts.insert(first + future::below(rng, choice));
    }
    cuts
}

/// The first bar up to the cut of which something else is said.
fn first_change(known: &Column, found: Option<&Column>, cut: usize) -> Option<usize> {
    let past = |values: &[u32]| values.len().min(cut + 1);
    let known = &known.values[..past(&known.values)];
    let found = found.map_or(&[][..], |found| &found.values[..past(&found.values)]);
    if known == found {
        return None;
    }
    let differs = known.iter().zip(found).position(|(known, found)| known != found);
    // Where all that both have is the same, one of them has more to say of the past.
    Some(differs.unwrap_or(known.len().min(found.len())).min(cut))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(values: &[u32]) -> Column {
        Column { name: "x".into(), values: values.to_vec() }
    }

    #[test]
    fn only_the_past_is_compared() {
        let known = column(&[1, 2, 3, 4]);
        assert_eq!(first_change(&known, Some(&column(&[1, 2, 9, 9])), 1), None);
        assert_eq!(first_change(&known, Some(&column(&[1, 2])), 1), None);
        assert_eq!(first_change(&known, Some(&column(&[1, 2, 9, 4])), 2), Some(2));
        assert_eq!(first_change(&known, Some(&column(&[1])), 2), Some(1));
        assert_eq!(first_change(&known, None, 2), Some(0));
        // A column that says nothing yet of the newest bars.
        assert_eq!(first_change(&column(&[1]), Some(&column(&[1])), 3), None);
        assert_eq!(first_change(&column(&[1]), Some(&column(&[1, 5])), 3), Some(1));
    }

    #[test]
    fn cuts_are_different_bars_that_have_a_future() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let all = cuts(FEWEST, 1_000, &mut rng);
        assert_eq!((all.first(), all.last(), all.len()), (Some(&100), Some(&198), 99));
        assert_eq!(cuts(10_000, 20, &mut rng).len(), 20);
    }
}
