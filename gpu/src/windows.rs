//! How often windows collapse: the rupture share of every window of every length over a whole series.
//!
//! Owns the counting, by running sums modulo 256, 64 windows side by side. It tells how rare a collapse
//! threshold is on given candles, before a search is asked for it. Must agree with
//! [`crate::qfh::Window::transitions`]; knows nothing of scores.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::bars::Bars;
use crate::qfh::WINDOW_BITS;

/// Windows side by side: what the widest registers hold of bytes.
const LANES: usize = 64;
/// Steps after which a count that fits a byte must be moved to a wider one.
const STEPS: usize = 255;

/// The windows of one length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Census {
    /// Bits of each.
    pub window: u32,
    /// How many there are: one for each bar at which so many bits are known.
    pub windows: usize,
    /// Those whose share of ruptures (two rises in a row) reaches the threshold.
    pub rising: usize,
    /// Those whose share of nulls (two bars in a row that do not rise) does.
    pub falling: usize,
}

/// Counts the windows of every length, 2 to 64 bits, that collapse: whose share of ruptures, or of nulls,
/// is `collapse` or more.
pub fn census(bars: &Bars, collapse: f64) -> Vec<Census> {
    let sums = Sums::new(bars);
    let arch = Arch::new();
    let of = |window| arch.dispatch(Task { sums: &sums, window, collapse });
    WINDOW_BITS.into_par_iter().map(of).collect()
}

/// Running counts of transitions modulo 256; a window's own counts are below that, so that differences
/// are exact.
struct Sums {
    flips: Vec<u8>,
    ruptures: Vec<u8>,
}

impl Sums {
    fn new(bars: &Bars) -> Self {
        // Arrays of bytes one after the other: each loop is one that the compiler makes vectors of, but for
        // the running sum itself.
        let closes: Vec<i32> =
            bars.bid.close.iter().zip(&bars.ask.close).map(|(bid, ask)| bid + ask).collect();
        let pairs = closes.iter().zip(closes.iter().skip(1));
        let rises: Vec<u8> = pairs.map(|(before, close)| u8::from(close > before)).collect();
        let sums = |counts: fn(u8, u8) -> u8| {
            let of: Vec<u8> = rises.iter().zip(rises.iter().skip(1)).map(|(a, b)| counts(*a, *b)).collect();
            let mut sum = 0_u8;
            // Before the first transition there are none.
            let mut sums = vec![0; of.len() + 1];
            for (place, count) in sums[1..].iter_mut().zip(&of) {
                sum = sum.wrapping_add(*count);
                *place = sum;
            }
            sums
        };
        Self { flips: sums(|a, b| a ^ b), ruptures: sums(|a, b| a & b) }
    }
}

struct Task<'a> {
    sums: &'a Sums,
    window: u32,
    collapse: f64,
}

impl WithSimd for Task<'_> {
    type Output = Census;

    // Inlined, as is all that it calls, so that it is compiled for each set of instructions.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Census {
        let transitions = u8::try_from(self.window - 1).unwrap_or(u8::MAX);
        let reach = usize::from(transitions);
        let all = self.sums.ruptures.len();
        let windows = all.saturating_sub(reach);
        let mut census = Census { window: self.window, windows, rising: 0, falling: 0 };
        if windows == 0 {
            return census;
        }
        // The fewest that reach the share; compared as shares are, by division.
        let enough = |count: &u8| f64::from(*count) / f64::from(transitions) >= self.collapse;
        let Some(least) = (0..=transitions).find(enough) else { return census };
        let limits = [transitions, least];
        let (new, old) = (reach..all, 0..windows);
        let flips = (&self.sums.flips[new.clone()], &self.sums.flips[old.clone()]);
        let ruptures = (&self.sums.ruptures[new], &self.sums.ruptures[old]);
        let mut at = 0;
        while at < windows {
            let end = (at + LANES * STEPS).min(windows);
            let (rising, falling) = part(
                limits,
                (&flips.0[at..end], &flips.1[at..end]),
                (&ruptures.0[at..end], &ruptures.1[at..end]),
            );
            census.rising += rising;
            census.falling += falling;
            at = end;
        }
        census
    }
}

/// Collapses among at most [`LANES`] times [`STEPS`] windows, from the running counts at their ends and at
/// their beginnings.
#[inline(always)]
fn part(limits: [u8; 2], flips: (&[u8], &[u8]), ruptures: (&[u8], &[u8])) -> (usize, usize) {
    let (flips_new, flips_rest) = flips.0.as_chunks::<LANES>();
    let (flips_old, flips_old_rest) = flips.1.as_chunks::<LANES>();
    let (ruptures_new, ruptures_rest) = ruptures.0.as_chunks::<LANES>();
    let (ruptures_old, ruptures_old_rest) = ruptures.1.as_chunks::<LANES>();
    let (mut rising, mut falling) = ([0_u8; LANES], [0_u8; LANES]);
    for step in 0..flips_new.len() {
        for lane in 0..LANES {
            let (up, down) = collapses(
                limits,
                flips_new[step][lane].wrapping_sub(flips_old[step][lane]),
                ruptures_new[step][lane].wrapping_sub(ruptures_old[step][lane]),
            );
            rising[lane] += up;
            falling[lane] += down;
        }
    }
    let (mut all_rising, mut all_falling) = (0, 0);
    for lane in 0..LANES {
        all_rising += usize::from(rising[lane]);
        all_falling += usize::from(falling[lane]);
    }
    for at in 0..flips_rest.len() {
        let (up, down) = collapses(
            limits,
            flips_rest[at].wrapping_sub(flips_old_rest[at]),
            ruptures_rest[at].wrapping_sub(ruptures_old_rest[at]),
        );
        all_rising += usize::from(up);
        all_falling += usize::from(down);
    }
    (all_rising, all_falling)
}

/// Whether a window with so many flips and ruptures collapses, rising and falling, as 0 or 1.
#[inline(always)]
fn collapses([transitions, least]: [u8; 2], flips: u8, ruptures: u8) -> (u8, u8) {
    let nulls = transitions.wrapping_sub(flips).wrapping_sub(ruptures);
    (u8::from(ruptures >= least), u8::from(nulls >= least))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qfh::Window;
    use crate::synth::{Spec, generate};

    fn bars(count: usize) -> Bars {
        Bars::new(&generate(&Spec::new("EUR_USD".parse().unwrap(), count, 4)).unwrap())
    }

    /// The same, window by window.
    fn one_by_one(bars: &Bars, collapse: f64) -> Vec<Census> {
        let mut all: Vec<Census> =
            WINDOW_BITS.map(|window| Census { window, windows: 0, rising: 0, falling: 0 }).collect();
        let mut bits = 0;
        for bar in 1..bars.len() {
            bits = bits << 1 | u64::from(bars.mid2_close(bar) > bars.mid2_close(bar - 1));
            for census in all.iter_mut().filter(|census| census.window as usize <= bar) {
                let transitions = Window { bits, length: census.window }.transitions();
                census.windows += 1;
                census.rising += usize::from(transitions.share(transitions.ruptures) >= collapse);
                census.falling += usize::from(transitions.share(transitions.nulls) >= collapse);
            }
        }
        all
    }

    #[test]
    fn every_window_is_counted_as_one_by_one() {
        let long = bars(40_000);
        assert_eq!(census(&long, 0.6), one_by_one(&long, 0.6));
        for (count, collapse) in [(0, 0.5), (1, 0.5), (2, 0.5), (65, 0.3), (700, 0.0), (700, 1.0), (700, 1.1)]
        {
            let short = bars(count);
            assert_eq!(census(&short, collapse), one_by_one(&short, collapse), "{count} bars, {collapse}");
        }
        let eleven = census(&long, 0.6)[9];
        assert!(eleven.window == 11 && eleven.rising > 1_000 && eleven.rising < eleven.windows / 5);
    }
}
