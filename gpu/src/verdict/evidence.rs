//! What the gate weighs: plain numbers, with no word yet on whether they are good.
//!
//! Owns the shape of the evidence, as it stands in a model's file. Must not judge.

use serde::{Deserialize, Serialize};

use crate::verdict::base::BaseRates;
use crate::verdict::equity::{Drawdown, Turnover};
use crate::verdict::matrix::{Cell, Choice, Spread};
use crate::verdict::moments::Moments;
use crate::verdict::overfit::Overfit;
use crate::verdict::resample::{Interval, Permuted};
use crate::verdict::sharpe;

/// All that is known about what a search found. Amounts are in centi-ticks a unit, after all costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The variant that the whole history speaks for; None where none traded often enough.
    pub finalist: Option<usize>,
    /// Walk-forward: what each fold chose, and what came of it in the slice after.
    pub folds: Vec<Choice>,
    /// All walk-forward trades together.
    pub trades: Cell,
    /// How many of them won.
    pub wins: u32,
    /// Net result of each day of the walk-forward test slices, days without a trade among them.
    pub days: Vec<i64>,
    /// Where the mean day may lie: 90 %, by the block bootstrap.
    pub mean_day: Option<Interval>,
    /// The paths of combinatorial purged cross-validation.
    pub paths: Vec<Cell>,
    /// What the Sharpe ratio of the finalist is deflated by.
    pub trials: Trials,
    pub overfit: Overfit,
    /// The timing of the walk-forward trades against the same trades shifted.
    pub timing: Permuted,
    /// The walk-forward ratio against that of the same search on random walks made of the same bars; None
    /// where it was not asked for, because the model had failed before.
    pub null: Option<Permuted>,
    /// Blind trading with the chosen variants' exits, on the walk-forward test slices.
    pub base: BaseRates,
    /// Of the days.
    pub drawdown: Drawdown,
    /// Of the walk-forward trades.
    pub turnover: Turnover,
}

/// How wide the search was, and how good its finalist on the history that it was chosen on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Trials {
    /// Variants tried, in this search and in those before it on the same pair and time.
    pub count: u64,
    /// How the ratios of those that traded are spread.
    pub spread: Spread,
    /// The finalist's days over the whole history.
    pub finalist: Moments,
}

impl Trials {
    /// The daily Sharpe ratio that the luckiest of the trials would show if none had any skill.
    ///
    /// Bailey and Lopez de Prado take the variance of luck from the spread of the trials' own ratios, which is
    /// right where skill is all that could set trials apart. Here trials differ first in how often they pay
    /// costs: on made-up series the ratios' variance came to two hundred times that of chance, and no edge
    /// could ever have been shown; without costs it came to 0.97 of it. So the variance is that of the estimate
    /// itself, 1 / days for a mean of zero, as if each variant had been luck of its own: the most that so many
    /// trials can be worth. The spread that was found stands beside it in the evidence.
    pub fn lucky(&self) -> f64 {
        sharpe::lucky(self.count, self.variance())
    }

    /// The finalist's deflated Sharpe ratio.
    pub fn deflated(&self) -> f64 {
        sharpe::deflated(&self.finalist, self.count, self.variance())
    }

    fn variance(&self) -> f64 {
        1.0 / (self.finalist.count as f64).max(1.0)
    }
}
