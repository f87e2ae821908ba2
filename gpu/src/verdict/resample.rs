//! What chance makes of the same trades or days: the circular-shift test and the block bootstrap.
//!
//! Owns both. Everything is decided by its arguments: the shifts are evenly spaced, the bootstrap is drawn from
//! a seed. Must not know how the trades came about.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// A position that was held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The price at whose index it was entered.
    pub entry: usize,
    /// The price at whose index it was left; not before the entry.
    pub exit: usize,
    /// Long, or short.
    pub long: bool,
}

/// What a permutation test found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Permuted {
    /// The statistic of the trades as they were.
    pub observed: f64,
    /// How many others were looked at.
    pub others: usize,
    /// How many of them were at least as good.
    pub as_good: usize,
    /// (as good + 1) / (others + 1): never zero, and valid however few others there were (Phipson and Smyth,
    /// "Permutation P-values Should Never Be Zero", 2010). 1 where there was nothing to test.
    pub p: f64,
}

impl Permuted {
    /// The p-value of so many as good ones among so many others.
    pub fn of(observed: f64, others: usize, as_good: usize) -> Self {
        Self { observed, others, as_good, p: (as_good as f64 + 1.0) / (others as f64 + 1.0) }
    }
}

/// Whether the trades' timing told anything: the same positions, shifted around the circle of the price's
/// moves, at up to `shifts` evenly spaced distances of at least `apart` moves either way.
///
/// Shifting keeps all that flipping signs or shuffling days would destroy: how long and how clustered the
/// positions are, the share of them that is long (so a rising market earns them as much), the fat tails and
/// quiet hours of the market; only the link between signal and move goes. The statistic is the trades' gross
/// profit over the root of its summed squares, so that a shift into wilder hours weighs no more. `apart` is to
/// exceed window plus longest hold, else a shift still holds part of its own trades. Costs are left out: they
/// are the same wherever a trade happens.
///
/// `prices` are mid prices in one unit, `held` indices into them. Without room to shift, or trades, p is 1.
pub fn shifted(prices: &[i64], held: &[Held], apart: usize, shifts: usize) -> Permuted {
    let moves = prices.len().saturating_sub(1);
    let apart = apart.max(1);
    // Distances apart ..= moves - apart; the circle has as many places as there are moves.
    let places = (moves + 1).saturating_sub(apart.saturating_mul(2));
    let count = places.min(shifts);
    let held: Vec<Held> = held.iter().copied().filter(|held| held.exit <= moves).collect();
    let observed = statistic(prices, &held, 0);
    if count == 0 || held.is_empty() {
        return Permuted { observed, others: 0, as_good: 0, p: 1.0 };
    }
    let as_good = (0..count)
        .into_par_iter()
        .map(|at| apart + at * places / count)
        .filter(|&shift| statistic(prices, &held, shift) >= observed)
        .count();
    Permuted::of(observed, count, as_good)
}

/// The self-normalised gross profit of the positions moved forward by `shift`, less than once around the
/// circle.
fn statistic(prices: &[i64], held: &[Held], shift: usize) -> f64 {
    let moves = prices.len().saturating_sub(1);
    if moves == 0 {
        return 0.0;
    }
    // The price after one time around is where the next time begins.
    let whole = prices[moves] - prices[0];
    let price = |at: usize| if at < moves { prices[at] } else { prices[at - moves] + whole };
    let (mut gross, mut squares) = (0, 0.0);
    for held in held {
        let moved = price(held.exit + shift) - price(held.entry + shift);
        gross += if held.long { moved } else { -moved };
        squares += moved as f64 * moved as f64;
    }
    if squares == 0.0 { 0.0 } else { gross as f64 / libm::sqrt(squares) }
}

/// A mean, and where it may lie.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    pub mean: f64,
    pub low: f64,
    pub high: f64,
}

/// The confidence interval of the mean of a series, by the circular block bootstrap: whole blocks of `block`
/// neighbours are drawn `draws` times, so that what days have in common with the days after them stays in.
/// `confidence` is two-sided: 0.9 leaves 0.05 on each side. None for an empty series or no draws.
///
/// Politis and Romano, "A Circular Block-Resampling Procedure for Stationary Data" (1992); percentiles.
pub fn bootstrap(
    amounts: &[i64],
    block: usize,
    draws: usize,
    confidence: f64,
    seed: u64,
) -> Option<Interval> {
    let count = amounts.len();
    if count == 0 || draws == 0 || !(0.0..1.0).contains(&confidence) {
        return None;
    }
    let block = block.clamp(1, count);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut means: Vec<f64> = (0..draws)
        .map(|_| {
            let mut sum = 0;
            let mut left = count;
            while left > 0 {
                let start = below(&mut random, count);
                for step in 0..block.min(left) {
                    sum += amounts[(start + step) % count];
                }
                left = left.saturating_sub(block);
            }
            sum as f64 / count as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let beyond = libm::floor((1.0 - confidence) / 2.0 * draws as f64);
    // Fewer than half of the draws, so it indexes them.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 <= beyond < draws / 2")]
    let beyond = beyond as usize;
    let mean = amounts.iter().sum::<i64>() as f64 / count as f64;
    Some(Interval { mean, low: means[beyond], high: means[draws - 1 - beyond] })
}

/// The length of block by which a series of so many values is usually cut: its cube root, rounded up.
pub fn usual_block(count: usize) -> usize {
    (1..).find(|&block: &usize| block.saturating_pow(3) >= count).unwrap_or(1)
}

/// An index below `count`, drawn evenly (to 1 part in 2^64 / count).
fn below(random: &mut ChaCha8Rng, count: usize) -> usize {
    let wide = u128::from(random.next_u64()) * (count as u128);
    usize::try_from(wide >> 64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    use super::{Held, Interval, Permuted, bootstrap, shifted, usual_block};

    /// Five moves: +1, +2, -3, +4, +5 (the last wraps around the circle as its end).
    #[test]
    fn shifting_by_hand() {
        let prices = [0, 1, 3, 0, 4, 9];
        let held = [Held { entry: 0, exit: 2, long: true }, Held { entry: 2, exit: 3, long: false }];
        // As they were: +3 and +3. Shifted by 1: -1, -4; by 2: +1, -5; by 3: +9, -1; by 4: 6, -2.
        let found = shifted(&prices, &held, 1, 100);
        assert_eq!((found.others, found.as_good, found.p), (4, 0, 0.2));
        assert!((found.observed - 6.0 / 18_f64.sqrt()).abs() < 1e-15);
        // A short position instead of the first: -3 and +3 = 0; others: +1-4, -1-5, -9-1, -6-2, all below.
        let worse = [Held { long: false, ..held[0] }, held[1]];
        assert_eq!(shifted(&prices, &worse, 1, 100).as_good, 0);
        let short = [Held { long: true, ..held[1] }];
        // -3; others +4, +5, +1, +2: in the ratio all +1.
        assert_eq!(shifted(&prices, &short, 1, 100), Permuted::of(-1.0, 4, 4));
        assert_eq!(shifted(&prices, &short, 2, 100).others, 2);
        assert_eq!(shifted(&prices, &short, 1, 3).others, 3);
    }

    #[test]
    fn nothing_to_shift() {
        let held = [Held { entry: 0, exit: 1, long: true }];
        assert_eq!(shifted(&[], &held, 1, 10).p, 1.0);
        assert_eq!(shifted(&[1, 2, 3], &[], 1, 10).p, 1.0);
        assert_eq!(shifted(&[1, 2, 3], &held, 2, 10).p, 1.0);
    }

    /// Blind trades in a trend: nearly all of them long, all of them winning, and no better for it.
    #[test]
    fn a_trend_is_no_timing_and_timing_is_found() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let mut prices = vec![0_i64];
        let mut moves = Vec::new();
        for _ in 0..4000 {
            let moved = i64::from(random.next_u32() % 21) - 9;
            moves.push(moved);
            prices.push(prices[prices.len() - 1] + moved);
        }
        let blind: Vec<Held> =
            (0..180).map(|at| Held { entry: at * 22, exit: at * 22 + 15, long: true }).collect();
        let found = shifted(&prices, &blind, 100, 500);
        assert!(found.observed > 3.0 && found.p > 0.05, "{found:?}");
        // A third of the trades know the sign of their first move.
        let knowing: Vec<Held> = (0..180)
            .map(|at| {
                let entry = at * 22;
                let long = if at % 3 == 0 { moves[entry] > 0 } else { at % 2 == 0 };
                Held { entry, exit: entry + 1, long }
            })
            .collect();
        assert!(shifted(&prices, &knowing, 100, 500).p < 0.05);
    }

    /// A block as long as the series only turns it round: every mean is the mean.
    #[test]
    fn blocks() {
        let series = [3, -1, 4, -1, 5, -9, 2, 6];
        let whole = bootstrap(&series, 8, 50, 0.9, 1).unwrap();
        assert_eq!(whole, Interval { mean: 1.125, low: 1.125, high: 1.125 });
        assert_eq!(bootstrap(&series, 3, 50, 0.9, 1), bootstrap(&series, 3, 50, 0.9, 1));
        assert_eq!(bootstrap(&[], 3, 50, 0.9, 1), None);
        assert_eq!((usual_block(1), usual_block(27), usual_block(28)), (1, 3, 4));
    }

    /// Independent values: the interval is the normal one, mean +- 1.645 sd / sqrt(n). Values that come in
    /// tens: it is sqrt(10) times as wide, which blocks of one do not see.
    #[test]
    fn the_width_of_the_interval() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut draw = || i64::from(random.next_u32() % 2001) - 1000;
        let alone: Vec<i64> = (0..2000).map(|_| draw()).collect();
        let tens: Vec<i64> = (0..200).flat_map(|_| [draw(); 10]).collect();
        let width = |series: &[i64], block| {
            let interval = bootstrap(series, block, 1000, 0.9, 5).unwrap();
            assert!(interval.low < interval.mean && interval.mean < interval.high);
            interval.high - interval.low
        };
        let normal = 2.0 * 1.645 * 577.6 / 2000_f64.sqrt();
        assert!((width(&alone, 1) / normal - 1.0).abs() < 0.1);
        assert!((width(&alone, 40) / normal - 1.0).abs() < 0.2);
        assert!((width(&tens, 1) / normal - 1.0).abs() < 0.2);
        assert!((width(&tens, 40) / normal / 10_f64.sqrt() - 1.0).abs() < 0.25);
    }
}
