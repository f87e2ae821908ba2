//! What an account came to, in the numbers that people and machines ask for.
//!
//! Owns counting and the tables of trades and equity. Must not decide or convert anything: every amount
//! here was booked.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use sep_contract::{Pair, Side, Ticks, Timeframe};
use serde::Serialize;

use super::{Booking, Drawdown, Leg, Outcome, Refusal, cents};
use crate::costs::pips;
use crate::table_file::{Column, TableFileError, Values};

/// Trades counted together. Money is in the account's currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Totals {
    pub trades: u32,
    /// Trades with a result above zero after all costs.
    pub wins: u32,
    pub buys: u32,
    /// Sum of the trades' results after all costs, in pips, as if all had the same size.
    pub net_pips: Decimal,
    pub net: Decimal,
    /// Commission and swap, within `net`; negative where swap earned.
    pub fees: Decimal,
    /// What slippage took, within `net`.
    pub slippage: Decimal,
    /// Deepest fall of the sum of closed trades below its highest value before.
    pub drawdown: Decimal,
    /// Sum of gains over sum of losses, to hundredths; `None` without losses.
    pub profit_factor: Option<Decimal>,
    /// Mean time from entry to booking, in seconds.
    pub mean_hold_seconds: i64,
}

/// One run of the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LegSummary {
    pub pair: Pair,
    pub timeframe: Timeframe,
    #[serde(flatten)]
    pub totals: Totals,
    /// Entries that were refused.
    pub refused: BTreeMap<Refusal, u32>,
}

/// The account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub currency: String,
    pub start: Decimal,
    pub end: Decimal,
    /// The result in percent of the beginning, to hundredths.
    pub net_percent: Decimal,
    pub totals: Totals,
    /// Of the equity, open positions counted.
    pub drawdown: Drawdown,
    /// The most margin in use, in percent of the equity.
    pub margin_peak_percent: Decimal,
    pub legs: Vec<LegSummary>,
}

impl Totals {
    fn of<'a>(bookings: impl Iterator<Item = &'a Booking>) -> Self {
        let (mut trades, mut wins, mut buys, mut centiticks, mut held) = (0_u32, 0, 0, 0_i64, 0_i64);
        let (mut fees, mut slippage) = (Decimal::ZERO, Decimal::ZERO);
        let (mut gains, mut losses) = (Decimal::ZERO, Decimal::ZERO);
        let (mut peak, mut drawdown) = (Decimal::ZERO, Decimal::ZERO);
        for booking in bookings {
            trades += 1;
            wins += u32::from(booking.trade.net > 0);
            buys += u32::from(booking.trade.side == Side::Buy);
            centiticks += i64::from(booking.trade.net);
            held += booking.closed - booking.opened;
            fees += booking.fees;
            slippage += booking.slippage;
            if booking.net > Decimal::ZERO {
                gains += booking.net
            } else {
                losses -= booking.net
            }
            let sum = gains - losses;
            peak = peak.max(sum);
            drawdown = drawdown.max(peak - sum);
        }
        Self {
            trades,
            wins,
            buys,
            net_pips: pips(centiticks),
            net: cents(gains - losses),
            fees: cents(fees),
            slippage: cents(slippage),
            drawdown: cents(drawdown),
            profit_factor: gains.checked_div(losses).map(cents),
            mean_hold_seconds: held / i64::from(trades.max(1)),
        }
    }
}

impl Outcome {
    /// The account in numbers; `legs` are those it was played with.
    pub fn summary(&self, legs: &[Leg]) -> Summary {
        let leg = |(at, leg): (usize, &Leg)| LegSummary {
            pair: leg.run.bars.pair,
            timeframe: leg.run.bars.timeframe,
            totals: Totals::of(self.bookings.iter().filter(|booking| booking.leg == at)),
            refused: self.refusals[at].clone(),
        };
        Summary {
            currency: self.currency.clone(),
            start: cents(self.start),
            end: self.end,
            net_percent: cents((self.end - self.start) * Decimal::ONE_HUNDRED / self.start),
            totals: Totals::of(self.bookings.iter()),
            drawdown: self.drawdown,
            margin_peak_percent: self.margin_peak,
            legs: legs.iter().enumerate().map(leg).collect(),
        }
    }

    /// Every trade as a row: prices and money exact, times in UTC.
    pub fn trade_columns(&self, legs: &[Leg]) -> Result<Vec<Column>, TableFileError> {
        let all = &self.bookings;
        let bars = |booking: &Booking| legs[booking.leg].run.bars;
        let text = |name, of: &dyn Fn(&Booking) -> String| Column {
            name,
            values: Values::Text(all.iter().map(of).collect()),
        };
        let time = |name, of: &dyn Fn(&Booking) -> i64| Column {
            name,
            values: Values::Time(all.iter().map(of).collect()),
        };
        let price = |name, of: &dyn Fn(&Booking) -> i32| {
            let price = |booking| Ticks::new(of(booking)).to_decimal(bars(booking).pair);
            Column::decimals(name, 5, all.iter().map(price))
        };
        let money = |name, of: &dyn Fn(&Booking) -> Decimal| Column::decimals(name, 2, all.iter().map(of));
        let unit_digits = all.iter().map(|booking| booking.units.scale()).max().unwrap_or(0);
        Ok(vec![
            text("pair", &|booking| bars(booking).pair.to_string()),
            text("timeframe", &|booking| bars(booking).timeframe.to_string()),
            text("side", &|booking| booking.trade.side.to_string()),
            time("signalled", &|booking| bars(booking).close_time(booking.trade.signal_bar)),
            time("opened", &|booking| booking.opened),
            time("closed", &|booking| booking.closed),
            price("entry", &|booking| booking.trade.entry)?,
            price("exit", &|booking| booking.trade.exit)?,
            price("stop", &|booking| booking.trade.stop)?,
            price("target", &|booking| booking.trade.target)?,
            text("exit_by", &|booking| booking.trade.exit_by.as_str().to_owned()),
            Column::decimals("units", unit_digits, all.iter().map(|booking| booking.units))?,
            Column::decimals("net_pips", 3, all.iter().map(|booking| pips(i64::from(booking.trade.net))))?,
            Column {
                name: "rate",
                values: Values::Float(
                    all.iter().map(|booking| booking.rate.to_f64().unwrap_or(f64::NAN)).collect(),
                ),
            },
            money("net", &|booking| booking.net)?,
            money("fees", &|booking| booking.fees)?,
            money("slippage", &|booking| booking.slippage)?,
            money("balance", &|booking| booking.balance)?,
        ])
    }

    /// The equity over time.
    pub fn equity_columns(&self) -> Result<Vec<Column>, TableFileError> {
        let time = Values::Time(self.equity.iter().map(|sample| sample.time).collect());
        Ok(vec![
            Column { name: "time", values: time },
            Column::decimals("balance", 2, self.equity.iter().map(|sample| sample.balance))?,
            Column::decimals("equity", 2, self.equity.iter().map(|sample| sample.equity))?,
            Column::decimals("margin", 2, self.equity.iter().map(|sample| sample.margin))?,
        ])
    }
}
