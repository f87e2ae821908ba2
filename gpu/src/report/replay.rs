//! The replay: the trades and days behind a model's numbers, from the candles it was trained on.
//!
//! Owns loading those very candles, and the proof that the replay comes to what the model says. Must not
//! judge, nor replay on any other candles.

use std::ops::Range;

use jiff::Timestamp;
use jiff::civil::Date;
use sep_contract::Timeframe;

use crate::backend::Backend;
use crate::backtest::Trade;
use crate::bars::Bars;
use crate::history::History;
use crate::history::confirmed::prepare;
use crate::model::Stored;
use crate::report::ReportError;
use crate::session::Sessions;
use crate::store::Store;
use crate::table_file::Column;
use crate::train::{Progress, Request, Training};
use crate::trials::{self, Grid};
use crate::verdict::Subject;

/// Which of a model's trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Of the variant that was chosen on the slices before, in this slice.
    WalkForward,
    /// Of the finalist, on the history that it was chosen on.
    Finalist,
}

/// A trade and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Played {
    pub kind: Kind,
    pub slice: usize,
    /// The variant's place in the search, and its timeframe.
    pub variant: usize,
    pub timeframe: Timeframe,
    /// In bars of the base series.
    pub trade: Trade,
}

/// A trading day of the walk-forward slices; it ends at the rollover, 17:00 New York.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    pub date: Date,
    pub slice: usize,
    /// In centi-ticks.
    pub net: i64,
    pub trades: usize,
}

/// The whole search, played again.
pub struct Trials {
    pub grid: Grid,
    pub table: Vec<Column>,
}

/// What a model's numbers were made of.
pub struct Replay {
    pub history: History,
    /// The slices, in bars of the base series, and the first that is tested walking forward.
    pub slices: Vec<Range<usize>>,
    pub first: usize,
    /// Walk-forward trades, oldest first, then the finalist's.
    pub trades: Vec<Played>,
    pub days: Vec<Day>,
    pub trials: Option<Trials>,
}

impl Replay {
    /// Plays a model's trades again on the store's candles; `search_on`: the whole search too, whose progress
    /// is told.
    pub fn of(
        stored: &Stored,
        store: &Store,
        search_on: Option<&Backend>,
        on_progress: impl FnMut(Progress),
    ) -> Result<Self, ReportError> {
        let model = &stored.model;
        let history = load(stored, store)?;
        let plan = &model.plan;
        let request = Request {
            space: model.searched.space.clone(),
            search: model.searched.search,
            constants: model.constants.clone(),
            costs: model.costs,
            slices: plan.slices.len(),
            embargo: plan.embargo,
        };
        let cpu = Backend::cpu();
        let training = Training::new(&request, &history, search_on.unwrap_or(&cpu), on_progress)?;
        let differs = |found: String, expected: String| ReportError::Differs {
            path: stored.path.clone(),
            program: model.program.clone(),
            found,
            expected,
        };
        if training.slices.base != plan.slices {
            let text = |slices: &[Range<usize>]| format!("the slices {slices:?}");
            return Err(differs(text(&training.slices.base), text(&plan.slices)));
        }
        let trades = trades(stored, &training);
        let days = days(history.base(), &plan.slices, plan.first, &trades);
        if !days.iter().map(|day| day.net).eq(model.evidence.days.iter().copied()) {
            let text = |count: usize, net: i64| {
                format!("{count} walk-forward days with a net result of {net} centi-ticks in all")
            };
            return Err(differs(
                text(days.len(), days.iter().map(|day| day.net).sum()),
                text(model.evidence.days.len(), model.evidence.days.iter().sum()),
            ));
        }
        let trials = match search_on {
            Some(_) => {
                let matrix = training.search(None)?;
                let (grid, table) = (Grid::of(&training, &matrix), trials::table(&training, &matrix));
                Some(Trials { grid, table })
            }
            None => None,
        };
        drop(training);
        let (slices, first) = (plan.slices.clone(), plan.first);
        Ok(Self { slices, first, trades, days, trials, history })
    }

    /// Trades of one kind, oldest first.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Played> {
        self.trades.iter().filter(move |played| played.kind == kind)
    }
}

/// The candles that the model was trained on, and no others.
fn load(stored: &Stored, store: &Store) -> Result<History, ReportError> {
    let model = &stored.model;
    let (data, space) = (&model.data, &model.searched.space);
    let mut history = History::load(store, model.pair, &space.timeframes, (data.first, data.last))?;
    if history.hash != data.hash {
        return Err(ReportError::OtherCandles {
            store: store.root().to_owned(),
            series: format!("{} {} from {} to {}", model.pair, data.timeframe, data.first, data.last),
            found: history.hash.to_string(),
            expected: data.hash.to_string(),
        });
    }
    prepare(&mut history, space, &model.constants)?;
    Ok(history)
}

fn trades(stored: &Stored, training: &Training) -> Vec<Played> {
    let evidence = &stored.model.evidence;
    let walked = evidence.folds.iter().flat_map(|choice| {
        choice.fold.test.iter().filter_map(|&slice| Some((Kind::WalkForward, choice.variant?, slice)))
    });
    let slices = stored.model.plan.slices.len();
    let finalist = evidence
        .finalist
        .into_iter()
        .flat_map(|variant| (0..slices).map(move |slice| (Kind::Finalist, variant, slice)));
    walked
        .chain(finalist)
        .flat_map(|(kind, variant, slice)| {
            let timeframe = training.variant(variant).timeframe;
            let trades = training.trades(variant, slice);
            trades.into_iter().map(move |trade| Played { kind, slice, variant, timeframe, trade })
        })
        .collect()
}

/// The trading days on which the tested slices have bars; a trade counts on the day of its exit.
fn days(bars: &Bars, slices: &[Range<usize>], first: usize, trades: &[Played]) -> Vec<Day> {
    let sessions = Sessions::new();
    let mut rollovers: Vec<i32> = Vec::new();
    let mut days: Vec<Day> = Vec::new();
    for (slice, bar) in
        slices.iter().enumerate().skip(first).flat_map(|(at, bars)| bars.clone().map(move |bar| (at, bar)))
    {
        // Rollovers counted so far name the day: they grow with every one.
        if rollovers.last() != Some(&bars.nights[bar]) {
            rollovers.push(bars.nights[bar]);
            let open = Timestamp::from_second(bars.time[bar]).unwrap_or(Timestamp::UNIX_EPOCH);
            days.push(Day { date: sessions.day(open), slice, net: 0, trades: 0 });
        }
    }
    for played in trades.iter().filter(|played| played.kind == Kind::WalkForward) {
        // One that ends in the hole after its slice, on a day of no slice, counts on the day before.
        let night = bars.nights[played.trade.exit_bar];
        let day = rollovers.partition_point(|known| *known <= night).saturating_sub(1);
        if let Some(day) = days.get_mut(day) {
            day.net += i64::from(played.trade.net);
            day.trades += 1;
        }
    }
    days
}
