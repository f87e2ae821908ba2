//! Result tables as Parquet files, for pandas, Polars and the report.
//!
//! Owns the mapping of a few plain kinds of columns to Parquet's types, and writing a file whole or not at
//! all. Must not know what the columns mean. (Candles and signals have file forms of their own, which
//! belong to the contract.)

use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::whole_file::{PublishError, publish};

/// One column; no value of it is missing.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Lower case, with underscores.
    pub name: &'static str,
    pub values: Values,
}

/// What stands in a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Moments, in seconds since 1970, UTC; written as timestamps.
    Time(Vec<i64>),
    Int(Vec<i64>),
    Float(Vec<f64>),
    /// Exact numbers with so many digits after the point, counted in units of the last one.
    Decimal {
        digits: u32,
        units: Vec<i64>,
    },
    Text(Vec<String>),
    Flag(Vec<bool>),
}

/// Why a table was not written.
#[derive(Debug, thiserror::Error)]
pub enum TableFileError {
    #[error("column {column} has {found} rows: expected {expected}, as many as the first column")]
    Uneven { column: &'static str, found: usize, expected: usize },
    #[error("column {column}, row {row}: {found} does not fit eighteen digits, {digits} after the point")]
    Decimal { column: &'static str, row: usize, found: Decimal, digits: u32 },
    #[error("cannot write a table as Parquet: {0}")]
    Parquet(#[from] ParquetError),
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Digits of a Parquet decimal in eight bytes.
const PRECISION: u32 = 18;

impl Column {
    /// A column of exact numbers, all written with the same number of digits after the point; one that has
    /// more digits is an error, nothing is rounded.
    pub fn decimals(
        name: &'static str,
        digits: u32,
        numbers: impl IntoIterator<Item = Decimal>,
    ) -> Result<Self, TableFileError> {
        let scale = Decimal::from(10_i64.pow(digits.min(PRECISION)));
        let unit = |(row, number): (usize, Decimal)| {
            let units = number.checked_mul(scale).filter(Decimal::is_integer).and_then(|n| n.to_i64());
            units
                .filter(|units| units.unsigned_abs() < 10_u64.pow(PRECISION))
                .ok_or(TableFileError::Decimal { column: name, row: row + 1, found: number, digits })
        };
        let units = numbers.into_iter().enumerate().map(unit).collect::<Result<_, _>>()?;
        Ok(Self { name, values: Values::Decimal { digits, units } })
    }

    fn schema(&self) -> String {
        let name = self.name;
        match &self.values {
            Values::Time(_) => format!("required int64 {name} (TIMESTAMP(MICROS,true));"),
            Values::Int(_) => format!("required int64 {name};"),
            Values::Float(_) => format!("required double {name};"),
            Values::Decimal { digits, .. } => {
                format!("required int64 {name} (DECIMAL({PRECISION},{digits}));")
            }
            Values::Text(_) => format!("required binary {name} (STRING);"),
            Values::Flag(_) => format!("required boolean {name};"),
        }
    }

    fn rows(&self) -> usize {
        match &self.values {
            Values::Time(values) | Values::Int(values) | Values::Decimal { units: values, .. } => {
                values.len()
            }
            Values::Float(values) => values.len(),
            Values::Text(values) => values.len(),
            Values::Flag(values) => values.len(),
        }
    }
}

/// A table as Parquet bytes. `notes` become the file's own key-value notes. The same table gives the same
/// bytes.
pub fn encode(columns: &[Column], notes: &[(&str, String)]) -> Result<Vec<u8>, TableFileError> {
    let expected = columns.first().map_or(0, Column::rows);
    if let Some(column) = columns.iter().find(|column| column.rows() != expected) {
        return Err(TableFileError::Uneven { column: column.name, found: column.rows(), expected });
    }
    let schema: String = columns.iter().map(Column::schema).collect();
    let schema = parse_message_type(&format!("message rows {{ {schema} }}"))?;
    let notes = notes.iter().map(|(key, value)| KeyValue::new((*key).to_owned(), value.clone())).collect();
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_created_by("sep-gpu".into())
        .set_key_value_metadata(Some(notes))
        .build();
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    for column in columns {
        let Some(mut written) = group.next_column()? else { break };
        match &column.values {
            Values::Time(seconds) => {
                let micros: Vec<i64> = seconds.iter().map(|second| second * 1_000_000).collect();
                written.typed::<Int64Type>().write_batch(&micros, None, None)?
            }
            Values::Int(values) | Values::Decimal { units: values, .. } => {
                written.typed::<Int64Type>().write_batch(values, None, None)?
            }
            Values::Float(values) => written.typed::<DoubleType>().write_batch(values, None, None)?,
            Values::Text(values) => {
                let values: Vec<ByteArray> =
                    values.iter().map(|text| ByteArray::from(text.as_str())).collect();
                written.typed::<ByteArrayType>().write_batch(&values, None, None)?
            }
            Values::Flag(values) => written.typed::<BoolType>().write_batch(values, None, None)?,
        };
        written.close()?;
    }
    group.close()?;
    Ok(writer.into_inner()?)
}

/// Writes a table to a file: beside its place first, then renamed into it, so that a reader sees the old
/// file or the new one, never half of it. Makes the folder if need be.
pub fn write(path: &Path, columns: &[Column], notes: &[(&str, String)]) -> Result<(), TableFileError> {
    let bytes = encode(columns, notes)?;
    Ok(publish(path, &bytes)?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    use super::*;

    fn table() -> Vec<Column> {
        let text = |values: [&str; 3]| Values::Text(values.map(str::to_owned).to_vec());
        let money = ["10.5", "-0.01", "1234567.00"].map(|text| text.parse::<Decimal>().unwrap());
        vec![
            Column { name: "time", values: Values::Time(vec![0, 1_753_303_200, -1]) },
            Column { name: "pair", values: text(["EUR_USD", "USD_JPY", "EUR_USD"]) },
            Column { name: "trades", values: Values::Int(vec![1, -2, i64::MAX]) },
            Column { name: "share", values: Values::Float(vec![0.25, -1.5, f64::INFINITY]) },
            Column::decimals("net", 2, money).unwrap(),
            Column { name: "won", values: Values::Flag(vec![true, false, true]) },
        ]
    }

    #[test]
    fn what_is_written_reads_back_with_its_types() {
        let bytes = encode(&table(), &[("sep.kind", "trades/1".to_owned())]).unwrap();
        assert_eq!(bytes, encode(&table(), &[("sep.kind", "trades/1".to_owned())]).unwrap());
        let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
        let notes = reader.metadata().file_metadata().key_value_metadata().unwrap();
        assert_eq!((notes[0].key.as_str(), notes[0].value.as_deref()), ("sep.kind", Some("trades/1")));
        let rows: Vec<Vec<String>> = reader
            .get_row_iter(None)
            .unwrap()
            .map(|row| {
                let row = row.unwrap();
                let text = |field: &Field| match field {
                    Field::TimestampMicros(micros) => format!("{micros} us"),
                    other => other.to_string(),
                };
                row.get_column_iter().map(|(_, field)| text(field)).collect()
            })
            .collect();
        assert_eq!(rows[0], ["0 us", "\"EUR_USD\"", "1", "0.25", "10.50", "true"]);
        assert_eq!(rows[1], ["1753303200000000 us", "\"USD_JPY\"", "-2", "-1.5E0", "-0.01", "false"]);
        assert_eq!(rows[2][4], "1234567.00");
    }

    #[test]
    fn uneven_columns_and_numbers_that_would_be_rounded_are_refused() {
        let mut columns = table();
        columns[2].values = Values::Int(vec![1]);
        let error = encode(&columns, &[]).unwrap_err().to_string();
        assert_eq!(error, "column trades has 1 rows: expected 3, as many as the first column");
        let error = Column::decimals("net", 2, ["1.005".parse().unwrap()]).unwrap_err().to_string();
        assert_eq!(error, "column net, row 1: 1.005 does not fit eighteen digits, 2 after the point");
    }

    #[test]
    fn a_file_is_whole_and_nothing_is_left_beside_it() {
        let folder = std::env::temp_dir().join(format!("sep-table-{}", std::process::id()));
        let path = folder.join("deeper/trades.parquet");
        write(&path, &table(), &[]).unwrap();
        assert_eq!(fs::read(&path).unwrap(), encode(&table(), &[]).unwrap());
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        // A folder stands where the file should go.
        let taken = folder.join("deeper");
        assert!(matches!(write(&taken, &table(), &[]), Err(TableFileError::Publish(_))));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(folder).unwrap();
    }
}
