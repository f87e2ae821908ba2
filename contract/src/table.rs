//! Flat tables as Parquet bytes: the codec under candles and signals.
//!
//! Owns the mapping between columns in memory and Parquet's physical and logical types. Columns that
//! other writers (pandas, Polars) mark optional are read as long as no value is missing. Must not know
//! what the columns mean. Whatever bytes come in, an error comes out, never a panic.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, LogicalType, TimeUnit, Type as Physical, ZstdLevel};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnDescriptor, ColumnPath};

mod guard;
mod seal;

/// What every Parquet file begins with.
const MAGIC: &[u8] = b"PAR1";
/// No table of ours is larger; a file that claims more is damaged.
const MAX_ROWS: usize = 50_000_000;
/// Rows read at a time.
const CHUNK: usize = 65_536;

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
    #[error("row {row}: column {column}: the text is not UTF-8")]
    NotUtf8 { column: &'static str, row: usize },
    #[error("column {column}: {found} values where the file says {expected} rows")]
    ShortColumn { column: &'static str, found: usize, expected: usize },
    #[error("the file says {found} rows: expected 0 to {MAX_ROWS}")]
    RowCount { found: i64 },
    #[error("not writable as Parquet: {detail}")]
    Unwritable { detail: String },
}

fn unreadable(error: ParquetError) -> TableError {
    TableError::Unreadable { detail: error.to_string() }
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
            Self::Decimal32 { scale, .. } => format!("INT32 as DECIMAL with {scale} digits"),
            Self::Decimal64 { scale, .. } => format!("INT64 as DECIMAL with {scale} digits"),
            Self::Time => "INT64 as TIMESTAMP".into(),
            Self::Count => "INT32".into(),
            Self::Float => "DOUBLE".into(),
            Self::Text | Self::OptionalText => "BYTE_ARRAY as STRING".into(),
        }
    }

    /// Whether a column of the file can be read as this kind.
    fn fits(self, column: &ColumnDescriptor) -> bool {
        let scaled = |scale: u32| i32::try_from(scale).is_ok_and(|scale| column.type_scale() == scale);
        match (self, column.physical_type()) {
            (Self::Decimal32 { scale, .. }, Physical::INT32)
            | (Self::Decimal64 { scale, .. }, Physical::INT64) => scaled(scale),
            (Self::Time, Physical::INT64) => time_unit(column).is_some(),
            (Self::Count, Physical::INT32)
            | (Self::Float, Physical::DOUBLE)
            | (Self::Text | Self::OptionalText, Physical::BYTE_ARRAY) => true,
            _ => false,
        }
    }
}

/// Microseconds as a fraction of the column's unit: (multiply by, divide by).
fn time_unit(column: &ColumnDescriptor) -> Option<(i64, i64)> {
    match column.logical_type_ref() {
        Some(LogicalType::Timestamp(timestamp)) => match timestamp.unit {
            TimeUnit::MILLIS => Some((1_000, 1)),
            TimeUnit::MICROS => Some((1, 1)),
            TimeUnit::NANOS => Some((1, 1_000)),
        },
        _ => None,
    }
}

/// A table as Parquet bytes, one row group, zstd.
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
        // Bars and ticks change little from row to row: deltas pack them into a few bits each.
        if matches!(field.kind, Kind::Decimal32 { .. } | Kind::Time | Kind::Count) {
            let path = ColumnPath::from(field.name);
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        }
    }
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties.build()))
        .map_err(unwritable)?;
    writer.write_all(&seal::ROOM).map_err(|error| unwritable(error.into()))?;
    let mut group = writer.next_row_group().map_err(unwritable)?;
    for (field, values) in fields.iter().zip(columns) {
        let mut column = group
            .next_column()
            .map_err(unwritable)?
            .ok_or_else(|| TableError::Unwritable { detail: "more columns than fields".into() })?;
        match values {
            Values::I32(values) => column.typed::<Int32Type>().write_batch(values, None, None),
            Values::I64(values) => column.typed::<Int64Type>().write_batch(values, None, None),
            Values::F64(values) => column.typed::<DoubleType>().write_batch(values, None, None),
            Values::Text(values) => {
                let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
                let present: Vec<ByteArray> =
                    values.iter().flatten().map(|text| ByteArray::from(text.as_str())).collect();
                let levels = (field.kind == Kind::OptionalText).then_some(levels.as_slice());
                column.typed::<ByteArrayType>().write_batch(&present, levels, None)
            }
        }
        .map_err(unwritable)?;
        column.close().map_err(unwritable)?;
    }
    group.close().map_err(unwritable)?;
    let mut bytes = writer.into_inner().map_err(unwritable)?;
    seal::set(&mut bytes);
    Ok(bytes)
}

/// A table from Parquet bytes.
pub(crate) fn decode(
    bytes: &[u8],
    fields_of: impl FnOnce(&BTreeMap<String, String>) -> Vec<Field>,
) -> Result<Table, TableError> {
    if !bytes.starts_with(MAGIC) {
        let found = String::from_utf8_lossy(bytes.get(..MAGIC.len()).unwrap_or(bytes)).into_owned();
        return Err(TableError::NotParquet { found, size: bytes.len() });
    }
    seal::check(bytes)?;
    // The Parquet library is not written for hostile bytes; a panic of its own means a damaged file.
    guard::quietly(|| decode_unguarded(bytes, fields_of)).unwrap_or_else(|| {
        Err(TableError::Unreadable { detail: "the contents contradict one another".into() })
    })
}

fn decode_unguarded(
    bytes: &[u8],
    fields_of: impl FnOnce(&BTreeMap<String, String>) -> Vec<Field>,
) -> Result<Table, TableError> {
    let reader = SerializedFileReader::new(Bytes::copy_from_slice(bytes)).map_err(unreadable)?;
    let metadata = reader.metadata().file_metadata();
    let notes: BTreeMap<String, String> = metadata
        .key_value_metadata()
        .into_iter()
        .flatten()
        .filter_map(|note| Some((note.key.clone(), note.value.clone()?)))
        .collect();
    let fields = fields_of(&notes);
    let claimed = metadata.num_rows();
    let rows = match usize::try_from(claimed) {
        Ok(rows) if rows <= MAX_ROWS => rows,
        _ => return Err(TableError::RowCount { found: claimed }),
    };
    let schema = metadata.schema_descr();
    for column in schema.columns() {
        if !fields.iter().any(|field| field.name == column.path().string()) {
            return Err(TableError::UnknownColumn {
                column: column.path().string(),
                expected: fields.iter().map(|field| field.name).collect::<Vec<_>>().join(", "),
            });
        }
    }
    let mut columns = Vec::with_capacity(fields.len());
    for field in &fields {
        let at = schema.columns().iter().position(|column| column.path().string() == field.name);
        let Some(at) = at else {
            if field.kind == Kind::OptionalText {
                columns.push(Values::Text(vec![None; rows]));
                continue;
            }
            return Err(TableError::MissingColumn { column: field.name });
        };
        let column = schema.column(at);
        let repeated = column.max_rep_level() > 0 || column.max_def_level() > 1;
        if repeated || !field.kind.fits(&column) {
            let found = match column.logical_type_ref() {
                Some(logical) => format!("{} as {logical:?}", column.physical_type()),
                None => column.physical_type().to_string(),
            };
            return Err(TableError::WrongType { column: field.name, found, expected: field.kind.describe() });
        }
        let values = read_column(&reader, at, field, &column)?;
        let found = values.len();
        if found != rows {
            return Err(TableError::ShortColumn { column: field.name, found, expected: rows });
        }
        columns.push(values);
    }
    Ok(Table { rows, notes, columns })
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

/// One column through all row groups.
fn read_column(
    reader: &SerializedFileReader<Bytes>,
    at: usize,
    field: &Field,
    column: &ColumnDescriptor,
) -> Result<Values, TableError> {
    let optional = column.max_def_level() > 0;
    let mut values = match field.kind {
        Kind::Decimal32 { .. } | Kind::Count => Values::I32(Vec::new()),
        Kind::Decimal64 { .. } | Kind::Time => Values::I64(Vec::new()),
        Kind::Float => Values::F64(Vec::new()),
        Kind::Text | Kind::OptionalText => Values::Text(Vec::new()),
    };
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).map_err(unreadable)?;
        match (group.get_column_reader(at).map_err(unreadable)?, &mut values) {
            (ColumnReader::Int32ColumnReader(column), Values::I32(values)) => {
                plain(column, values, optional, field.name)?;
            }
            (ColumnReader::Int64ColumnReader(column), Values::I64(values)) => {
                plain(column, values, optional, field.name)?;
            }
            (ColumnReader::DoubleColumnReader(column), Values::F64(values)) => {
                plain(column, values, optional, field.name)?;
            }
            (ColumnReader::ByteArrayColumnReader(column), Values::Text(values)) => {
                text(column, values, optional, field)?;
            }
            _ => {
                return Err(TableError::Unreadable { detail: format!("column {} changes type", field.name) });
            }
        }
    }
    if let (Values::I64(values), Kind::Time) = (&mut values, field.kind) {
        let (multiply, divide) = time_unit(column).unwrap_or((1, 1));
        for value in values.iter_mut() {
            // Times beyond the range are caught where they become timestamps.
            *value = if *value % divide == 0 { (*value / divide).saturating_mul(multiply) } else { i64::MAX };
        }
    }
    Ok(values)
}

/// Values that must all be there.
fn plain<T: DataType>(
    mut column: ColumnReaderImpl<T>,
    values: &mut Vec<T::T>,
    optional: bool,
    name: &'static str,
) -> Result<(), TableError> {
    let mut levels = Vec::new();
    loop {
        let before = values.len();
        levels.clear();
        let (records, read, _) =
            column.read_records(CHUNK, optional.then_some(&mut levels), None, values).map_err(unreadable)?;
        if records != read {
            let gap = levels.iter().position(|level| *level == 0).unwrap_or(0);
            return Err(TableError::MissingValue { column: name, row: before + gap + 1 });
        }
        if records == 0 {
            return Ok(());
        }
        if values.len() > MAX_ROWS {
            return Err(TableError::RowCount { found: i64::MAX });
        }
    }
}

/// Text, of which some may be missing.
fn text(
    mut column: ColumnReaderImpl<ByteArrayType>,
    values: &mut Vec<Option<String>>,
    optional: bool,
    field: &Field,
) -> Result<(), TableError> {
    let (mut levels, mut read) = (Vec::new(), Vec::new());
    loop {
        levels.clear();
        read.clear();
        let (records, ..) = column
            .read_records(CHUNK, optional.then_some(&mut levels), None, &mut read)
            .map_err(unreadable)?;
        if records == 0 {
            return Ok(());
        }
        if !optional {
            levels = vec![1; records];
        }
        let mut present = read.drain(..);
        for level in &levels {
            let row = values.len() + 1;
            let value = if *level == 0 { None } else { present.next() };
            match value {
                Some(bytes) => match bytes.as_utf8() {
                    Ok(text) => values.push(Some(text.to_owned())),
                    Err(_) => return Err(TableError::NotUtf8 { column: field.name, row }),
                },
                None if field.kind == Kind::OptionalText => values.push(None),
                None => return Err(TableError::MissingValue { column: field.name, row }),
            }
        }
    }
}

#[cfg(test)]
mod tests;
