//! The grid's inner loops: 64 bars at a time, in plain loops that the compiler makes vectors of.
//!
//! Owns the cutting into blocks, the comparison of means as bits, and the run of positions over those
//! bits. Must give what the bar-by-bar definition gives, exactly: where 32 bits cannot hold the comparison,
//! 64 are used.

use pulp::{Arch, Simd, WithSimd};

use super::{BLOCK, Crossing, Outcome, Series};

/// Bars that one machine word holds a bit of.
const WORD: usize = 64;

/// Running sums of the closes, from any longest window before the first bar on.
pub struct Sums {
    /// Zeros before the first bar, so that a window may reach back there.
    before: usize,
    bars: usize,
    /// `wide[before + k]` is the sum of the first k closes.
    wide: Vec<i64>,
    /// The same modulo 2^32: differences that fit 32 bits come out exact.
    narrow: Vec<i32>,
    /// The highest less the lowest close of each block and the longest window before it.
    ranges: Vec<i64>,
}

impl Sums {
    /// Sums for windows up to a length.
    pub fn new(closes: &[i32], longest: usize) -> Self {
        let bars = closes.len();
        let padded = bars.next_multiple_of(WORD);
        let mut wide = vec![0; longest];
        let mut sum = 0_i64;
        wide.push(0);
        wide.extend(closes.iter().map(|close| {
            sum += i64::from(*close);
            sum
        }));
        wide.resize(longest + padded + 1, sum);
        #[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
        let narrow = wide.iter().map(|sum| *sum as i32).collect();
        let range = |start: usize| {
            let reach = &closes[start.saturating_sub(longest)..(start + BLOCK).min(bars)];
            let (low, high) = (reach.iter().min(), reach.iter().max());
            i64::from(high.copied().unwrap_or(0)) - i64::from(low.copied().unwrap_or(0))
        };
        let ranges = (0..bars).step_by(BLOCK).map(range).collect();
        Self { before: longest, bars, wide, narrow, ranges }
    }
}

/// A crossing between two words.
struct Runner {
    fast: usize,
    slow: usize,
    /// Whether the fast mean has been below the slow one.
    was_below: bool,
    held: bool,
    outcome: Outcome,
}

/// Some crossings on the whole series.
pub fn run(series: &Series, sums: &Sums, crossings: &[Crossing]) -> Vec<Outcome> {
    Arch::new().dispatch(Task { series, sums, crossings })
}

struct Task<'a> {
    series: &'a Series,
    sums: &'a Sums,
    crossings: &'a [Crossing],
}

impl WithSimd for Task<'_> {
    type Output = Vec<Outcome>;

    // Inlined, as is all that it calls, so that it is compiled for each set of instructions.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Vec<Outcome> {
        let Self { series, sums, crossings } = self;
        let mut runners: Vec<Runner> = crossings.iter().map(Runner::new).collect();
        let last = series.marks.last().copied().unwrap_or(0);
        for (start, range) in (0..sums.bars).step_by(BLOCK).zip(&sums.ranges) {
            let end = (start + BLOCK).min(sums.bars);
            for runner in &mut runners {
                let factors = i64::try_from(runner.fast * runner.slow).unwrap_or(i64::MAX);
                // Both means lie within the range, so their difference times both lengths does within this.
                if range.saturating_mul(factors) < i64::from(i32::MAX) {
                    runner.block(series, sums, &sums.narrow, start..end);
                } else {
                    runner.block(series, sums, &sums.wide, start..end);
                }
            }
        }
        for runner in runners.iter_mut().filter(|runner| runner.held) {
            runner.outcome.gross += last;
        }
        runners.into_iter().map(|runner| runner.outcome).collect()
    }
}

/// A whole number that wraps around: 32 or 64 bits.
trait Wrapping: Copy {
    /// From a window's length.
    fn of(length: usize) -> Self;
    /// `slow * (sum - before_fast) - fast * (sum - before_slow)`: has the sign of the fast mean less the
    /// slow one.
    fn difference(slow: Self, fast: Self, sum: Self, before_fast: Self, before_slow: Self) -> Self;
    fn is_positive(self) -> bool;
    fn is_negative(self) -> bool;
}

macro_rules! wrapping {
    ($($type:ty)*) => {$(
        impl Wrapping for $type {
            #[inline(always)]
            fn of(length: usize) -> Self {
                // Lengths are at most `Crossing::LONGEST`.
                Self::try_from(length).unwrap_or(Self::MAX)
            }

            #[inline(always)]
            fn difference(slow: Self, fast: Self, sum: Self, before_fast: Self, before_slow: Self) -> Self {
                let of_fast = slow.wrapping_mul(sum.wrapping_sub(before_fast));
                of_fast.wrapping_sub(fast.wrapping_mul(sum.wrapping_sub(before_slow)))
            }

            #[inline(always)]
            fn is_positive(self) -> bool {
                self > 0
            }

            #[inline(always)]
            fn is_negative(self) -> bool {
                self < 0
            }
        }
    )*};
}

wrapping!(i32 i64);

impl Runner {
    fn new(crossing: &Crossing) -> Self {
        Self {
            fast: crossing.fast as usize,
            slow: crossing.slow as usize,
            was_below: false,
            held: false,
            outcome: Outcome::default(),
        }
    }

    #[inline(always)]
    fn block<T: Wrapping>(
        &mut self,
        series: &Series,
        sums: &Sums,
        prefix: &[T],
        bars: std::ops::Range<usize>,
    ) {
        let (fast, slow) = (T::of(self.fast), T::of(self.slow));
        for first in bars.clone().step_by(WORD) {
            // The sum up to and including bar `first` and its 63 successors.
            let at = sums.before + first + 1;
            let now = &prefix[at..at + WORD];
            let before_fast = &prefix[at - self.fast..at - self.fast + WORD];
            let before_slow = &prefix[at - self.slow..at - self.slow + WORD];
            let (mut above, mut below) = (0_u64, 0_u64);
            for bit in 0..WORD {
                let difference = T::difference(slow, fast, now[bit], before_fast[bit], before_slow[bit]);
                above |= u64::from(difference.is_positive()) << bit;
                below |= u64::from(difference.is_negative()) << bit;
            }
            // Bars before the slow window is full, and those after the last, say nothing.
            let mut known = u64::MAX;
            if first + 1 < self.slow {
                known = u64::MAX.checked_shl(u32::try_from(self.slow - 1 - first).unwrap_or(64)).unwrap_or(0);
            }
            if first + WORD > bars.end {
                known &= u64::MAX >> (first + WORD - bars.end);
            }
            self.word(series, first, above & known, below & known);
        }
    }

    /// Runs the position over 64 bars.
    #[inline(always)]
    fn word(&mut self, series: &Series, first: usize, mut above: u64, below: u64) {
        if !self.was_below {
            // Standing above counts only after having stood below.
            above = if below == 0 { 0 } else { above & !((below & below.wrapping_neg()) - 1) };
            self.was_below = below != 0;
        }
        // The position is bought where the mean is above, sold where it is below, and kept where it is
        // equal: that is how an addition carries, with a carry made where both summands have a bit, and
        // passed on where one has. The carry into a bit is the position before it.
        let (summand, carry_in) = (!below, u64::from(self.held));
        let (partial, first_over) = summand.overflowing_add(above);
        let (sum, second_over) = partial.overflowing_add(carry_in);
        let before = sum ^ summand ^ above;
        self.held = first_over | second_over;
        let after = before >> 1 | u64::from(self.held) << (WORD - 1);
        let mut changes = before ^ after;
        while changes != 0 {
            let bit = changes.trailing_zeros();
            let at = first + bit as usize;
            if after >> bit & 1 == 1 {
                self.outcome.enter(series, at);
            } else {
                self.outcome.exit(series, at);
            }
            changes &= changes - 1;
        }
    }
}
