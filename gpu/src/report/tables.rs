//! The days and trades of a report as tables, for pandas and Polars.
//!
//! Owns their columns. Amounts are pips, exact to the thousandth; prices are decimals of the pair's digits;
//! times are UTC.

use crate::backtest::PIP_DIGITS;
use crate::report::replay::{Kind, Played, Replay};
use crate::report::words::exit;
use crate::table_file::{Column, Values};

/// A row a walk-forward day.
pub fn days(replay: &Replay) -> Vec<Column> {
    let days = &replay.days;
    let mut sum = 0;
    let sums = days.iter().map(|day| {
        sum += day.net;
        sum
    });
    let sums: Vec<i64> = sums.collect();
    let mut high = 0;
    let depths = sums.iter().map(|sum| {
        high = high.max(*sum);
        high - sum
    });
    let pips = |name, units| Column { name, values: Values::Decimal { digits: PIP_DIGITS, units } };
    vec![
        text("day", days.iter().map(|day| day.date.to_string())),
        int("slice", days.iter().map(|day| number(day.slice + 1))),
        int("trades", days.iter().map(|day| number(day.trades))),
        pips("net_pips", days.iter().map(|day| day.net).collect()),
        pips("drawdown_pips", depths.collect()),
        pips("equity_pips", sums),
    ]
}

/// A row a trade: those of the walk-forward choices, then the finalist's.
pub fn trades(replay: &Replay) -> Vec<Column> {
    let bars = replay.history.base();
    let trades = &replay.trades;
    let price = |name, ticks: fn(&Played) -> i32| Column {
        name,
        values: Values::Decimal {
            digits: bars.pair.digits(),
            units: trades.iter().map(|played| i64::from(ticks(played))).collect(),
        },
    };
    let pips = |name, amount: fn(&Played) -> i32| Column {
        name,
        values: Values::Decimal {
            digits: PIP_DIGITS,
            units: trades.iter().map(|played| i64::from(amount(played))).collect(),
        },
    };
    let time = |name, second: &dyn Fn(&Played) -> i64| Column {
        name,
        values: Values::Time(trades.iter().map(second).collect()),
    };
    let kind = |played: &Played| match played.kind {
        Kind::WalkForward => "walk_forward".to_owned(),
        Kind::Finalist => "finalist".to_owned(),
    };
    vec![
        text("kind", trades.iter().map(kind)),
        int("slice", trades.iter().map(|played| number(played.slice + 1))),
        int("variant", trades.iter().map(|played| number(played.variant))),
        text("timeframe", trades.iter().map(|played| played.timeframe.to_string())),
        text("side", trades.iter().map(|played| played.trade.side.as_str().to_owned())),
        time("signal_bar_closed", &|played| bars.close_time(played.trade.signal_bar)),
        time("entry_bar_opened", &|played| bars.time[played.trade.entry_bar]),
        time("exit_bar_opened", &|played| bars.time[played.trade.exit_bar]),
        price("entry", |played| played.trade.entry),
        price("exit", |played| played.trade.exit),
        price("stop", |played| played.trade.stop),
        price("target", |played| played.trade.target),
        text("exit_by", trades.iter().map(|played| exit(played.trade.exit_by).to_owned())),
        pips("net_pips", |played| played.trade.net),
        pips("fees_pips", |played| played.trade.fees),
    ]
}

fn text(name: &'static str, values: impl Iterator<Item = String>) -> Column {
    Column { name, values: Values::Text(values.collect()) }
}

fn int(name: &'static str, values: impl Iterator<Item = i64>) -> Column {
    Column { name, values: Values::Int(values.collect()) }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
