//! The edge that can be planted: the past window of up and down bits moves the bars after it.
//!
//! Owns the rule and its bookkeeping. It is causal: what is decided at a close moves later bars only. Must
//! not know of QFH's scores: it uses the same bits and the same ruptures, and nothing else.

use super::SynthError;

/// When the newest `window` bits (see [`Watcher`]) hold ruptures (two ups in a row) in at least
/// `rupture_share` of their transitions, each of the next `bars` bars drifts up; falls in a row make them
/// drift down in the same way. A new window of the kind begins the count anew, in its own direction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Edge {
    /// Bits that are looked at, 3 to 64.
    pub window: u32,
    /// Ruptures over transitions (window - 1), more than 0, at most 1.
    pub rupture_share: f64,
    /// What is added to a bar's move, in thousandths of a tick.
    pub drift: i32,
    /// How many bars drift.
    pub bars: u32,
}

impl Edge {
    /// The edge at QFH's own window (11) and collapse threshold (0.6), over ten bars.
    pub const fn of_drift(drift: i32) -> Self {
        Self { window: 11, rupture_share: 0.6, drift, bars: 10 }
    }

    pub(super) fn check(&self, volatility: i32) -> Result<(), SynthError> {
        if !(3..=64).contains(&self.window) {
            return Err(SynthError::Window { found: self.window });
        }
        if !(self.rupture_share > 0.0 && self.rupture_share <= 1.0) {
            return Err(SynthError::RuptureShare { found: self.rupture_share });
        }
        // A drift beyond the volatility would feed itself and leave no walk.
        if !(1..=volatility).contains(&self.drift) {
            return Err(SynthError::Drift { found: self.drift, volatility });
        }
        if self.bars == 0 {
            return Err(SynthError::NoBars);
        }
        Ok(())
    }
}

/// Follows the closes. The newest bit is that of the newest close against the one before it: a rising bit
/// is a close above, a falling one a close below; a tie is neither.
pub struct Watcher {
    edge: Edge,
    rising: u64,
    falling: u64,
    seen: u32,
    last: Option<i32>,
    left: u32,
    direction: i64,
}

impl Watcher {
    pub fn new(edge: &Edge) -> Self {
        Self { edge: *edge, rising: 0, falling: 0, seen: 0, last: None, left: 0, direction: 0 }
    }

    /// What is added to the next bar's move, in thousandths of a tick.
    pub fn drift(&self) -> i64 {
        if self.left > 0 { self.direction * i64::from(self.edge.drift) } else { 0 }
    }

    /// The bar that drifted is over: its close, in ticks.
    pub fn close(&mut self, close: i32) {
        self.left = self.left.saturating_sub(1);
        let Some(before) = self.last.replace(close) else { return };
        self.rising = self.rising << 1 | u64::from(close > before);
        self.falling = self.falling << 1 | u64::from(close < before);
        self.seen = self.seen.saturating_add(1);
        if self.seen < self.edge.window {
            return;
        }
        for (bits, direction) in [(self.rising, 1), (self.falling, -1)] {
            if self.holds(bits) {
                self.direction = direction;
                self.left = self.edge.bars;
            }
        }
    }

    /// Whether enough of the window's transitions are from a set bit to a set bit.
    fn holds(&self, bits: u64) -> bool {
        let transitions = self.edge.window - 1;
        let newest = u64::MAX >> (64 - transitions);
        let ruptures = (bits & bits >> 1 & newest).count_ones();
        f64::from(ruptures) >= self.edge.rupture_share * f64::from(transitions) - 1e-9
    }
}
