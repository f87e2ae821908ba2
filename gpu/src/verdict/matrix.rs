//! The outcomes of a search: every variant on every slice of the history.
//!
//! Owns the matrix, the ratio by which variants are compared, and the choice of the best on given slices. Slices
//! are played apart, each starting and ending without a position, so that any set of them adds up. Must not
//! know what a variant is, nor how a slice was played.

use std::ops::AddAssign;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::backtest::Stats;
use crate::verdict::folds::Fold;

/// What a variant's trades came to on one slice, or on several together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cell {
    pub trades: u32,
    /// Net profit after all costs, in centi-ticks.
    pub net: i64,
    /// The squares of the trades' net profits, in squared centi-ticks; the largest number where they are more.
    pub squares: u64,
}

impl Cell {
    /// Net profit over the root of the summed squares: the measure by which variants are compared.
    ///
    /// This is the self-normalised sum of de la Pena, Lai and Shao ("Self-Normalized Processes", 2009). If
    /// every trade were as likely to lose as to win what it moved, it would have mean 0 and variance 1, however
    /// many trades there were, however large, and however fat their tails. For many trades it is the t statistic
    /// of the mean trade: it rewards a good trade that comes often over one that came once. It is defined from
    /// one trade on, and a single lucky trade can never score above 1. No trades: 0, the money they made. Squares
    /// beyond what can be counted: 0 too, as nothing is known then.
    pub fn ratio(&self) -> f64 {
        match self.squares {
            0 | u64::MAX => 0.0,
            squares => self.net as f64 / libm::sqrt(squares as f64),
        }
    }

    /// The mean trade, in centi-ticks; 0 without any.
    pub fn mean(&self) -> f64 {
        if self.trades == 0 { 0.0 } else { self.net as f64 / f64::from(self.trades) }
    }
}

impl From<Stats> for Cell {
    fn from(stats: Stats) -> Self {
        Self { trades: stats.trades, net: stats.net, squares: stats.squares }
    }
}

impl AddAssign for Cell {
    fn add_assign(&mut self, other: Self) {
        self.trades += other.trades;
        self.net += other.net;
        self.squares = self.squares.saturating_add(other.squares);
    }
}

/// Cells that do not make whole rows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{cells} cells are no matrix of {slices} slices: each variant needs a cell for each slice")]
pub struct Ragged {
    pub cells: usize,
    pub slices: usize,
}

/// Variants x slices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    slices: usize,
    cells: Vec<Cell>,
}

/// A variant chosen on some slices, and what came of it on others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// None where no variant traded often enough to be chosen: such a fold stands aside, and earns nothing.
    pub variant: Option<usize>,
    pub fold: Fold,
    /// What it was chosen for.
    pub trained: Cell,
    /// What it then did.
    pub tested: Cell,
}

impl Matrix {
    /// A matrix of cells, all slices of the first variant first.
    pub fn new(slices: usize, cells: Vec<Cell>) -> Result<Self, Ragged> {
        if slices == 0 || !cells.len().is_multiple_of(slices) {
            return Err(Ragged { cells: cells.len(), slices });
        }
        Ok(Self { slices, cells })
    }

    pub const fn slices(&self) -> usize {
        self.slices
    }

    pub fn variants(&self) -> usize {
        self.cells.len() / self.slices
    }

    /// The variants, each with its slices in order.
    pub fn rows(&self) -> std::slice::ChunksExact<'_, Cell> {
        self.cells.chunks_exact(self.slices)
    }

    /// A variant's slices in order; empty for one that there is not.
    pub fn row(&self, variant: usize) -> &[Cell] {
        self.cells.chunks_exact(self.slices).nth(variant).unwrap_or(&[])
    }

    /// The variant with the highest ratio on these slices taken together, and its sum there, among those with
    /// at least `trades` trades (and at least one); of equals the first.
    pub fn best(&self, slices: &[usize], trades: u32) -> Option<(usize, Cell)> {
        let mut best: Option<(usize, Cell, f64)> = None;
        for (variant, row) in self.rows().enumerate() {
            let cell = sum(row, slices);
            if cell.trades < trades.max(1) {
                continue;
            }
            let ratio = cell.ratio();
            if best.is_none_or(|(_, _, highest)| ratio > highest) {
                best = Some((variant, cell, ratio));
            }
        }
        best.map(|(variant, cell, _)| (variant, cell))
    }

    /// For each fold, the best on its training slices, and what it did on its test slices.
    pub fn choose(&self, folds: &[Fold], trades: u32) -> Vec<Choice> {
        let choose = |fold: &Fold| {
            let fold = fold.clone();
            match self.best(&fold.train, trades) {
                Some((variant, trained)) => {
                    let tested = sum(self.row(variant), &fold.test);
                    Choice { variant: Some(variant), fold, trained, tested }
                }
                None => Choice { variant: None, fold, trained: Cell::default(), tested: Cell::default() },
            }
        };
        folds.par_iter().map(choose).collect()
    }

    /// Mean and variance of the ratios of all variants that traded, over the whole history.
    pub fn spread(&self) -> Spread {
        let all: Vec<usize> = (0..self.slices).collect();
        let ratios: Vec<f64> = self
            .rows()
            .map(|row| sum(row, &all))
            .filter(|cell| cell.trades > 0)
            .map(|cell| cell.ratio())
            .collect();
        let n = ratios.len() as f64;
        if ratios.len() < 2 {
            return Spread { trials: ratios.len(), mean: ratios.iter().sum(), variance: 0.0 };
        }
        let mean = ratios.iter().sum::<f64>() / n;
        let squares: f64 = ratios.iter().map(|ratio| (ratio - mean) * (ratio - mean)).sum();
        Spread { trials: ratios.len(), mean, variance: squares / (n - 1.0) }
    }
}

/// How the ratios of the trials are spread.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The variants that traded at all.
    pub trials: usize,
    pub mean: f64,
    pub variance: f64,
}

/// A variant's cells on these slices, added up. Slices that there are not add nothing.
pub fn sum(row: &[Cell], slices: &[usize]) -> Cell {
    let mut total = Cell::default();
    for cell in slices.iter().filter_map(|&slice| row.get(slice)) {
        total += *cell;
    }
    total
}

#[cfg(test)]
mod tests {
    use super::{Cell, Choice, Matrix, Ragged};
    use crate::verdict::folds::Fold;

    fn cell(trades: u32, net: i64, squares: u64) -> Cell {
        Cell { trades, net, squares }
    }

    fn matrix() -> Matrix {
        let cells = vec![
            // Earns first, loses then.
            cell(4, 40, 400),
            cell(4, -30, 400),
            // The other way round.
            cell(4, -10, 400),
            cell(4, 30, 400),
            // Never trades.
            cell(0, 0, 0),
            cell(0, 0, 0),
            // One lucky trade of any size.
            cell(1, 5000, 25_000_000),
            cell(0, 0, 0),
        ];
        Matrix::new(2, cells).unwrap()
    }

    #[test]
    fn one_lucky_trade_scores_one() {
        assert_eq!(cell(1, 5000, 25_000_000).ratio(), 1.0);
        assert_eq!(cell(4, 40, 400).ratio(), 2.0);
        assert_eq!(cell(0, 0, 0).ratio(), 0.0);
        let mut beyond = cell(20, 1 << 40, u64::MAX - 5);
        assert!(beyond.ratio() > 0.0);
        beyond += cell(1, 1 << 40, 7);
        assert_eq!(beyond.ratio(), 0.0);
        assert_eq!((cell(4, -30, 400).mean(), cell(0, 0, 0).mean()), (-7.5, 0.0));
    }

    #[test]
    fn the_best_is_chosen_on_the_training_slices_alone() {
        let matrix = matrix();
        assert_eq!(matrix.best(&[0], 1), Some((0, cell(4, 40, 400))));
        assert_eq!(matrix.best(&[1], 0), Some((1, cell(4, 30, 400))));
        assert_eq!(matrix.best(&[0, 1], 2), Some((1, cell(8, 20, 800))));
        assert_eq!(matrix.best(&[0], 5), None);
        let folds = [Fold { train: vec![0], test: vec![1] }];
        let choices = matrix.choose(&folds, 1);
        let [Choice { variant: Some(0), trained, tested, .. }] = &choices[..] else {
            panic!("{choices:?}");
        };
        assert_eq!((*trained, *tested), (cell(4, 40, 400), cell(4, -30, 400)));
        let aside = matrix.choose(&folds, 5);
        assert_eq!((aside[0].variant, aside[0].tested), (None, cell(0, 0, 0)));
    }

    #[test]
    fn trials_are_those_that_traded() {
        // Ratios over both slices: 10 / sqrt(800), 20 / sqrt(800), 1.
        let spread = matrix().spread();
        assert_eq!(spread.trials, 3);
        assert!((spread.mean - 0.686_886_723_926_607).abs() < 1e-12, "{spread:?}");
        assert!((spread.variance - 0.104_779_942_740_059_58).abs() < 1e-12, "{spread:?}");
    }

    #[test]
    fn a_ragged_matrix_is_refused() {
        assert_eq!(Matrix::new(3, vec![Cell::default(); 4]), Err(Ragged { cells: 4, slices: 3 }));
        assert!(Matrix::new(0, Vec::new()).is_err());
    }
}
