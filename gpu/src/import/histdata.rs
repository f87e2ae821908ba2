//! HistData.com's generic ASCII M1: `20120201 000000;1.30000;1.30010;1.29990;1.30005;0`.
//!
//! No header. Prices are bids, times are Eastern Standard Time all year round, without daylight saving time
//! (UTC-5), the volume is always 0 for currencies.

use jiff::tz::Offset;
use sep_contract::Ohlc;

use crate::import::error::{ImportError, Problems, RowFault};
use crate::import::price;
use crate::import::read::{Prices, Row, Sheet, Task, Want, volume};
use crate::import::time::TimeFormat;

/// Eastern Standard Time.
const EST: Offset = Offset::constant(-5);

pub(super) fn read(task: &Task<'_>, problems: &mut Problems) -> Result<Sheet, ImportError> {
    if task.want == Want::Both {
        return Err(ImportError::OnePrice { file: task.file.to_owned(), found: "one price for each bar" });
    }
    let mut rows = Vec::new();
    for (line, text) in (1..).zip(task.text.lines()) {
        if text.trim().is_empty() {
            continue;
        }
        match row(task, line, text.trim_end()) {
            Ok(row) => rows.push(row),
            Err(fault) => problems.add(task.file, line, fault),
        }
    }
    Ok(Sheet { rows, ..Sheet::default() })
}

fn row(task: &Task<'_>, line: u64, text: &str) -> Result<Row, RowFault> {
    let values: Vec<&str> = text.split(';').collect();
    let [time, open, high, low, close, count] = values[..] else {
        return Err(RowFault::Width { found: values.len(), expected: "6, with ';' between them".into() });
    };
    let format = task.time_format.unwrap_or(&TimeFormat::HistData);
    let time = format
        .read(time, task.offset.unwrap_or(EST))
        .ok_or_else(|| RowFault::Time { found: time.to_owned(), expected: format.example() })?;
    let ticks = |column, text: &str| {
        price::parse(text, task.pair).map_err(|source| RowFault::Price { column, source })
    };
    let prices = Ohlc {
        open: ticks("open", open)?,
        high: ticks("high", high)?,
        low: ticks("low", low)?,
        close: ticks("close", close)?,
    };
    let volume = volume(count).ok_or_else(|| RowFault::Volume { found: count.to_owned() })?;
    Ok(Row { line, time, prices: Prices::One(prices), volume })
}
