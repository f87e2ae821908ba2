//! The page: everything a report says, in one HTML file that needs nothing else.
//!
//! Owns what stands on the page and in which order; `page.html` owns how it looks. Must not compute a
//! statistic, nor judge.

use std::collections::BTreeSet;

use minijinja::{Environment, UndefinedBehavior, value::Serde};
use serde::Serialize;

use crate::model::Stored;
use crate::report::charts::equity::{Beside, equity};
use crate::report::charts::{paths, price};
use crate::report::replay::{Kind, Played, Replay};
use crate::report::standing::Standing;
use crate::report::svg::{Both, both};
use crate::report::words::{
    self, grouped, in_pips, mean_pips, percent, pips, plain, plain_pips, sentence, signed,
};
use crate::report::{ReportError, heat};
use crate::trials::{self, Grid};
use crate::verdict::sharpe;

const TEMPLATE: &str = include_str!("page.html");

/// A label and what there is to say under it.
#[derive(Serialize)]
struct Fact {
    label: &'static str,
    value: String,
    note: String,
}

#[derive(Serialize)]
struct Criterion {
    name: &'static str,
    found: String,
    demanded: String,
    passed: bool,
    sentence: String,
}

#[derive(Serialize)]
struct Blind {
    class: &'static str,
    name: &'static str,
    trades: String,
    wins: String,
    mean: String,
    total: String,
}

#[derive(Serialize)]
struct FoldRow {
    slice: usize,
    from: String,
    to: String,
    variant: String,
    trained_trades: String,
    trained_mean: String,
    trades: String,
    mean: String,
    net: String,
    won: bool,
    aside: bool,
}

#[derive(Serialize)]
struct CloseUp {
    chart: Both,
    shown: usize,
}

#[derive(Serialize)]
struct Page {
    pair: String,
    tone: &'static str,
    headline: &'static str,
    consequence: String,
    words: String,
    synthetic: bool,
    assumed_spread: bool,
    from: String,
    to: String,
    facts: Vec<Fact>,
    criteria: Vec<Criterion>,
    equity: Both,
    interval: Option<String>,
    blind: Vec<Blind>,
    own: Blind,
    heat: Option<heat::Heat>,
    trials: Vec<Fact>,
    overview: Both,
    close_up: Option<CloseUp>,
    folds: Vec<FoldRow>,
    paths: Both,
    paths_earned: usize,
    paths_count: usize,
    finalist: Vec<(String, String)>,
    finalist_line: String,
    costs: Vec<String>,
    data: Vec<Fact>,
}

/// The page of a model. `grid`, where there is one, becomes the heat map, of the two dimensions named in
/// `axes` or of those that tell most.
pub fn page(
    stored: &Stored,
    standing: &Standing,
    replay: &Replay,
    grid: Option<&Grid>,
    axes: Option<(&str, &str)>,
) -> Result<String, ReportError> {
    let page = Page::of(stored, standing, replay, grid, axes)?;
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // The name's ending makes the engine escape what it is given.
    environment.add_template("page.html", TEMPLATE)?;
    let text = environment.get_template("page.html")?.render(minijinja::Value::from(Serde(&page)))?;
    Ok(format!("{}\n", text.trim_end()))
}

impl Page {
    fn of(
        stored: &Stored,
        standing: &Standing,
        replay: &Replay,
        grid: Option<&Grid>,
        axes: Option<(&str, &str)>,
    ) -> Result<Self, ReportError> {
        let model = &stored.model;
        let evidence = &model.evidence;
        let bars = replay.history.base();
        let walked: Vec<&Played> = replay.of_kind(Kind::WalkForward).collect();
        let tested = replay.slices[replay.first.min(replay.slices.len())..].iter();
        let tested =
            tested.fold(bars.len()..0, |all, slice| all.start.min(slice.start)..all.end.max(slice.end));
        let blind = [evidence.base.buy, evidence.base.sell, evidence.base.coin];
        let as_often = blind.map(|rate| rate.mean * f64::from(evidence.trades.trades));
        let beside = Beside { interval: evidence.mean_day, blind: as_often };
        let close_up = (!walked.is_empty()).then(|| CloseUp {
            chart: both(|width| price::close_up(bars, &walked, width)),
            shown: price::close_up_trades(&walked),
        });
        Ok(Self {
            pair: model.pair.to_string(),
            tone: standing.tone(),
            headline: standing.headline(model),
            consequence: standing.consequence(model),
            words: sentence(&model.verdict.words),
            synthetic: model.data.synthetic,
            assumed_spread: model.data.assumed_spread,
            from: words::day(model.data.first.as_second()),
            to: words::day(model.data.last.as_second()),
            facts: facts(stored),
            criteria: criteria(stored),
            equity: both(|width| equity(&replay.days, &beside, width)),
            interval: evidence.mean_day.map(|interval| {
                format!("{} to {} pips a day", mean_pips(interval.low), mean_pips(interval.high))
            }),
            blind: ["buy", "sell", "coin"]
                .into_iter()
                .zip(["Always BUY", "Always SELL", "A coin"])
                .zip(blind.into_iter().zip(as_often))
                .map(|((class, name), (rate, total))| Blind {
                    class,
                    name,
                    trades: plain(rate.trades, 0),
                    wins: percent(rate.wins),
                    mean: mean_pips(rate.mean),
                    total: signed(in_pips(total), 1),
                })
                .collect(),
            own: Blind {
                class: "own",
                name: "The model",
                trades: grouped(u64::from(evidence.trades.trades)),
                wins: wins(stored),
                mean: mean_pips(evidence.trades.mean()),
                total: pips(evidence.trades.net),
            },
            heat: grid.and_then(|grid| heat::heat(grid, axes, lucky_ratio(stored))),
            trials: luck(stored),
            overview: both(|width| price::overview(bars, tested.clone(), &walked, width)),
            close_up,
            folds: folds(stored, replay),
            paths: both(|width| paths::paths(&evidence.paths, width)),
            paths_earned: evidence.paths.iter().filter(|path| path.net > 0).count(),
            paths_count: evidence.paths.len(),
            finalist: model
                .variant
                .iter()
                .flat_map(|variant| trials::values(&model.searched.space, variant, false))
                .collect(),
            finalist_line: finalist_line(replay),
            costs: words::costs(&model.costs, model.data.assumed_spread),
            data: data(stored),
        })
    }
}

fn wins(stored: &Stored) -> String {
    let evidence = &stored.model.evidence;
    let trades = evidence.trades.trades;
    if trades == 0 { "–".to_owned() } else { percent(f64::from(evidence.wins) / f64::from(trades)) }
}

fn facts(stored: &Stored) -> Vec<Fact> {
    let evidence = &stored.model.evidence;
    let fact = |label, value: String, note: String| Fact { label, value, note };
    let days = evidence.days.len();
    vec![
        fact(
            "Walk-forward result",
            format!("{} pips", pips(evidence.trades.net)),
            format!("on {days} days, after costs"),
        ),
        fact(
            "Mean trade",
            format!("{} pips", mean_pips(evidence.trades.mean())),
            format!("of {} trades", grouped(u64::from(evidence.trades.trades))),
        ),
        fact("Trades that won", wins(stored), format!("{} of them", grouped(u64::from(evidence.wins)))),
        fact(
            "Deepest drawdown",
            format!("{} pips", plain_pips(evidence.drawdown.depth)),
            format!("{} days without a new high at most", evidence.drawdown.under_water),
        ),
        fact(
            "Turnover",
            format!("{:.1} a day", evidence.turnover.round_trips_a_day),
            format!("in the market {} of the time", percent(evidence.turnover.exposure)),
        ),
        fact(
            "Variants tried",
            grouped(evidence.trials.count),
            format!(
                "{} here, {} before",
                grouped(stored.model.searched.variants as u64),
                grouped(stored.model.searched.variants_before)
            ),
        ),
    ]
}

fn criteria(stored: &Stored) -> Vec<Criterion> {
    let row = |criterion: &crate::verdict::gate::Criterion| {
        let (found, demanded) = words::found_and_demanded(criterion, &stored.model.evidence);
        Criterion {
            name: words::name(criterion.name),
            found,
            demanded,
            passed: criterion.passed,
            sentence: sentence(&criterion.sentence),
        }
    };
    stored.model.verdict.criteria.iter().map(row).collect()
}

/// What the number of trials makes of the finalist.
fn luck(stored: &Stored) -> Vec<Fact> {
    let evidence = &stored.model.evidence;
    let trials = &evidence.trials;
    vec![
        Fact {
            label: "Probability of overfitting (PBO)",
            value: percent(evidence.overfit.probability),
            note: format!(
                "of {} ways to halve the history; 50 % is what pure chance gives. In {} the best of one half lost \
                 money in the other",
                grouped(evidence.overfit.splits as u64),
                percent(evidence.overfit.loss)
            ),
        },
        Fact {
            label: "Deflated Sharpe ratio",
            value: if evidence.finalist.is_some() { percent(trials.deflated()) } else { "–".to_owned() },
            note:
                "the chance that the finalist is better than the luckiest of so many trials without any edge"
                    .to_owned(),
        },
        Fact {
            label: "Daily Sharpe ratio of the finalist",
            value: signed(trials.finalist.sharpe(), 3),
            note: format!(
                "on the history it was chosen on; the luckiest of {} trials would show {}",
                grouped(trials.count),
                signed(trials.lucky(), 3)
            ),
        },
        Fact {
            label: "Ratio of the luckiest trial",
            value: signed(lucky_ratio(stored), 2),
            note: format!(
                "what chance alone, without costs, would put into the best cell below. {} trials traded; after \
                 costs their mean is {}",
                grouped(trials.spread.trials as u64),
                signed(trials.spread.mean, 2)
            ),
        },
    ]
}

/// The ratio that the luckiest of the trials would show by chance, under which a ratio has mean 0 and variance 1
/// (see [`crate::verdict::matrix::Cell::ratio`]).
fn lucky_ratio(stored: &Stored) -> f64 {
    sharpe::lucky(stored.model.evidence.trials.count, 1.0)
}

fn folds(stored: &Stored, replay: &Replay) -> Vec<FoldRow> {
    let (model, bars) = (&stored.model, replay.history.base());
    let row = |choice: &crate::verdict::matrix::Choice| {
        let tested: BTreeSet<usize> = choice.fold.test.iter().copied().collect();
        let first = tested.first().copied().unwrap_or(0);
        let moment = |bar: Option<usize>| bar.map_or_else(String::new, |bar| words::day(bars.time[bar]));
        let slice = |at: Option<&usize>| at.and_then(|at| replay.slices.get(*at));
        let variant = choice.variant.and_then(|place| model.variants.get(&place));
        let values = variant.map(|variant| trials::values(&model.searched.space, variant, true));
        let named = |(name, value): (String, String)| format!("{name} {value}");
        FoldRow {
            slice: first + 1,
            from: moment(slice(tested.first()).map(|slice| slice.start)),
            to: moment(slice(tested.last()).and_then(|slice| slice.clone().last())),
            variant: values.map_or_else(String::new, |values| {
                values.into_iter().map(named).collect::<Vec<_>>().join(", ")
            }),
            trained_trades: grouped(u64::from(choice.trained.trades)),
            trained_mean: mean_pips(choice.trained.mean()),
            trades: grouped(u64::from(choice.tested.trades)),
            mean: mean_pips(choice.tested.mean()),
            net: pips(choice.tested.net),
            won: choice.tested.net > 0,
            aside: choice.variant.is_none(),
        }
    };
    model.evidence.folds.iter().map(row).collect()
}

fn finalist_line(replay: &Replay) -> String {
    let (mut count, mut net) = (0_u64, 0_i64);
    for played in replay.of_kind(Kind::Finalist) {
        count += 1;
        net += i64::from(played.trade.net);
    }
    format!("{} trades and {} pips on all slices, the ones it was chosen on", grouped(count), pips(net))
}

fn data(stored: &Stored) -> Vec<Fact> {
    let model = &stored.model;
    let data = &model.data;
    let fact = |label, value: String, note: String| Fact { label, value, note };
    let spread = if data.assumed_spread { "the spread was assumed" } else { "with bid and ask" };
    let kind = if data.synthetic { "made up, no market" } else { "real" };
    vec![
        fact(
            "Candles",
            format!("{} {} bars", grouped(data.bars as u64), data.timeframe),
            format!("{kind}, {spread}; sources: {}", data.sources.join(", ")),
        ),
        fact(
            "From, to (UTC)",
            format!("{} to {}", words::minute(data.first.as_second()), words::minute(data.last.as_second())),
            String::new(),
        ),
        fact("Hash of the candles", data.hash.to_string(), String::new()),
        fact("Hash of the model", stored.hash.to_string(), String::new()),
        fact("Trained by", format!("sep-gpu {}", model.program), format!("format {}", model.format)),
        fact(
            "Seed",
            model.plan.seed.to_string(),
            "the same search gives the same model, to the byte".to_owned(),
        ),
    ]
}
