//! Reading back, damage, and columns that are not as asked for.

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
    assert_eq!(decode_as(|f| f[2].kind = Kind::Time), "column share is DOUBLE: expected INT64 as TIMESTAMP");
    assert_eq!(decode_as(|f| f[4].kind = Kind::Text), "row 2: column note: the value is missing");
    let wrong_scale = decode_as(|f| f[0].kind = Kind::Decimal32 { precision: 9, scale: 3 });
    assert!(wrong_scale.ends_with("expected INT32 as DECIMAL with 3 digits"), "{wrong_scale}");
}
