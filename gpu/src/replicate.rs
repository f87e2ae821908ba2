//! The published evaluation of the earlier system, leaks and all: where its 60.73 % came from.
//!
//! LEAKING on purpose. Owns the reading of mid prices as that evaluation read them, its counts, and beside them
//! the same counts with the leaks closed. Must not be able to make a signal or a model: it imports neither the
//! contract nor any module that makes them, nothing but its command uses it, and what it gives back is counts.
//!
//! Prices are doubles here and nowhere else. The evaluation called a move right when the difference of two
//! doubles was above half a pip; moves of exactly half a pip fell on either side, by their last binary digit.
//! Whole ticks would count them one way, and would not give the published numbers.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::value::RawValue;

mod evaluation;

pub use evaluation::{Evaluation, Share, evaluate};

/// What leaks in the published evaluation.
pub const LEAKS: [&str; 5] = [
    "the window holds the bit of the bar that is to be predicted",
    "bar 0 has no signal and was dropped without counting anew, so that signal k is held against bar k: a second \
     bar of the future",
    "the thresholds follow the volatility of the last 100 bars of the file, for every bar",
    "M5 and M15 bars were used from their first minute (where they were used: these counts are of one timeframe)",
    "weights and thresholds were chosen on the bars they are scored on (so they are in the causal row, too)",
];

/// Fewest bars that are worth an evaluation: the bars whose mean range the thresholds follow.
const FEWEST: usize = 100;

/// Why there is no evaluation.
#[derive(Debug, thiserror::Error)]
pub enum ReplicateError {
    #[error("cannot read {}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error(
        "{}:{line}: no candles in OANDA's JSON: {detail}. Expected {{\"candles\": [{{\"volume\", \"mid\": \
        {{\"o\", \"h\", \"l\", \"c\"}}}}, ..]}} or a list of {{\"open\", \"high\", \"low\", \"close\", \"volume\"}}.",
        path.display()
    )]
    Json { path: PathBuf, line: usize, detail: String },
    #[error(
        "{}: candle {candle} has no {field} of the mid price: ask the broker for candles with price=M",
        path.display()
    )]
    NoMid { path: PathBuf, candle: usize, field: &'static str },
    #[error("{}: candle {candle}: {field} is {found}: expected {expected}", path.display())]
    Number { path: PathBuf, candle: usize, field: &'static str, found: String, expected: &'static str },
    #[error("{}: {found} complete candles: expected at least {FEWEST}", path.display())]
    TooFew { path: PathBuf, found: usize },
}

/// A bar of mid prices, as doubles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MidBar {
    pub high: f64,
    pub low: f64,
    pub close: f64,
    /// Price changes within the bar.
    pub volume: u32,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    candles: Vec<Candle<'a>>,
}

/// Prices stand in `mid`, or in the candle itself.
#[derive(Deserialize)]
struct Candle<'a> {
    complete: Option<bool>,
    #[serde(borrow)]
    volume: Option<&'a RawValue>,
    #[serde(borrow)]
    mid: Option<Mid<'a>>,
    #[serde(borrow)]
    high: Option<&'a RawValue>,
    #[serde(borrow)]
    low: Option<&'a RawValue>,
    #[serde(borrow)]
    close: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Mid<'a> {
    #[serde(borrow)]
    h: Option<&'a RawValue>,
    #[serde(borrow)]
    l: Option<&'a RawValue>,
    #[serde(borrow)]
    c: Option<&'a RawValue>,
}

/// The mid prices of a file of OANDA's candles. Bars that are not complete are left out.
pub fn read(path: &Path) -> Result<Vec<MidBar>, ReplicateError> {
    let io = |source| ReplicateError::Io { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(io)?;
    let damaged = |error: serde_json::Error| ReplicateError::Json {
        path: path.to_owned(),
        line: error.line(),
        detail: error.to_string(),
    };
    let candles: Vec<Candle<'_>> = if text.trim_start().starts_with('[') {
        serde_json::from_str(&text).map_err(damaged)?
    } else {
        serde_json::from_str::<Answer<'_>>(&text).map_err(damaged)?.candles
    };
    let mut bars = Vec::new();
    for (candle, at) in candles.iter().zip(1..) {
        if candle.complete != Some(false) {
            bars.push(bar(candle, &Place { path, candle: at })?);
        }
    }
    if bars.len() < FEWEST {
        return Err(ReplicateError::TooFew { path: path.to_owned(), found: bars.len() });
    }
    Ok(bars)
}

/// Where a value was found, for messages.
struct Place<'a> {
    path: &'a Path,
    candle: usize,
}

fn bar(candle: &Candle<'_>, place: &Place<'_>) -> Result<MidBar, ReplicateError> {
    let [high, low, close] = match &candle.mid {
        Some(mid) => [mid.h, mid.l, mid.c],
        None => [candle.high, candle.low, candle.close],
    };
    Ok(MidBar {
        high: place.price("high", high)?,
        low: place.price("low", low)?,
        close: place.price("close", close)?,
        volume: match candle.volume {
            None => 0,
            Some(found) => place.number("volume", found, "a whole number from 0", |_| true)?,
        },
    })
}

impl Place<'_> {
    fn price(&self, field: &'static str, found: Option<&RawValue>) -> Result<f64, ReplicateError> {
        let missing = || ReplicateError::NoMid { path: self.path.to_owned(), candle: self.candle, field };
        let sound = |price: &f64| price.is_finite() && *price > 0.0;
        self.number(field, found.ok_or_else(missing)?, "a price above zero", sound)
    }

    /// A number from its own digits, quoted or not: the JSON reader's doubles may be off by their last bit.
    fn number<T: std::str::FromStr>(
        &self,
        field: &'static str,
        found: &RawValue,
        expected: &'static str,
        sound: impl Fn(&T) -> bool,
    ) -> Result<T, ReplicateError> {
        let digits = found.get().trim_matches('"');
        digits.parse().ok().filter(sound).ok_or_else(|| ReplicateError::Number {
            path: self.path.to_owned(),
            candle: self.candle,
            field,
            found: digits.to_owned(),
            expected,
        })
    }
}
