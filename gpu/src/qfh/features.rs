//! The features of a series: what the scores of every variant are made of, once for each window length.
//!
//! Owns the pass over a series. Feature `i` is known at the close of bar `i`.

use std::ops::Range;

use rayon::prelude::*;
use sep_contract::{Side, Timeframe};

use super::{Constants, Shapes, WINDOW_BITS, Window, WindowStatistics, decide};
use crate::bars::{
    Bars, GATE_BUY_CONFIRMED, GATE_SELL_CONFIRMED, HALF_TICKS_PER_PIP, VOLATILITY_BARS, rolling_sums,
};
use crate::lane::Lane;

/// Widest window whose statistics are kept in a table of all its patterns.
const TABLE_BITS: u32 = 16;

/// What the rising (or, mirrored, the falling) bits say at the close of each bar. Rows before the first
/// evaluated bar are zero, which no threshold lets pass.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Direction {
    /// Stability S, at most 1.
    pub stability: Vec<f32>,
    /// Scored coherence C'.
    pub coherence: Vec<f32>,
    /// Scored entropy E.
    pub entropy: Vec<f32>,
    /// Volume factor times temporal factor.
    pub gain: Vec<f32>,
    /// Share of ruptures R.
    pub rupture: Vec<f32>,
}

/// The features of a series for one window length.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    pub window: u32,
    pub up: Direction,
    /// The mirror of `up`, in the symmetric variant.
    pub down: Option<Direction>,
    /// Volatility multiplier of the thresholds.
    pub strictness: Vec<f32>,
}

impl Features {
    /// The features of all bars for a window of 2 to 64 bits; other lengths are brought to the nearest.
    pub fn new(bars: &Bars, window: u32, symmetric: bool, constants: &Constants) -> Self {
        Self::of(bars, 0..bars.len(), window, symmetric, constants)
    }

    /// How many of the newest bars decide the features of the last one: enough for the window, for the
    /// temporal factor's means and for both mean ranges.
    pub fn lookback(window: u32, constants: &Constants) -> usize {
        let windows = window as usize + constants.temporal_from.max(constants.temporal_long) + 2;
        windows.max(constants.stability_bars + 1).max(VOLATILITY_BARS)
    }

    fn of(bars: &Bars, range: Range<usize>, window: u32, symmetric: bool, constants: &Constants) -> Self {
        let window = window.clamp(*WINDOW_BITS.start(), *WINDOW_BITS.end());
        let ranges = range.clone().map(|bar| bars.range2(bar));
        let pips = |sum: i64, count: usize| sum as f64 / (HALF_TICKS_PER_PIP * count as f64);
        let strictness = rolling_sums(ranges.clone(), VOLATILITY_BARS)
            .into_iter()
            .enumerate()
            .map(|(at, sum)| {
                let mean = pips(sum, (at + 1).min(VOLATILITY_BARS));
                let factor = 1.0 + constants.volatility_gain * (mean - constants.volatility_normal_pips);
                single(factor.clamp(constants.volatility_floor, constants.volatility_cap))
            })
            .collect();
        let bars_before = constants.stability_bars.max(1);
        let recent = rolling_sums(ranges, bars_before);
        let calm: Vec<f64> = (0..range.len())
            .map(|at| match at.checked_sub(bars_before) {
                // The bar itself does not count: the sum is that of the bar before.
                Some(_) => pips(recent[at - 1], bars_before),
                None => constants.stability_default_pips,
            })
            .collect();
        let volume: Vec<f64> = range.clone().map(|bar| volume_factor(bars.volume[bar], constants)).collect();
        let direction = |moved: fn(i32, i32) -> bool| {
            let bits = bit_history(bars, &range, moved);
            direction(&bits, window, &calm, &volume, constants)
        };
        Self {
            window,
            up: direction(|before, after| after > before),
            down: symmetric.then(|| direction(|before, after| after < before)),
            strictness,
        }
    }
}

/// Rounds to single precision: the only place where features lose digits.
#[expect(clippy::cast_possible_truncation, reason = "features are single floats; rounding is what is meant")]
fn single(value: f64) -> f32 {
    value as f32
}

pub(crate) fn volume_factor(volume: u32, constants: &Constants) -> f64 {
    if volume == 0 {
        return 1.0;
    }
    let factor = constants.volume_base + constants.volume_gain * f64::from(volume) / constants.volume_normal;
    factor.clamp(constants.volume_floor, constants.volume_cap)
}

/// For each bar, the newest 64 bits known at its close, the newest lowest.
fn bit_history(bars: &Bars, range: &Range<usize>, moved: fn(i32, i32) -> bool) -> Vec<u64> {
    let mut bits = 0_u64;
    range
        .clone()
        .map(|bar| {
            if bar > range.start {
                bits = bits << 1 | u64::from(moved(bars.mid2_close(bar - 1), bars.mid2_close(bar)));
            }
            bits
        })
        .collect()
}

fn direction(bits: &[u64], window: u32, calm: &[f64], volume: &[f64], constants: &Constants) -> Direction {
    let shapes = Shapes::new(window, constants);
    // A table pays only where it is smaller than the series.
    let table: Option<Vec<WindowStatistics>> =
        (window <= TABLE_BITS && bits.len() > 1 << window).then(|| {
            let statistics = |bits| Window { bits, length: window }.statistics_by(constants, &shapes);
            (0..1_u64 << window).into_par_iter().map(statistics).collect()
        });
    let statistics = |(at, bits): (usize, &u64)| -> Option<WindowStatistics> {
        let length = window.min(u32::try_from(at).unwrap_or(u32::MAX));
        if length < 2 {
            return None;
        }
        let kept = if length == 64 { *bits } else { bits & ((1 << length) - 1) };
        match &table {
            Some(table) if length == window => table.get(usize::try_from(kept).ok()?).copied(),
            _ if length == window => Some(Window { bits: kept, length }.statistics_by(constants, &shapes)),
            _ => Some(Window { bits: kept, length }.statistics(constants)),
        }
    };
    let windows: Vec<Option<WindowStatistics>> =
        bits.par_iter().enumerate().with_min_len(4_096).map(statistics).collect();
    let scored: Vec<f64> = windows
        .iter()
        .map(|window| window.map_or(0.0, |w| constants.scored_gain * w.coherence + constants.scored_offset))
        .collect();
    let mut direction = Direction::zeros(bits.len());
    let Direction { stability, coherence, entropy, gain, rupture } = &mut direction;
    (stability, coherence, entropy, gain, rupture)
        .into_par_iter()
        .zip(&windows)
        .enumerate()
        .with_min_len(4_096)
        .for_each(|(at, ((stability, coherence, entropy, gain, rupture), window))| {
            let Some(window) = window else { return };
            let ruptures = window.transitions.share(window.transitions.ruptures);
            *stability = single((1.0 - ruptures + constants.stability_gain * calm[at]).min(1.0));
            *coherence = single(scored[at]);
            *entropy = single(constants.scored_entropy * window.entropy);
            // The first evaluated bar is the third: it has two bits.
            *gain = single(volume[at] * temporal_factor(&scored[2..=at], constants));
            *rupture = single(ruptures);
        });
    direction
}

/// By the means of the scored coherence of the evaluated bars before the last one of `scored`.
pub(crate) fn temporal_factor(scored: &[f64], constants: &Constants) -> f64 {
    let Some((now, before)) = scored.split_last() else { return 1.0 };
    if scored.len() < constants.temporal_from || before.len() < constants.temporal_long {
        return 1.0;
    }
    let mean = |count: usize| before[before.len() - count..].iter().sum::<f64>() / count as f64;
    let (short, long) = (mean(constants.temporal_short), mean(constants.temporal_long));
    if (now - short).abs() < constants.temporal_near && (short - long).abs() < constants.temporal_near {
        constants.temporal_strong
    } else if (now - short).abs() < constants.temporal_far {
        constants.temporal_weak
    } else {
        1.0
    }
}

impl Direction {
    fn zeros(count: usize) -> Self {
        let column = || vec![0.0; count];
        Self {
            stability: column(),
            coherence: column(),
            entropy: column(),
            gain: column(),
            rupture: column(),
        }
    }
}

/// Triple confirmation: writes into the gates of M1 bars which side the longer timeframes (M5 and M15,
/// closed by then) take with a confidence above [`Constants::confirm_above`]. `lane` scores them.
pub fn confirm(bars: &mut Bars, longer: &[(&Bars, &Features)], lane: &Lane, constants: &Constants) {
    debug_assert!(longer.iter().all(|(longer, _)| longer.timeframe > Timeframe::M1));
    for at in 0..bars.len() {
        let now = bars.close_time(at);
        let side = |side: Side| {
            longer.iter().all(|(longer, features)| {
                let closed = longer.time.partition_point(|open| open + longer.timeframe.seconds() <= now);
                closed.checked_sub(1).and_then(|bar| decide(lane, features, bar)).is_some_and(|decision| {
                    decision.side == side && decision.confidence > constants.confirm_above
                })
            })
        };
        let gate = &mut bars.gate[at];
        for (which, bit) in [(Side::Buy, GATE_BUY_CONFIRMED), (Side::Sell, GATE_SELL_CONFIRMED)] {
            *gate = if side(which) { *gate | bit } else { *gate & !bit };
        }
    }
}
