//! Longer bars made from shorter ones, as a rule from M1.
//!
//! A longer bar exists only once it is over: nothing of a bar that is still running is ever shown.

use jiff::Timestamp;
use sep_contract::{Candle, Ohlc, Timeframe};

/// Why no bars of a timeframe can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{timeframe} bars are not made from M1: only M5, M15 and H1 are; import {timeframe} itself")]
pub struct AggregateError {
    pub timeframe: Timeframe,
}

/// Bars of `to` from M1 bars (oldest first), as they were known at `known_until`: those that had closed by
/// then, from the M1 bars that had closed by then. Minutes without a bar leave no trace, hours without one
/// no bar. H4 and D1 depend on the broker's day and are not made.
pub fn aggregate(
    minutes: &[Candle],
    to: Timeframe,
    known_until: Timestamp,
) -> Result<Vec<Candle>, AggregateError> {
    if !matches!(to, Timeframe::M5 | Timeframe::M15 | Timeframe::H1) {
        return Err(AggregateError { timeframe: to });
    }
    let length = to.seconds();
    let mut bars: Vec<Candle> = Vec::new();
    for minute in minutes {
        let start = minute.time.as_second().div_euclid(length) * length;
        if start + length > known_until.as_second() {
            break;
        }
        match bars.last_mut().filter(|bar| bar.time.as_second() == start) {
            Some(bar) => {
                extend(&mut bar.bid, &minute.bid);
                extend(&mut bar.ask, &minute.ask);
                bar.volume = bar.volume.saturating_add(minute.volume);
            }
            None => {
                let time = Timestamp::from_second(start).unwrap_or(minute.time);
                bars.push(Candle { time, ..*minute });
            }
        }
    }
    Ok(bars)
}

fn extend(bar: &mut Ohlc, minute: &Ohlc) {
    bar.high = bar.high.max(minute.high);
    bar.low = bar.low.min(minute.low);
    bar.close = minute.close;
}

#[cfg(test)]
mod tests {
    use super::*;
    use sep_contract::Ticks;

    const START: i64 = 1_753_303_200;

    fn minute(at: i64) -> Candle {
        let open = 110_000 + i32::try_from(at * 37 % 101).unwrap();
        let side = |more: i32| Ohlc {
            open: Ticks::new(open + more),
            high: Ticks::new(open + more + 5),
            low: Ticks::new(open + more - 7),
            close: Ticks::new(open + more + 2),
        };
        let time = Timestamp::from_second(START + at * 60).unwrap();
        Candle { time, bid: side(0), ask: side(10), volume: 3 }
    }

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(START + minutes * 60).unwrap()
    }

    #[test]
    fn five_minutes_make_one_bar() {
        let minutes: Vec<Candle> = (0..5).map(minute).collect();
        let bars = aggregate(&minutes, Timeframe::M5, at(5)).unwrap();
        let open = |at: i64| 110_000 + i32::try_from(at * 37 % 101).unwrap();
        assert_eq!(bars.len(), 1);
        assert_eq!(bars[0].time, at(0));
        assert_eq!(bars[0].bid.open.get(), open(0));
        assert_eq!(bars[0].bid.close.get(), open(4) + 2);
        assert_eq!(bars[0].bid.high.get(), (0..5).map(open).max().unwrap() + 5);
        assert_eq!(bars[0].ask.low.get(), (0..5).map(open).min().unwrap() + 3);
        assert_eq!(bars[0].volume, 15);
    }

    #[test]
    fn a_bar_that_is_not_over_is_not_there_and_the_future_changes_nothing() {
        let minutes: Vec<Candle> = (0..200).filter(|at| at % 11 != 0).map(minute).collect();
        for to in [Timeframe::M5, Timeframe::M15, Timeframe::H1] {
            let all = aggregate(&minutes, to, at(200)).unwrap();
            for known in 0..200 {
                let bars = aggregate(&minutes, to, at(known)).unwrap();
                assert!(bars.iter().all(|bar| to.close_of(bar.time).unwrap() <= at(known)));
                let past: Vec<Candle> =
                    minutes.iter().copied().filter(|minute| minute.time < at(known)).collect();
                assert_eq!(bars, aggregate(&past, to, at(known)).unwrap(), "{to} at {known}");
                assert_eq!(bars, all[..bars.len()], "{to} at {known}");
            }
        }
    }

    #[test]
    fn bars_of_the_brokers_day_are_refused() {
        for to in [Timeframe::M1, Timeframe::H4, Timeframe::D1] {
            assert_eq!(aggregate(&[], to, at(0)), Err(AggregateError { timeframe: to }));
        }
    }
}
