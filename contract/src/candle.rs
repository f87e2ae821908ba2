//! Candles: bid and ask bars of one pair and timeframe.
//!
//! Owns what makes a candle and a row of candles sound, and where a month of them begins and ends. Must not
//! know of files or of where candles come from.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::pair::Pair;
use crate::ticks::Ticks;
use crate::timeframe::Timeframe;

/// Open, high, low and close of one side of the market.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ohlc {
    pub open: Ticks,
    pub high: Ticks,
    pub low: Ticks,
    pub close: Ticks,
}

impl Ohlc {
    /// The four prices with their names.
    pub const fn named(&self) -> [(&'static str, Ticks); 4] {
        [("open", self.open), ("high", self.high), ("low", self.low), ("close", self.close)]
    }
}

/// One bar. It may be used only once it is over (see [`Timeframe::close_of`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Candle {
    /// When the bar opened, UTC.
    pub time: Timestamp,
    pub bid: Ohlc,
    pub ask: Ohlc,
    /// Price changes (tick volume) within the bar; 0 where the source does not tell.
    pub volume: u32,
}

/// What is wrong with one candle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CandleFault {
    #[error("the bar opens at {time}, off the {timeframe} grid of {grid} s")]
    OffGrid { time: Timestamp, timeframe: Timeframe, grid: i64 },
    #[error("{side} {field} is {found} ticks: expected 1 to {}", Ticks::MAX)]
    Price { side: &'static str, field: &'static str, found: Ticks },
    #[error("{side} high {high} is below its {field} {found} (ticks)")]
    HighTooLow { side: &'static str, high: Ticks, field: &'static str, found: Ticks },
    #[error("{side} low {low} is above its {field} {found} (ticks)")]
    LowTooHigh { side: &'static str, low: Ticks, field: &'static str, found: Ticks },
    #[error("bid {field} {bid} is above ask {field} {ask} (ticks)")]
    Crossed { field: &'static str, bid: Ticks, ask: Ticks },
}

impl Candle {
    /// Everything that is wrong with the candle on its own.
    pub fn faults(&self, timeframe: Timeframe) -> Vec<CandleFault> {
        let mut faults = Vec::new();
        if !timeframe.is_on_grid(self.time) {
            let grid = timeframe.grid_seconds();
            faults.push(CandleFault::OffGrid { time: self.time, timeframe, grid });
        }
        for (side, prices) in [("bid", &self.bid), ("ask", &self.ask)] {
            for (field, found) in prices.named() {
                if !(1..=Ticks::MAX).contains(&found.get()) {
                    faults.push(CandleFault::Price { side, field, found });
                }
            }
            let (high, low) = (prices.high, prices.low);
            for (field, found) in [("open", prices.open), ("close", prices.close), ("low", low)] {
                if high < found {
                    faults.push(CandleFault::HighTooLow { side, high, field, found });
                }
            }
            for (field, found) in [("open", prices.open), ("close", prices.close)] {
                if low > found {
                    faults.push(CandleFault::LowTooHigh { side, low, field, found });
                }
            }
        }
        for ((field, bid), (_, ask)) in self.bid.named().into_iter().zip(self.ask.named()) {
            if bid > ask {
                faults.push(CandleFault::Crossed { field, bid, ask });
            }
        }
        faults
    }
}

/// Where candles come from and what must be known before they are believed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Provenance {
    /// Names of the sources, such as `oanda` or `histdata`: a-z, 0-9, `_`, `-`.
    pub sources: BTreeSet<String>,
    /// Made up, not seen on a market. Never mixed with real ones.
    pub synthetic: bool,
    /// At least some rows had one price only, and the spread between bid and ask was assumed.
    pub assumed_spread: bool,
    /// Rows with a bid above the ask were taken over knowingly, as the source had them.
    pub crossed_kept: bool,
}

/// Candles of one pair and timeframe, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CandleSet {
    pub pair: Pair,
    pub timeframe: Timeframe,
    pub provenance: Provenance,
    pub candles: Vec<Candle>,
}

/// A calendar month, UTC: the piece in which candles are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: i16,
    month: i8,
}

impl Month {
    /// The month that a moment lies in.
    pub fn of(time: Timestamp) -> Self {
        let date = TimeZone::UTC.to_datetime(time).date();
        Self { year: date.year(), month: date.month() }
    }

    /// The moment at which it begins.
    pub fn start(self) -> Timestamp {
        // Both numbers were taken from a date or checked, so the first day exists.
        Date::new(self.year, self.month, 1)
            .and_then(|date| TimeZone::UTC.to_timestamp(date.into()))
            .unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// The month after.
    pub fn next(self) -> Self {
        if self.month == 12 {
            Self { year: self.year + 1, month: 1 }
        } else {
            Self { month: self.month + 1, ..self }
        }
    }
}

/// Where a month of candles lies below the store's folder: `EUR_USD/M1/2025-07.parquet`.
pub fn store_path(pair: Pair, timeframe: Timeframe, month: Month) -> String {
    format!("{pair}/{timeframe}/{month}.parquet")
}

/// Text that names no month.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{found}' is no month: expected YYYY-MM, such as 2025-07")]
pub struct MonthError {
    pub found: String,
}

impl FromStr for Month {
    type Err = MonthError;

    fn from_str(text: &str) -> Result<Self, MonthError> {
        let parts = text.split_once('-').and_then(|(year, month)| {
            let digits =
                |part: &str, length| part.len() == length && part.bytes().all(|c| c.is_ascii_digit());
            if !digits(year, 4) || !digits(month, 2) {
                return None;
            }
            Some(Self { year: year.parse().ok()?, month: month.parse().ok()? })
        });
        parts
            .filter(|parts| (1..=12).contains(&parts.month))
            .ok_or_else(|| MonthError { found: text.to_owned() })
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:04}-{:02}", self.year, self.month))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prices(open: i32, high: i32, low: i32, close: i32) -> Ohlc {
        let [open, high, low, close] = [open, high, low, close].map(Ticks::new);
        Ohlc { open, high, low, close }
    }

    fn candle(bid: Ohlc, ask: Ohlc) -> Candle {
        Candle { time: "2025-07-23T20:40:00Z".parse().unwrap(), bid, ask, volume: 3 }
    }

    #[test]
    fn a_sound_candle_has_no_faults() {
        assert!(candle(prices(5, 9, 4, 6), prices(7, 9, 6, 6)).faults(Timeframe::M1).is_empty());
    }

    #[test]
    fn every_fault_is_named() {
        let faults = |bid, ask| -> Vec<String> {
            candle(bid, ask).faults(Timeframe::M1).iter().map(ToString::to_string).collect()
        };
        let good = prices(50, 90, 40, 60);
        assert_eq!(
            faults(prices(0, 90, 0, 60), good),
            ["bid open is 0 ticks: expected 1 to 999999999", "bid low is 0 ticks: expected 1 to 999999999"]
        );
        assert_eq!(faults(prices(50, 59, 40, 60), good), ["bid high 59 is below its close 60 (ticks)"]);
        assert_eq!(faults(prices(10, 20, 11, 15), good), ["bid low 11 is above its open 10 (ticks)"]);
        assert_eq!(faults(good, prices(50, 89, 40, 60)), ["bid high 90 is above ask high 89 (ticks)"]);
        let mut late = candle(good, good);
        late.time += jiff::SignedDuration::from_secs(33);
        assert_eq!(
            late.faults(Timeframe::M1)[0].to_string(),
            "the bar opens at 2025-07-23T20:40:33Z, off the M1 grid of 60 s"
        );
    }

    #[test]
    fn months_begin_where_they_should() {
        let month: Month = "2024-12".parse().unwrap();
        assert_eq!(month.start().to_string(), "2024-12-01T00:00:00Z");
        assert_eq!(month.next().to_string(), "2025-01");
        assert_eq!(Month::of("2024-12-31T23:59:59Z".parse().unwrap()), month);
        assert_eq!(Month::of(month.next().start()), month.next());
        for text in ["2024-13", "2024-00", "24-01", "2024-1", "2024_01", "+024-01", ""] {
            assert!(text.parse::<Month>().is_err(), "{text}");
        }
        let path = store_path("EUR_USD".parse().unwrap(), Timeframe::M1, month);
        assert_eq!(path, "EUR_USD/M1/2024-12.parquet");
    }
}
