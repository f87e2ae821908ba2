//! The backtest of one variant on one series: fixed units, every fill at a price the bars show.
//!
//! Owns the scalar definition of a run; the backends must give the same [`Stats`] to the last digit. The
//! rules: a signal at the close of a bar enters at the next open, if that bar follows without a hole and
//! opens between stop and target; a BUY enters at the ask and leaves at the bid, a SELL the other way
//! round; stop and target stand at their distance from the close that the signal was made at; a bar that
//! opens beyond one of them, or after the longest holding time, closes the position at its open; stop and
//! target touched in one bar count as the stop; market and stop orders slip, target orders do not. One
//! position at a time: signals given while one is open are not taken. What is open at the end of the
//! segment is closed at the last close.
//!
//! Amounts are in centi-ticks: hundredths of the pair's last digit, a unit of the base currency.

use std::ops::Range;

use sep_contract::Side;
use serde::{Deserialize, Serialize};

use crate::bars::{Bars, GATE_FRESH};
use crate::lane::Lane;
use crate::qfh::{Decision, Features, decide};

/// Centi-ticks in one tick.
pub const CENTITICKS: i32 = 100;
/// Centi-ticks in a pip, which is ten ticks in every pair.
pub const PIP: i32 = 10 * CENTITICKS;
/// Digits after the point of a centi-tick in pips.
pub const PIP_DIGITS: u32 = 3;
/// The largest move of a price that a trade can book, in ticks: keeps amounts within 32 bits.
pub(crate) const MAX_MOVE: i32 = 10_000_000;

/// What trading costs besides the spread, which is in the bars.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Costs {
    /// Ticks by which market and stop orders fill worse than the price shown.
    pub slippage: i32,
    /// Commission of a trade, in and out, in centi-ticks a unit.
    pub commission: i32,
    /// What a night costs a BUY, in centi-ticks a unit; negative where it earns.
    pub swap_buy: i32,
    /// What a night costs a SELL.
    pub swap_sell: i32,
}

/// What a run came to.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Net result, in centi-ticks a unit.
    pub net: i64,
    /// Sum of the squares of the trades' net results; the largest number where it is more than that.
    pub squares: u64,
    /// Deepest fall of the sum of closed trades below its highest value before, in centi-ticks.
    pub drawdown: i64,
    pub trades: u32,
    /// Trades with a net result above zero.
    pub wins: u32,
    /// BUYs among the trades.
    pub buys: u32,
    /// Bars in which a position was open at some time.
    pub bars_held: u32,
}

/// Why a position was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    Stop,
    Target,
    /// The bar opened beyond the stop or the target.
    Gap,
    /// Held for the longest time.
    Time,
    /// The segment ended.
    End,
}

impl Exit {
    /// `stop`, `target`, `gap`, `time` or `end`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Target => "target",
            Self::Gap => "gap",
            Self::Time => "time",
            Self::End => "end",
        }
    }
}

/// One trade.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Trade {
    pub side: Side,
    /// Bar at whose close the signal was made.
    pub signal_bar: usize,
    /// Bar at whose open it was entered.
    pub entry_bar: usize,
    pub exit_bar: usize,
    /// Prices in ticks.
    pub entry: i32,
    pub exit: i32,
    pub stop: i32,
    pub target: i32,
    pub exit_by: Exit,
    /// Net result after all costs, in centi-ticks a unit.
    pub net: i32,
    /// Commission and swap within it.
    pub fees: i32,
}

/// An open position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub side: Side,
    pub signal_bar: usize,
    pub entry_bar: usize,
    pub entry: i32,
    pub stop: i32,
    pub target: i32,
}

/// The state between two bars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Flat,
    /// The close of the bar before said so.
    Signalled(Side),
    Open(Position),
}

/// The levels of a signal made at the close of a bar: stop and target, in ticks, from the price at which
/// the side could have been entered then.
#[inline(always)]
pub fn levels(bars: &Bars, lane: &Lane, side: Side, bar: usize) -> (i32, i32) {
    let volatility = bars.volatility[bar];
    let (stop, target) = (lane.stop.ticks(volatility), lane.target.ticks(volatility));
    match side {
        Side::Buy => (bars.ask.close[bar] - stop, bars.ask.close[bar] + target),
        Side::Sell => (bars.bid.close[bar] + stop, bars.bid.close[bar] - target),
    }
}

/// What the close of a bar says under all filters.
pub fn decision(bars: &Bars, features: &Features, lane: &Lane, bar: usize) -> Option<Decision> {
    let gate = bars.gate[bar];
    if gate & lane.hours == 0 {
        return None;
    }
    let decision = decide(lane, features, bar)?;
    let needs = match decision.side {
        Side::Buy => lane.buy_needs,
        Side::Sell => lane.sell_needs,
    };
    (gate & needs == needs).then_some(decision)
}

/// The side of that.
pub fn signal(bars: &Bars, features: &Features, lane: &Lane, bar: usize) -> Option<Side> {
    decision(bars, features, lane, bar).map(|decision| decision.side)
}

/// A variant on a series.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    pub bars: &'a Bars,
    pub features: &'a Features,
    pub lane: &'a Lane,
    pub costs: &'a Costs,
}

impl Run<'_> {
    /// Plays a segment of the series; `on_trade` sees every trade as it is closed.
    pub fn play(&self, segment: Range<usize>, mut on_trade: impl FnMut(&Trade)) -> Stats {
        let mut stats = Stats::default();
        let mut peak = 0;
        let mut book = |trade: &Trade| {
            stats.book(trade, &mut peak);
            on_trade(trade);
        };
        let mut state = State::Flat;
        for bar in segment.clone() {
            let (next, trade) = self.step(state, bar);
            state = next;
            trade.iter().for_each(&mut book);
        }
        if let (State::Open(position), Some(last)) = (state, segment.last()) {
            book(&self.finish(&position, last));
        }
        stats
    }

    /// What a segment came to.
    pub fn stats(&self, segment: Range<usize>) -> Stats {
        self.play(segment, |_| {})
    }

    /// Takes the state over one bar, and the trade that the bar closed.
    #[inline]
    pub fn step(&self, state: State, bar: usize) -> (State, Option<Trade>) {
        let position = match state {
            State::Flat => None,
            State::Signalled(side) => self.enter(side, bar),
            State::Open(position) => match self.at_open(&position, bar) {
                Some(trade) => return (self.listen(bar), Some(trade)),
                None => Some(position),
            },
        };
        match position {
            None => (self.listen(bar), None),
            Some(position) => match self.within(&position, bar) {
                Some(trade) => (self.listen(bar), Some(trade)),
                None => (State::Open(position), None),
            },
        }
    }

    /// Closes what is open at the close of a bar.
    pub fn finish(&self, position: &Position, bar: usize) -> Trade {
        let price = match position.side {
            Side::Buy => self.bars.bid.close[bar] - self.costs.slippage,
            Side::Sell => self.bars.ask.close[bar] + self.costs.slippage,
        };
        self.trade(position, bar, price, Exit::End)
    }

    /// What the close of a bar says where nothing is open.
    pub fn listen(&self, bar: usize) -> State {
        signal(self.bars, self.features, self.lane, bar).map_or(State::Flat, State::Signalled)
    }

    /// What the open of a bar makes of the signal of the close before: a position, unless the bar does not
    /// follow at once or opens beyond stop or target.
    #[inline(always)]
    pub fn enter(&self, side: Side, bar: usize) -> Option<Position> {
        let bars = self.bars;
        if bars.gate[bar] & GATE_FRESH == 0 {
            return None;
        }
        let signal_bar = bar - 1;
        let (stop, target) = levels(bars, self.lane, side, signal_bar);
        let (entry, between) = match side {
            Side::Buy => {
                let leave = bars.bid.open[bar];
                (bars.ask.open[bar] + self.costs.slippage, stop < leave && leave < target)
            }
            Side::Sell => {
                let leave = bars.ask.open[bar];
                (bars.bid.open[bar] - self.costs.slippage, target < leave && leave < stop)
            }
        };
        between.then_some(Position { side, signal_bar, entry_bar: bar, entry, stop, target })
    }

    /// What the open of a later bar does to a position.
    #[inline(always)]
    pub fn at_open(&self, position: &Position, bar: usize) -> Option<Trade> {
        let held = i32::try_from(bar - position.entry_bar).unwrap_or(i32::MAX);
        let (open, slip, stopped, reached) = match position.side {
            Side::Buy => {
                let open = self.bars.bid.open[bar];
                (open, -self.costs.slippage, open <= position.stop, open >= position.target)
            }
            Side::Sell => {
                let open = self.bars.ask.open[bar];
                (open, self.costs.slippage, open >= position.stop, open <= position.target)
            }
        };
        let (price, by) = if stopped {
            (open + slip, Exit::Gap)
        } else if reached {
            (open, Exit::Gap)
        } else if held >= self.lane.hold {
            (open + slip, Exit::Time)
        } else {
            return None;
        };
        Some(self.trade(position, bar, price, by))
    }

    /// What happens to a position within a bar. Which of stop and target came first, no bar tells: the stop.
    #[inline(always)]
    pub fn within(&self, position: &Position, bar: usize) -> Option<Trade> {
        let (stopped, reached, slip) = match position.side {
            Side::Buy => {
                let (low, high) = (self.bars.bid.low[bar], self.bars.bid.high[bar]);
                (low <= position.stop, high >= position.target, -self.costs.slippage)
            }
            Side::Sell => {
                let (low, high) = (self.bars.ask.low[bar], self.bars.ask.high[bar]);
                (high >= position.stop, low <= position.target, self.costs.slippage)
            }
        };
        if stopped {
            Some(self.trade(position, bar, position.stop + slip, Exit::Stop))
        } else if reached {
            Some(self.trade(position, bar, position.target, Exit::Target))
        } else {
            None
        }
    }

    #[inline(always)]
    fn trade(&self, position: &Position, bar: usize, exit: i32, exit_by: Exit) -> Trade {
        let (net, fees) = self.worth(position, bar, exit);
        Trade {
            side: position.side,
            signal_bar: position.signal_bar,
            entry_bar: position.entry_bar,
            exit_bar: bar,
            entry: position.entry,
            exit,
            stop: position.stop,
            target: position.target,
            exit_by,
            net,
            fees,
        }
    }

    /// What a position is worth in a bar at a price, in centi-ticks a unit after commission and swap, and
    /// these two.
    #[inline(always)]
    pub fn worth(&self, position: &Position, bar: usize, price: i32) -> (i32, i32) {
        let nights = self.bars.nights[bar] - self.bars.nights[position.entry_bar];
        let (moved, swap) = match position.side {
            Side::Buy => (price - position.entry, self.costs.swap_buy),
            Side::Sell => (position.entry - price, self.costs.swap_sell),
        };
        let fees = self.costs.commission + swap * nights;
        (moved.clamp(-MAX_MOVE, MAX_MOVE) * CENTITICKS - fees, fees)
    }
}

impl Stats {
    /// Books a closed trade; `peak` is the highest sum so far, 0 at the start.
    #[inline(always)]
    pub fn book(&mut self, trade: &Trade, peak: &mut i64) {
        let net = i64::from(trade.net);
        self.net += net;
        self.squares = self.squares.saturating_add((net * net).unsigned_abs());
        *peak = (*peak).max(self.net);
        self.drawdown = self.drawdown.max(*peak - self.net);
        self.trades += 1;
        self.wins += u32::from(net > 0);
        self.buys += u32::from(trade.side == Side::Buy);
        self.bars_held += u32::try_from(trade.exit_bar - trade.entry_bar + 1).unwrap_or(u32::MAX);
    }
}
