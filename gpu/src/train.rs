//! Training: every variant of a search on every slice of a pair's history.
//!
//! Owns the slices, the order of the work, and its checkpoints. What is found is examined and judged by
//! [`crate::verdict`]; this module takes no part in that. Must not write to the terminal.

mod checkpoint;
mod slices;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use sep_contract::{Pair, Side, Timeframe};

use crate::backend::cuda::CudaError;
use crate::backend::{Backend, Batch};
use crate::backtest::{Costs, Exit, Run, Stats, Trade};
use crate::bars::Bars;
use crate::history::{History, HistoryError};
use crate::lane::{Lane, NO_COLLAPSE};
use crate::qfh::{Constants, Features, confirm};
use crate::variant::{FeatureKey, Search, Space, SpaceError, Variant};
use crate::verdict::Subject;
use crate::verdict::folds::TooShort;
use crate::verdict::matrix::{Cell, Matrix, Ragged};
use crate::verdict::overfit;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use slices::Slices;

/// What is searched, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub space: Space,
    pub search: Search,
    pub constants: Constants,
    pub costs: Costs,
    /// Pieces of the history, an even number of at most 16.
    pub slices: usize,
    /// Bars that each slice loses besides the longest window plus the longest hold.
    pub embargo: usize,
}

/// Why a training ended.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error("the search space: {0}")]
    Space(#[from] SpaceError),
    #[error("{timeframe}: {source}: import more candles, or search fewer timeframes or shorter holds")]
    TooShort { timeframe: Timeframe, source: TooShort },
    #[error(transparent)]
    History(#[from] HistoryError),
    #[error(transparent)]
    Backend(#[from] CudaError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Ragged(#[from] Ragged),
    #[error(transparent)]
    Halves(#[from] overfit::Slices),
    #[error("the history of {pair} has no {timeframe} bars, which the search asks for")]
    Missing { pair: Pair, timeframe: Timeframe },
}

/// How far a search is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    pub variants_done: usize,
    pub variants: usize,
    /// Bars times variants played since the last word.
    pub bar_variants: f64,
}

/// A search on a history.
pub struct Training<'a> {
    pub request: &'a Request,
    pub history: &'a History,
    pub slices: Slices,
    backend: &'a Backend,
    /// The variants' numbers in the space, ascending.
    numbers: Vec<u64>,
    on_progress: RefCell<Box<dyn FnMut(Progress) + 'a>>,
    /// Features of variants that were played again, one by one.
    kept: RefCell<BTreeMap<FeatureKey, Features>>,
}

impl<'a> Training<'a> {
    /// Prepares a search; checks the space and cuts the history.
    pub fn new(
        request: &'a Request,
        history: &'a History,
        backend: &'a Backend,
        on_progress: impl FnMut(Progress) + 'a,
    ) -> Result<Self, TrainError> {
        request.space.check()?;
        Ok(Self {
            request,
            history,
            slices: Slices::new(history, &request.space, request.slices, request.embargo)?,
            backend,
            numbers: request.search.numbers(&request.space)?,
            on_progress: RefCell::new(Box::new(on_progress)),
            kept: RefCell::default(),
        })
    }

    /// How many variants are tried.
    pub fn variants(&self) -> usize {
        self.numbers.len()
    }

    /// A variant by its place in the matrix.
    pub fn variant(&self, place: usize) -> Variant {
        self.request.space.at(self.numbers[place])
    }

    /// Plays every variant on every slice of the history, going on from a checkpoint where there is one.
    pub fn search(&self, checkpoint: Option<&mut Checkpoint>) -> Result<Matrix, TrainError> {
        self.play_all(self.history, checkpoint)
    }

    fn play_all(
        &self,
        history: &History,
        mut checkpoint: Option<&mut Checkpoint>,
    ) -> Result<Matrix, TrainError> {
        let mut cells: Vec<Cell> = Vec::with_capacity(self.numbers.len() * self.request.slices);
        let mut at = 0;
        if let Some(checkpoint) = &mut checkpoint {
            cells.extend(checkpoint.cells());
            at = cells.len() / self.request.slices.max(1);
            self.tell(at, 0.0);
        }
        let mut next = Model::first_of(self.request, history, self.numbers.get(at..).unwrap_or_default())?;
        while let Some(model) = next.take() {
            let (request, rest) = (self.request, &self.numbers[at + model.count..]);
            let mut made = Ok(None);
            // While the variants of one model are played, the features of the next are made: a card would wait for
            // them. In the pool, not in a thread of their own: a search that runs in the pool itself would keep the
            // hands that make them.
            let played = rayon::in_place_scope(|scope| {
                scope.spawn(|_| made = Model::first_of(request, history, rest));
                self.play_model(&model, at, &mut cells, checkpoint.as_deref_mut())
            });
            played?;
            at += model.count;
            next = made?;
        }
        checkpoint.map_or(Ok(()), Checkpoint::sync)?;
        Ok(Matrix::new(self.request.slices, cells)?)
    }

    /// Plays the variants of a model, which begin at a place in the matrix.
    fn play_model(
        &self,
        model: &Model,
        mut at: usize,
        cells: &mut Vec<Cell>,
        mut checkpoint: Option<&mut Checkpoint>,
    ) -> Result<(), TrainError> {
        let Model { key, count, bars, features } = model;
        let (segments, costs) = (self.slices.of(key.timeframe), &self.request.costs);
        let bars_played: usize = segments.iter().map(Range::len).sum();
        let last = at + count;
        while at < last {
            let end = (at + self.backend.lanes_at_once()).min(last);
            let lanes: Vec<Lane> = (at..end).map(|place| self.variant(place).lane()).collect();
            let stats = self.backend.evaluate(&[Batch { bars, features, costs, lanes: &lanes, segments }])?;
            let new = cells.len();
            cells.extend(stats.into_iter().flatten().map(Cell::from));
            if let Some(checkpoint) = &mut checkpoint {
                checkpoint.add(&cells[new..])?;
            }
            self.tell(end, bars_played as f64 * (end - at) as f64);
            at = end;
        }
        Ok(())
    }

    fn tell(&self, variants_done: usize, bar_variants: f64) {
        let variants = self.numbers.len();
        (self.on_progress.borrow_mut())(Progress { variants_done, variants, bar_variants });
    }

    /// Plays one variant on a segment of its own timeframe's bars, by the definition.
    pub fn play(
        &self,
        variant: &Variant,
        lane: &Lane,
        segment: Range<usize>,
        on_trade: impl FnMut(&Trade),
    ) -> Stats {
        let key = variant.key();
        let Some(bars) = self.history.bars(key.timeframe) else { return Stats::default() };
        let mut kept = self.kept.borrow_mut();
        let features = kept
            .entry(key)
            .or_insert_with(|| Features::new(bars, key.window, key.symmetric, &self.request.constants));
        Run { bars, features, lane, costs: &self.request.costs }.play(segment, on_trade)
    }

    /// The trades of a variant on a slice, in bars of its own timeframe.
    pub fn own_trades(&self, place: usize, slice: usize) -> Vec<Trade> {
        let variant = self.variant(place);
        let mut trades = Vec::new();
        if let Some(segment) = self.slices.of(variant.timeframe).get(slice) {
            self.play(&variant, &variant.lane(), segment.clone(), |trade| trades.push(*trade));
        }
        trades
    }
}

/// Variants that share their features, one after the other among a search's numbers.
struct Model<'a> {
    key: FeatureKey,
    count: usize,
    bars: &'a Bars,
    features: Features,
}

impl<'a> Model<'a> {
    /// The model of the first of these variants; none where there are none.
    fn first_of(
        request: &Request,
        history: &'a History,
        numbers: &[u64],
    ) -> Result<Option<Self>, TrainError> {
        let key = |number: &u64| request.space.at(*number).key();
        let Some(first) = numbers.first().map(key) else { return Ok(None) };
        // Neighbours share their features: numbers are ascending, and the key comes first in them.
        let count = numbers.partition_point(|number| key(number) == first);
        let bars = history
            .bars(first.timeframe)
            .ok_or(TrainError::Missing { pair: history.pair, timeframe: first.timeframe })?;
        let features = Features::new(bars, first.window, first.symmetric, &request.constants);
        Ok(Some(Self { key: first, count, bars, features }))
    }
}

impl Subject for Training<'_> {
    type Error = TrainError;

    fn bars(&self) -> &Bars {
        self.history.base()
    }

    fn outcomes(&self, bars: &Bars) -> Result<Matrix, TrainError> {
        let mut history = History::of(bars.clone(), &self.request.space.timeframes)?;
        prepare(&mut history, &self.request.space, &self.request.constants)?;
        self.play_all(&history, None)
    }

    /// The trades in bars of the base series.
    fn trades(&self, place: usize, slice: usize) -> Vec<Trade> {
        let timeframe = self.variant(place).timeframe;
        let first = |bar| self.history.in_base(timeframe, bar).0;
        let last = |bar| self.history.in_base(timeframe, bar).1 - 1;
        let in_base = |trade: Trade| Trade {
            signal_bar: last(trade.signal_bar),
            entry_bar: first(trade.entry_bar),
            exit_bar: match trade.exit_by {
                Exit::Gap | Exit::Time => first(trade.exit_bar),
                Exit::Stop | Exit::Target | Exit::End => last(trade.exit_bar),
            },
            ..trade
        };
        self.own_trades(place, slice).into_iter().map(in_base).collect()
    }

    fn blind(&self, place: usize, slice: usize, side: Side) -> Stats {
        let variant = self.variant(place);
        let lane = blind(&variant.lane(), side);
        match self.slices.of(variant.timeframe).get(slice) {
            Some(segment) => self.play(&variant, &lane, segment.clone(), |_| {}),
            None => Stats::default(),
        }
    }
}

/// A lane that takes one side wherever it may enter at all.
fn blind(lane: &Lane, side: Side) -> Lane {
    let (always, never) = (f32::MIN_POSITIVE, f32::MAX);
    let (buy_above, sell_above) = match side {
        Side::Buy => (always, never),
        Side::Sell => (never, always),
    };
    Lane {
        stability: 1.0,
        coherence: 1.0,
        entropy: 1.0,
        buy_above,
        sell_above,
        min_confidence: 0.0,
        min_coherence: 0.0,
        collapse: NO_COLLAPSE,
        buy_needs: 0,
        sell_needs: 0,
        ..*lane
    }
}

/// Makes a history ready for a space: where variants ask for confirmation, the M1 gates say what M5 and M15
/// confirm.
pub fn prepare(history: &mut History, space: &Space, constants: &Constants) -> Result<(), HistoryError> {
    if !space.confirm.contains(&true) {
        return Ok(());
    }
    let longer = History::of(history.base().clone(), &[Timeframe::M5, Timeframe::M15])?;
    let longer: Vec<&Bars> =
        [Timeframe::M5, Timeframe::M15].into_iter().filter_map(|timeframe| longer.bars(timeframe)).collect();
    if let Some(bars) = history.bars_mut(Timeframe::M1) {
        confirm_by(bars, &longer, constants);
    }
    Ok(())
}

/// Writes into the gates of M1 bars what M5 and M15 bars confirm under the published weights.
pub fn confirm_by(minutes: &mut Bars, longer: &[&Bars], constants: &Constants) {
    let published = Variant { min_confidence: 0.0, min_coherence: 0.0, ..Variant::published() };
    let features: Vec<(&Bars, Features)> = longer
        .iter()
        .map(|bars| (*bars, Features::new(bars, published.window, published.symmetric, constants)))
        .collect();
    let features: Vec<(&Bars, &Features)> =
        features.iter().map(|(bars, features)| (*bars, features)).collect();
    confirm(minutes, &features, &published.lane(), constants);
}
