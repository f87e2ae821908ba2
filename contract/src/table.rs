//! Flat tables as Parquet bytes: the codec under candles and signals.
//!
//! Owns the mapping between columns in memory and Parquet's physical and logical types. Columns that
//! other writers (pandas, Polars) mark optional are read as long as no value is missing. Must not know
//! what the columns mean. Whatever bytes come in, an error comes out, never a panic.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

mod guard;
mod read;
mod seal;

pub(crate) use read::{decode, decode_newest, describe};
pub(crate) use seal::is_sealed;

/// What every Parquet file begins with.
const MAGIC: &[u8] = b"PAR1";
/// No table of ours is larger; a file that claims more is damaged.
const MAX_ROWS: usize = 50_000_000;

/// One column: its name and what stands in it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field {
    pub name: &'static str,
    pub kind: Kind,
}

/// The types of columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Decimal in four bytes: precision, digits after the point.
    Decimal32 {
        precision: u32,
        scale: u32,
    },
    /// Decimal in eight bytes.
    Decimal64 {
        precision: u32,
        scale: u32,
    },
    /// UTC time, in memory as microseconds since 1970.
    Time,
    /// Unsigned four bytes.
    Count,
    Float,
    Text,
    /// Text that may be missing.
    OptionalText,
}

/// The values of one column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Values {
    I32(Vec<i32>),
    I64(Vec<i64>),
    F64(Vec<f64>),
    Text(Vec<Option<String>>),
}

/// What was read: values in the order of the fields asked for, and the file's own notes.
#[derive(Debug)]
pub(crate) struct Table {
    pub rows: usize,
    pub notes: BTreeMap<String, String>,
    pub columns: Vec<Values>,
}

/// Why bytes are no table of the form asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    #[error("not a Parquet file: it begins with '{found}' and has {size} bytes")]
    NotParquet { found: String, size: usize },
    #[error("truncated or damaged: its checksum is not that of its {size} bytes. Get or write it again.")]
    SealBroken { size: usize },
    #[error("not readable as Parquet (truncated, damaged or another format): {detail}")]
    Unreadable { detail: String },
    #[error("column {column} is missing")]
    MissingColumn { column: &'static str },
    #[error("column '{column}' is unknown: expected {expected}")]
    UnknownColumn { column: String, expected: String },
    #[error("column {column} is {found}: expected {expected}")]
    WrongType { column: &'static str, found: String, expected: String },
    #[error("row {row}: column {column}: the value is missing")]
    MissingValue { column: &'static str, row: usize },
    #[error("row {row}: column {column}: the number is too large")]
    TooLarge { column: &'static str, row: usize },
    #[error("row {row}: column {column}: the text is not UTF-8")]
    NotUtf8 { column: &'static str, row: usize },
    #[error("column {column}: {found} values where the file says {expected} rows")]
    ShortColumn { column: &'static str, found: usize, expected: usize },
    #[error("the file says {found} rows: expected 0 to {MAX_ROWS}")]
    RowCount { found: i64 },
    #[error("not writable as Parquet: {detail}")]
    Unwritable { detail: String },
}

fn unwritable(error: ParquetError) -> TableError {
    TableError::Unwritable { detail: error.to_string() }
}

impl Kind {
    fn schema(self, name: &str) -> String {
        match self {
            Self::Decimal32 { precision, scale } => {
                format!("required int32 {name} (DECIMAL({precision},{scale}));")
            }
            Self::Decimal64 { precision, scale } => {
                format!("required int64 {name} (DECIMAL({precision},{scale}));")
            }
            Self::Time => format!("required int64 {name} (TIMESTAMP(MICROS,true));"),
            Self::Count => format!("required int32 {name} (INTEGER(32,false));"),
            Self::Float => format!("required double {name};"),
            Self::Text => format!("required binary {name} (STRING);"),
            Self::OptionalText => format!("optional binary {name} (STRING);"),
        }
    }

    fn describe(self) -> String {
        match self {
            Self::Decimal32 { scale, .. } => format!("DECIMAL with {scale} digits"),
            Self::Decimal64 { scale, .. } => format!("DECIMAL with {scale} digits"),
            Self::Time => "TIMESTAMP".into(),
            Self::Count => "INT32".into(),
            Self::Float => "DOUBLE".into(),
            Self::Text | Self::OptionalText => "STRING".into(),
        }
    }
}

/// Rows of a group, which are read together: few enough that the newest are soon read, enough to pack well.
const GROUP_ROWS: usize = 4_096;

/// A table as Parquet bytes, zstd, in groups of rows.
pub(crate) fn encode(
    fields: &[Field],
    notes: &[(&str, String)],
    columns: &[Values],
) -> Result<Vec<u8>, TableError> {
    let schema: String = fields.iter().map(|field| field.kind.schema(field.name)).collect();
    let schema = parse_message_type(&format!("message rows {{ {schema} }}")).map_err(unwritable)?;
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).map_err(unwritable)?))
        .set_created_by("sep-contract".into())
        .set_key_value_metadata(Some(
            notes.iter().map(|(key, value)| KeyValue::new((*key).to_owned(), value.clone())).collect(),
        ));
    for field in fields {
        // Bars and ticks change little from row to row: deltas pack them into a few bits each, and a compressor
        // finds next to nothing in these, but takes time to be set up for every group.
        if matches!(field.kind, Kind::Decimal32 { .. } | Kind::Time | Kind::Count) {
            let path = ColumnPath::from(field.name);
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path.clone(), Encoding::DELTA_BINARY_PACKED)
                .set_column_compression(path, Compression::UNCOMPRESSED);
        }
    }
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties.build()))
        .map_err(unwritable)?;
    writer.write_all(&seal::ROOM).map_err(|error| unwritable(error.into()))?;
    let rows = columns.first().map_or(0, Values::len);
    for start in (0..rows.max(1)).step_by(GROUP_ROWS) {
        let rows = start..(start + GROUP_ROWS).min(rows);
        let mut group = writer.next_row_group().map_err(unwritable)?;
        for (field, values) in fields.iter().zip(columns) {
            let mut column = group
                .next_column()
                .map_err(unwritable)?
                .ok_or_else(|| TableError::Unwritable { detail: "more columns than fields".into() })?;
            write(&mut column, field, values, rows.clone()).map_err(unwritable)?;
            column.close().map_err(unwritable)?;
        }
        group.close().map_err(unwritable)?;
    }
    let mut bytes = writer.into_inner().map_err(unwritable)?;
    seal::set(&mut bytes);
    Ok(bytes)
}

/// Writes some rows of a column.
fn write(
    column: &mut SerializedColumnWriter,
    field: &Field,
    values: &Values,
    rows: Range<usize>,
) -> Result<usize, ParquetError> {
    match values {
        Values::I32(values) => column.typed::<Int32Type>().write_batch(&values[rows], None, None),
        Values::I64(values) => column.typed::<Int64Type>().write_batch(&values[rows], None, None),
        Values::F64(values) => column.typed::<DoubleType>().write_batch(&values[rows], None, None),
        Values::Text(values) => {
            let values = &values[rows];
            let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
            let present: Vec<ByteArray> =
                values.iter().flatten().map(|text| ByteArray::from(text.as_str())).collect();
            let levels = (field.kind == Kind::OptionalText).then_some(levels.as_slice());
            column.typed::<ByteArrayType>().write_batch(&present, levels, None)
        }
    }
}

impl Values {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::I32(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::F64(values) => values.len(),
            Self::Text(values) => values.len(),
        }
    }
}

#[cfg(test)]
mod tests;
