//! The probability of backtest overfitting, by combinatorially symmetric cross-validation.
//!
//! Owns the 12,870 ways to choose on one half of 16 slices and to look at the other half. Must not decide how
//! much of it is too much (that is the gate's).
//!
//! Bailey, Borwein, Lopez de Prado and Zhu, "The Probability of Backtest Overfitting", Journal of Computational
//! Finance 20 (2017). The measure of performance is [`Cell::ratio`]: additive parts, so that a half is a sum of
//! slices; the same scale for variants that trade rarely and often; and no division by a variance that one
//! slice's two trades pretend to know. Compared is its square with its sign, which orders alike without a root.

use std::ops::Range;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::verdict::matrix::{Cell, Matrix};

/// Variants worked on together: enough to make a task worth its start.
const CHUNK: usize = 64;

/// The variant of a split in which none was chosen.
const NONE: u64 = u64::MAX;

/// What the halves said.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Overfit {
    /// Ways to halve the slices in which some variant traded in the first half.
    pub splits: usize,
    /// Whether any two variants came out differently on any slice. Where none did, the search was one variant or
    /// as good as one: nothing was chosen, so that nothing can be overfitted by choosing.
    pub chosen: bool,
    /// The share of them in which the best of the first half came out at or below the middle of all variants
    /// in the second: the PBO. 1 where nothing traded, since nothing was found; 0 where nothing was chosen: the
    /// definition compares what was chosen with what was not, and would call the only one its own middle.
    pub probability: f64,
    /// The share of them in which it lost money in the second half.
    pub loss: f64,
    /// The median of logit(rank / (variants + 1)) of the best of the first half in the second; 0 is the middle.
    pub median_logit: f64,
}

/// Why there is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} slices cannot be halved: an even number from 2 to 16 is needed")]
pub struct NotHalvable(pub usize);

/// Plays all halvings of the matrix's slices.
///
/// Looks at every variant on every split twice, and gives the same for any number of threads.
pub fn overfit(matrix: &Matrix) -> Result<Overfit, NotHalvable> {
    let slices = matrix.slices();
    if slices == 0 || slices > 16 || !slices.is_multiple_of(2) {
        return Err(NotHalvable(slices));
    }
    let halvings = Halvings::new(slices);
    let arch = pulp::Arch::new();
    let variants: Vec<&[Cell]> = matrix.rows().collect();
    let best = variants
        .par_chunks(CHUNK)
        .enumerate()
        .fold(
            || (Best::new(&halvings), Sums::new(&halvings)),
            |(mut best, mut sums), (chunk, rows)| {
                for (variant, row) in (0_u64..).zip(rows) {
                    let variant = chunk as u64 * CHUNK as u64 + variant;
                    arch.dispatch(|| {
                        sums.fill(&halvings, row);
                        best.challenge(&halvings, &sums, variant);
                    });
                }
                (best, sums)
            },
        )
        .map(|(best, _)| best)
        .reduce(|| Best::new(&halvings), Best::or);
    let chosen: Vec<Option<Score>> = halvings
        .halves()
        .zip(&best.variants)
        .map(|(half, &variant)| outside(matrix, variant, half))
        .collect();
    let decided: Vec<Score> = chosen.iter().map(|score| score.unwrap_or(Score::NOTHING)).collect();
    let below = variants
        .par_chunks(CHUNK)
        .fold(
            || (vec![0_u64; halvings.splits], Sums::new(&halvings)),
            |(mut below, mut sums), rows| {
                for row in rows {
                    arch.dispatch(|| {
                        sums.fill(&halvings, row);
                        rank(&halvings, &sums, &decided, &mut below);
                    });
                }
                (below, sums)
            },
        )
        .map(|(below, _)| below)
        .reduce(
            || vec![0; halvings.splits],
            |mut left, right| {
                for (left, right) in left.iter_mut().zip(right) {
                    *left += right;
                }
                left
            },
        );
    let differ = variants.windows(2).any(|rows| rows[0] != rows[1]);
    Ok(conclude(&chosen, &below, variants.len(), differ))
}

fn conclude(chosen: &[Option<Score>], below: &[u64], variants: usize, differ: bool) -> Overfit {
    let decided: Vec<(Score, u64)> =
        chosen.iter().zip(below).filter_map(|(score, &below)| Some(((*score)?, below))).collect();
    let splits = decided.len();
    if splits == 0 {
        return Overfit { splits, chosen: differ, probability: 1.0, loss: 1.0, median_logit: f64::MIN };
    }
    // The middle rank of equals is (2 below + equal + 1) / 2; the share is that of variants + 1.
    let shares = decided.iter().map(|&(_, below)| (below as f64 + 1.0) / 2.0 / (variants as f64 + 1.0));
    let mut logits: Vec<f64> = shares.map(|share| libm::log(share / (1.0 - share))).collect();
    logits.sort_by(f64::total_cmp);
    let share = |count: usize| count as f64 / splits as f64;
    let overfitted = logits.iter().filter(|&&logit| logit <= 0.0).count();
    Overfit {
        splits,
        chosen: differ,
        probability: if differ { share(overfitted) } else { 0.0 },
        loss: share(decided.iter().filter(|(score, _)| score.net < 0.0).count()),
        median_logit: f64::midpoint(logits[(splits - 1) / 2], logits[splits / 2]),
    }
}

/// The signed square of a ratio as a fraction, compared by cross-multiplication: no root, no division.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Score {
    /// Net profit times its own size.
    net: f64,
    /// The sum of squares; 0 where nothing was traded.
    squares: f64,
}

impl Score {
    /// What a half earned in which nothing was traded: nothing.
    const NOTHING: Self = Self { net: 0.0, squares: 1.0 };

    fn of(net: f64, squares: f64) -> Self {
        Self { net: net * net.abs(), squares }
    }
}

/// The best variant of each first half so far.
struct Best {
    net: Vec<f64>,
    squares: Vec<f64>,
    variants: Vec<u64>,
}

impl Best {
    /// Below every half that has trades, and equal to one that has none.
    fn new(halvings: &Halvings) -> Self {
        Self {
            net: vec![-1.0; halvings.splits],
            squares: vec![0.0; halvings.splits],
            variants: vec![NONE; halvings.splits],
        }
    }

    /// Sets a later variant against the best so far.
    #[inline(always)]
    fn challenge(&mut self, halvings: &Halvings, sums: &Sums, variant: u64) {
        for subset in &halvings.subsets {
            let (net, squares) = sums.older[subset.mask];
            let splits = subset.from..subset.from + subset.partners.len();
            let newer = sums.net[subset.partners.clone()].iter().zip(&sums.squares[subset.partners.clone()]);
            let best = self.net[splits.clone()].iter_mut().zip(&mut self.squares[splits.clone()]);
            for (((best_net, best_squares), chosen), (newer_net, newer_squares)) in
                best.zip(&mut self.variants[splits]).zip(newer)
            {
                let score = Score::of(net + newer_net, squares + newer_squares);
                let higher = score.net * *best_squares > *best_net * score.squares;
                *best_net = if higher { score.net } else { *best_net };
                *best_squares = if higher { score.squares } else { *best_squares };
                *chosen = if higher { variant } else { *chosen };
            }
        }
    }

    /// The higher of both by split; of equals the first variant, so that the order of merging is no matter.
    fn or(mut self, other: Self) -> Self {
        for split in 0..self.net.len() {
            let (left, right) =
                (self.net[split] * other.squares[split], other.net[split] * self.squares[split]);
            if right > left || (right == left && other.variants[split] < self.variants[split]) {
                self.net[split] = other.net[split];
                self.squares[split] = other.squares[split];
                self.variants[split] = other.variants[split];
            }
        }
        self
    }
}

/// Counts a variant below, or level with, the chosen one in the other half of every split: 2 where it is
/// below, 1 where both are equal.
#[inline(always)]
fn rank(halvings: &Halvings, sums: &Sums, chosen: &[Score], below: &mut [u64]) {
    for subset in &halvings.subsets {
        let (net, squares) = sums.older[subset.mask];
        let (net, squares) = (sums.whole.0 - net, sums.whole.1 - squares);
        let splits = subset.from..subset.from + subset.partners.len();
        let newer = sums.net[subset.partners.clone()].iter().zip(&sums.squares[subset.partners.clone()]);
        for ((below, chosen), (newer_net, newer_squares)) in
            below[splits.clone()].iter_mut().zip(&chosen[splits]).zip(newer)
        {
            // Squares are whole numbers: with any trade that moved they are at least 1.
            let score = Score::of(net - newer_net, (squares - newer_squares).max(1.0));
            let (theirs, ours) = (score.net * chosen.squares, chosen.net * score.squares);
            *below += u64::from(theirs < ours) + u64::from(theirs <= ours);
        }
    }
}

/// What the chosen variant did in the slices outside the half that it was chosen on; None where none was.
fn outside(matrix: &Matrix, variant: u64, half: usize) -> Option<Score> {
    let row = matrix.row(usize::try_from(variant).ok()?);
    if row.is_empty() {
        return None;
    }
    let (net, squares) = sum(row, !half);
    Some(Score::of(net, squares.max(1.0)))
}

/// The splits, in the order in which they are worked on. Sets of slices are bit masks.
struct Halvings {
    /// How many of the slices make up the older group; the others are the newer one.
    older: usize,
    /// All subsets of the newer group, the smaller first.
    newer: Vec<usize>,
    /// All subsets of the older group.
    subsets: Vec<Subset>,
    splits: usize,
}

/// A subset of the older slices, and the subsets of the newer ones that fill it up to a half.
struct Subset {
    mask: usize,
    /// Where they stand among the newer subsets, side by side.
    partners: Range<usize>,
    /// The number of the first split made with them.
    from: usize,
}

impl Halvings {
    fn new(slices: usize) -> Self {
        let older = slices / 2;
        let size = |mask: usize| (0..slices).filter(|slice| mask >> slice & 1 == 1).count();
        let mut newer: Vec<usize> = (0..1 << (slices - older)).collect();
        newer.sort_by_key(|&mask| (size(mask), mask));
        let mut splits = 0;
        let mut subsets = Vec::new();
        for mask in 0..1 << older {
            let missing = older - size(mask);
            let start = newer.partition_point(|&mask| size(mask) < missing);
            let partners = start..newer.partition_point(|&mask| size(mask) <= missing);
            let from = splits;
            splits += partners.len();
            subsets.push(Subset { mask, partners, from });
        }
        Self { older, newer, subsets, splits }
    }

    /// The first half of every split, as a set of all slices.
    fn halves(&self) -> impl Iterator<Item = usize> {
        self.subsets.iter().flat_map(|subset| {
            self.newer[subset.partners.clone()].iter().map(|newer| subset.mask | newer << self.older)
        })
    }
}

/// One variant's net and squares on all subsets of its older and its newer slices. Whole numbers, exact as
/// doubles up to 2^53.
struct Sums {
    older: Vec<(f64, f64)>,
    net: Vec<f64>,
    squares: Vec<f64>,
    whole: (f64, f64),
    /// Room for the newer subsets in the order of their masks.
    by_mask: Vec<(f64, f64)>,
}

impl Sums {
    fn new(halvings: &Halvings) -> Self {
        let newer = vec![0.0; halvings.newer.len()];
        Self {
            older: vec![(0.0, 0.0); halvings.subsets.len()],
            net: newer.clone(),
            by_mask: vec![(0.0, 0.0); newer.len()],
            squares: newer,
            whole: (0.0, 0.0),
        }
    }

    fn fill(&mut self, halvings: &Halvings, row: &[Cell]) {
        let (older, newer) = row.split_at(halvings.older);
        subset_sums(older, &mut self.older);
        subset_sums(newer, &mut self.by_mask);
        for (at, &mask) in halvings.newer.iter().enumerate() {
            (self.net[at], self.squares[at]) = self.by_mask[mask];
        }
        self.whole = sum(row, usize::MAX);
    }
}

/// Net and squares of every set of these slices, by mask: each is that without its highest slice, plus it.
fn subset_sums(cells: &[Cell], sums: &mut [(f64, f64)]) {
    sums[0] = (0.0, 0.0);
    for (slice, cell) in cells.iter().enumerate() {
        let (without, with) = sums.split_at_mut(1 << slice);
        for (with, without) in with.iter_mut().zip(without) {
            *with = (without.0 + cell.net as f64, without.1 + cell.squares as f64);
        }
    }
}

/// Net and squares of the slices in a set.
fn sum(cells: &[Cell], mask: usize) -> (f64, f64) {
    let chosen = cells.iter().enumerate().filter(|(slice, _)| mask >> slice & 1 == 1);
    chosen
        .fold((0.0, 0.0), |(net, squares), (_, cell)| (net + cell.net as f64, squares + cell.squares as f64))
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    use super::{NotHalvable, Overfit, overfit};
    use crate::verdict::folds::combinatorial;
    use crate::verdict::matrix::{Cell, Matrix, sum};

    fn random(seed: u64, variants: usize, slices: usize, edge: impl Fn(usize) -> i64) -> Matrix {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut cells = Vec::new();
        for variant in 0..variants {
            for _ in 0..slices {
                let mut cell = Cell::default();
                for _ in 0..random.next_u32() % 12 {
                    let net = i64::from(random.next_u32() % 2001) - 1000 + edge(variant);
                    cell += Cell { trades: 1, net, squares: net.unsigned_abs().pow(2) };
                }
                cells.push(cell);
            }
        }
        Matrix::new(slices, cells).unwrap()
    }

    /// The definition, word by word: choose on the training half, rank on the other.
    fn literal(matrix: &Matrix) -> Overfit {
        let slices = matrix.slices();
        let (mut splits, mut overfit, mut lost, mut logits) = (0, 0, 0, Vec::new());
        for halves in combinatorial(slices, slices / 2) {
            let Some((chosen, _)) = matrix.best(&halves.train, 1) else {
                continue;
            };
            let outside: Vec<f64> = matrix.rows().map(|row| sum(row, &halves.test).ratio()).collect();
            let below = outside.iter().filter(|&&other| other < outside[chosen]).count();
            let equal = outside.iter().filter(|&&other| other == outside[chosen]).count();
            let rank = below as f64 + (equal as f64 + 1.0) / 2.0;
            let share = rank / (outside.len() as f64 + 1.0);
            splits += 1;
            overfit += usize::from(share <= 0.5);
            lost += usize::from(outside[chosen] < 0.0);
            logits.push((share / (1.0 - share)).ln());
        }
        logits.sort_by(f64::total_cmp);
        Overfit {
            splits,
            chosen: true,
            probability: overfit as f64 / splits as f64,
            loss: lost as f64 / splits as f64,
            median_logit: (logits[splits / 2] + logits[(splits - 1) / 2]) / 2.0,
        }
    }

    /// Two slices, two variants that swap places: whichever was chosen is last on the other half.
    #[test]
    fn by_hand() {
        let cell = |net: i64| Cell { trades: 1, net, squares: net.unsigned_abs().pow(2) + 1 };
        let swap = Matrix::new(2, vec![cell(5), cell(-5), cell(-4), cell(4)]).unwrap();
        let found = overfit(&swap).unwrap();
        assert_eq!((found.splits, found.probability, found.loss), (2, 1.0, 1.0));
        // Rank 1 of 2: 1/3, whose logit is -ln 2.
        assert!((found.median_logit + std::f64::consts::LN_2).abs() < 1e-15);
        let steady = Matrix::new(2, vec![cell(5), cell(5), cell(-4), cell(-4)]).unwrap();
        let found = overfit(&steady).unwrap();
        assert_eq!((found.probability, found.loss), (0.0, 0.0));
    }

    #[test]
    fn as_the_definition_has_it() {
        for (seed, variants, slices) in [(1, 7, 4), (2, 150, 8), (3, 2, 6), (4, 90, 2), (5, 20, 12)] {
            let matrix = random(seed, variants, slices, |_| 0);
            let (found, expected) = (overfit(&matrix).unwrap(), literal(&matrix));
            assert_eq!(
                (found.splits, found.probability, found.loss),
                (expected.splits, expected.probability, expected.loss)
            );
            assert!((found.median_logit - expected.median_logit).abs() < 1e-12);
        }
    }

    #[test]
    fn noise_is_overfit_and_an_edge_is_not() {
        let mut mean = 0.0;
        for seed in 0..10 {
            let noise = overfit(&random(seed, 100, 16, |_| 0)).unwrap();
            assert_eq!(noise.splits, 12_870);
            mean += noise.probability / 10.0;
        }
        assert!((0.35..0.65).contains(&mean), "noise: {mean}");
        let edge = overfit(&random(1, 100, 16, |variant| if variant == 40 { 400 } else { 0 })).unwrap();
        assert!(edge.probability < 0.02, "{edge:?}");
    }

    /// One variant, or many that are one by another name: nothing was chosen. Among two, or where the others come
    /// out alike but not the same, the definition holds.
    #[test]
    fn what_was_not_chosen_is_not_overfitted_by_choosing() {
        let one = random(3, 1, 6, |_| 0);
        let found = overfit(&one).unwrap();
        assert_eq!((found.splits, found.chosen, found.probability), (20, false, 0.0));
        let rows: Vec<Cell> = std::iter::repeat_n(one.row(0), 5).flatten().copied().collect();
        let same = overfit(&Matrix::new(6, rows.clone()).unwrap()).unwrap();
        assert_eq!((same.chosen, same.probability, same.loss), (false, 0.0, found.loss));
        // A sixth that never trades is another choice, and always below what earns.
        let other = Matrix::new(6, [rows, vec![Cell::default(); 6]].concat()).unwrap();
        let (found, expected) = (overfit(&other).unwrap(), literal(&other));
        assert!(found.chosen);
        assert_eq!((found.splits, found.probability), (expected.splits, expected.probability));
    }

    /// Sums of squares may leave 64 bits together.
    #[test]
    fn squares_of_many_slices_do_not_wrap() {
        let cell = |net| Cell { trades: 20, net, squares: u64::MAX / 2 };
        let steady = Matrix::new(8, [vec![cell(5_000_000_000); 8], vec![cell(-5_000_000_000); 8]].concat());
        let found = overfit(&steady.unwrap()).unwrap();
        assert_eq!((found.probability, found.loss), (0.0, 0.0));
    }

    #[test]
    fn where_nothing_trades_nothing_was_found() {
        let found = overfit(&Matrix::new(4, vec![Cell::default(); 12]).unwrap()).unwrap();
        assert_eq!((found.splits, found.probability), (0, 1.0));
        let odd = Matrix::new(3, vec![Cell::default(); 3]).unwrap();
        assert_eq!(overfit(&odd), Err(NotHalvable(3)));
        let many = Matrix::new(18, vec![Cell::default(); 18]).unwrap();
        assert_eq!(overfit(&many), Err(NotHalvable(18)));
    }
}
