//! Signals as CSV: a header row with the names of [`Signal::FIELDS`] in any order, one signal a row.
//!
//! `override_reason` may be left out; an empty one means none. Every error names file, line and column.

use std::str::FromStr;

use jiff::Timestamp;

use crate::signal::{QfhMetrics, Signal};
use crate::signals::error::{CellFault, SignalFileError};
use crate::signals::{Place, SignalBatch};
use crate::ticks::parse_decimal;

/// Reads signals from CSV text; `file` is the name that errors speak of.
pub fn read_csv(text: &str, file: &str) -> Result<SignalBatch, SignalFileError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).trim(csv::Trim::All).from_reader(text.as_bytes());
    let broken = |error: csv::Error| csv_error(file, &error);
    let mut rows = reader.records();
    let header = match rows.next() {
        Some(header) => header.map_err(broken)?,
        None => return Err(SignalFileError::NoHeader { file: file.to_owned() }),
    };
    let columns = columns(&header, file)?;
    let mut signals = Vec::new();
    for row in rows {
        let row = row.map_err(broken)?;
        let line = row.position().map_or(0, csv::Position::line);
        let place = Place::Line { file: file.to_owned(), line };
        let signal = signal(&row, &columns).map_err(|(column, fault)| SignalFileError::Cell {
            place: place.clone(),
            column,
            fault,
        })?;
        signals.push((place, signal));
    }
    SignalBatch::from_places(signals).map_err(SignalFileError::Batch)
}

/// Writes a batch as CSV text that [`read_csv`] reads back to the same batch.
pub fn write_csv(batch: &SignalBatch) -> String {
    let mut text = Signal::FIELDS.join(",");
    text.push('\n');
    for signal in batch.signals() {
        let mut values = vec![
            signal.account.clone(),
            signal.strategy.clone(),
            signal.pair.to_string(),
            signal.timeframe.to_string(),
            signal.bar_close.to_string(),
            signal.side.to_string(),
            signal.confidence.to_string(),
        ];
        // Rust shows the shortest digits that read back to the same float.
        values.extend(signal.metrics.values().map(|value| value.to_string()));
        values.push(signal.stop.to_string());
        values.push(signal.target.to_string());
        values.push(signal.expires_at.to_string());
        values.push(signal.model_hash.to_string());
        values.push(quoted(signal.override_reason.as_deref().unwrap_or("")));
        text.push_str(&values.join(","));
        text.push('\n');
    }
    text
}

/// Only the reason is free text; whatever it holds, quotes make it one value.
fn quoted(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("\"{}\"", text.replace('"', "\"\"")) }
}

fn csv_error(file: &str, error: &csv::Error) -> SignalFileError {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => SignalFileError::Width {
            place: Place::Line { file: file.to_owned(), line: pos.as_ref().map_or(0, csv::Position::line) },
            found: *len,
            expected: *expected_len,
        },
        _ => SignalFileError::Csv { file: file.to_owned(), detail: error.to_string() },
    }
}

/// For each of the fields, its column.
fn columns(
    header: &csv::StringRecord,
    file: &str,
) -> Result<[Option<usize>; Signal::FIELDS.len()], SignalFileError> {
    let mut columns = [None; Signal::FIELDS.len()];
    for (at, name) in header.iter().enumerate() {
        let Some(field) = Signal::FIELDS.iter().position(|field| *field == name) else {
            return Err(SignalFileError::UnknownColumn {
                file: file.to_owned(),
                column: name.to_owned(),
                expected: Signal::FIELDS.join(", "),
            });
        };
        if columns[field].replace(at).is_some() {
            return Err(SignalFileError::RepeatedColumn { file: file.to_owned(), column: name.to_owned() });
        }
    }
    let missing = Signal::FIELDS.into_iter().zip(columns).find(|(_, at)| at.is_none());
    match missing {
        Some((column, _)) if column != "override_reason" => Err(SignalFileError::MissingColumn {
            file: file.to_owned(),
            column,
            expected: Signal::FIELDS.join(", "),
        }),
        _ => Ok(columns),
    }
}

type CellResult<T> = Result<T, (&'static str, CellFault)>;

/// One row as a signal that makes sense.
fn signal(row: &csv::StringRecord, columns: &[Option<usize>; Signal::FIELDS.len()]) -> CellResult<Signal> {
    let cell = |field: &'static str| {
        let at = Signal::FIELDS.iter().position(|name| *name == field).and_then(|at| columns[at]);
        at.and_then(|at| row.get(at)).unwrap_or("")
    };
    let mut values = [0.0; QfhMetrics::NAMES.len()];
    for (value, name) in values.iter_mut().zip(QfhMetrics::NAMES) {
        *value = parse(name, cell(name), |text: &str| {
            f64::from_str(text).map_err(|_| CellFault::Number { found: text.to_owned() })
        })?;
    }
    let time = |field| {
        parse(field, cell(field), |text| {
            Timestamp::from_str(text).map_err(|_| CellFault::Time { found: text.to_owned() })
        })
    };
    let price = |field| parse(field, cell(field), |text| parse_decimal(text).map_err(CellFault::from));
    let reason = cell("override_reason");
    let signal = Signal {
        account: parse("account", cell("account"), |text| Ok(text.to_owned()))?,
        strategy: parse("strategy", cell("strategy"), |text| Ok(text.to_owned()))?,
        pair: parse("pair", cell("pair"), |text| text.parse().map_err(CellFault::Pair))?,
        timeframe: parse("timeframe", cell("timeframe"), |text| text.parse().map_err(CellFault::Timeframe))?,
        bar_close: time("bar_close")?,
        side: parse("side", cell("side"), |text| text.parse().map_err(CellFault::Side))?,
        confidence: parse("confidence", cell("confidence"), |text| {
            text.parse().map_err(CellFault::Confidence)
        })?,
        metrics: QfhMetrics::from_values(values),
        stop: price("stop")?,
        target: price("target")?,
        expires_at: time("expires_at")?,
        model_hash: parse("model_hash", cell("model_hash"), |text| text.parse().map_err(CellFault::Digest))?,
        override_reason: (!reason.is_empty()).then(|| reason.to_owned()),
    };
    signal.validate().map_err(|fault| (fault.field(), CellFault::Signal(fault)))?;
    Ok(signal)
}

fn parse<T>(field: &'static str, text: &str, read: impl Fn(&str) -> Result<T, CellFault>) -> CellResult<T> {
    if text.is_empty() {
        return Err((field, CellFault::Missing));
    }
    read(text).map_err(|fault| (field, fault))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals::samples::signal;

    fn sample() -> String {
        write_csv(&SignalBatch::new(vec![signal(1), signal(2), signal(3)]).unwrap())
    }

    #[test]
    fn what_is_written_reads_back_to_the_same_batch() {
        let batch = SignalBatch::new((1..=9).map(signal).collect()).unwrap();
        assert_eq!(read_csv(&write_csv(&batch), "signals.csv").unwrap(), batch);
    }

    #[test]
    fn columns_may_stand_in_any_order_and_the_reason_may_be_missing() {
        let text = sample();
        let mut lines: Vec<Vec<&str>> = text.lines().take(3).map(|line| line.split(',').collect()).collect();
        for line in &mut lines {
            line.truncate(19);
            line.reverse();
        }
        let turned = lines.iter().map(|line| line.join(",")).collect::<Vec<_>>().join("\r\n");
        let batch = read_csv(&format!("\u{feff}{turned}\r\n"), "signals.csv").unwrap();
        assert_eq!(batch, SignalBatch::new(vec![signal(1), signal(2)]).unwrap());
    }

    #[test]
    fn errors_name_file_line_and_column() {
        let text = sample();
        let error = |from: &str, to: &str| {
            assert!(text.contains(from), "{text}");
            read_csv(&text.replacen(from, to, 1), "s.csv").unwrap_err().to_string()
        };
        assert_eq!(
            error("EUR_USD", "EURUSD"),
            "s.csv:2: column pair: 'EURUSD' is no pair: expected two currency codes joined by '_', such as \
            EUR_USD"
        );
        assert_eq!(error(",buy,", ",BUY,"), "s.csv:2: column side: 'BUY' is no side: expected buy or sell");
        assert_eq!(error(",1.10400,", ",,"), "s.csv:2: column stop: the value is missing");
        assert_eq!(
            error(",1.10400,", ",1.1040e0,"),
            "s.csv:2: column stop: '1.1040e0' is no price: expected a decimal number such as 1.10451"
        );
        assert_eq!(
            error(",155.500,", ",155.5001,"),
            "s.csv:4: column stop: price 155.5001 has 4 digits after the point, USD_JPY has 3"
        );
        assert_eq!(error(",0.25,", ",NaN,"), "s.csv:2: column coherence: NaN is not within 0 to 1");
        assert_eq!(
            error("account,", "acount,"),
            format!("s.csv:1: column 'acount' is unknown: expected {}", Signal::FIELDS.join(", "))
        );
        assert_eq!(
            error("strategy,", ""),
            format!("s.csv:1: column strategy is missing: expected {}", Signal::FIELDS.join(", "))
        );
        assert_eq!(error("strategy,", "account,"), "s.csv:1: column 'account' is there twice");
        assert_eq!(error("primary,", ""), "s.csv:2: 19 columns where the header has 20");
        assert_eq!(
            error("2025-07-23T20:41:00Z", "2025-07-23 20:41"),
            "s.csv:2: column bar_close: '2025-07-23 20:41' is no time: expected RFC 3339 with a zone, such as 2025-07-23T20:41:00Z"
        );
        assert_eq!(
            read_csv("", "s.csv").unwrap_err().to_string(),
            "s.csv: the file is empty: expected a header row with the columns of a signal"
        );
    }

    #[test]
    fn a_conflict_names_both_lines() {
        let text = sample();
        let line = text.lines().nth(1).unwrap();
        let other = line.replace("0.712345", "0.712346");
        let error = read_csv(&format!("{text}{line}\n{other}\n"), "s.csv").unwrap_err().to_string();
        assert!(error.starts_with("s.csv:6: conflict: s.csv:2 holds another signal"), "{error}");
        assert!(error.contains("they differ in confidence."), "{error}");
        assert_eq!(read_csv(&format!("{text}{line}\n"), "s.csv").unwrap().collapsed(), 1);
    }
}
