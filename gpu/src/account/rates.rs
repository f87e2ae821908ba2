//! What prices were known when: the candles of all pairs, moved along together, and what one currency is
//! worth in another by them.
//!
//! Owns the order of events: of all bars that end or begin at a moment, those that end come first. Must not
//! know of positions or money.

use rust_decimal::Decimal;
use sep_contract::Pair;

use crate::bars::Bars;

/// A rate older than this is no basis for a new position: a week, longer than any holiday.
const STALE_SECONDS: i64 = 7 * 86_400;
/// The currency through which two others meet where no pair joins them.
const BRIDGE: &str = "USD";

/// A series on its way through time.
#[derive(Debug, Clone)]
pub(super) struct Feed<'a> {
    pub bars: &'a Bars,
    /// The bar that is open, or that comes next.
    pub bar: usize,
    /// Whether it is open.
    pub within: bool,
    /// The last prices known, in ticks.
    pub bid: i32,
    pub ask: i32,
    /// When; `None` where there were none yet.
    pub known: Option<i64>,
}

/// A pair that leads from one currency to another, and whether by its inverse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    feed: usize,
    inverse: bool,
}

/// A way from one currency to another: no step (the same currency), one, or two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Way(Vec<Step>);

impl<'a> Feed<'a> {
    /// A series as it stood at a moment: everything that was over by then is known.
    pub fn at(bars: &'a Bars, moment: i64) -> Self {
        let mut feed = Self { bars, bar: 0, within: false, bid: 0, ask: 0, known: None };
        let before = bars.time.partition_point(|open| *open < moment);
        if let Some(last) = before.checked_sub(1) {
            (feed.bar, feed.within) = (last, true);
            if feed.end() <= moment {
                feed.close();
            } else if last > 0 {
                // The bar before is over, this one is still running.
                feed.learn(bars.bid.close[last - 1], bars.ask.close[last - 1], bars.time[last]);
            }
        }
        feed
    }

    /// When the open bar is over. The days of brokers are an hour short or long twice a year: the next bar
    /// ends them.
    fn end(&self) -> i64 {
        let end = self.bars.close_time(self.bar);
        self.bars.time.get(self.bar + 1).map_or(end, |next| end.min(*next))
    }

    /// When something next happens; `None` at the end.
    pub fn next(&self) -> Option<i64> {
        if self.within { Some(self.end()) } else { self.bars.time.get(self.bar).copied() }
    }

    fn learn(&mut self, bid: i32, ask: i32, now: i64) {
        (self.bid, self.ask, self.known) = (bid, ask, Some(now));
    }

    /// Opens the bar that comes next.
    pub fn open(&mut self) {
        let (bars, bar) = (self.bars, self.bar);
        self.learn(bars.bid.open[bar], bars.ask.open[bar], bars.time[bar]);
        self.within = true;
    }

    /// Ends the open bar; gives its index.
    pub fn close(&mut self) -> usize {
        let (bars, bar) = (self.bars, self.bar);
        self.learn(bars.bid.close[bar], bars.ask.close[bar], self.end());
        self.within = false;
        self.bar += 1;
        bar
    }

    /// The middle of the last prices, exactly: half ticks need one more digit.
    pub fn mid(&self) -> Decimal {
        Decimal::new((i64::from(self.bid) + i64::from(self.ask)) * 5, self.bars.pair.digits() + 1)
    }
}

impl Way {
    /// The way between two currencies by the pairs at hand: directly, by the inverse, or through USD. Of
    /// several series of one pair the shortest bars are taken.
    pub fn find(feeds: &[Feed], from: &str, to: &str) -> Option<Self> {
        if from == to {
            return Some(Self(Vec::new()));
        }
        if let Some(step) = step(feeds, from, to) {
            return Some(Self(vec![step]));
        }
        Some(Self(vec![step(feeds, from, BRIDGE)?, step(feeds, BRIDGE, to)?]))
    }

    /// What one unit of the first currency is worth in the last one, by the last prices known: the middle
    /// of bid and ask. `None` before there are any.
    pub fn factor(&self, feeds: &[Feed]) -> Option<Decimal> {
        let step = |factor: Decimal, step: &Step| {
            let feed = &feeds[step.feed];
            let mid = feed.known.map(|_| feed.mid()).filter(|mid| *mid > Decimal::ZERO)?;
            if step.inverse { factor.checked_div(mid) } else { factor.checked_mul(mid) }
        };
        self.0.iter().try_fold(Decimal::ONE, step)
    }

    /// Whether all its prices are recent enough for a new position.
    pub fn is_fresh(&self, feeds: &[Feed], now: i64) -> bool {
        let known = |step: &Step| feeds[step.feed].known.is_some_and(|known| now - known <= STALE_SECONDS);
        self.0.iter().all(known)
    }
}

fn step(feeds: &[Feed], from: &str, to: &str) -> Option<Step> {
    let leads = |pair: Pair| match (pair.base(), pair.quote()) {
        (base, quote) if base == from && quote == to => Some(false),
        (base, quote) if base == to && quote == from => Some(true),
        _ => None,
    };
    feeds
        .iter()
        .enumerate()
        .filter_map(|(feed, one)| Some((one.bars.timeframe, Step { feed, inverse: leads(one.bars.pair)? })))
        .min_by_key(|(timeframe, _)| *timeframe)
        .map(|(_, step)| step)
}

/// Which of the pairs at hand lead from one currency to another: one, two, or none that do.
pub fn conversions(from: &str, to: &str, at_hand: &[Pair]) -> Vec<Pair> {
    let leads = |from: &str, to: &str| {
        let between = |pair: &&Pair| {
            (pair.base(), pair.quote()) == (from, to) || (pair.base(), pair.quote()) == (to, from)
        };
        at_hand.iter().find(between).copied()
    };
    if from == to {
        return Vec::new();
    }
    match (leads(from, to), leads(from, BRIDGE), leads(BRIDGE, to)) {
        (Some(pair), ..) => vec![pair],
        (None, Some(first), Some(second)) => vec![first, second],
        _ => Vec::new(),
    }
}

/// Which pairs would lead from a currency to another, where none at hand do: for the error's text.
pub(super) fn wanted(from: &str, to: &str) -> String {
    if from == BRIDGE || to == BRIDGE {
        format!("{from}_{to} or {to}_{from}")
    } else {
        format!("{from}_{to} or {to}_{from}, or a pair of {BRIDGE} with each of them")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sep_contract::{Candle, Ohlc, Ticks, Timeframe};

    fn bars(timeframe: Timeframe, opens: &[&str]) -> Bars {
        let candle = |(at, time): (i32, &&str)| {
            let side = |price| {
                let price = Ticks::new(price);
                Ohlc { open: price, high: price, low: price, close: price }
            };
            Candle { time: time.parse().unwrap(), bid: side(1_000 + at), ask: side(1_001 + at), volume: 1 }
        };
        let candles: Vec<Candle> = (0..).zip(opens).map(candle).collect();
        Bars::of("EUR_USD".parse().unwrap(), timeframe, true, &candles)
    }

    #[test]
    fn a_day_of_twenty_three_hours_ends_where_the_next_begins() {
        // New York's clocks go forward on 9 March 2025.
        let bars = bars(Timeframe::D1, &["2025-03-08T22:00:00Z", "2025-03-09T21:00:00Z"]);
        let mut feed = Feed::at(&bars, bars.time[0]);
        assert_eq!(feed.next(), Some(bars.time[0]));
        feed.open();
        assert_eq!(feed.next(), Some(bars.time[1]));
        assert_eq!((feed.close(), feed.next()), (0, Some(bars.time[1])));
        feed.open();
        assert_eq!((feed.close(), feed.next(), feed.known), (1, None, Some(bars.time[1] + 86_400)));
    }

    #[test]
    fn a_feed_begins_with_what_was_over_by_then() {
        let bars = bars(Timeframe::M5, &["2025-07-22T10:00:00Z", "2025-07-22T10:05:00Z"]);
        let at = |seconds: i64| Feed::at(&bars, bars.time[0] + seconds);
        let known = |feed: Feed| (feed.bar, feed.within, feed.known.map(|_| feed.bid));
        assert_eq!(known(at(0)), (0, false, None));
        // The first bar is running: nothing is over yet.
        assert_eq!(known(at(60)), (0, true, None));
        assert_eq!(known(at(300)), (1, false, Some(1_000)));
        assert_eq!(known(at(360)), (1, true, Some(1_000)));
        assert_eq!(known(at(600)), (2, false, Some(1_001)));
        // Between bid and ask, with the half tick: 0.010015.
        assert_eq!(at(600).mid(), "0.010015".parse().unwrap());
    }
}
