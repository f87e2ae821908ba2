//! Reading: from bytes of whoever wrote them to columns of the kinds asked for.
//!
//! More is read than is written: decimals as byte arrays and columns marked optional (pyarrow, Polars),
//! times in other units.

use std::collections::BTreeMap;

use bytes::Bytes;
use parquet::basic::{LogicalType, TimeUnit, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArrayType, DataType, FixedLenByteArrayType};
use parquet::errors::ParquetError;
use parquet::file::metadata::FileMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use super::{Field, Kind, MAGIC, MAX_ROWS, Table, TableError, Values, guard, seal};

/// Rows read at a time.
const CHUNK: usize = 65_536;

fn unreadable(error: ParquetError) -> TableError {
    TableError::Unreadable { detail: error.to_string() }
}

/// A table from Parquet bytes.
pub(crate) fn decode(
    bytes: &[u8],
    fields_of: impl FnOnce(&BTreeMap<String, String>) -> Vec<Field>,
) -> Result<Table, TableError> {
    decode_newest(bytes, fields_of, usize::MAX).map(|(table, _)| table)
}

/// The last so many groups of rows of a table from Parquet bytes, and whether they are all.
pub(crate) fn decode_newest(
    bytes: &[u8],
    fields_of: impl FnOnce(&BTreeMap<String, String>) -> Vec<Field>,
    groups: usize,
) -> Result<(Table, bool), TableError> {
    if !bytes.starts_with(MAGIC) {
        let found = String::from_utf8_lossy(bytes.get(..MAGIC.len()).unwrap_or(bytes)).into_owned();
        return Err(TableError::NotParquet { found, size: bytes.len() });
    }
    seal::check(bytes)?;
    // The Parquet library is not written for hostile bytes; a panic of its own means a damaged file.
    guard::quietly(|| decode_unguarded(bytes, fields_of, groups)).unwrap_or_else(|| {
        Err(TableError::Unreadable { detail: "the contents contradict one another".into() })
    })
}

/// The notes and the number of rows, from the end of the file alone: nothing else is read or checked.
pub(crate) fn describe(bytes: &[u8]) -> Result<(BTreeMap<String, String>, usize), TableError> {
    let described = || {
        let reader = SerializedFileReader::new(Bytes::copy_from_slice(bytes)).map_err(unreadable)?;
        let metadata = reader.metadata().file_metadata();
        Ok((notes(metadata), rows(metadata)?))
    };
    guard::quietly(described).unwrap_or_else(|| {
        Err(TableError::Unreadable { detail: "the contents contradict one another".into() })
    })
}

fn notes(metadata: &FileMetaData) -> BTreeMap<String, String> {
    metadata
        .key_value_metadata()
        .into_iter()
        .flatten()
        .filter_map(|note| Some((note.key.clone(), note.value.clone()?)))
        .collect()
}

fn rows(metadata: &FileMetaData) -> Result<usize, TableError> {
    let claimed = metadata.num_rows();
    match usize::try_from(claimed) {
        Ok(rows) if rows <= MAX_ROWS => Ok(rows),
        _ => Err(TableError::RowCount { found: claimed }),
    }
}

fn decode_unguarded(
    bytes: &[u8],
    fields_of: impl FnOnce(&BTreeMap<String, String>) -> Vec<Field>,
    groups: usize,
) -> Result<(Table, bool), TableError> {
    let reader = SerializedFileReader::new(Bytes::copy_from_slice(bytes)).map_err(unreadable)?;
    let metadata = reader.metadata().file_metadata();
    let notes = notes(metadata);
    let fields = fields_of(&notes);
    let all = rows(metadata)?;
    let first = reader.num_row_groups().saturating_sub(groups);
    // What stands in the groups that are left out.
    let before = reader.metadata().row_groups()[..first].iter().map(|group| group.num_rows()).sum::<i64>();
    let rows = usize::try_from(before).ok().and_then(|before| all.checked_sub(before));
    let rows = rows.ok_or(TableError::RowCount { found: before })?;
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
        if repeated || !fits(field.kind, &column) {
            let found = described(&column);
            return Err(TableError::WrongType { column: field.name, found, expected: field.kind.describe() });
        }
        let values = read_column(&reader, first, at, field, &column)?;
        let found = values.len();
        if found != rows {
            return Err(TableError::ShortColumn { column: field.name, found, expected: rows });
        }
        columns.push(values);
    }
    Ok((Table { rows, notes, columns }, first == 0))
}

/// Whether a column of the file can be read as a kind.
fn fits(kind: Kind, column: &ColumnDescriptor) -> bool {
    let scaled = |scale: u32| i32::try_from(scale).is_ok_and(|scale| column.type_scale() == scale);
    match (kind, column.physical_type()) {
        (Kind::Decimal32 { scale, .. }, Physical::INT32)
        | (Kind::Decimal64 { scale, .. }, Physical::INT64)
        | (Kind::Decimal32 { scale, .. } | Kind::Decimal64 { scale, .. }, Physical::FIXED_LEN_BYTE_ARRAY) => {
            scaled(scale)
        }
        (Kind::Time, Physical::INT64) => time_unit(column).is_some(),
        (Kind::Count, Physical::INT32)
        | (Kind::Float, Physical::DOUBLE)
        | (Kind::Text | Kind::OptionalText, Physical::BYTE_ARRAY) => true,
        _ => false,
    }
}

/// The type of a column for people.
fn described(column: &ColumnDescriptor) -> String {
    match column.logical_type_ref() {
        Some(LogicalType::Decimal(decimal)) => format!("DECIMAL with {} digits", decimal.scale),
        Some(LogicalType::Timestamp(_)) => "TIMESTAMP".into(),
        Some(LogicalType::String) => "STRING".into(),
        _ => column.physical_type().to_string(),
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

/// One column through all row groups from the first that is asked for.
fn read_column(
    reader: &SerializedFileReader<Bytes>,
    first: usize,
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
    for group in first..reader.num_row_groups() {
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
            (ColumnReader::FixedLenByteArrayColumnReader(column), values) => {
                decimals(column, values, optional, field.name)?;
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

/// Decimals as big-endian two's complement of any length.
fn decimals(
    column: ColumnReaderImpl<FixedLenByteArrayType>,
    values: &mut Values,
    optional: bool,
    name: &'static str,
) -> Result<(), TableError> {
    let mut read = Vec::new();
    plain(column, &mut read, optional, name)?;
    for (row, bytes) in (values.len() + 1..).zip(&read) {
        let too_large = || TableError::TooLarge { column: name, row };
        let bytes = bytes.data();
        let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
        let start: i128 = if negative { -1 } else { 0 };
        // Bytes beyond the sixteenth from the end could only repeat the sign.
        if bytes.len() > 16 {
            return Err(too_large());
        }
        let whole = bytes.iter().fold(start, |whole, byte| whole << 8 | i128::from(*byte));
        match values {
            Values::I32(values) => values.push(i32::try_from(whole).map_err(|_| too_large())?),
            Values::I64(values) => values.push(i64::try_from(whole).map_err(|_| too_large())?),
            Values::F64(_) | Values::Text(_) => return Err(too_large()),
        }
    }
    Ok(())
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
