//! One variant in the plain numbers that every backend computes with.
//!
//! Owns the layout that the CUDA kernel reads (all fields four bytes, in this order) and the distances'
//! arithmetic. Must not know how variants are chosen.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A collapse threshold that no rupture share reaches: the filter is off.
pub const NO_COLLAPSE: f32 = 2.0;
/// The largest multiple of the mean range, in 1/256: products with [`crate::bars::Bars::volatility`] fit 32
/// bits.
pub const MAX_RANGES: i32 = 1 << 13;
/// The longest holding time, in bars.
pub const MAX_HOLD: i32 = 10_000;

/// A distance from a price: fixed ticks plus a multiple of the mean range.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distance {
    /// Ticks of the pair (ten to a pip), 0 to one million.
    #[serde(default)]
    pub ticks: i32,
    /// Multiple of the mean range of the newest 100 bars, in 1/256, 0 to [`MAX_RANGES`].
    #[serde(default)]
    pub ranges: i32,
}

impl Distance {
    /// The distance in ticks where the mean range is `volatility` sixteenths of a tick; at least one.
    pub const fn ticks(self, volatility: i32) -> i32 {
        let ticks = self.ticks + ((self.ranges * volatility) >> 12);
        if ticks < 1 { 1 } else { ticks }
    }

    /// Whether it is within what the arithmetic holds, and not nothing at all.
    pub const fn is_sound(self) -> bool {
        self.ticks >= 0
            && self.ticks <= 1_000_000
            && self.ranges >= 0
            && self.ranges <= MAX_RANGES
            && (self.ticks > 0 || self.ranges > 0)
    }
}

impl fmt::Display for Distance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Ten ticks are a pip; 256 a whole mean range.
        let (pips, ranges) = (f64::from(self.ticks) / 10.0, f64::from(self.ranges) / 256.0);
        match (self.ticks, self.ranges) {
            (_, 0) => write!(f, "{pips} pips"),
            (0, _) => write!(f, "{ranges} mean ranges"),
            _ => write!(f, "{pips} pips and {ranges} mean ranges"),
        }
    }
}

/// A variant of the strategy on one series.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lane {
    /// Weights of stability, coherence and entropy in the scores.
    pub stability: f32,
    pub coherence: f32,
    pub entropy: f32,
    /// Thresholds of the scores, times the bar's strictness.
    pub buy_above: f32,
    pub sell_above: f32,
    /// Filters of the side taken: least score, least scored coherence, rupture share that is too much.
    pub min_confidence: f32,
    pub min_coherence: f32,
    pub collapse: f32,
    /// Hours of the day in which bars may signal, one bit each.
    pub hours: u32,
    /// Gate bits that a BUY and a SELL need (0, or the confirmation's).
    pub buy_needs: u32,
    pub sell_needs: u32,
    pub stop: Distance,
    pub target: Distance,
    /// Bars after which a position is closed at the next open.
    pub hold: i32,
}

impl Lane {
    /// Whether another lane gives the same signals: then they differ in their exits alone.
    pub fn signals_like(&self, other: &Self) -> bool {
        let exits = |lane: &Self| Self { stop: self.stop, target: self.target, hold: self.hold, ..*lane };
        exits(self) == exits(other)
    }
}
