//! The dual moving average: long while the fast mean of the closes is above the slow one.
//!
//! Owns the rule, its exact evaluation over a grid, and nothing of QFH: it is the strategy that everybody
//! tries first, a base rate for reports and the yardstick of the benchmarks. All in integers. The rule, that
//! of vectorbt's `from_signals` on crossings: bought at the close of the bar in which the fast mean comes to
//! stand above the slow one, having stood below before (being equal changes nothing), sold at the close of
//! the bar in which it falls below; what is still held at the end is valued at the last close, unsold.

use rayon::prelude::*;

use crate::bars::Bars;

mod lanes;

/// Bars of one block: its sums stay in the first-level cache while all variants pass over them.
const BLOCK: usize = 4_096;
/// Variants that a thread takes on at a time.
const CHUNK: usize = 32;

/// One unit of [`Series::returns`]' results: so many make one in the natural logarithm.
pub const LOG_UNITS: f64 = (1_u64 << 40) as f64;

/// A pair of window lengths, in bars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Crossing {
    pub fast: u32,
    pub slow: u32,
}

/// What a crossing came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Sum over all positions of the mark at their end less the mark at their beginning, without costs.
    pub gross: i64,
    /// Sum of the costs of all entries and exits.
    pub cost: i64,
    /// Positions bought, the one still held at the end among them.
    pub entries: u32,
    /// Positions sold.
    pub exits: u32,
}

/// Closes, what a unit held is worth at each of them, and what it costs to buy or sell there.
#[derive(Debug, Clone)]
pub struct Series {
    /// Closes in any whole unit; the means are taken of these.
    closes: Vec<i32>,
    marks: Vec<i64>,
    costs: Vec<i64>,
}

/// What cannot be worked out.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SmaError {
    #[error("a fee of {found}: expected a share from 0 to less than 1")]
    Fee { found: f64 },
    #[error("means of {fast} and {slow} bars: expected 1 <= fast < slow <= {}", Crossing::LONGEST)]
    Crossing { fast: u32, slow: u32 },
}

impl Crossing {
    /// The longest window: sums of so many closes, times another window, fit 64 bits.
    pub const LONGEST: u32 = 1 << 16;

    const fn is_sound(self) -> bool {
        0 < self.fast && self.fast < self.slow && self.slow <= Self::LONGEST
    }

    /// Every pair of these lengths whose first is the shorter one.
    pub fn of_lengths(lengths: &[u32]) -> Vec<Self> {
        let pairs = |&fast: &u32| {
            lengths.iter().filter(move |slow| fast < **slow).map(move |&slow| Self { fast, slow })
        };
        lengths.iter().flat_map(pairs).collect()
    }
}

impl Outcome {
    /// After costs.
    pub const fn net(&self) -> i64 {
        self.gross - self.cost
    }

    /// Of a series of [`Series::returns`]: what one unit of money has become at the end, reinvested, less
    /// one, without costs and after them.
    pub fn total_return(&self) -> (f64, f64) {
        let grown = |units: i64| libm::expm1(units as f64 / LOG_UNITS);
        (grown(self.gross), grown(self.net()))
    }
}

impl Series {
    /// Results in half ticks a unit: means and marks are those of the mid price, a purchase or sale costs
    /// half the spread of its bar.
    pub fn ticks(bars: &Bars) -> Self {
        let closes: Vec<i32> = (0..bars.len()).map(|bar| bars.mid2_close(bar)).collect();
        let marks = closes.iter().map(|close| i64::from(*close)).collect();
        let spread = |(bid, ask): (&i32, &i32)| i64::from(ask - bid);
        let costs = bars.bid.close.iter().zip(&bars.ask.close).map(spread).collect();
        Self { closes, marks, costs }
    }

    /// Results are logarithms of the mid price in units of 1 / [`LOG_UNITS`], since these add up where
    /// returns multiply. Each purchase and sale costs a share of the traded amount, 0 to less than 1.
    pub fn returns(bars: &Bars, fee: f64) -> Result<Self, SmaError> {
        if !(0.0..1.0).contains(&fee) {
            return Err(SmaError::Fee { found: fee });
        }
        Ok(Self::of_closes((0..bars.len()).map(|bar| bars.mid2_close(bar)).collect(), fee))
    }

    fn of_closes(closes: Vec<i32>, fee: f64) -> Self {
        let marks: Vec<i64> = closes.iter().map(|close| log_units(f64::from(*close))).collect();
        // Money m buys m / (1 + fee) worth of the thing, and selling s leaves s (1 - fee). Each is booked as
        // half of both, so that a whole trade is exact.
        let costs = vec![(log_units(1.0 + fee) - log_units(1.0 - fee)) / 2; closes.len()];
        Self { closes, marks, costs }
    }

    /// Bars.
    pub fn len(&self) -> usize {
        self.closes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.closes.is_empty()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "logarithms of 32-bit numbers in 2^-40 fit 46 bits")]
fn log_units(x: f64) -> i64 {
    libm::round(libm::log(x) * LOG_UNITS) as i64
}

/// Every crossing on the series, in their order. Equal to [`outcome`] in every digit.
pub fn grid(series: &Series, crossings: &[Crossing]) -> Result<Vec<Outcome>, SmaError> {
    if let Some(bad) = crossings.iter().find(|crossing| !crossing.is_sound()) {
        return Err(SmaError::Crossing { fast: bad.fast, slow: bad.slow });
    }
    let longest = crossings.iter().map(|crossing| crossing.slow as usize).max().unwrap_or(1);
    let sums = lanes::Sums::new(&series.closes, longest);
    let chunks = crossings.par_chunks(CHUNK).map(|chunk| lanes::run(series, &sums, chunk));
    Ok(chunks.collect::<Vec<_>>().concat())
}

/// One crossing on the series, bar by bar: the definition, which [`grid`] gives faster.
pub fn outcome(series: &Series, crossing: Crossing) -> Result<Outcome, SmaError> {
    if !crossing.is_sound() {
        return Err(SmaError::Crossing { fast: crossing.fast, slow: crossing.slow });
    }
    let (fast, slow) = (crossing.fast as usize, crossing.slow as usize);
    let sum = |closes: &[i32]| closes.iter().map(|close| i64::from(*close)).sum::<i64>();
    let mut of_fast = 0;
    let mut of_slow = sum(&series.closes[..series.len().min(slow - 1)]);
    if series.len() >= slow {
        of_fast = sum(&series.closes[slow - fast..slow - 1]);
    }
    let (mut outcome, mut held, mut was_below) = (Outcome::default(), false, false);
    for at in slow - 1..series.len() {
        of_fast += i64::from(series.closes[at]);
        of_slow += i64::from(series.closes[at]);
        // The mean of the fast window less that of the slow one, times both lengths.
        let difference = i64::from(crossing.slow) * of_fast - i64::from(crossing.fast) * of_slow;
        of_fast -= i64::from(series.closes[at + 1 - fast]);
        of_slow -= i64::from(series.closes[at + 1 - slow]);
        if !held && was_below && difference > 0 {
            held = true;
            outcome.enter(series, at);
        } else if held && difference < 0 {
            held = false;
            outcome.exit(series, at);
        }
        was_below |= difference < 0;
    }
    if held {
        outcome.gross += series.marks.last().copied().unwrap_or(0);
    }
    Ok(outcome)
}

impl Outcome {
    fn enter(&mut self, series: &Series, at: usize) {
        self.gross -= series.marks[at];
        self.cost += series.costs[at];
        self.entries += 1;
    }

    fn exit(&mut self, series: &Series, at: usize) {
        self.gross += series.marks[at];
        self.cost += series.costs[at];
        self.exits += 1;
    }
}

#[cfg(test)]
mod tests;
