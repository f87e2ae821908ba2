//! The examination: from a search to the evidence, step by step, always the same way.
//!
//! Owns which of the statistics is asked on which slices. Runs searches and replays through [`Subject`] alone,
//! and knows nothing of variants. Must not judge: it asks the gate only whether the random walks, which cost
//! as many searches again, can still change anything.

use std::ops::Range;

use sep_contract::Side;
use serde::{Deserialize, Serialize};

use crate::backtest::{Exit, Stats, Trade};
use crate::bars::Bars;
use crate::verdict::base::{BaseRates, Rate};
use crate::verdict::equity::{drawdown, turnover};
use crate::verdict::evidence::{Evidence, Trials};
use crate::verdict::folds::{combinatorial, paths, walk_forward};
use crate::verdict::gate::{Demands, Verdict, judge};
use crate::verdict::matrix::{Cell, Choice, Matrix};
use crate::verdict::moments::Moments;
use crate::verdict::overfit::{NotHalvable, overfit};
use crate::verdict::resample::{Held, Permuted, bootstrap, shifted, usual_block};
use crate::verdict::surrogate::random_walk;

/// Slices that a fold of cross-validation tests: of 16 slices, 120 folds and 15 paths.
const TESTED: usize = 2;

/// What is examined: a search over some bars, which can be repeated on others. Variants are known by their
/// place in the matrix.
pub trait Subject {
    /// Why a search failed.
    type Error: From<NotHalvable>;

    /// The user's bars; where several timeframes are searched, those that the longer ones are made of.
    fn bars(&self) -> &Bars;
    /// Plays every variant on every slice of other bars in the place of the user's: of random walks.
    fn outcomes(&self, bars: &Bars) -> Result<Matrix, Self::Error>;
    /// The trades of a variant on a slice, oldest first, in places of the user's bars.
    fn trades(&self, variant: usize, slice: usize) -> Vec<Trade>;
    /// What a variant's exits and hours make of a slice of the user's bars where this side is taken at every
    /// chance.
    fn blind(&self, variant: usize, slice: usize, side: Side) -> Stats;
}

/// How a search is examined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The slices of the bars, oldest first; an even number, at most 16.
    pub slices: Vec<Range<usize>>,
    /// Bars that a slice has lost besides the purge, as the user asked.
    pub embargo: usize,
    /// The first slice that is tested walking forward.
    pub first: usize,
    /// Trades that a variant needs on the training slices to be chosen.
    pub trades: u32,
    /// The longest time that a trade may look back and be held, in bars: how far trades are shifted at least.
    pub apart: usize,
    /// Variants tried before this search on the same history: they count as trials.
    pub tried_before: u64,
    /// Shifts of the trades that are looked at.
    pub shifts: usize,
    /// Draws of the bootstrap.
    pub draws: usize,
    /// Random walks that the search is repeated on: 19 allow a p-value of 0.05 if none does as well.
    pub walks: usize,
    /// What the walks and the bootstrap are drawn from. It is to follow from what is searched: a seed that could
    /// be chosen would let chance be asked until it agrees.
    pub seed: u64,
}

impl Plan {
    /// The usual plan for these slices: the first quarter trains only.
    pub fn new(slices: Vec<Range<usize>>, apart: usize, seed: u64) -> Self {
        let first = (slices.len() / 4).max(1);
        Self {
            slices,
            embargo: 0,
            first,
            trades: 30,
            apart,
            tried_before: 0,
            shifts: 1_000,
            draws: 1_000,
            walks: 19,
            seed,
        }
    }
}

/// Examines what a search has found on the user's bars. The random walks are run only where everything else has
/// passed. Each goes through `on_walk`, which is given its number, from 0, and the search on it, and returns the
/// ratio that this comes to: what it knows from before need not be searched again.
pub fn examine<S: Subject>(
    subject: &S,
    matrix: &Matrix,
    plan: &Plan,
    demands: &Demands,
    mut on_walk: impl FnMut(usize, &dyn Fn() -> Result<f64, S::Error>) -> Result<f64, S::Error>,
) -> Result<(Evidence, Verdict), S::Error> {
    let mut evidence = gather(subject, plan, matrix)?;
    let verdict = judge(&evidence, demands);
    if !verdict.lacks_only_random_walks() {
        return Ok((evidence, verdict));
    }
    let observed = evidence.trades.ratio();
    let mut as_good = 0;
    for walk in 0..plan.walks {
        let search = || {
            let bars = random_walk(subject.bars(), plan.seed.wrapping_add(walk as u64));
            Ok(walked(&subject.outcomes(&bars)?, plan).1.ratio())
        };
        as_good += usize::from(on_walk(walk, &search)? >= observed);
    }
    evidence.null = Some(Permuted::of(observed, plan.walks, as_good));
    let verdict = judge(&evidence, demands);
    Ok((evidence, verdict))
}

/// The walk-forward choices, and what they came to.
pub fn walked(matrix: &Matrix, plan: &Plan) -> (Vec<Choice>, Cell) {
    let choices = matrix.choose(&walk_forward(matrix.slices(), plan.first), plan.trades);
    let mut total = Cell::default();
    for choice in &choices {
        total += choice.tested;
    }
    (choices, total)
}

/// All evidence but the random walks.
fn gather<S: Subject>(subject: &S, plan: &Plan, matrix: &Matrix) -> Result<Evidence, NotHalvable> {
    let bars = subject.bars();
    let overfit = overfit(matrix)?;
    let all: Vec<usize> = (0..matrix.slices()).collect();
    let finalist = matrix.best(&all, plan.trades).map(|(variant, _)| variant);
    let (folds, total) = walked(matrix, plan);
    let chosen = || {
        folds.iter().flat_map(|fold| fold.fold.test.iter().filter_map(|&slice| Some((fold.variant?, slice))))
    };
    let trades: Vec<Trade> = chosen().flat_map(|(variant, slice)| subject.trades(variant, slice)).collect();
    let tested = &plan.slices[plan.first.min(plan.slices.len())..];
    let days = daily(bars, tested, &trades);
    let whole: Vec<Trade> = finalist
        .iter()
        .flat_map(|&variant| all.iter().flat_map(move |&slice| subject.trades(variant, slice)))
        .collect();
    let blind = |side| {
        let (mut cell, mut wins) = (Cell::default(), 0);
        for (variant, slice) in chosen() {
            let stats = subject.blind(variant, slice, side);
            cell += Cell::from(stats);
            wins += stats.wins;
        }
        Rate::of(&cell, wins)
    };
    let held: u64 = trades.iter().map(|trade| (trade.exit_bar - trade.entry_bar + 1) as u64).sum();
    let bars_tested: u64 = tested.iter().map(|slice| slice.len() as u64).sum();
    Ok(Evidence {
        finalist,
        trades: total,
        wins: trades.iter().map(|trade| u32::from(trade.net > 0)).sum(),
        mean_day: bootstrap(&days, usual_block(days.len()), plan.draws, 0.9, plan.seed),
        paths: cross_validated(matrix, plan.trades),
        trials: Trials {
            count: plan.tried_before + matrix.variants() as u64,
            spread: matrix.spread(),
            finalist: Moments::of(&daily(bars, &plan.slices, &whole)),
        },
        overfit,
        timing: timed(bars, tested, &trades, plan),
        null: None,
        base: BaseRates::of(blind(Side::Buy), blind(Side::Sell)),
        drawdown: drawdown(&days),
        turnover: turnover(total.trades, days.len(), held, bars_tested),
        folds,
        days,
    })
}

/// What each path of combinatorial purged cross-validation came to.
fn cross_validated(matrix: &Matrix, trades: u32) -> Vec<Cell> {
    let folds = combinatorial(matrix.slices(), TESTED);
    let choices = matrix.choose(&folds, trades);
    let follow = |path: Vec<usize>| {
        let mut total = Cell::default();
        for (slice, fold) in path.into_iter().enumerate() {
            if let Some(variant) = choices[fold].variant {
                total += matrix.row(variant)[slice];
            }
        }
        total
    };
    paths(matrix.slices(), &folds).into_iter().map(follow).collect()
}

/// Net results by trading day (that ends at the rollover, 17:00 New York), a trade on the day of its exit; all
/// days on which these slices have bars.
fn daily(bars: &Bars, slices: &[Range<usize>], trades: &[Trade]) -> Vec<i64> {
    // Rollovers counted so far name the day: they grow with every one.
    let mut days: Vec<i32> =
        slices.iter().flat_map(|slice| bars.nights[slice.clone()].iter().copied()).collect();
    days.dedup();
    let mut net = vec![0; days.len()];
    for trade in trades {
        // A longer bar may end a little after its slice, on a day that has no bar in any slice: the day before.
        let day = days.partition_point(|&day| day <= bars.nights[trade.exit_bar]).saturating_sub(1);
        if let Some(net) = net.get_mut(day) {
            *net += i64::from(trade.net);
        }
    }
    net
}

/// The timing of the trades, over all bars from the first tested to the last.
fn timed(bars: &Bars, tested: &[Range<usize>], trades: &[Trade], plan: &Plan) -> Permuted {
    let from = tested.first().map_or(0, |slice| slice.start);
    let to = tested.last().map_or(from, |slice| slice.end);
    // Twice the mid price of each open, and of the last close.
    let opens = (from..to).map(|bar| i64::from(bars.bid.open[bar]) + i64::from(bars.ask.open[bar]));
    let last = (from < to).then(|| i64::from(bars.mid2_close(to - 1)));
    let prices: Vec<i64> = opens.chain(last).collect();
    let held: Vec<Held> = trades
        .iter()
        .map(|trade| {
            // What closes within a bar is over by the next open.
            let within = matches!(trade.exit_by, Exit::Stop | Exit::Target | Exit::End);
            Held {
                entry: trade.entry_bar - from,
                exit: trade.exit_bar - from + usize::from(within),
                long: trade.side == Side::Buy,
            }
        })
        .collect();
    shifted(&prices, &held, plan.apart, plan.shifts)
}

#[cfg(test)]
mod tests {
    use sep_contract::{Candle, CandleSet, Ohlc, Provenance, Side, Ticks, Timeframe};

    use super::{Plan, cross_validated, daily, timed};
    use crate::backtest::{Exit, Trade};
    use crate::bars::Bars;
    use crate::verdict::matrix::{Cell, Matrix};

    /// Five days of hourly bars, from midnight of a Monday; each bar rises by its number in ticks.
    fn bars() -> Bars {
        let mut price = 100_000;
        let candle = |bar: i32| {
            let open = Ticks::new(price);
            price += bar;
            let close = Ticks::new(price);
            let ohlc = Ohlc { open, high: close, low: open, close };
            let time = "2025-07-21T00:00:00Z".parse::<jiff::Timestamp>().unwrap().as_second()
                + 3600 * i64::from(bar);
            Candle { time: jiff::Timestamp::from_second(time).unwrap(), bid: ohlc, ask: ohlc, volume: 1 }
        };
        let candles = (0..120).map(candle).collect();
        let pair = "EUR_USD".parse().unwrap();
        Bars::new(&CandleSet { pair, timeframe: Timeframe::H1, provenance: Provenance::default(), candles })
    }

    fn trade(entry_bar: usize, exit_bar: usize, exit_by: Exit, net: i32) -> Trade {
        let (side, signal_bar, fees) = (Side::Buy, entry_bar - 1, 0);
        let [entry, exit, stop, target] = [0; 4];
        Trade { side, signal_bar, entry_bar, exit_bar, entry, exit, stop, target, exit_by, net, fees }
    }

    /// Days end at 21:00 UTC. A day that lies in no slice has no place; a trade that ends in its hole belongs to
    /// the day before.
    #[test]
    fn days_of_the_slices() {
        let bars = bars();
        let trades = [
            trade(2, 3, Exit::Time, 10),
            trade(19, 20, Exit::Stop, -4),
            trade(20, 21, Exit::Target, 100),
            trade(48, 50, Exit::End, 7),
        ];
        // Monday until 21:00 and the next day until 13:00; then from Thursday, 10:00.
        let slices = [0..37, 82..92];
        assert_eq!(daily(&bars, &slices, &trades), [6, 107, 0]);
        assert_eq!(daily(&bars, &slices, &[]), [0, 0, 0]);
        assert!(daily(&bars, &[], &trades).is_empty());
    }

    /// Held from the open of bar 60 over the open of bar 62 (which closed it), or to the close of bar 62.
    #[test]
    fn what_closes_within_a_bar_holds_it() {
        let bars = bars();
        let plan = Plan { apart: 5, shifts: 1, ..Plan::new(vec![0..50, 50..120], 5, 1) };
        let tested = &plan.slices[1..];
        let one = |exit_by| {
            timed(&bars, tested, &[trade(60, 62, exit_by, 1), trade(100, 101, Exit::Time, 1)], &plan)
        };
        let ratio = |first: f64, second: f64| (first + second) / (first * first + second * second).sqrt();
        // Twice the moves of 60 and 61, or of 60 to 62; and that of 100.
        assert!((one(Exit::Time).observed - ratio(242.0, 200.0)).abs() < 1e-12);
        assert!((one(Exit::Stop).observed - ratio(366.0, 200.0)).abs() < 1e-12);
    }

    /// Two variants on four slices: one earns in the first half, the other in the second. Whatever two slices
    /// are tested, the path takes what the choice of the other two made there.
    #[test]
    fn paths_take_what_was_chosen_elsewhere() {
        let cell = |net: i64| Cell { trades: 4, net, squares: 400 };
        let row = |nets: [i64; 4]| nets.map(cell);
        let cells = [row([30, 30, -10, -10]), row([-10, -10, 30, 31])].concat();
        let matrix = Matrix::new(4, cells).unwrap();
        // Tested 01 -> trained 23: second; 02 -> 13: 20 against 21, second; 03 -> 12: equal, first; 12 -> 03:
        // 20 against 21, second; 13 -> 02: equal, first; 23 -> 01: first.
        // Paths: slices 0..3 by folds (01, 01, 02, 03), (02, 12, 12, 13), (03, 13, 23, 23).
        let nets: Vec<i64> = cross_validated(&matrix, 1).iter().map(|path| path.net).collect();
        assert_eq!(nets, [-10 - 10 + 30 - 10, -10 - 10 + 30 - 10, 30 + 30 - 10 - 10]);
    }
}
