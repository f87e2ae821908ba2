//! OANDA's candles as JSON: its own answers (`{"instrument","granularity","candles":[{"time","complete",
//! "volume","bid":{"o",..},"ask":{..},"mid":{..}}]}`) and plain lists of `{"time","open",..,"volume"}`.
//!
//! Numbers are taken by their digits, never through binary floats. Bars that are not complete are left out.

use std::collections::BTreeMap;

use jiff::tz::Offset;
use sep_contract::Ohlc;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::import::error::{ImportError, Problems, RowFault};
use crate::import::read::{Prices, Row, Sheet, Task, Want, volume};
use crate::import::time::TimeFormat;
use crate::import::{PriceSide, price};

#[derive(Deserialize)]
struct Answer<'a> {
    instrument: Option<String>,
    granularity: Option<String>,
    #[serde(borrow)]
    candles: Vec<&'a RawValue>,
}

type Object<'a> = BTreeMap<String, &'a RawValue>;

pub(super) fn read(task: &Task<'_>, problems: &mut Problems) -> Result<Sheet, ImportError> {
    let damaged = |error: &serde_json::Error| ImportError::Json {
        file: task.file.to_owned(),
        line: u64::try_from(error.line()).unwrap_or(0),
        detail: error.to_string(),
    };
    let answer: Answer<'_> = if task.text.trim_start().starts_with('[') {
        let candles = serde_json::from_str(task.text).map_err(|error| damaged(&error))?;
        Answer { instrument: None, granularity: None, candles }
    } else {
        serde_json::from_str(task.text).map_err(|error| damaged(&error))?
    };
    let file = || task.file.to_owned();
    if let Some(found) = answer.instrument.filter(|name| name != task.pair.as_str()) {
        return Err(ImportError::OtherPair { file: file(), line: 1, found, expected: task.pair });
    }
    let expected = match task.timeframe {
        sep_contract::Timeframe::D1 => "D",
        other => other.as_str(),
    };
    if let Some(found) = answer.granularity.filter(|name| name != expected) {
        return Err(ImportError::OtherTimeframe { file: file(), line: 1, found, expected: task.timeframe });
    }
    if task.want == Want::Both
        && let Some(found) = answer.candles.first().and_then(|candle| one_price(candle))
    {
        return Err(ImportError::OnePrice { file: file(), found });
    }
    let mut sheet = Sheet::default();
    let (mut line, mut counted) = (1, 0);
    for candle in answer.candles {
        // The candle's text is a piece of the file's, so its place follows from where it begins.
        let start = (candle.get().as_ptr() as usize).saturating_sub(task.text.as_ptr() as usize);
        let between = task.text.as_bytes().get(counted..start).unwrap_or_default();
        line += between.iter().map(|c| u64::from(*c == b'\n')).sum::<u64>();
        counted = start;
        match row(task, line, candle) {
            Ok(Some(row)) => sheet.rows.push(row),
            Ok(None) => sheet.incomplete += 1,
            Err(fault) => problems.add(task.file, line, fault),
        }
    }
    Ok(sheet)
}

/// What a candle without bid and ask holds.
fn one_price(candle: &RawValue) -> Option<&'static str> {
    let candle = object(candle).ok()?;
    let has = |name: &str| candle.contains_key(name);
    match (has("bid"), has("ask")) {
        (true, true) => None,
        (true, false) => Some("bid prices only"),
        (false, true) => Some("ask prices only"),
        (false, false) if has("mid") => Some("mid prices only"),
        (false, false) => has("open").then_some("one price for each bar"),
    }
}

/// One candle; `None` where its bar was not complete.
fn row(task: &Task<'_>, line: u64, candle: &RawValue) -> Result<Option<Row>, RowFault> {
    let candle = object(candle)?;
    if candle.get("complete").is_some_and(|complete| complete.get() == "false") {
        return Ok(None);
    }
    let text = text(&candle, "time")?;
    let time = match task.time_format {
        Some(format) => format.read(text, task.offset.unwrap_or(Offset::UTC)),
        None => TimeFormat::Iso
            .read(text, task.offset.unwrap_or(Offset::UTC))
            .or_else(|| TimeFormat::Unix.read(text, Offset::UTC)),
    };
    let expected = || task.time_format.unwrap_or(&TimeFormat::Iso).example();
    let time = time.ok_or_else(|| RowFault::Time { found: text.to_owned(), expected: expected() })?;
    let prices = match task.want {
        Want::Both => Prices::Two { bid: nested(task, &candle, "bid")?, ask: nested(task, &candle, "ask")? },
        Want::One(side) => {
            let name = match side {
                PriceSide::Bid => "bid",
                PriceSide::Ask => "ask",
                PriceSide::Mid => "mid",
            };
            Prices::One(if candle.contains_key("open") {
                ohlc(task, &candle, ["open", "high", "low", "close"])?
            } else {
                nested(task, &candle, name)?
            })
        }
    };
    let volume = match candle.get("volume") {
        None => 0,
        Some(found) => {
            let digits = unquoted(found);
            volume(digits).ok_or_else(|| RowFault::Volume { found: digits.to_owned() })?
        }
    };
    Ok(Some(Row { line, time, prices, volume }))
}

fn object<'a>(value: &'a RawValue) -> Result<Object<'a>, RowFault> {
    serde_json::from_str(value.get()).map_err(|error| RowFault::Unreadable { detail: error.to_string() })
}

fn nested(task: &Task<'_>, candle: &Object<'_>, side: &'static str) -> Result<Ohlc, RowFault> {
    let prices = candle.get(side).ok_or(RowFault::Missing { column: side })?;
    ohlc(task, &object(prices)?, ["o", "h", "l", "c"])
}

fn ohlc(task: &Task<'_>, prices: &Object<'_>, names: [&'static str; 4]) -> Result<Ohlc, RowFault> {
    let ticks = |column| {
        price::parse(text(prices, column)?, task.pair).map_err(|source| RowFault::Price { column, source })
    };
    let [open, high, low, close] = names;
    Ok(Ohlc { open: ticks(open)?, high: ticks(high)?, low: ticks(low)?, close: ticks(close)? })
}

/// The digits of a number or the contents of a string.
fn text<'a>(object: &Object<'a>, column: &'static str) -> Result<&'a str, RowFault> {
    object.get(column).map(|value| unquoted(value)).ok_or(RowFault::Missing { column })
}

/// Times and numbers hold no escapes, so quotes are all there is to take off.
fn unquoted(value: &RawValue) -> &str {
    value.get().trim_matches('"')
}
