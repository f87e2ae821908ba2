//! The gate: which evidence makes a model one that may trade.
//!
//! Owns what is demanded, and the words of the verdict. Pure: the same evidence gives the same verdict. Must not
//! gather evidence, nor know of any way around a refusal.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::backtest::CENTITICKS;
use crate::verdict::criteria::{
    base_rates, deflated, drawdown, folds, overfit, paths, pips, profit, random_walk, sample, timing,
    turnover,
};
use crate::verdict::evidence::Evidence;

/// What the gate demands of a model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Demands {
    /// Walk-forward trades and days below which nothing can be said.
    pub trades: u32,
    pub days: usize,
    /// The least confidence that the mean of the walk-forward days is above zero (probabilistic Sharpe ratio, and
    /// Student's t).
    pub profit: f64,
    /// The least share of walk-forward slices that end with a profit.
    pub folds: f64,
    /// The least share of cross-validation paths that end with a profit.
    pub paths: f64,
    /// The least chance that the finalist is better than the luckiest of so many trials would be (deflated
    /// Sharpe ratio).
    pub deflated: f64,
    /// The greatest probability of overfitting.
    pub overfit: f64,
    /// The greatest p-value of the trades' timing.
    pub timing: f64,
    /// The greatest p-value against random walks.
    pub null: f64,
    /// The deepest drawdown, as a share of the walk-forward profit.
    pub drawdown: f64,
    /// What the mean trade must earn after costs, in centi-ticks: room for fills worse than were assumed.
    pub margin: f64,
}

impl Default for Demands {
    /// One-sided 5 % wherever something is tested; the rest is what a model with an edge worth having shows
    /// with ease, and what luck shows seldom.
    fn default() -> Self {
        Self {
            trades: 100,
            days: 20,
            profit: 0.95,
            folds: 0.5,
            paths: 0.8,
            deflated: 0.95,
            overfit: 0.25,
            timing: 0.05,
            null: 0.05,
            drawdown: 1.0,
            margin: f64::from(CENTITICKS),
        }
    }
}

/// What a criterion looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Name {
    /// Enough trades and days to say anything.
    Sample,
    /// Walk-forward profit after costs.
    Profit,
    /// How many walk-forward slices earned.
    Folds,
    /// How many paths of combinatorial purged cross-validation earned.
    Paths,
    /// Better than blind trading.
    BaseRates,
    /// Better than its own trades at other times.
    Timing,
    /// Probability of backtest overfitting.
    Overfit,
    /// Deflated Sharpe ratio.
    Deflated,
    Drawdown,
    /// What is left of a trade for all that is traded.
    Turnover,
    /// Better than the same search on random walks.
    RandomWalk,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Sample => "sample",
            Self::Profit => "profit",
            Self::Folds => "folds",
            Self::Paths => "paths",
            Self::BaseRates => "base rates",
            Self::Timing => "timing",
            Self::Overfit => "overfitting",
            Self::Deflated => "deflated Sharpe",
            Self::Drawdown => "drawdown",
            Self::Turnover => "turnover",
            Self::RandomWalk => "random walks",
        })
    }
}

/// The bound that a criterion sets.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
    Above(f64),
}

impl Bound {
    pub(super) fn holds(self, found: f64) -> bool {
        match self {
            Self::AtLeast(bound) => found >= bound,
            Self::AtMost(bound) => found <= bound,
            Self::Above(bound) => found > bound,
        }
    }
}

/// One thing demanded, and what was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Criterion {
    pub name: Name,
    /// None where it could not be, or was not, measured: that never passes.
    pub found: Option<f64>,
    pub demanded: Bound,
    pub passed: bool,
    /// What was found and demanded, in a plain sentence.
    pub sentence: String,
}

/// Whether a model may trade.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// All criteria passed.
    pub promoted: bool,
    /// The verdict in words: an edge, no edge, or none proven, and the first reason.
    pub words: String,
    /// In the order in which they are asked.
    pub criteria: Vec<Criterion>,
}

impl Verdict {
    /// Those that did not pass.
    pub fn failed(&self) -> impl Iterator<Item = &Criterion> {
        self.criteria.iter().filter(|criterion| !criterion.passed)
    }

    /// Whether nothing but the random walks, which cost the most, is still to be asked.
    pub fn lacks_only_random_walks(&self) -> bool {
        self.failed().all(|criterion| criterion.name == Name::RandomWalk && criterion.found.is_none())
    }
}

/// Weighs the evidence.
pub fn judge(evidence: &Evidence, demands: &Demands) -> Verdict {
    let criteria = vec![
        sample(evidence, demands),
        profit(evidence, demands),
        folds(evidence, demands),
        paths(evidence, demands),
        base_rates(evidence),
        timing(evidence, demands),
        overfit(evidence, demands),
        deflated(evidence, demands),
        drawdown(evidence, demands),
        turnover(evidence, demands),
        random_walk(evidence, demands),
    ];
    let promoted = criteria.iter().all(|criterion| criterion.passed);
    let words = words(evidence, &criteria);
    Verdict { promoted, words, criteria }
}

fn words(evidence: &Evidence, criteria: &[Criterion]) -> String {
    let Some(first) = criteria.iter().find(|criterion| !criterion.passed) else {
        return format!(
            "an edge: walking forward, {} trades on {} days earned {} each after costs, and nothing that was \
            asked speaks against it",
            evidence.trades.trades,
            evidence.days.len(),
            pips(evidence.trades.mean()),
        );
    };
    if evidence.trades.trades == 0 {
        return "no edge: no variant traded often enough to be chosen".to_owned();
    }
    if evidence.trades.net <= 0 {
        return format!(
            "no edge: walking forward, {} trades lost {} each after costs",
            evidence.trades.trades,
            pips(-evidence.trades.mean()),
        );
    }
    format!("no edge proven: {}", first.sentence)
}

#[cfg(test)]
mod tests {
    use super::{Bound, Criterion, Demands, Name, judge};
    use crate::verdict::base::{BaseRates, Rate};
    use crate::verdict::equity::{drawdown, turnover};
    use crate::verdict::evidence::{Evidence, Trials};
    use crate::verdict::folds::Fold;
    use crate::verdict::matrix::{Cell, Choice, Spread};
    use crate::verdict::moments::Moments;
    use crate::verdict::overfit::Overfit;
    use crate::verdict::resample::Permuted;

    /// Forty days of three trades, each of which earns two ticks and a half more often than not.
    fn good() -> Evidence {
        let days: Vec<i64> = (0..40).map(|day| if day % 4 == 0 { -900 } else { 1300 }).collect();
        let net: i64 = days.iter().sum();
        let cell = |net| Cell { trades: 10, net, squares: 4_000_000 };
        let choice = |slice: usize| Choice {
            variant: Some(3),
            fold: Fold { train: (0..slice).collect(), test: vec![slice] },
            trained: cell(5000),
            tested: cell(if slice == 5 { -500 } else { 2800 }),
        };
        let blind = |mean| Rate { trades: 500.0, wins: 0.4, mean };
        Evidence {
            finalist: Some(3),
            folds: (4..16).map(choice).collect(),
            trades: Cell { trades: 120, net, squares: 48_000_000 },
            wins: 70,
            mean_day: None,
            paths: vec![cell(4000); 15],
            trials: Trials {
                count: 1000,
                spread: Spread { trials: 900, mean: -3.0, variance: 1.2 },
                finalist: Moments { count: 53, mean: 0.8, deviation: 1.0, skewness: 0.0, kurtosis: 3.0 },
            },
            overfit: Overfit {
                splits: 12_870,
                chosen: true,
                probability: 0.02,
                loss: 0.01,
                median_logit: 3.0,
            },
            timing: Permuted::of(4.0, 1000, 3),
            null: Some(Permuted::of(4.0, 39, 0)),
            base: BaseRates::of(blind(-130.0), blind(-110.0)),
            drawdown: drawdown(&days),
            turnover: turnover(120, 40, 1200, 40_000),
            days,
        }
    }

    fn failed(evidence: &Evidence) -> Vec<Name> {
        let verdict = judge(evidence, &Demands::default());
        assert_eq!(verdict.promoted, verdict.failed().next().is_none());
        verdict.failed().map(|criterion| criterion.name).collect()
    }

    #[test]
    fn what_passes_everything_is_promoted() {
        let verdict = judge(&good(), &Demands::default());
        assert!(verdict.promoted, "{:#?}", verdict.failed().collect::<Vec<&Criterion>>());
        assert_eq!(verdict.criteria.len(), 11);
        assert_eq!(
            verdict.words,
            "an edge: walking forward, 120 trades on 40 days earned 0.25 pips each after costs, and nothing \
            that was asked speaks against it"
        );
    }

    /// Each criterion alone refuses what everything else lets pass.
    #[test]
    fn every_criterion_can_refuse() {
        let change = |name, change: fn(&mut Evidence)| {
            let mut evidence = good();
            change(&mut evidence);
            assert_eq!(failed(&evidence), [name]);
        };
        change(Name::Sample, |evidence| evidence.trades.trades = 99);
        change(Name::Profit, |evidence| evidence.days[..16].fill(-1300));
        change(Name::Folds, |evidence| evidence.folds[..7].iter_mut().for_each(|fold| fold.tested.net = 0));
        change(Name::Paths, |evidence| evidence.paths[..4].iter_mut().for_each(|path| path.net = -1));
        change(Name::BaseRates, |evidence| evidence.base.sell.mean = 251.0);
        change(Name::Timing, |evidence| evidence.timing = Permuted::of(4.0, 1000, 60));
        change(Name::Overfit, |evidence| evidence.overfit.probability = 0.4);
        change(Name::Deflated, |evidence| evidence.trials.finalist.mean = 0.6);
        change(Name::Drawdown, |evidence| evidence.drawdown.depth = 40_000);
        change(Name::Turnover, |evidence| evidence.trades.trades = 400);
        change(Name::RandomWalk, |evidence| evidence.null = Some(Permuted::of(4.0, 39, 2)));
    }

    /// What was not measured never passes.
    #[test]
    fn what_is_missing_is_refused() {
        let change = |name, change: fn(&mut Evidence)| {
            let mut evidence = good();
            change(&mut evidence);
            assert_eq!(failed(&evidence), [name]);
        };
        change(Name::Folds, |evidence| evidence.folds.clear());
        change(Name::Paths, |evidence| evidence.paths.clear());
        change(Name::Timing, |evidence| evidence.timing.others = 0);
        change(Name::Overfit, |evidence| evidence.overfit.splits = 0);
        change(Name::RandomWalk, |evidence| evidence.null = None);
        change(Name::Deflated, |evidence| evidence.trials.finalist.mean = f64::NAN);
        let mut evidence = good();
        evidence.null = None;
        assert!(judge(&evidence, &Demands::default()).lacks_only_random_walks());
        evidence.overfit.probability = 0.4;
        assert!(!judge(&evidence, &Demands::default()).lacks_only_random_walks());
        assert!(!judge(&good(), &Demands::default()).failed().any(|_| true));
    }

    #[test]
    fn the_words_of_a_refusal() {
        let words = |evidence: &Evidence| judge(evidence, &Demands::default()).words;
        let mut evidence = good();
        evidence.null = Some(Permuted::of(4.0, 39, 2));
        assert_eq!(
            words(&evidence),
            "no edge proven: of 39 random walks made of these bars 2 let the same search do as well: p = 0.075, at \
            most 0.050 is demanded"
        );
        evidence.trades.net = -60_000;
        assert_eq!(words(&evidence), "no edge: walking forward, 120 trades lost 0.50 pips each after costs");
        evidence.trades = Cell::default();
        assert_eq!(words(&evidence), "no edge: no variant traded often enough to be chosen");
    }

    #[test]
    fn a_search_without_a_choice_is_not_said_to_overfit() {
        let mut evidence = good();
        evidence.overfit =
            Overfit { splits: 12_870, chosen: false, probability: 0.0, loss: 0.1, median_logit: 0.0 };
        let verdict = judge(&evidence, &Demands::default());
        assert!(verdict.promoted, "{}", verdict.words);
        let sentence = &verdict.criteria.iter().find(|of| of.name == Name::Overfit).unwrap().sentence;
        assert!(sentence.starts_with("all that was tried came out the same"), "{sentence}");
    }

    #[test]
    fn a_verdict_survives_its_file() {
        let verdict = judge(&good(), &Demands::default());
        let text = serde_json::to_string(&verdict).unwrap();
        assert!(
            text.contains(r#""name":"random_walk","found":0.025,"demanded":{"at_most":0.05},"passed":true"#)
        );
        assert_eq!(serde_json::from_str::<super::Verdict>(&text).unwrap(), verdict);
        let evidence = good();
        let text = serde_json::to_string(&evidence).unwrap();
        assert_eq!(serde_json::from_str::<Evidence>(&text).unwrap(), evidence);
        assert!(Bound::AtLeast(1.0).holds(1.0) && !Bound::Above(1.0).holds(1.0));
    }
}
