//! Several runs as one account: sized by risk, held to its margin, in the order of time.
//!
//! Owns the account's money: sizing, margin, conversion, booking, equity. What a run signals, enters and
//! leaves is the backtest's; here it is only decided how many units are traded, or none. The rules:
//!
//! - Of all bars that end or begin at a moment, those that end come first; then positions are closed at
//!   the opens, then entries are made, in the order of the runs. What happens within a bar is booked at its
//!   end. Every run holds at most one position; two runs of the same pair hold theirs side by side.
//! - An entry is sized so that its stop costs the given share of the net asset value of that moment.
//! - The net asset value is the balance plus what all positions would bring at the last bid or ask, less
//!   their commission and swap. Amounts in other currencies are converted at the middle of the last prices.
//! - Margin is a share of each position's value. An entry whose margin exceeds what is left is refused, as
//!   is one below the smallest size; refusals are counted. There is no margin call.
//! - Money is exact decimals. Each closed trade is one booking: price move, commission and swap together,
//!   converted, rounded once to hundredths, halves away from zero. The equity is rounded the same way.

use std::collections::BTreeMap;
use std::ops::Range;

use rust_decimal::{Decimal, RoundingStrategy};
use sep_contract::sizing::{Sizing, SizingError};
use sep_contract::{Pair, Side, Ticks};
use serde::{Deserialize, Serialize};

use crate::backtest::{CENTITICKS, Exit, Position, Run, State, Trade};
use crate::bars::Bars;

mod rates;
mod settings;
pub mod strategy;
pub mod summary;

pub use rates::conversions;
use rates::{Feed, Way};
pub use settings::{AccountError, Settings};

/// One run of the account.
#[derive(Debug, Clone)]
pub struct Leg<'a> {
    pub run: Run<'a>,
    /// The bars that it is played on.
    pub segment: Range<usize>,
    /// Margin, in percent of a position's value.
    pub margin: Decimal,
}

/// Why an entry was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The margin left did not suffice.
    Margin,
    /// The risk allowed less than the smallest size.
    BelowMinimum,
    /// The account had nothing left.
    NoCapital,
    /// No rate into the account's currency was known, or only one older than a week.
    NoRate,
    /// The stop was at the entry or not above zero.
    NoStop,
}

impl Refusal {
    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Margin => "margin",
            Self::BelowMinimum => "below the smallest size",
            Self::NoCapital => "nothing left",
            Self::NoRate => "no rate",
            Self::NoStop => "no stop to size by",
        }
    }
}

/// A closed trade in the account's books.
#[derive(Debug, Clone, PartialEq)]
pub struct Booking {
    /// Which run's.
    pub leg: usize,
    pub trade: Trade,
    pub units: Decimal,
    /// When it was entered and booked, seconds since 1970, UTC.
    pub opened: i64,
    pub closed: i64,
    /// What one unit of the quote currency was worth in the account's when it was booked.
    pub rate: Decimal,
    /// Result in the account's currency, in hundredths.
    pub net: Decimal,
    /// Commission and swap within it.
    pub fees: Decimal,
    /// What slippage took; it is within the prices.
    pub slippage: Decimal,
    /// The balance after it.
    pub balance: Decimal,
}

/// The account at the end of a bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Equity {
    /// Seconds since 1970, UTC.
    pub time: i64,
    pub balance: Decimal,
    /// Balance and open positions.
    pub equity: Decimal,
    /// Margin that the open positions take.
    pub margin: Decimal,
}

/// The deepest fall of the equity below its highest value before, at the ends of bars.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Drawdown {
    /// In the account's currency.
    pub money: Decimal,
    /// In percent of the highest value before, the deepest in this sense, to hundredths.
    pub percent: Decimal,
}

/// What an account came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub currency: String,
    /// What it began with and ended with.
    pub start: Decimal,
    pub end: Decimal,
    /// In the order in which they were booked.
    pub bookings: Vec<Booking>,
    /// The beginning, then the last value of each span.
    pub equity: Vec<Equity>,
    pub drawdown: Drawdown,
    /// The most margin in use at the end of a bar, in percent of the equity then, to hundredths.
    pub margin_peak: Decimal,
    /// Refused entries of each run.
    pub refusals: Vec<BTreeMap<Refusal, u32>>,
}

/// To hundredths, halves away from zero.
fn cents(amount: Decimal) -> Decimal {
    let mut cents = amount.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
    cents.rescale(2);
    cents
}

/// Plays runs as one account. `rates` are series beside those of the runs, for conversion alone.
pub fn play(legs: &[Leg], rates: &[&Bars], settings: &Settings) -> Result<Outcome, AccountError> {
    settings.check()?;
    let begin = |leg: &Leg| leg.run.bars.time.get(leg.segment.start).copied();
    let start = legs.iter().filter_map(begin).min().unwrap_or(0);
    let all = legs.iter().map(|leg| leg.run.bars).chain(rates.iter().copied());
    let feeds: Vec<Feed> = all.map(|bars| Feed::at(bars, start)).collect();
    let mut ways = Vec::with_capacity(legs.len());
    for leg in legs {
        let (pair, to) = (leg.run.bars.pair, settings.currency.as_str());
        let way = Way::find(&feeds, pair.quote(), to).ok_or_else(|| AccountError::NoWay {
            pair,
            from: pair.quote().to_owned(),
            currency: to.to_owned(),
            wanted: rates::wanted(pair.quote(), to),
        })?;
        ways.push(way);
    }
    let mut account = Account {
        legs,
        settings,
        feeds,
        ways,
        states: vec![State::Flat; legs.len()],
        units: vec![Decimal::ZERO; legs.len()],
        peak: settings.nav,
        outcome: Outcome {
            currency: settings.currency.clone(),
            start: settings.nav,
            end: cents(settings.nav),
            bookings: Vec::new(),
            equity: vec![Equity {
                time: start,
                balance: cents(settings.nav),
                equity: cents(settings.nav),
                margin: Decimal::ZERO,
            }],
            drawdown: Drawdown::default(),
            margin_peak: Decimal::ZERO,
            refusals: vec![BTreeMap::new(); legs.len()],
        },
    };
    while let Some(now) = account.next() {
        account.close_bars(now)?;
        account.open_bars(now)?;
    }
    Ok(account.outcome)
}

/// An account on its way through time. `outcome.end` is its balance.
struct Account<'a> {
    legs: &'a [Leg<'a>],
    settings: &'a Settings,
    /// Those of the runs, in their order, then the others.
    feeds: Vec<Feed<'a>>,
    /// From each run's quote currency to the account's.
    ways: Vec<Way>,
    states: Vec<State>,
    /// Of the open positions.
    units: Vec<Decimal>,
    /// The highest equity so far.
    peak: Decimal,
    outcome: Outcome,
}

impl Account<'_> {
    /// When something next happens; `None` once all runs are at their end.
    fn next(&self) -> Option<i64> {
        let busy = |(leg, feed): (&Leg, &Feed)| feed.bar < leg.segment.end.min(feed.bars.len());
        if !self.legs.iter().zip(&self.feeds).any(busy) {
            return None;
        }
        self.feeds.iter().filter_map(Feed::next).min()
    }

    /// Ends the bars that are over.
    fn close_bars(&mut self, now: i64) -> Result<(), AccountError> {
        let mut ended: Vec<(usize, usize)> = Vec::new();
        for (at, feed) in self.feeds.iter_mut().enumerate() {
            if feed.within && feed.next() == Some(now) {
                ended.push((at, feed.close()));
            }
        }
        let mut of_runs = false;
        for (leg, bar) in ended {
            let Some(Leg { run, segment, .. }) = self.legs.get(leg).filter(|leg| leg.segment.contains(&bar))
            else {
                continue;
            };
            of_runs = true;
            if let State::Open(position) = self.states[leg] {
                match run.within(&position, bar) {
                    Some(trade) => self.book(leg, trade, now)?,
                    None if bar + 1 == segment.end => self.book(leg, run.finish(&position, bar), now)?,
                    None => {}
                }
            }
            if !matches!(self.states[leg], State::Open(_)) {
                self.states[leg] = run.listen(bar);
            }
        }
        if of_runs { self.observe(now) } else { Ok(()) }
    }

    /// Opens the bars that begin: positions are closed first, then entries made.
    fn open_bars(&mut self, now: i64) -> Result<(), AccountError> {
        let mut begun = Vec::new();
        for (at, feed) in self.feeds.iter_mut().enumerate() {
            if !feed.within && feed.next() == Some(now) {
                feed.open();
                begun.push(at);
            }
        }
        begun.retain(|at| self.legs.get(*at).is_some_and(|leg| leg.segment.contains(&self.feeds[*at].bar)));
        for &leg in &begun {
            if let State::Open(position) = self.states[leg]
                && let Some(trade) = self.legs[leg].run.at_open(&position, self.feeds[leg].bar)
            {
                self.book(leg, trade, now)?;
            }
        }
        for leg in begun {
            if let State::Signalled(side) = self.states[leg] {
                self.states[leg] = State::Flat;
                if let Some(position) = self.legs[leg].run.enter(side, self.feeds[leg].bar) {
                    match self.size(leg, &position, now)? {
                        Ok(units) => {
                            self.units[leg] = units;
                            self.states[leg] = State::Open(position);
                        }
                        Err(refusal) => *self.outcome.refusals[leg].entry(refusal).or_default() += 1,
                    }
                }
            }
        }
        Ok(())
    }

    fn pair(&self, leg: usize) -> Pair {
        self.legs[leg].run.bars.pair
    }

    /// Centi-ticks a unit as an amount of the quote currency.
    fn in_quote(&self, leg: usize, centiticks: i32) -> Result<Decimal, AccountError> {
        let pair = self.pair(leg);
        self.units[leg]
            .checked_mul(Decimal::new(i64::from(centiticks), pair.digits() + 2))
            .ok_or(AccountError::Overflow { pair })
    }

    /// An amount of a run's quote currency in the account's. Nothing is open where no rate is known, as
    /// entries need one.
    fn convert(&self, leg: usize, amount: Decimal) -> Result<Decimal, AccountError> {
        let factor = self.ways[leg].factor(&self.feeds).unwrap_or_default();
        amount.checked_mul(factor).ok_or(AccountError::Overflow { pair: self.pair(leg) })
    }

    /// What a position is worth in the account's currency by the last prices known.
    fn open_result(&self, leg: usize, position: &Position) -> Result<Decimal, AccountError> {
        let feed = &self.feeds[leg];
        // Between two bars, the last one counts.
        let bar = if feed.within { feed.bar } else { feed.bar.saturating_sub(1) };
        let price = match position.side {
            Side::Buy => feed.bid,
            Side::Sell => feed.ask,
        };
        let (net, _) = self.legs[leg].run.worth(position, bar, price);
        self.convert(leg, self.in_quote(leg, net)?)
    }

    /// The margin that so many units take.
    fn margin(&self, leg: usize, units: Decimal) -> Result<Decimal, AccountError> {
        let share = self.legs[leg].margin / Decimal::ONE_HUNDRED;
        let value = units
            .checked_mul(self.feeds[leg].mid())
            .and_then(|value| value.checked_mul(share))
            .ok_or(AccountError::Overflow { pair: self.pair(leg) })?;
        self.convert(leg, value)
    }

    /// Net asset value, and the margin in use.
    fn standing(&self) -> Result<(Decimal, Decimal), AccountError> {
        let (mut open, mut margin) = (Decimal::ZERO, Decimal::ZERO);
        for (leg, state) in self.states.iter().enumerate() {
            if let State::Open(position) = state {
                open += self.open_result(leg, position)?;
                margin += self.margin(leg, self.units[leg])?;
            }
        }
        Ok((cents(self.outcome.end + open), margin))
    }

    /// How many units of an entry are bought or sold, or why none.
    fn size(
        &self,
        leg: usize,
        position: &Position,
        now: i64,
    ) -> Result<Result<Decimal, Refusal>, AccountError> {
        let (pair, settings) = (self.pair(leg), self.settings);
        let way = &self.ways[leg];
        let Some(factor) = way.factor(&self.feeds).filter(|_| way.is_fresh(&self.feeds, now)) else {
            return Ok(Err(Refusal::NoRate));
        };
        let (nav, used) = self.standing()?;
        if nav <= Decimal::ZERO {
            return Ok(Err(Refusal::NoCapital));
        }
        let sizing = Sizing {
            nav,
            risk_percent: settings.risk_percent,
            entry: Ticks::new(position.entry).to_decimal(pair),
            stop: Ticks::new(position.stop).to_decimal(pair),
            quote_to_account: factor,
            units_precision: settings.units_precision,
            minimum_units: settings.minimum_units,
            maximum_units: settings.maximum_units,
        };
        let units = match sizing.units() {
            Ok(units) => units,
            Err(SizingError::BelowMinimum { .. }) => return Ok(Err(Refusal::BelowMinimum)),
            Err(SizingError::NotPositive { .. } | SizingError::NoDistance { .. }) => {
                return Ok(Err(Refusal::NoStop));
            }
            Err(SizingError::Overflow | SizingError::RiskTooHigh { .. }) => {
                return Err(AccountError::Overflow { pair });
            }
        };
        Ok(if self.margin(leg, units)? > nav - used { Err(Refusal::Margin) } else { Ok(units) })
    }

    /// Books a closed trade.
    fn book(&mut self, leg: usize, trade: Trade, now: i64) -> Result<(), AccountError> {
        let run = &self.legs[leg].run;
        let slipped = slipped(&trade) * run.costs.slippage * CENTITICKS;
        let net = cents(self.convert(leg, self.in_quote(leg, trade.net)?)?);
        let booking = Booking {
            leg,
            trade,
            units: self.units[leg],
            opened: run.bars.time[trade.entry_bar],
            closed: now,
            rate: self.ways[leg].factor(&self.feeds).unwrap_or_default(),
            net,
            fees: cents(self.convert(leg, self.in_quote(leg, trade.fees)?)?),
            slippage: cents(self.convert(leg, self.in_quote(leg, slipped)?)?),
            balance: self.outcome.end + net,
        };
        self.outcome.end = booking.balance;
        self.outcome.bookings.push(booking);
        self.states[leg] = State::Flat;
        Ok(())
    }

    /// Looks at the account at the end of bars.
    fn observe(&mut self, now: i64) -> Result<(), AccountError> {
        let (equity, margin) = self.standing()?;
        self.peak = self.peak.max(equity);
        let fall = self.peak - equity;
        let percent = |part: Decimal, of: Decimal| {
            if of > Decimal::ZERO { cents(part * Decimal::ONE_HUNDRED / of) } else { Decimal::ONE_HUNDRED }
        };
        let Outcome { drawdown, margin_peak, equity: samples, end, .. } = &mut self.outcome;
        if fall > Decimal::ZERO {
            drawdown.money = drawdown.money.max(fall);
            drawdown.percent = drawdown.percent.max(percent(fall, self.peak));
        }
        if margin > Decimal::ZERO {
            *margin_peak = (*margin_peak).max(percent(margin, equity));
        }
        let sample = Equity { time: now, balance: *end, equity, margin: cents(margin) };
        // A span ends with the bars that end with it.
        let span = |time: i64| (time - 1).div_euclid(self.settings.sample_seconds.max(1));
        match samples.as_mut_slice() {
            // The first one is the beginning, which stays.
            [_, .., last] if span(last.time) == span(now) => *last = sample,
            _ => samples.push(sample),
        }
        Ok(())
    }
}

/// How many of a trade's two fills slipped: all but those at the target.
fn slipped(trade: &Trade) -> i32 {
    let at_stop = match trade.side {
        Side::Buy => trade.exit <= trade.stop,
        Side::Sell => trade.exit >= trade.stop,
    };
    match trade.exit_by {
        Exit::Target => 1,
        Exit::Gap if !at_stop => 1,
        Exit::Gap | Exit::Stop | Exit::Time | Exit::End => 2,
    }
}
