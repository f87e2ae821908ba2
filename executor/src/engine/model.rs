//! The words the engine thinks in: signals, settings, decisions. Plain data, no I/O.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use rust_decimal::Decimal;

/// The direction of a trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Buy,
    Sell,
}

impl Side {
    /// From the database's spelling.
    pub fn from_text(text: &str) -> Option<Self> {
        match text {
            "buy" => Some(Side::Buy),
            "sell" => Some(Side::Sell),
            _ => None,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Buy => "buy",
            Side::Sell => "sell",
        })
    }
}

/// A signal that waits for its decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    pub id: i64,
    pub strategy: String,
    pub pair: String,
    pub timeframe: String,
    pub bar_close: Timestamp,
    pub side: Side,
    /// 0 to 1.
    pub confidence: Decimal,
    pub stop: Decimal,
    pub target: Decimal,
    pub expires_at: Timestamp,
    /// What the market last asked and bid, where that is known and not older than the signal's bar.
    pub quote: Option<Quote>,
}

/// The closing prices of a candle.
#[derive(Debug, Clone, PartialEq)]
pub struct Quote {
    /// When the candle closed.
    pub time: Timestamp,
    pub bid: Decimal,
    pub ask: Decimal,
}

/// Pending signals as they were read at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The database's clock at that moment: ages are measured by it, not by this host's.
    pub now: Timestamp,
    pub signals: Vec<Signal>,
}

/// What the database tells the executor to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// No new entries.
    pub halted: bool,
    /// Signals below it are refused, 0 to 1.
    pub min_confidence: Decimal,
    /// Every known pair.
    pub pairs: BTreeMap<String, PairSettings>,
}

/// What is known of a pair.
#[derive(Debug, Clone, PartialEq)]
pub struct PairSettings {
    pub enabled: bool,
    /// Digits after the point of a price.
    pub digits: u32,
}

/// What becomes of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Mode observe: an order would be sent.
    WouldEnter,
    Refuse,
}

impl Outcome {
    /// As signal_decisions spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::WouldEnter => "would_enter",
            Outcome::Refuse => "refuse",
        }
    }
}

/// A decision about one signal, to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    pub signal_id: i64,
    pub strategy: String,
    pub outcome: Outcome,
    /// For programs.
    pub code: &'static str,
    /// For people.
    pub reason: String,
}
