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
/// Windows that are counted together, for one length after the other: few enough that their counts stay in the
/// nearest cache, and that a count of them fits a byte in each of the [`LANES`].
const TILE: usize = 64 * LANES;

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
    let lengths: Vec<Length> =
        WINDOW_BITS.map(|window| Length::new(window, collapse, sums.ruptures.len())).collect();
    let tiles: Vec<usize> = (0..sums.ruptures.len()).step_by(TILE).collect();
    let nothing = || vec![(0, 0); lengths.len()];
    let counts = tiles
        .par_iter()
        .map(|start| arch.dispatch(Task { sums: &sums, lengths: &lengths, start: *start }))
        .reduce(nothing, |mut left, right| {
            for (left, right) in left.iter_mut().zip(right) {
                *left = (left.0 + right.0, left.1 + right.1);
            }
            left
        });
    let census = |(length, (rising, falling)): (&Length, (usize, usize))| Census {
        window: length.window,
        windows: length.windows,
        rising,
        falling,
    };
    lengths.iter().zip(counts).map(census).collect()
}

/// What there is to know of a length before its windows are looked at.
struct Length {
    window: u32,
    windows: usize,
    /// From the count at a window's beginning to that at its end.
    reach: usize,
    /// The fewest transitions that reach the share; none where all of them do not.
    least: Option<u8>,
}

impl Length {
    fn new(window: u32, collapse: f64, counts: usize) -> Self {
        let transitions = u8::try_from(window - 1).unwrap_or(u8::MAX);
        let reach = usize::from(transitions);
        // Compared as shares are, by division.
        let enough = |count: &u8| f64::from(*count) / f64::from(transitions) >= collapse;
        Self { window, windows: counts.saturating_sub(reach), reach, least: (0..=transitions).find(enough) }
    }
}

/// Running counts of transitions modulo 256; a window's own counts are below that, so that differences
/// are exact.
struct Sums {
    ruptures: Vec<u8>,
    nulls: Vec<u8>,
}

impl Sums {
    fn new(bars: &Bars) -> Self {
        // Arrays of bytes one after the other: each loop is one that the compiler makes vectors of, but for
        // the running sum itself.
        let closes: Vec<i32> =
            bars.bid.close.iter().zip(&bars.ask.close).map(|(bid, ask)| bid + ask).collect();
        let pairs = closes.iter().zip(closes.iter().skip(1));
        let rises: Vec<u8> = pairs.map(|(before, close)| u8::from(close > before)).collect();
        let (ruptures, nulls) =
            rayon::join(|| running(&rises, |a, b| a & b), || running(&rises, |a, b| 1 - (a | b)));
        Self { ruptures, nulls }
    }
}

/// Running counts modulo 256 of the transitions that are 1, before the first of them and after each.
fn running(rises: &[u8], transition: impl Fn(u8, u8) -> u8) -> Vec<u8> {
    /// A one in each of eight bytes: times a word of eight small bytes, it gives their running sums.
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const TOPS: u64 = ONES << 7;
    let transitions: Vec<u8> =
        rises.iter().zip(rises.iter().skip(1)).map(|(a, b)| transition(*a, *b)).collect();
    let mut sums = Vec::with_capacity(transitions.len() + 1);
    let mut sum = 0_u8;
    sums.push(sum);
    let (words, rest) = transitions.as_chunks::<8>();
    for word in words {
        let (own, before) = (u64::from_le_bytes(*word).wrapping_mul(ONES), u64::from(sum) * ONES);
        // Byte by byte: the carries between them are left out.
        let eight = ((own & !TOPS) + (before & !TOPS)) ^ ((own ^ before) & TOPS);
        let eight = eight.to_le_bytes();
        sums.extend_from_slice(&eight);
        sum = eight[7];
    }
    for transition in rest {
        sum = sum.wrapping_add(*transition);
        sums.push(sum);
    }
    sums
}

/// The windows of all lengths that begin in a tile.
struct Task<'a> {
    sums: &'a Sums,
    lengths: &'a [Length],
    start: usize,
}

impl WithSimd for Task<'_> {
    type Output = Vec<(usize, usize)>;

    // Inlined, as is all that it calls, so that it is compiled for each set of instructions.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Vec<(usize, usize)> {
        let Sums { ruptures, nulls } = self.sums;
        let mut counts = Vec::with_capacity(self.lengths.len());
        for Length { windows, reach, least, .. } in self.lengths {
            let old = self.start..(self.start + TILE).min(*windows);
            let new = old.start + reach..old.end + reach;
            counts.push(match least {
                Some(least) if !old.is_empty() => {
                    part(*least, (&ruptures[new.clone()], &ruptures[old.clone()]), (&nulls[new], &nulls[old]))
                }
                _ => (0, 0),
            });
        }
        counts
    }
}

/// Collapses, rising and falling, among the windows of a tile: those with at least so many ruptures, or nulls, by
/// the running counts at their ends and at their beginnings.
#[inline(always)]
fn part(least: u8, ruptures: (&[u8], &[u8]), nulls: (&[u8], &[u8])) -> (usize, usize) {
    let (ruptures_new, ruptures_rest) = ruptures.0.as_chunks::<LANES>();
    let (ruptures_old, ruptures_old_rest) = ruptures.1.as_chunks::<LANES>();
    let (nulls_new, nulls_rest) = nulls.0.as_chunks::<LANES>();
    let (nulls_old, nulls_old_rest) = nulls.1.as_chunks::<LANES>();
    let collapses = |new: u8, old: u8| u8::from(new.wrapping_sub(old) >= least);
    let (mut rising, mut falling) = ([0_u8; LANES], [0_u8; LANES]);
    for step in 0..ruptures_new.len() {
        for lane in 0..LANES {
            rising[lane] += collapses(ruptures_new[step][lane], ruptures_old[step][lane]);
            falling[lane] += collapses(nulls_new[step][lane], nulls_old[step][lane]);
        }
    }
    let (mut all_rising, mut all_falling) = (0, 0);
    for lane in 0..LANES {
        all_rising += usize::from(rising[lane]);
        all_falling += usize::from(falling[lane]);
    }
    for at in 0..ruptures_rest.len() {
        all_rising += usize::from(collapses(ruptures_rest[at], ruptures_old_rest[at]));
        all_falling += usize::from(collapses(nulls_rest[at], nulls_old_rest[at]));
    }
    (all_rising, all_falling)
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
