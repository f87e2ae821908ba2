//! The counts: signals of high confidence that the next close bore out, with the leaks and without.
//!
//! Shares the formulas of a window with the engine; what leaks is here alone. Must not be of use to anything
//! but the counts: the calls do not leave this module.

use serde::Serialize;

use super::MidBar;
use crate::qfh::features::{temporal_factor, volume_factor};
use crate::qfh::{Constants, Window};

/// The settings of the published run.
const WINDOW: usize = 11;
const STABILITY_WEIGHT: f64 = 0.4;
const COHERENCE_WEIGHT: f64 = 0.1;
const ENTROPY_WEIGHT: f64 = 0.5;
const BUY_ABOVE: f64 = 0.50;
const SELL_ABOVE: f64 = 0.52;
const HIGH_CONFIDENCE: f64 = 0.65;
const HIGH_COHERENCE: f64 = 0.30;
const HIGH_STABILITY: f64 = 0.0;
/// Bars whose mean range moves the thresholds.
const VOLATILITY_BARS: usize = 100;
/// A pip as the published run had it, for every pair, yen or not.
const PIP: f64 = 1e-4;
/// A move of the close in the called direction that counts as right: more than half a pip.
const MOVE: f64 = 0.5 * PIP;

/// So many right of so many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    pub right: usize,
    pub of: usize,
}

impl Share {
    /// In percent; 0 of nothing.
    pub fn percent(self) -> f64 {
        if self.of == 0 { 0.0 } else { 100.0 * self.right as f64 / self.of as f64 }
    }

    fn count(&mut self, right: bool) {
        self.right += usize::from(right);
        self.of += 1;
    }
}

/// What the evaluation of a file comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Evaluation {
    pub bars: usize,
    /// Calls of high confidence, as published: LEAKING.
    #[serde(rename = "published_leaking")]
    pub published: Share,
    /// All signals of the published evaluation.
    #[serde(rename = "published_leaking_signals")]
    pub published_signals: usize,
    /// Calls of high confidence where nothing of the future is seen.
    pub causal: Share,
    pub causal_signals: usize,
    /// A BUY, and a SELL, at every bar.
    pub always_buy: Share,
    pub always_sell: Share,
}

impl Evaluation {
    /// The published score: (accuracy - 50) times the rate, both in percent and rounded as they were printed.
    pub fn published_score(&self) -> f64 {
        let rounded = |value: f64, scale: f64| (value * scale).round() / scale;
        let rate = Share { right: self.published.of, of: self.published_signals }.percent();
        rounded((rounded(self.published.percent(), 100.0) - 50.0) * rounded(rate, 10.0), 100.0)
    }
}

/// How much of the future is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    Leaking,
    Causal,
}

/// A side taken at a bar.
struct Call {
    bar: usize,
    buy: bool,
    high: bool,
}

/// Counts with the leaks and without.
pub fn evaluate(bars: &[MidBar]) -> Evaluation {
    let (published, causal) = (calls(bars, Sight::Leaking), calls(bars, Sight::Causal));
    // Signal k, the one of bar k + 1, is held against the move from close k on.
    let published_right = judge(bars, published.iter().map(|call| (call, call.bar - 1)));
    let causal_right = judge(bars, causal.iter().map(|call| (call, call.bar)));
    let mut always = [Share::default(); 2];
    for bar in 1..bars.len() {
        always[0].count(is_right(bars, bar - 1, true));
        always[1].count(is_right(bars, bar - 1, false));
    }
    Evaluation {
        bars: bars.len(),
        published: published_right,
        published_signals: published.len(),
        causal: causal_right,
        causal_signals: causal.len(),
        always_buy: always[0],
        always_sell: always[1],
    }
}

/// The calls of high confidence, each with the bar from whose close on it is judged.
fn judge<'a>(bars: &[MidBar], calls: impl Iterator<Item = (&'a Call, usize)>) -> Share {
    let mut share = Share::default();
    for (call, from) in calls.filter(|(call, from)| call.high && from + 1 < bars.len()) {
        share.count(is_right(bars, from, call.buy));
    }
    share
}

fn is_right(bars: &[MidBar], from: usize, buy: bool) -> bool {
    let rise = bars[from + 1].close - bars[from].close;
    if buy { rise > MOVE } else { -rise > MOVE }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn calls(bars: &[MidBar], sight: Sight) -> Vec<Call> {
    let constants = Constants::default();
    let rises: Vec<bool> = bars.windows(2).map(|pair| pair[1].close > pair[0].close).collect();
    let ranges: Vec<f64> = bars.iter().map(|bar| (bar.high - bar.low) / PIP).collect();
    let newest = |end: usize| mean(&ranges[end.saturating_sub(VOLATILITY_BARS)..end]);
    let mut scored: Vec<f64> = Vec::new();
    let mut calls = Vec::new();
    for (bar, candle) in bars.iter().enumerate() {
        // Rise k is known when bar k + 1 is over; the published window took it in at bar k.
        let (end, volatility_end) = match sight {
            Sight::Leaking => (bar + 1, bars.len()),
            Sight::Causal => (bar, bar + 1),
        };
        let Some(window) = window(&rises[end.saturating_sub(WINDOW)..end.min(rises.len())]) else { continue };
        let statistics = window.statistics(&constants);
        let rupture = statistics.transitions.share(statistics.transitions.ruptures);
        let calm = match bar.checked_sub(constants.stability_bars) {
            Some(first) => mean(&ranges[first..bar]),
            None => constants.stability_default_pips,
        };
        let s = (1.0 - rupture + constants.stability_gain * calm).min(1.0);
        let c = constants.scored_gain * statistics.coherence + constants.scored_offset;
        let e = constants.scored_entropy * statistics.entropy;
        scored.push(c);
        let gain = volume_factor(candle.volume, &constants) * temporal_factor(&scored, &constants);
        let weigh = |s: f64, c: f64, e: f64| {
            (STABILITY_WEIGHT * s + COHERENCE_WEIGHT * c + ENTROPY_WEIGHT * e) * gain
        };
        let (buy, sell) = (weigh(1.0 - s, c, 1.0 - e), weigh(s, 1.0 - c, e));
        let excess = newest(volatility_end) - constants.volatility_normal_pips;
        let strictness = (1.0 + constants.volatility_gain * excess)
            .clamp(constants.volatility_floor, constants.volatility_cap);
        let is_buy = buy > BUY_ABOVE * strictness;
        if is_buy || sell > SELL_ABOVE * strictness {
            let confidence = if is_buy { buy } else { sell };
            let high = confidence >= HIGH_CONFIDENCE && c >= HIGH_COHERENCE && s >= HIGH_STABILITY;
            calls.push(Call { bar, buy: is_buy, high });
        }
    }
    calls
}

/// The window of some rises, oldest first; at least two.
fn window(rises: &[bool]) -> Option<Window> {
    let length = u32::try_from(rises.len()).ok().filter(|length| *length >= 2)?;
    let bits = rises.iter().fold(0, |bits, rise| bits << 1 | u64::from(*rise));
    Some(Window { bits, length })
}
