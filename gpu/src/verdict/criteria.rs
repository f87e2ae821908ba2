//! The criteria of the gate: each looks at one piece of the evidence, and says what it found.
//!
//! Owns the measure and the sentence of each. Must not know what the others say.

use crate::backtest::PIP;
use crate::verdict::evidence::Evidence;
use crate::verdict::gate::{Bound, Criterion, Demands, Name};
use crate::verdict::moments::Moments;
use crate::verdict::sharpe;

fn criterion(name: Name, found: Option<f64>, demanded: Bound, sentence: String) -> Criterion {
    // Nothing that is no number passes, nor is it written down as one.
    let found = found.filter(|found| found.is_finite());
    Criterion { name, found, demanded, passed: found.is_some_and(|found| demanded.holds(found)), sentence }
}

pub(super) fn sample(evidence: &Evidence, demands: &Demands) -> Criterion {
    let (trades, days) = (evidence.trades.trades, evidence.days.len());
    // The scarcer of both, as a share of what is needed.
    let share = |found: f64, needed: f64| if needed > 0.0 { found / needed } else { 1.0 };
    let found =
        share(f64::from(trades), f64::from(demands.trades)).min(share(days as f64, demands.days as f64));
    let sentence = format!(
        "walking forward left {trades} trades on {days} days; at least {} trades and {} days are needed to say \
        anything",
        demands.trades, demands.days
    );
    criterion(Name::Sample, Some(found), Bound::AtLeast(1.0), sentence)
}

pub(super) fn profit(evidence: &Evidence, demands: &Demands) -> Criterion {
    let moments = Moments::of(&evidence.days);
    let found = sharpe::confidence(&moments);
    let range = evidence.mean_day.map_or_else(String::new, |interval| {
        let bound = |bound: f64| format!("{:.2}", bound / f64::from(PIP));
        format!(" (between {} and {} with 90 %)", bound(interval.low), bound(interval.high))
    });
    let sentence = format!(
        "walking forward {} a day after costs{range}: that the true mean is above zero has a confidence of {}, at \
        least {} is demanded",
        made(moments.mean),
        percent(found),
        percent(demands.profit)
    );
    criterion(Name::Profit, Some(found), Bound::AtLeast(demands.profit), sentence)
}

pub(super) fn folds(evidence: &Evidence, demands: &Demands) -> Criterion {
    let count = evidence.folds.len();
    let earned = evidence.folds.iter().filter(|fold| fold.tested.net > 0).count();
    let sentence = format!(
        "{earned} of {count} walk-forward slices earned; at least {} are demanded",
        percent(demands.folds)
    );
    criterion(Name::Folds, share(earned, count), Bound::AtLeast(demands.folds), sentence)
}

pub(super) fn paths(evidence: &Evidence, demands: &Demands) -> Criterion {
    let count = evidence.paths.len();
    let earned = evidence.paths.iter().filter(|path| path.net > 0).count();
    let sentence = format!(
        "{earned} of {count} cross-validation paths earned; at least {} are demanded",
        percent(demands.paths)
    );
    criterion(Name::Paths, share(earned, count), Bound::AtLeast(demands.paths), sentence)
}

pub(super) fn base_rates(evidence: &Evidence) -> Criterion {
    let (name, best) = evidence.base.best();
    let mean = evidence.trades.mean();
    let sentence = format!(
        "the mean trade {}; on the same bars with the same exits {name} {} (of its trades {} won, of the model's \
        {}), and more is demanded",
        made(mean),
        made(best.mean),
        percent(best.wins),
        percent(share(evidence.wins as usize, evidence.trades.trades as usize).unwrap_or(0.0)),
    );
    criterion(Name::BaseRates, Some(mean), Bound::Above(best.mean), sentence)
}

pub(super) fn timing(evidence: &Evidence, demands: &Demands) -> Criterion {
    let timing = &evidence.timing;
    let found = (timing.others > 0).then_some(timing.p);
    let sentence = format!(
        "of {} shifts of the same trades to other times {} did as well before costs: p = {:.3}, at most {:.3} is \
        demanded",
        timing.others,
        none_or(timing.as_good),
        timing.p,
        demands.timing
    );
    criterion(Name::Timing, found, Bound::AtMost(demands.timing), sentence)
}

pub(super) fn overfit(evidence: &Evidence, demands: &Demands) -> Criterion {
    let overfit = &evidence.overfit;
    let found = (overfit.splits > 0).then_some(overfit.probability);
    let sentence = if overfit.splits > 0 && !overfit.chosen {
        "all that was tried came out the same: nothing was chosen, so that no choosing can have overfitted \
        (PBO 0)"
            .to_owned()
    } else {
        format!(
            "of {} ways to halve the history, in {} the best of one half was among the lower half of all variants in \
            the other (PBO); at most {} is demanded",
            overfit.splits,
            percent(overfit.probability),
            percent(demands.overfit)
        )
    };
    criterion(Name::Overfit, found, Bound::AtMost(demands.overfit), sentence)
}

pub(super) fn deflated(evidence: &Evidence, demands: &Demands) -> Criterion {
    let trials = &evidence.trials;
    let found = evidence.finalist.map(|_| trials.deflated());
    let sentence = format!(
        "{} variants were tried: the luckiest would show a daily Sharpe ratio of {:.3}, the finalist shows {:.3}; \
        the chance that it is more than luck is {}, at least {} is demanded",
        trials.count,
        trials.lucky(),
        trials.finalist.sharpe(),
        percent(found.unwrap_or(0.0)),
        percent(demands.deflated)
    );
    criterion(Name::Deflated, found, Bound::AtLeast(demands.deflated), sentence)
}

pub(super) fn drawdown(evidence: &Evidence, demands: &Demands) -> Criterion {
    let (depth, net) = (evidence.drawdown.depth as f64, evidence.trades.net as f64);
    let found = (net > 0.0).then_some(depth / net);
    let sentence = if net > 0.0 {
        format!(
            "the deepest drawdown of the walk-forward days was {}, {} of their profit; at most {} is demanded",
            pips(depth),
            percent(depth / net),
            percent(demands.drawdown)
        )
    } else {
        format!(
            "the deepest drawdown of the walk-forward days was {}, and there is no profit to pay for it",
            pips(depth)
        )
    };
    criterion(Name::Drawdown, found, Bound::AtMost(demands.drawdown), sentence)
}

pub(super) fn turnover(evidence: &Evidence, demands: &Demands) -> Criterion {
    let mean = evidence.trades.mean();
    let sentence = format!(
        "{:.1} round trips a day, in the market {} of the time: the mean trade {} after costs, more than {} is \
        demanded, so that somewhat worse fills do not eat it",
        evidence.turnover.round_trips_a_day,
        percent(evidence.turnover.exposure),
        made(mean),
        pips(demands.margin)
    );
    criterion(Name::Turnover, Some(mean), Bound::Above(demands.margin), sentence)
}

pub(super) fn random_walk(evidence: &Evidence, demands: &Demands) -> Criterion {
    let sentence = match &evidence.null {
        Some(null) => format!(
            "of {} random walks made of these bars {} let the same search do as well: p = {:.3}, at most {:.3} is \
            demanded",
            null.others,
            none_or(null.as_good),
            null.p,
            demands.null
        ),
        None => "the same search was not run on random walks, as the model was refused before".to_owned(),
    };
    let found = evidence.null.filter(|null| null.others > 0).map(|null| null.p);
    criterion(Name::RandomWalk, found, Bound::AtMost(demands.null), sentence)
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// Whether centi-ticks were earned or lost, in pips.
fn made(centiticks: f64) -> String {
    let word = if centiticks < 0.0 { "lost" } else { "earned" };
    format!("{word} {}", pips(centiticks.abs()))
}

fn none_or(count: usize) -> String {
    if count == 0 { "none".to_owned() } else { count.to_string() }
}

/// Centi-ticks in pips, of which each has ten ticks.
pub(super) fn pips(centiticks: f64) -> String {
    format!("{:.2} pips", centiticks / f64::from(PIP))
}
