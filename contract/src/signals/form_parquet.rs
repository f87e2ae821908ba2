//! Signals as Parquet: one column for each of [`Signal::FIELDS`], prices and confidence as decimals, times
//! as timestamps, so that pandas and Polars read them as what they are.
//!
//! The file's notes carry `sep.batch_id`; where they do, the rows must make that batch. Signals of made-up candles
//! are marked by the note `sep.synthetic`, which says `true`.

use jiff::Timestamp;
use rust_decimal::Decimal;

use crate::signal::{Confidence, QfhMetrics, Signal};
use crate::signals::error::{CellFault, SignalFileError};
use crate::signals::{Place, SignalBatch};
use crate::table::{self, Field, Kind, TableError, Values};

/// Digits after the point of prices in the file; no pair has more.
const SCALE: u32 = 5;
const NOTE_KIND: &str = "sep.kind";
const NOTE_BATCH: &str = "sep.batch_id";
const NOTE_SYNTHETIC: &str = "sep.synthetic";

fn fields() -> Vec<Field> {
    Signal::FIELDS
        .into_iter()
        .map(|name| {
            let kind = match name {
                "bar_close" | "expires_at" => Kind::Time,
                "confidence" => Kind::Decimal32 { precision: 7, scale: 6 },
                "stop" | "target" => Kind::Decimal64 { precision: 18, scale: SCALE },
                "override_reason" => Kind::OptionalText,
                _ if QfhMetrics::NAMES.contains(&name) => Kind::Float,
                _ => Kind::Text,
            };
            Field { name, kind }
        })
        .collect()
}

/// Writes a batch as Parquet bytes.
pub fn write_parquet(batch: &SignalBatch) -> Result<Vec<u8>, TableError> {
    let signals = batch.signals();
    let columns = fields().iter().map(|field| values(field, signals)).collect::<Result<Vec<_>, _>>()?;
    let notes = [
        (NOTE_KIND, "signals/1".to_owned()),
        (NOTE_BATCH, batch.batch_id().to_string()),
        (NOTE_SYNTHETIC, batch.is_synthetic().to_string()),
    ];
    table::encode(&fields(), &notes, &columns)
}

fn values(field: &Field, signals: &[Signal]) -> Result<Values, TableError> {
    let text = |read: fn(&Signal) -> String| Values::Text(signals.iter().map(|s| Some(read(s))).collect());
    Ok(match field.name {
        "account" => text(|s| s.account.clone()),
        "strategy" => text(|s| s.strategy.clone()),
        "pair" => text(|s| s.pair.to_string()),
        "timeframe" => text(|s| s.timeframe.to_string()),
        "side" => text(|s| s.side.to_string()),
        "model_hash" => text(|s| s.model_hash.to_string()),
        "override_reason" => Values::Text(signals.iter().map(|s| s.override_reason.clone()).collect()),
        "bar_close" => Values::I64(signals.iter().map(|s| s.bar_close.as_microsecond()).collect()),
        "expires_at" => Values::I64(signals.iter().map(|s| s.expires_at.as_microsecond()).collect()),
        "confidence" => {
            // Millionths are at most one million.
            Values::I32(signals.iter().map(|s| s.confidence.millionths().cast_signed()).collect())
        }
        "stop" => Values::I64(signals.iter().map(|s| mantissa(s.stop)).collect::<Result<_, _>>()?),
        "target" => Values::I64(signals.iter().map(|s| mantissa(s.target)).collect::<Result<_, _>>()?),
        name => {
            let at = QfhMetrics::NAMES.iter().position(|metric| *metric == name).unwrap_or(0);
            Values::F64(signals.iter().map(|s| s.metrics.values()[at]).collect())
        }
    })
}

/// The price in units of the fifth digit. A signal of a batch has passed its checks, so it always fits.
fn mantissa(price: Decimal) -> Result<i64, TableError> {
    let mut scaled = price;
    scaled.rescale(SCALE);
    i64::try_from(scaled.mantissa())
        .map_err(|_| TableError::Unwritable { detail: format!("price {price} is too large") })
}

/// Reads signals from Parquet bytes; `file` is the name that errors speak of.
pub fn read_parquet(bytes: &[u8], file: &str) -> Result<SignalBatch, SignalFileError> {
    let table = table::decode(bytes, |_| fields())
        .map_err(|source| SignalFileError::Parquet { file: file.to_owned(), source })?;
    let columns = Columns { fields: fields(), values: &table.columns };
    let mut signals = Vec::with_capacity(table.rows);
    for at in 0..table.rows {
        let row = u64::try_from(at).unwrap_or(u64::MAX).saturating_add(1);
        let place = Place::Row { file: file.to_owned(), row };
        let signal = columns.signal(at).map_err(|(column, fault)| SignalFileError::Cell {
            place: place.clone(),
            column,
            fault,
        })?;
        signals.push((place, signal));
    }
    let batch = SignalBatch::from_places(signals)?;
    match table.notes.get(NOTE_BATCH) {
        Some(recorded) if *recorded != batch.batch_id().to_string() => Err(SignalFileError::Altered {
            file: file.to_owned(),
            recorded: recorded.clone(),
            found: batch.batch_id().to_string(),
        }),
        // Whatever is not plainly real is taken for made up.
        _ => Ok(batch.marked(table.notes.get(NOTE_SYNTHETIC).is_some_and(|note| note != "false"))),
    }
}

struct Columns<'a> {
    fields: Vec<Field>,
    values: &'a [Values],
}

type CellResult<T> = Result<T, (&'static str, CellFault)>;

impl Columns<'_> {
    fn at(&self, name: &'static str) -> Option<&Values> {
        self.fields.iter().position(|field| field.name == name).and_then(|at| self.values.get(at))
    }

    fn text(&self, name: &'static str, row: usize) -> CellResult<&str> {
        match self.at(name) {
            Some(Values::Text(values)) => values.get(row).and_then(Option::as_deref),
            _ => None,
        }
        .ok_or((name, CellFault::Missing))
    }

    fn whole(&self, name: &'static str, row: usize) -> CellResult<i64> {
        match self.at(name) {
            Some(Values::I64(values)) => values.get(row).copied(),
            Some(Values::I32(values)) => values.get(row).map(|value| i64::from(*value)),
            _ => None,
        }
        .ok_or((name, CellFault::Missing))
    }

    fn parse<T>(&self, name: &'static str, row: usize) -> CellResult<T>
    where
        T: std::str::FromStr,
        CellFault: From<T::Err>,
    {
        self.text(name, row)?.parse().map_err(|error| (name, CellFault::from(error)))
    }

    fn time(&self, name: &'static str, row: usize) -> CellResult<Timestamp> {
        let found = self.whole(name, row)?;
        Timestamp::from_microsecond(found).map_err(|_| (name, CellFault::TimeRange { found }))
    }

    fn price(&self, name: &'static str, row: usize) -> CellResult<Decimal> {
        Ok(Decimal::new(self.whole(name, row)?, SCALE))
    }

    fn signal(&self, row: usize) -> CellResult<Signal> {
        let mut values = [0.0; QfhMetrics::NAMES.len()];
        for (value, name) in values.iter_mut().zip(QfhMetrics::NAMES) {
            *value = match self.at(name) {
                Some(Values::F64(values)) => values.get(row).copied(),
                _ => None,
            }
            .ok_or((name, CellFault::Missing))?;
        }
        let confidence = Decimal::new(self.whole("confidence", row)?, 6);
        let signal = Signal {
            account: self.text("account", row)?.to_owned(),
            strategy: self.text("strategy", row)?.to_owned(),
            pair: self.parse("pair", row)?,
            timeframe: self.parse("timeframe", row)?,
            bar_close: self.time("bar_close", row)?,
            side: self.parse("side", row)?,
            confidence: Confidence::from_decimal(confidence)
                .map_err(|error| ("confidence", CellFault::Confidence(error)))?,
            metrics: QfhMetrics::from_values(values),
            stop: self.price("stop", row)?,
            target: self.price("target", row)?,
            expires_at: self.time("expires_at", row)?,
            model_hash: self.parse("model_hash", row)?,
            override_reason: self.text("override_reason", row).ok().map(str::to_owned),
        };
        signal.validate().map_err(|fault| (fault.field(), CellFault::Signal(fault)))?;
        Ok(signal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals::samples::signal;
    use crate::signals::{read_csv, write_csv};

    fn batch() -> SignalBatch {
        SignalBatch::new((1..=40).map(signal).collect()).unwrap()
    }

    #[test]
    fn what_is_written_reads_back_and_agrees_with_csv() {
        let bytes = write_parquet(&batch()).unwrap();
        let back = read_parquet(&bytes, "signals.parquet").unwrap();
        assert_eq!(back.batch_id(), batch().batch_id());
        let csv = read_csv(&write_csv(&batch()), "signals.csv").unwrap();
        assert_eq!(csv.batch_id(), back.batch_id());
        let hashes =
            |batch: &SignalBatch| batch.signals().iter().map(Signal::content_hash).collect::<Vec<_>>();
        assert_eq!(hashes(&csv), hashes(&back));
        // Whether the candles were made up comes along, and changes no name.
        assert!(!back.is_synthetic());
        let made_up = batch().marked(true);
        assert_eq!(made_up.batch_id(), batch().batch_id());
        assert!(read_parquet(&write_parquet(&made_up).unwrap(), "m").unwrap().is_synthetic());
        let empty = SignalBatch::new(Vec::new()).unwrap();
        assert_eq!(read_parquet(&write_parquet(&empty).unwrap(), "e").unwrap(), empty);
    }

    #[test]
    fn every_truncation_is_refused() {
        let bytes = write_parquet(&batch()).unwrap();
        for length in 0..bytes.len() {
            let error = read_parquet(&bytes[..length], "cut.parquet").unwrap_err().to_string();
            assert!(error.starts_with("cut.parquet: "), "{length}: {error}");
        }
    }

    #[test]
    fn no_flipped_bit_gives_other_signals() {
        let (bytes, batch) = (write_parquet(&batch()).unwrap(), batch());
        let mut refused = 0;
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            match read_parquet(&damaged, "flipped.parquet") {
                Ok(read) => assert_eq!(read.batch_id(), batch.batch_id(), "byte {at}"),
                Err(_) => refused += 1,
            }
        }
        assert!(refused > bytes.len() / 3, "only {refused} of {} flips were refused", bytes.len());
    }

    #[test]
    fn other_bytes_are_refused_by_name() {
        let error = read_parquet(b"account,strategy\n", "x.parquet").unwrap_err().to_string();
        assert!(error.starts_with("x.parquet: not a Parquet file: it begins with 'acco'"), "{error}");
    }
}
