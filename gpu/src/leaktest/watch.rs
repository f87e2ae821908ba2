//! What is watched of the engine: everything that it says of a bar at the bar's close.
//!
//! Owns the choice: the bars' own quantities, features, decisions, orders and the account of a backtest, and, of
//! M1, the M5, M15 and H1 bars made from it with what they confirm; and what a trained variant says. Must not compute any of it in its own way.

use sep_contract::{CandleSet, Side, Timeframe};

use super::Column;
use crate::backtest::{Costs, Run, State, levels, signal};
use crate::bars::Bars;
use crate::history::confirmed::prepare;
use crate::history::{History, HistoryError};
use crate::lane::Lane;
use crate::qfh::{Constants, Direction, Features, confirm, decide};
use crate::variant::{Space, Variant};

/// Window lengths watched: shorter than the trajectory match asks for, the published one, a long one.
const WINDOWS: [u32; 3] = [5, 11, 33];
/// Bars made from M1; the first two confirm.
const LONGER: [Timeframe; 3] = [Timeframe::M5, Timeframe::M15, Timeframe::H1];

/// Everything the engine says of these candles.
pub fn watch(candles: &CandleSet) -> Result<Vec<Column>, HistoryError> {
    let constants = Constants::default();
    // Every signal, not only those of high confidence.
    let model = Variant { min_confidence: 0.0, min_coherence: 0.0, ..Variant::published() };
    let lane = model.lane();
    let mut bars = Bars::new(candles);
    let mut columns = Columns { bars: bars.len(), columns: Vec::new() };
    columns.add("volatility", |bar| bars.volatility[bar].cast_unsigned());
    columns.add("rollover nights", |bar| bars.nights[bar].cast_unsigned());
    let features = WINDOWS.map(|window| Features::new(&bars, window, true, &constants));
    for features in &features {
        columns.features("", features, &Some);
        let name = format!("window {}", features.window);
        let one_sided = Features { down: None, ..features.clone() };
        for (model, features) in [("published", &one_sided), ("symmetric", features)] {
            columns.trading(&format!("{name}, {model}"), &bars, features, &lane);
        }
    }
    if candles.timeframe == Timeframe::M1 {
        let history = History::of(bars.clone(), &LONGER)?;
        let mut longer = Vec::new();
        for bars in LONGER.into_iter().filter_map(|timeframe| history.bars(timeframe)) {
            longer.push((bars, Features::new(bars, model.window, true, &constants)));
        }
        for (longer, features) in &longer {
            // The newest of the longer bars that are over at the close of a bar.
            let newest = |bar: usize| {
                let now = bars.close_time(bar);
                let over = longer.time.partition_point(|open| open + longer.timeframe.seconds() <= now);
                over.checked_sub(1)
            };
            columns.features(&format!("{}: ", longer.timeframe), features, &newest);
        }
        let confirming: Vec<(&Bars, &Features)> =
            longer.iter().take(2).map(|(longer, features)| (*longer, features)).collect();
        confirm(&mut bars, &confirming, &lane, &constants);
        let confirmed = Variant { confirm: true, ..model }.lane();
        columns.trading("confirmed by M5 and M15", &bars, &features[1], &confirmed);
    }
    columns.add("entry gate", |bar| bars.gate[bar]);
    Ok(columns.columns)
}

/// What a trained variant says at the close of each bar of its base series: side, stop and target of the newest
/// of its own bars that is over then.
pub fn watch_variant(
    candles: &CandleSet,
    variant: &Variant,
    constants: &Constants,
) -> Result<Vec<Column>, HistoryError> {
    let mut history = History::of(Bars::new(candles), &[variant.timeframe])?;
    prepare(&mut history, &Space::from(variant), constants)?;
    let mut columns = Columns { bars: candles.candles.len(), columns: Vec::new() };
    let Some(bars) = history.bars(variant.timeframe) else { return Ok(columns.columns) };
    let features = Features::new(bars, variant.window, variant.symmetric, constants);
    let lane = variant.lane();
    let length = bars.timeframe.seconds();
    let order = |bar: usize| {
        let now = history.base().close_time(bar);
        let newest = bars.time.partition_point(|open| open + length <= now).checked_sub(1)?;
        let side = signal(bars, &features, &lane, newest)?;
        Some((side, levels(bars, &lane, side, newest)))
    };
    columns.add("the trained model: signal", |bar| {
        order(bar).map_or(0, |(side, _)| if side == Side::Buy { 1 } else { 2 })
    });
    columns.add("the trained model: stop", |bar| order(bar).map_or(0, |(_, (stop, _))| stop.cast_unsigned()));
    columns.add("the trained model: target", |bar| {
        order(bar).map_or(0, |(_, (_, target))| target.cast_unsigned())
    });
    Ok(columns.columns)
}

struct Columns {
    bars: usize,
    columns: Vec<Column>,
}

impl Columns {
    fn add(&mut self, name: impl Into<String>, value: impl Fn(usize) -> u32) {
        let values = (0..self.bars).map(value).collect();
        self.columns.push(Column { name: name.into(), values });
    }

    /// The features that are known of each bar: those of the bar that `of` gives, nothing where it gives none.
    fn features(&mut self, whose: &str, features: &Features, of: &dyn Fn(usize) -> Option<usize>) {
        let window = features.window;
        let bits = |values: &[f32], bar: usize| of(bar).map_or(0, |bar| values[bar].to_bits());
        self.add(format!("{whose}window {window}, strictness"), |bar| bits(&features.strictness, bar));
        let directions = [("rising", Some(&features.up)), ("falling", features.down.as_ref())];
        for (direction, made) in directions.into_iter().filter_map(|(name, made)| Some((name, made?))) {
            let Direction { stability, coherence, entropy, gain, rupture } = made;
            for (name, values) in [
                ("stability", stability),
                ("coherence", coherence),
                ("entropy", entropy),
                ("gain", gain),
                ("rupture", rupture),
            ] {
                self.add(format!("{whose}window {window}, {direction} {name}"), |bar| bits(values, bar));
            }
        }
    }

    /// Signals with their confidence, the levels of their orders, and the account of a backtest after each bar.
    fn trading(&mut self, name: &str, bars: &Bars, features: &Features, lane: &Lane) {
        let side = |side: Side| if side == Side::Buy { 1 } else { 2 };
        self.add(format!("{name}: signal"), |bar| signal(bars, features, lane, bar).map_or(0, side));
        self.add(format!("{name}: confidence"), |bar| {
            decide(lane, features, bar).map_or(0, |decision| decision.confidence.to_bits())
        });
        self.add(format!("{name}: stop"), |bar| {
            signal(bars, features, lane, bar)
                .map_or(0, |side| levels(bars, lane, side, bar).0.cast_unsigned())
        });
        self.add(format!("{name}: target"), |bar| {
            signal(bars, features, lane, bar)
                .map_or(0, |side| levels(bars, lane, side, bar).1.cast_unsigned())
        });
        let costs = Costs { slippage: 1, commission: 10, swap_buy: 5, swap_sell: 7 };
        let run = Run { bars, features, lane, costs: &costs };
        let (mut state, mut net) = (State::Flat, 0_i32);
        let account = (0..bars.len()).map(|bar| {
            let (next, trade) = run.step(state, bar);
            state = next;
            net = net.wrapping_add(trade.map_or(0, |trade| trade.net));
            let open = match state {
                State::Flat => 0,
                State::Signalled(of) => side(of),
                State::Open(position) => position.entry.cast_unsigned(),
            };
            (open, net.cast_unsigned())
        });
        let (open, net) = account.unzip();
        self.columns.push(Column { name: format!("{name}: position"), values: open });
        self.columns.push(Column { name: format!("{name}: account"), values: net });
    }
}
