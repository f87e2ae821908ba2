//! One trading signal: what the engine says and the executor decides upon.
//!
//! Owns the key, the checks that every signal must pass, and the canonical encoding behind its content
//! hash. Must not decide whether a signal is traded.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::{Deserialize, Serialize};

use crate::digest::{Canonical, Digest};
use crate::pair::Pair;
use crate::side::Side;
use crate::ticks::{PriceError, Ticks, parse_decimal};
use crate::timeframe::Timeframe;

/// Longest account and strategy name, in bytes.
pub const MAX_NAME: usize = 64;
/// Longest override reason, in bytes.
pub const MAX_REASON: usize = 500;

/// A signal. Fields are public; [`Signal::validate`] says whether they make sense together, and every
/// reader and [`crate::SignalBatch`] ask it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// The account it is meant for; with the next four fields, the key.
    pub account: String,
    /// The strategy that made it.
    pub strategy: String,
    pub pair: Pair,
    pub timeframe: Timeframe,
    /// Close of the bar it was made from, UTC: nothing later was known.
    pub bar_close: Timestamp,
    pub side: Side,
    pub confidence: Confidence,
    pub metrics: QfhMetrics,
    /// Price of the stop loss.
    pub stop: Decimal,
    /// Price of the take profit.
    pub target: Decimal,
    /// From this moment on the signal must not be traded any more, UTC, whole microseconds.
    pub expires_at: Timestamp,
    /// SHA-256 of the model file.
    pub model_hash: Digest,
    /// Why a model that failed its gate was promoted all the same.
    pub override_reason: Option<String>,
}

/// What makes a signal one of its kind: a second one with the same key is a duplicate or a conflict.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SignalKey {
    pub account: String,
    pub strategy: String,
    pub pair: Pair,
    pub timeframe: Timeframe,
    pub bar_close: Timestamp,
}

impl fmt::Display for SignalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, strategy, pair, timeframe, bar_close } = self;
        write!(f, "{account}/{strategy} {pair} {timeframe} {bar_close}")
    }
}

/// Statistics of the window behind the signal. They are measured, not money: binary floats will do.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct QfhMetrics {
    /// Entropy of the transitions, 0 to 1.
    pub entropy: f64,
    /// Coherence, 0 to 1.
    pub coherence: f64,
    /// Stability, 0 to 1.
    pub stability: f64,
    /// Share of NULL transitions; the three shares add up to 1.
    pub null_ratio: f64,
    /// Share of FLIP transitions.
    pub flip_ratio: f64,
    /// Share of RUPTURE transitions.
    pub rupture_ratio: f64,
    /// Score of buying; finite, not negative.
    pub buy_score: f64,
    /// Score of selling; finite, not negative.
    pub sell_score: f64,
}

impl QfhMetrics {
    /// Names of the metrics, in the order of [`QfhMetrics::values`].
    pub const NAMES: [&'static str; 8] = [
        "entropy",
        "coherence",
        "stability",
        "null_ratio",
        "flip_ratio",
        "rupture_ratio",
        "buy_score",
        "sell_score",
    ];

    /// The metrics in the order of [`QfhMetrics::NAMES`].
    pub const fn values(&self) -> [f64; 8] {
        [
            self.entropy,
            self.coherence,
            self.stability,
            self.null_ratio,
            self.flip_ratio,
            self.rupture_ratio,
            self.buy_score,
            self.sell_score,
        ]
    }

    /// The metrics from values in the order of [`QfhMetrics::NAMES`].
    pub const fn from_values(values: [f64; 8]) -> Self {
        let [entropy, coherence, stability, null_ratio, flip_ratio, rupture_ratio, buy_score, sell_score] =
            values;
        Self { entropy, coherence, stability, null_ratio, flip_ratio, rupture_ratio, buy_score, sell_score }
    }
}

/// Confidence from 0 to 1, exactly, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Confidence(u32);

/// Why a number is no confidence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfidenceError {
    #[error("'{found}' is no confidence: expected a decimal number from 0 to 1")]
    NotANumber { found: String },
    #[error("confidence {found} is not between 0 and 1")]
    OutOfRange { found: Decimal },
    #[error("confidence {found} has more than 6 digits after the point")]
    TooFine { found: Decimal },
}

impl Confidence {
    /// The millionths of certainty.
    pub const ONE: u32 = 1_000_000;

    /// From millionths; `None` above one million.
    pub const fn from_millionths(millionths: u32) -> Option<Self> {
        if millionths <= Self::ONE { Some(Self(millionths)) } else { None }
    }

    /// The number of millionths.
    pub const fn millionths(self) -> u32 {
        self.0
    }

    /// The exact confidence of a decimal with at most six digits after the point.
    pub fn from_decimal(value: Decimal) -> Result<Self, ConfidenceError> {
        if value < Decimal::ZERO || value > Decimal::ONE {
            return Err(ConfidenceError::OutOfRange { found: value });
        }
        let millionths = value.normalize() * Decimal::from(Self::ONE);
        match millionths.to_u32() {
            Some(whole) if millionths.is_integer() => Ok(Self(whole)),
            _ => Err(ConfidenceError::TooFine { found: value }),
        }
    }

    /// As a decimal with six digits after the point.
    pub fn to_decimal(self) -> Decimal {
        Decimal::new(i64::from(self.0), 6)
    }
}

impl FromStr for Confidence {
    type Err = ConfidenceError;

    fn from_str(text: &str) -> Result<Self, ConfidenceError> {
        let value =
            parse_decimal(text).map_err(|_| ConfidenceError::NotANumber { found: text.to_owned() })?;
        Self::from_decimal(value)
    }
}

impl TryFrom<String> for Confidence {
    type Error = ConfidenceError;

    fn try_from(text: String) -> Result<Self, ConfidenceError> {
        text.parse()
    }
}

impl From<Confidence> for String {
    fn from(confidence: Confidence) -> Self {
        confidence.to_string()
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_decimal(), f)
    }
}

/// What is wrong with a signal; [`SignalFault::field`] names the column.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SignalFault {
    #[error("'{found}' is no name: expected 1 to {MAX_NAME} of a-z, 0-9, '_' and '-'")]
    Name { field: &'static str, found: String },
    #[error("no {timeframe} bar closes at {found}: expected a multiple of {grid} s")]
    CloseOffGrid { found: Timestamp, timeframe: Timeframe, grid: i64 },
    #[error("{found} is not within {low} to {high}")]
    MetricOutOfRange { field: &'static str, found: f64, low: f64, high: f64 },
    #[error("null_ratio, flip_ratio and rupture_ratio add up to {found}, expected 1")]
    RatioSum { found: f64 },
    #[error("{source}")]
    Price { field: &'static str, source: PriceError },
    #[error("a {side} needs its stop {expected} its target, found stop {stop} and target {target}")]
    StopSide { side: Side, expected: &'static str, stop: Decimal, target: Decimal },
    #[error("expires at {found}, which is not after the bar's close at {bar_close}")]
    ExpiryBeforeClose { found: Timestamp, bar_close: Timestamp },
    #[error("{found} is finer than a microsecond")]
    ExpiryTooFine { found: Timestamp },
    #[error("an override reason is one line of 1 to {MAX_REASON} bytes, no space around it")]
    Reason { found: String },
}

impl SignalFault {
    /// The field at fault.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Name { field, .. } | Self::MetricOutOfRange { field, .. } | Self::Price { field, .. } => {
                field
            }
            Self::CloseOffGrid { .. } => "bar_close",
            Self::RatioSum { .. } => "null_ratio",
            Self::StopSide { .. } => "stop",
            Self::ExpiryBeforeClose { .. } | Self::ExpiryTooFine { .. } => "expires_at",
            Self::Reason { .. } => "override_reason",
        }
    }
}

impl Signal {
    /// Names of the fields in the order of the file forms and of the canonical encoding.
    pub const FIELDS: [&'static str; 20] = [
        "account",
        "strategy",
        "pair",
        "timeframe",
        "bar_close",
        "side",
        "confidence",
        "entropy",
        "coherence",
        "stability",
        "null_ratio",
        "flip_ratio",
        "rupture_ratio",
        "buy_score",
        "sell_score",
        "stop",
        "target",
        "expires_at",
        "model_hash",
        "override_reason",
    ];

    /// The key.
    pub fn key(&self) -> SignalKey {
        SignalKey {
            account: self.account.clone(),
            strategy: self.strategy.clone(),
            pair: self.pair,
            timeframe: self.timeframe,
            bar_close: self.bar_close,
        }
    }

    /// Whether the fields make sense together; the first fault found.
    pub fn validate(&self) -> Result<(), SignalFault> {
        check_name("account", &self.account)?;
        check_name("strategy", &self.strategy)?;
        if !self.timeframe.is_on_grid(self.bar_close) {
            return Err(SignalFault::CloseOffGrid {
                found: self.bar_close,
                timeframe: self.timeframe,
                grid: self.timeframe.grid_seconds(),
            });
        }
        self.check_metrics()?;
        let price = |field, value| {
            Ticks::from_decimal(value, self.pair).map_err(|source| SignalFault::Price { field, source })
        };
        let (stop, target) = (price("stop", self.stop)?, price("target", self.target)?);
        let (right, expected) = match self.side {
            Side::Buy => (stop < target, "below"),
            Side::Sell => (stop > target, "above"),
        };
        if !right {
            let (stop, target) = (self.stop, self.target);
            return Err(SignalFault::StopSide { side: self.side, expected, stop, target });
        }
        if self.expires_at <= self.bar_close {
            let (found, bar_close) = (self.expires_at, self.bar_close);
            return Err(SignalFault::ExpiryBeforeClose { found, bar_close });
        }
        if self.expires_at.subsec_nanosecond() % 1_000 != 0 {
            return Err(SignalFault::ExpiryTooFine { found: self.expires_at });
        }
        self.override_reason.as_deref().map_or(Ok(()), check_reason)
    }

    fn check_metrics(&self) -> Result<(), SignalFault> {
        for (field, found) in QfhMetrics::NAMES.into_iter().zip(self.metrics.values()) {
            // Scores are products with multipliers above 1 and have no upper bound of their own.
            let high = if field.ends_with("_score") { f64::MAX } else { 1.0 };
            if !(0.0..=high).contains(&found) {
                return Err(SignalFault::MetricOutOfRange { field, found, low: 0.0, high });
            }
        }
        let sum = self.metrics.null_ratio + self.metrics.flip_ratio + self.metrics.rupture_ratio;
        // Ratios made in single precision may miss 1 by some 1e-7 each.
        if (sum - 1.0).abs() > 1e-5 {
            return Err(SignalFault::RatioSum { found: sum });
        }
        Ok(())
    }

    /// SHA-256 over the canonical encoding `sep-signal/1` of all fields: the line `sep-signal/1`, then for
    /// each of [`Signal::FIELDS`] a line `name:LENGTH:value`, LENGTH being the value's bytes. Values:
    /// names, pair, timeframe, side and hash as shown; times as microseconds since 1970; confidence as
    /// millionths; prices in decimal without zeros at the end; metrics as the 16 hexadecimal digits of
    /// their IEEE 754 bits (-0 as 0); the reason as it is, with `+` before it, and empty where there is none.
    pub fn content_hash(&self) -> Digest {
        let mut canonical = Canonical::new("sep-signal/1")
            .field("account", &self.account)
            .field("strategy", &self.strategy)
            .field("pair", self.pair.as_str())
            .field("timeframe", self.timeframe.as_str())
            .field("bar_close", &self.bar_close.as_microsecond().to_string())
            .field("side", self.side.as_str())
            .field("confidence", &self.confidence.millionths().to_string());
        for (name, value) in QfhMetrics::NAMES.into_iter().zip(self.metrics.values()) {
            canonical = canonical.float(name, value);
        }
        let reason = self.override_reason.as_ref().map(|reason| format!("+{reason}")).unwrap_or_default();
        canonical
            .field("stop", &self.stop.normalize().to_string())
            .field("target", &self.target.normalize().to_string())
            .field("expires_at", &self.expires_at.as_microsecond().to_string())
            .field("model_hash", &self.model_hash.to_string())
            .field("override_reason", &reason)
            .digest()
    }
}

/// Whether a text may stand as an override reason: one line of 1 to [`MAX_REASON`] bytes, no space around it.
pub fn check_reason(reason: &str) -> Result<(), SignalFault> {
    let sound = !reason.is_empty()
        && reason.trim() == reason
        && reason.len() <= MAX_REASON
        && !reason.chars().any(char::is_control);
    if sound { Ok(()) } else { Err(SignalFault::Reason { found: reason.to_owned() }) }
}

/// Whether a text may stand as the name of an account or a strategy, which `field` says.
pub fn check_name(field: &'static str, name: &str) -> Result<(), SignalFault> {
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'_' | b'-');
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(allowed) {
        return Err(SignalFault::Name { field, found: name.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
