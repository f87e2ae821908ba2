//! Reading back, damage, and columns that are not as asked for.

use parquet::data_type::{FixedLenByteArray, FixedLenByteArrayType};

use super::*;

fn fields() -> Vec<Field> {
    [
        ("price", Kind::Decimal32 { precision: 9, scale: 5 }),
        ("time", Kind::Time),
        ("share", Kind::Float),
        ("name", Kind::Text),
        ("note", Kind::OptionalText),
    ]
    .into_iter()
    .map(|(name, kind)| Field { name, kind })
    .collect()
}

fn columns() -> Vec<Values> {
    let text = |text: &str| Some(text.to_owned());
    vec![
        Values::I32((0..500).map(|at| at * 37 % 101).collect()),
        Values::I64((0..500).map(|at| at * 60_000_000).collect()),
        Values::F64((0..500).map(|at| f64::from(at) / 3.0).collect()),
        Values::Text((0..500).map(|at| text(if at % 2 == 0 { "even" } else { "odd" })).collect()),
        Values::Text((0..500).map(|at| if at % 7 == 0 { text("seven") } else { None }).collect()),
    ]
}

/// The same table as somebody else would write it: without our seal.
fn unsealed() -> Vec<u8> {
    let mut bytes = encode(&fields(), &[], &columns()).unwrap();
    bytes[MAGIC.len()] ^= 1;
    bytes
}

#[test]
fn a_table_reads_back_with_or_without_a_seal() {
    for bytes in [encode(&fields(), &[], &columns()).unwrap(), unsealed()] {
        let table = decode(&bytes, |_| fields()).unwrap();
        assert_eq!((table.rows, table.columns), (500, columns()));
    }
}

#[test]
fn damage_to_unsealed_files_gives_an_error_or_values_but_never_a_panic() {
    let bytes = unsealed();
    let mut refused = 0;
    for at in MAGIC.len() + seal::ROOM.len()..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        refused += usize::from(decode(&damaged, |_| fields()).is_err());
    }
    assert!(refused > 100, "{refused} of {} flips were refused", bytes.len());
    for length in 0..bytes.len() {
        assert!(decode(&bytes[..length], |_| fields()).is_err(), "{length}");
    }
}

#[test]
fn other_columns_are_refused_by_name() {
    let decode_as = |change: fn(&mut Vec<Field>)| {
        let mut other = fields();
        change(&mut other);
        decode(&unsealed(), |_| other).unwrap_err().to_string()
    };
    assert_eq!(
        decode_as(|f| f[3].name = "title"),
        "column 'name' is unknown: expected price, time, share, title, note"
    );
    assert_eq!(decode_as(|f| f.push(Field { name: "side", kind: Kind::Text })), "column side is missing");
    assert_eq!(decode_as(|f| f[2].kind = Kind::Time), "column share is DOUBLE: expected TIMESTAMP");
    assert_eq!(decode_as(|f| f[4].kind = Kind::Text), "row 2: column note: the value is missing");
    let wrong_scale = decode_as(|f| f[0].kind = Kind::Decimal32 { precision: 9, scale: 3 });
    assert!(
        wrong_scale.ends_with("column price is DECIMAL with 5 digits: expected DECIMAL with 3 digits"),
        "{wrong_scale}"
    );
}

/// One column of decimals as pyarrow writes them: optional, eight bytes, big-endian.
fn as_pyarrow_does(values: &[Option<i64>]) -> Vec<u8> {
    let schema = "message rows { optional fixed_len_byte_array(8) price (DECIMAL(18,5)); }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
    let present: Vec<FixedLenByteArray> =
        values.iter().flatten().map(|value| value.to_be_bytes().to_vec().into()).collect();
    column.typed::<FixedLenByteArrayType>().write_batch(&present, Some(&levels), None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn decimals_of_other_writers_are_read_exactly() {
    let field = |kind| vec![Field { name: "price", kind }];
    let small = |values: &[Option<i64>]| {
        let kind = Kind::Decimal32 { precision: 9, scale: 5 };
        decode(&as_pyarrow_does(values), |_| field(kind)).map(|table| table.columns)
    };
    let large = |values: &[Option<i64>]| {
        let kind = Kind::Decimal64 { precision: 18, scale: 5 };
        decode(&as_pyarrow_does(values), |_| field(kind)).map(|table| table.columns)
    };
    let far = 123_456_789_012;
    assert_eq!(small(&[Some(110_451), Some(-3)]), Ok(vec![Values::I32(vec![110_451, -3])]));
    assert_eq!(large(&[Some(far), Some(-far)]), Ok(vec![Values::I64(vec![far, -far])]));
    assert_eq!(small(&[Some(1), Some(far)]), Err(TableError::TooLarge { column: "price", row: 2 }));
    assert_eq!(large(&[Some(1), Some(2), None]), Err(TableError::MissingValue { column: "price", row: 3 }));
}
