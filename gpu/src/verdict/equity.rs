//! The way a result was come by: drawdown, and how much was traded for it.
//!
//! Owns both, over plain series. Must not judge them.

use serde::{Deserialize, Serialize};

/// The deepest fall of the running sum below its highest point so far, the start included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Drawdown {
    /// In the series' unit; never negative.
    pub depth: i64,
    /// How many values had been added at the high before it.
    pub peak: usize,
    /// How many at its lowest point.
    pub trough: usize,
    /// The longest time without a new high, in values of the series.
    pub under_water: usize,
}

/// The drawdown of a series of profits and losses.
pub fn drawdown(amounts: &[i64]) -> Drawdown {
    let mut found = Drawdown::default();
    let (mut sum, mut high, mut high_at) = (0_i64, 0_i64, 0);
    for (at, amount) in (1..).zip(amounts) {
        sum += amount;
        if sum > high {
            (high, high_at) = (sum, at);
        }
        if high - sum > found.depth {
            found = Drawdown { depth: high - sum, peak: high_at, trough: at, ..found };
        }
        found.under_water = found.under_water.max(at - high_at);
    }
    found
}

/// How much was traded.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Turnover {
    /// Positions opened and closed a day. In fixed units each turns over twice its size.
    pub round_trips_a_day: f64,
    /// The share of all bars on which a position was held.
    pub exposure: f64,
}

/// The turnover of so many trades in so many days, held for `held` of `bars` bars.
pub fn turnover(trades: u32, days: usize, held: u64, bars: u64) -> Turnover {
    let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
    Turnover {
        round_trips_a_day: share(f64::from(trades), days as f64),
        exposure: share(held as f64, bars as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::{Drawdown, drawdown, turnover};

    #[test]
    fn by_hand() {
        // Sums: 5, 2, 4, -1, 3, 9, 8.
        let found = drawdown(&[5, -3, 2, -5, 4, 6, -1]);
        assert_eq!(found, Drawdown { depth: 6, peak: 1, trough: 4, under_water: 4 });
        // From the start: a series that only loses falls below zero.
        assert_eq!(drawdown(&[-2, -2]), Drawdown { depth: 4, peak: 0, trough: 2, under_water: 2 });
        assert_eq!(drawdown(&[]), Drawdown::default());
        assert_eq!(drawdown(&[1, 1]).depth, 0);
    }

    #[test]
    fn trades_a_day() {
        let found = turnover(30, 20, 450, 1000);
        assert_eq!((found.round_trips_a_day, found.exposure), (1.5, 0.45));
        assert_eq!(turnover(0, 0, 0, 0).exposure, 0.0);
    }
}
