//! Candles as the engine reads them: one array a quantity, prices in ticks, and what follows from them
//! alone.
//!
//! Owns the quantities that depend on a series and on no parameter: ranges, rollover nights, entry gates.
//! Every value of bar `i` is known at the close of bar `i`; what is marked "at the open" is known then. Must
//! not know of QFH or of any strategy.

use jiff::Timestamp;
use jiff::civil::Weekday;
use sep_contract::{Candle, CandleSet, Ohlc, Pair, Ticks, Timeframe};

use crate::session::Sessions;

/// Bars whose ranges the volatility is the mean of.
pub const VOLATILITY_BARS: usize = 100;
/// Half ticks in one pip: ranges are kept in half ticks, since a mid price may lie between two ticks.
pub const HALF_TICKS_PER_PIP: f64 = 20.0;
/// Gate bits 0 to 23: the hour of day, UTC, of the bar's close.
pub const GATE_HOURS: u32 = 0x00FF_FFFF;
/// Gate bit, at the open: the bar opened when the one before it closed, so a signal of that close is fresh.
pub const GATE_FRESH: u32 = 1 << 24;
/// Gate bit: the longer timeframes confirm a BUY (see [`crate::qfh::confirm`]).
pub const GATE_BUY_CONFIRMED: u32 = 1 << 25;
/// Gate bit: the longer timeframes confirm a SELL.
pub const GATE_SELL_CONFIRMED: u32 = 1 << 26;
/// The largest volatility, in sixteenths of a tick, so that products with it fit 32 bits.
const VOLATILITY_CAP: i64 = (1 << 17) - 1;

/// One side's prices, in ticks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prices {
    pub open: Vec<i32>,
    pub high: Vec<i32>,
    pub low: Vec<i32>,
    pub close: Vec<i32>,
}

impl Prices {
    fn push(&mut self, prices: &Ohlc) {
        self.open.push(prices.open.get());
        self.high.push(prices.high.get());
        self.low.push(prices.low.get());
        self.close.push(prices.close.get());
    }

    fn at(&self, bar: usize) -> Ohlc {
        let [open, high, low, close] =
            [&self.open, &self.high, &self.low, &self.close].map(|prices| Ticks::new(prices[bar]));
        Ohlc { open, high, low, close }
    }
}

/// A series of bars, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bars {
    pub pair: Pair,
    pub timeframe: Timeframe,
    /// Made up, not seen on a market.
    pub synthetic: bool,
    /// When each bar opened, seconds since 1970, UTC.
    pub time: Vec<i64>,
    pub bid: Prices,
    pub ask: Prices,
    /// Price changes within the bar; 0 where unknown.
    pub volume: Vec<u32>,
    /// Mean range of the newest [`VOLATILITY_BARS`] bars (fewer at the start), in sixteenths of a tick.
    pub volatility: Vec<i32>,
    /// Rollovers (17:00 New York) up to the bar's open, the one of Wednesday counted three times.
    pub nights: Vec<i32>,
    /// When an entry is allowed: see the `GATE_` constants.
    pub gate: Vec<u32>,
}

impl Bars {
    /// The bars of some candles, which must be in order (as the store's are).
    pub fn new(set: &CandleSet) -> Self {
        Self::of(set.pair, set.timeframe, set.provenance.synthetic, &set.candles)
    }

    /// The same, of candles without a set.
    pub fn of(pair: Pair, timeframe: Timeframe, synthetic: bool, candles: &[Candle]) -> Self {
        let mut bars = Self {
            pair,
            timeframe,
            synthetic,
            time: candles.iter().map(|candle| candle.time.as_second()).collect(),
            bid: Prices::default(),
            ask: Prices::default(),
            volume: candles.iter().map(|candle| candle.volume).collect(),
            volatility: Vec::new(),
            nights: Vec::new(),
            gate: Vec::new(),
        };
        for candle in candles {
            bars.bid.push(&candle.bid);
            bars.ask.push(&candle.ask);
        }
        bars.volatility = volatility(&bars);
        bars.nights = nights(&bars.time);
        bars.gate = gates(&bars.time, timeframe);
        bars
    }

    /// The candles again.
    pub fn candles(&self) -> Vec<Candle> {
        let candle = |bar: usize| Candle {
            time: Timestamp::from_second(self.time[bar]).unwrap_or(Timestamp::UNIX_EPOCH),
            bid: self.bid.at(bar),
            ask: self.ask.at(bar),
            volume: self.volume[bar],
        };
        (0..self.len()).map(candle).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.time.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.time.is_empty()
    }

    /// Twice the mid close, in ticks: exact, where the mid itself may lie between two ticks.
    pub fn mid2_close(&self, bar: usize) -> i32 {
        self.bid.close[bar] + self.ask.close[bar]
    }

    /// High minus low of the mid price, in half ticks.
    pub fn range2(&self, bar: usize) -> i32 {
        self.bid.high[bar] + self.ask.high[bar] - self.bid.low[bar] - self.ask.low[bar]
    }

    /// When a bar is over, seconds since 1970, UTC.
    pub fn close_time(&self, bar: usize) -> i64 {
        self.time[bar] + self.timeframe.seconds()
    }

    /// The first bar that opened at or after a moment; the number of bars where there is none.
    pub fn first_from(&self, time: Timestamp) -> usize {
        self.time.partition_point(|open| *open < time.as_second())
    }
}

/// Sums of the newest `width` values at every place (of fewer at the start).
pub(crate) fn rolling_sums(values: impl Iterator<Item = i32> + Clone, width: usize) -> Vec<i64> {
    let mut sum = 0_i64;
    let mut oldest = values.clone();
    values
        .enumerate()
        .map(|(at, value)| {
            sum += i64::from(value);
            if at >= width {
                sum -= oldest.next().map_or(0, i64::from);
            }
            sum
        })
        .collect()
}

fn volatility(bars: &Bars) -> Vec<i32> {
    let sums = rolling_sums((0..bars.len()).map(|bar| bars.range2(bar)), VOLATILITY_BARS);
    let count = |at: usize| i64::try_from((at + 1).min(VOLATILITY_BARS)).unwrap_or(1);
    // A half tick is eight sixteenths.
    let mean = |(at, sum): (usize, i64)| (sum * 8 / count(at)).clamp(0, VOLATILITY_CAP);
    sums.into_iter().enumerate().map(mean).map(|mean| i32::try_from(mean).unwrap_or(0)).collect()
}

fn nights(times: &[i64]) -> Vec<i32> {
    let sessions = Sessions::new();
    let moment = |second: i64| Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH);
    let Some(first) = times.first() else { return Vec::new() };
    let mut day = sessions.day(moment(*first));
    let mut end = sessions.end(day).as_second();
    let mut count = 0;
    let step = |open: &i64| {
        while *open >= end {
            count += match day.weekday() {
                Weekday::Wednesday => 3,
                Weekday::Saturday | Weekday::Sunday => 0,
                _ => 1,
            };
            let next = day.tomorrow().unwrap_or(day);
            if next == day {
                break;
            }
            day = next;
            end = sessions.end(day).as_second();
        }
        count
    };
    times.iter().map(step).collect()
}

fn gates(times: &[i64], timeframe: Timeframe) -> Vec<u32> {
    let length = timeframe.seconds();
    let hour = |open: i64| 1_u32 << ((open + length).rem_euclid(86_400) / 3_600);
    let fresh = |at: usize| if at > 0 && times[at] - times[at - 1] == length { GATE_FRESH } else { 0 };
    // Nothing is confirmed before the longer timeframes have been asked.
    times.iter().enumerate().map(|(at, open)| hour(*open) | fresh(at)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sep_contract::Provenance;

    fn bars(opens: &[(&str, i32, i32)]) -> Bars {
        let candles = opens
            .iter()
            .map(|(time, low, high)| {
                let side = |more: i32| Ohlc {
                    open: Ticks::new(*low + more),
                    high: Ticks::new(*high + more),
                    low: Ticks::new(*low + more),
                    close: Ticks::new(*high + more),
                };
                Candle { time: time.parse().unwrap(), bid: side(0), ask: side(13), volume: 1 }
            })
            .collect();
        let provenance = Provenance { synthetic: true, ..Provenance::default() };
        let pair = "EUR_USD".parse().unwrap();
        Bars::new(&CandleSet { pair, timeframe: Timeframe::M1, provenance, candles })
    }

    #[test]
    fn ranges_are_exact_and_volatility_is_their_mean() {
        let bars =
            bars(&[("2025-07-22T10:00:00Z", 100_000, 100_010), ("2025-07-22T10:01:00Z", 100_000, 100_021)]);
        assert_eq!((bars.range2(0), bars.range2(1)), (20, 42));
        assert_eq!(bars.mid2_close(0), 200_033);
        // 10 ticks, then the mean of 10 and 21: 15.5, in sixteenths.
        assert_eq!(bars.volatility, [160, 248]);
    }

    #[test]
    fn a_rolling_sum_forgets_what_has_left_the_window() {
        assert_eq!(rolling_sums([1, 2, 3, 4, 5].into_iter(), 3), [1, 3, 6, 9, 12]);
    }

    #[test]
    fn wednesday_night_counts_three_times() {
        // 17:00 in New York is 21:00 UTC in July.
        let times = [
            "2025-07-22T20:59:00Z", // Tuesday
            "2025-07-22T21:00:00Z", // Tuesday's rollover
            "2025-07-23T20:59:00Z", // Wednesday
            "2025-07-23T21:00:00Z", // Wednesday's: three
            "2025-07-24T21:00:00Z",
            "2025-07-25T20:59:00Z", // Friday
            "2025-07-27T21:00:00Z", // Friday's, seen on Sunday evening
            "2025-07-28T21:00:00Z", // Monday's
        ];
        let bars = bars(&times.map(|time| (time, 1000, 1001)));
        assert_eq!(bars.nights, [0, 1, 1, 4, 5, 5, 6, 7]);
    }

    #[test]
    fn a_bar_after_a_hole_is_not_fresh_and_hours_are_those_of_the_close() {
        let bars = bars(&[
            ("2025-07-22T10:58:00Z", 1000, 1001),
            ("2025-07-22T10:59:00Z", 1000, 1001),
            ("2025-07-22T11:01:00Z", 1000, 1001),
        ]);
        let fresh: Vec<bool> = bars.gate.iter().map(|gate| gate & GATE_FRESH != 0).collect();
        assert_eq!(fresh, [false, true, false]);
        let hours: Vec<u32> = bars.gate.iter().map(|gate| gate & GATE_HOURS).collect();
        assert_eq!(hours, [1 << 10, 1 << 11, 1 << 11]);
    }
}
