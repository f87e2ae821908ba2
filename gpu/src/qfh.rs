//! QFH: a window of rising/not-rising bits, the statistics of its transitions, and the scores made of them.
//!
//! Owns the definition: constants, window statistics, features of a series, scores. Nothing here looks
//! ahead: every value of bar `i` is a function of bars up to and including `i`, whose close is known then.
//! Must not know of orders, costs or backends. Logarithms and the like come from `libm`, so that the same
//! candles give the same bits of result on every machine; what follows the features is multiplication,
//! addition and comparison of single floats in a fixed order, which IEEE 754 makes the same on a CPU and on
//! a GPU.

pub mod features;
pub mod score;

pub use features::{Direction, Features, confirm};
pub use score::{Decision, decide, scores};

use serde::{Deserialize, Serialize};

/// Fewest and most bits of a window.
pub const WINDOW_BITS: std::ops::RangeInclusive<u32> = 2..=64;

/// Every constant of the model, by name. The default is the published model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Constants {
    /// The entropy is divided by this (log2 of three states) and kept above the floor.
    pub entropy_divisor: f64,
    pub entropy_floor: f64,
    /// Coherence of the transitions: gain * (a (1-H) + b (1-R) + c (1-F))^2.
    pub coherence_gain: f64,
    pub coherence_entropy: f64,
    pub coherence_rupture: f64,
    pub coherence_flip: f64,
    /// Bits at the start of the window whose entropy sets the damping.
    pub damping_bits: u32,
    /// Damping: clip((a + b) h, floor, cap).
    pub damping_entropy: f64,
    pub damping_coherence: f64,
    pub damping_floor: f64,
    pub damping_cap: f64,
    /// Decay of the exponential that the path is compared with.
    pub match_decay: f64,
    /// The match of paths that are too short to have one, and the shortest that has one.
    pub match_default: f64,
    pub match_from: u32,
    /// Windows of more bits than this mix the trajectory match into the coherence.
    pub match_beyond_bits: u32,
    pub match_share: f64,
    /// Divides by 1 + damping_weight |V| where |V| is below the limit.
    pub path_weight: f64,
    pub path_limit: f64,
    /// Scored coherence: gain C + offset.
    pub scored_gain: f64,
    pub scored_offset: f64,
    /// Share of the entropy that is scored.
    pub scored_entropy: f64,
    /// Stability: min(1, 1 - R + gain * mean range in pips of the bars before).
    pub stability_gain: f64,
    pub stability_bars: usize,
    pub stability_default_pips: f64,
    /// Volume factor: clip(base + gain * volume / normal, floor, cap).
    pub volume_base: f64,
    pub volume_gain: f64,
    pub volume_normal: f64,
    pub volume_floor: f64,
    pub volume_cap: f64,
    /// Temporal factor: from the so-manieth evaluated bar on, by the means of the scored coherence.
    pub temporal_from: usize,
    pub temporal_short: usize,
    pub temporal_long: usize,
    pub temporal_near: f64,
    pub temporal_far: f64,
    pub temporal_strong: f64,
    pub temporal_weak: f64,
    /// Volatility multiplier of the thresholds: clip(1 + gain (mean range in pips - normal), floor, cap).
    pub volatility_gain: f64,
    pub volatility_normal_pips: f64,
    pub volatility_floor: f64,
    pub volatility_cap: f64,
    /// Triple confirmation: confidence that the longer timeframes must exceed.
    pub confirm_above: f32,
    /// QBSA: probes at every so-manieth bit of the oldest so many; the first ones always mismatch, a later one
    /// where of so many bits before it at least, or at most, these shares are ones.
    pub probe_bits: u32,
    pub probe_step: usize,
    pub probes_given: usize,
    pub probe_lookback: u32,
    pub probe_many: f64,
    pub probe_few: f64,
}

impl Default for Constants {
    fn default() -> Self {
        Self {
            entropy_divisor: 1.585,
            entropy_floor: 0.05,
            coherence_gain: 1.1,
            coherence_entropy: 0.6,
            coherence_rupture: 0.33,
            coherence_flip: 0.21,
            damping_bits: 20,
            damping_entropy: 0.3,
            damping_coherence: 0.2,
            damping_floor: 0.01,
            damping_cap: 1.0,
            match_decay: 0.1,
            match_default: 0.5,
            match_from: 3,
            match_beyond_bits: 10,
            match_share: 0.3,
            path_weight: 0.1,
            path_limit: 2.0,
            scored_gain: 0.7,
            scored_offset: 0.15,
            scored_entropy: 0.5,
            stability_gain: 0.01,
            stability_bars: 20,
            stability_default_pips: 0.5,
            volume_base: 0.85,
            volume_gain: 0.3,
            volume_normal: 150.0,
            volume_floor: 0.7,
            volume_cap: 1.4,
            temporal_from: 16,
            temporal_short: 5,
            temporal_long: 15,
            temporal_near: 0.1,
            temporal_far: 0.2,
            temporal_strong: 1.15,
            temporal_weak: 1.08,
            volatility_gain: 0.02,
            volatility_normal_pips: 10.0,
            volatility_floor: 0.8,
            volatility_cap: 1.5,
            confirm_above: 0.8,
            probe_bits: 64,
            probe_step: 4,
            probes_given: 4,
            probe_lookback: 8,
            probe_many: 0.7,
            probe_few: 0.3,
        }
    }
}

/// A window of bits, the newest one lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub bits: u64,
    /// How many bits count, 2 to 64.
    pub length: u32,
}

/// Numbers of the transitions 00, 01 or 10, and 11 in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transitions {
    pub nulls: u32,
    pub flips: u32,
    pub ruptures: u32,
}

/// What one window says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WindowStatistics {
    pub transitions: Transitions,
    /// Entropy of the transitions, floor to 1.
    pub entropy: f64,
    /// Coherence, 0 to 1.
    pub coherence: f64,
}

impl Transitions {
    /// All transitions.
    pub const fn total(self) -> u32 {
        self.nulls + self.flips + self.ruptures
    }

    /// A count as a share of all.
    pub fn share(self, count: u32) -> f64 {
        f64::from(count) / f64::from(self.total())
    }
}

impl Window {
    /// Bit `at` counted from the oldest.
    fn bit(self, at: u32) -> f64 {
        if self.bits >> (self.length - 1 - at) & 1 == 1 { 1.0 } else { 0.0 }
    }

    /// The oldest so many bits.
    fn oldest(self, length: u32) -> Self {
        let length = length.min(self.length);
        Self { bits: self.bits >> (self.length - length), length }
    }

    /// Counts the transitions.
    pub fn transitions(self) -> Transitions {
        let total = self.length - 1;
        let mask = (1_u64 << total) - 1;
        let flips = ((self.bits ^ self.bits >> 1) & mask).count_ones();
        let ruptures = (self.bits & self.bits >> 1 & mask).count_ones();
        Transitions { nulls: total - flips - ruptures, flips, ruptures }
    }

    /// Entropy and coherence.
    pub fn statistics(self, constants: &Constants) -> WindowStatistics {
        self.statistics_by(constants, &Shapes::new(self.length, constants))
    }

    /// The same with the shapes for the window's length at hand.
    fn statistics_by(self, constants: &Constants, shapes: &Shapes) -> WindowStatistics {
        let transitions = self.transitions();
        let entropy = constants.entropy(transitions);
        let flip = transitions.share(transitions.flips);
        let rupture = transitions.share(transitions.ruptures);
        let parts = constants.coherence_entropy * (1.0 - entropy)
            + constants.coherence_rupture * (1.0 - rupture)
            + constants.coherence_flip * (1.0 - flip);
        let mut coherence = (constants.coherence_gain * parts * parts).clamp(0.0, 1.0);
        if self.length > constants.match_beyond_bits {
            let (path_end, trajectory) = self.path(constants, shapes);
            coherence = (1.0 - constants.match_share) * coherence + constants.match_share * trajectory;
            if path_end.abs() < constants.path_limit {
                coherence /= 1.0 + constants.path_weight * path_end.abs();
            }
            coherence = coherence.clamp(0.0, 1.0);
        }
        WindowStatistics { transitions, entropy, coherence }
    }

    /// The end of the damped path, and how well the path follows one of three trajectories.
    fn path(self, constants: &Constants, shapes: &Shapes) -> (f64, f64) {
        let h = constants.entropy(self.oldest(constants.damping_bits).transitions());
        let lambda = (constants.damping_entropy * h + constants.damping_coherence * h)
            .clamp(constants.damping_floor, constants.damping_cap);
        let length = self.length as usize;
        let start = self.bit(0);
        let mut path = [0.0_f64; 64];
        path[0] = start;
        let (step, mut weight, mut sum) = (libm::exp(-lambda), 1.0, 0.0);
        for (point, at) in path[1..length].iter_mut().zip(1..) {
            weight *= step;
            sum += (self.bit(at) - start) * weight;
            *point = sum;
        }
        let path = &path[..length];
        if self.length < constants.match_from {
            return (sum, constants.match_default);
        }
        let end = path[length - 1];
        let (middle, swing) = ((end + start) / 2.0, (end - start) / 2.0);
        let last = f64::from(self.length - 1);
        let decay = cosine(path, shapes.decay.iter().map(|decay| start * decay));
        let line = cosine(path, (0..self.length).map(|at| start + (end - start) * f64::from(at) / last));
        let wave = cosine(path, shapes.wave.iter().map(|wave| middle + swing * wave));
        (sum, decay.max(line).max(wave).clamp(0.0, 1.0))
    }

    /// QBSA correction ratio: mismatches among the probes. As published, these stand at every fourth bit of the
    /// oldest 64; the first four always mismatch, a later one does where at least 70 % or at most 30 % of the
    /// eight bits before it are ones.
    pub fn correction_ratio(self, constants: &Constants) -> f64 {
        let probes = (0..self.length.min(constants.probe_bits)).step_by(constants.probe_step.max(1));
        let mismatch = |(probe, at): (usize, u32)| {
            let before = at.saturating_sub(constants.probe_lookback)..at;
            let ones = before.map(|bit| self.bit(bit)).sum::<f64>() / f64::from(constants.probe_lookback);
            probe < constants.probes_given || ones >= constants.probe_many || ones <= constants.probe_few
        };
        let count = probes.clone().count();
        let mismatches = probes.enumerate().filter(|probe| mismatch(*probe)).count();
        mismatches as f64 / count as f64
    }
}

/// What the paths of one length are compared with: the parts that are the same for all of them.
#[derive(Debug, Clone)]
struct Shapes {
    /// exp(-decay i).
    decay: Vec<f64>,
    /// sin(2 pi i / length).
    wave: Vec<f64>,
}

impl Shapes {
    /// The shapes for windows of so many bits.
    fn new(length: u32, constants: &Constants) -> Self {
        let points = || (0..length).map(f64::from);
        let turn = |at: f64| 2.0 * std::f64::consts::PI * at / f64::from(length);
        Self {
            decay: points().map(|at| libm::exp(-constants.match_decay * at)).collect(),
            wave: points().map(|at| libm::sin(turn(at))).collect(),
        }
    }
}

/// The cosine of the angle between a path and a trajectory; 0 where one is all zeros.
fn cosine(path: &[f64], trajectory: impl Iterator<Item = f64>) -> f64 {
    let (mut product, mut of_path, mut of_trajectory) = (0.0, 0.0, 0.0);
    for (point, other) in path.iter().zip(trajectory) {
        product += point * other;
        of_path += point * point;
        of_trajectory += other * other;
    }
    let norm = libm::sqrt(of_path) * libm::sqrt(of_trajectory);
    if norm > 0.0 { product / norm } else { 0.0 }
}

impl Constants {
    /// Entropy of the transitions' shares, over log2 of three, kept within floor and 1.
    pub fn entropy(&self, transitions: Transitions) -> f64 {
        let Transitions { nulls, flips, ruptures } = transitions;
        let part = |count| {
            let share = transitions.share(count);
            if share > 0.0 { share * libm::log2(share) } else { 0.0 }
        };
        (-(part(nulls) + part(flips) + part(ruptures)) / self.entropy_divisor).clamp(self.entropy_floor, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(text: &str) -> Window {
        let length = u32::try_from(text.len()).unwrap();
        Window { bits: u64::from_str_radix(text, 2).unwrap(), length }
    }

    #[test]
    fn transitions_are_counted_over_the_window_alone() {
        let count = |text| {
            let Transitions { nulls, flips, ruptures } = window(text).transitions();
            (nulls, flips, ruptures)
        };
        assert_eq!(count("0011101"), (1, 3, 2));
        assert_eq!(count("10"), (0, 1, 0));
        // What stands before the window does not count.
        let long = Window { bits: 0b1111_0000, length: 4 };
        assert_eq!(long.transitions(), Transitions { nulls: 3, flips: 0, ruptures: 0 });
        let widest = Window { bits: u64::MAX, length: 64 };
        assert_eq!(widest.transitions().ruptures, 63);
    }

    #[test]
    fn entropy_and_coherence_by_hand() {
        let constants = Constants::default();
        // Two bits 10: one flip, no entropy: H = 0.05, C = 1.1 (0.6 * 0.95 + 0.33)^2 = 0.891.
        let two = window("10").statistics(&constants);
        assert!((two.entropy - 0.05).abs() < 1e-12 && (two.coherence - 0.891).abs() < 1e-12, "{two:?}");
        // A third each: log2(3) / 1.585 = 0.99998.
        let even = window("0011").statistics(&constants);
        assert!((even.entropy - 1.584_962_500_721_156 / 1.585).abs() < 1e-12);
    }

    #[test]
    fn correction_ratio_by_hand() {
        // 11 bits have probes at 0, 4 and 8, which always mismatch.
        assert!((window("01010110001").correction_ratio(&Constants::default()) - 1.0).abs() < 1e-12);
        // 20 bits have five; before the one at 16 stand the bits 8 to 15.
        assert!((window("00000000010101010000").correction_ratio(&Constants::default()) - 0.8).abs() < 1e-12);
        assert!((window("00000000111111110000").correction_ratio(&Constants::default()) - 1.0).abs() < 1e-12);
    }
}
