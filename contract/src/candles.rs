//! Candles as Parquet: time, the eight prices as decimals of the pair's own digits (in memory: ticks) and
//! the volume, with pair, timeframe, digits, sources and marks in the file's notes.
//!
//! `sep.content` in the notes is a hash of the rows. Reading checks it, but not whether the candles make
//! sense: that is asked of [`crate::Candle::faults`] by those who use them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::candle::{Candle, CandleSet, Ohlc, Provenance};
use crate::digest::{Canonical, Digest};
use crate::pair::Pair;
use crate::table::{self, Field, Kind, Table, TableError, Values};
use crate::ticks::Ticks;
use crate::timeframe::Timeframe;

const PRICES: [&str; 8] =
    ["bid_open", "bid_high", "bid_low", "bid_close", "ask_open", "ask_high", "ask_low", "ask_close"];

/// Why bytes are no candles.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CandleFileError {
    #[error(transparent)]
    Table(#[from] TableError),
    #[error("the note {note} is missing: this is no candle file of sep-gpu")]
    MissingNote { note: &'static str },
    #[error("the note {note} is '{found}': expected {expected}")]
    BadNote { note: &'static str, found: String, expected: String },
    #[error("row {row}: time {found} us lies outside the years that can be shown")]
    Time { row: usize, found: i64 },
    #[error("the rows are not those that were written: content {recorded} is recorded, {found} was read")]
    Altered { recorded: String, found: String },
}

fn fields(digits: u32) -> Vec<Field> {
    let price = Kind::Decimal32 { precision: 9, scale: digits };
    std::iter::once(Field { name: "time", kind: Kind::Time })
        .chain(PRICES.into_iter().map(|name| Field { name, kind: price }))
        .chain(std::iter::once(Field { name: "volume", kind: Kind::Count }))
        .collect()
}

fn flat(candle: &Candle) -> [i32; 8] {
    let Candle { bid, ask, .. } = candle;
    [bid.open, bid.high, bid.low, bid.close, ask.open, ask.high, ask.low, ask.close].map(Ticks::get)
}

/// SHA-256 over the notes that matter and the rows: what a file of candles holds.
pub fn content_hash(set: &CandleSet) -> Digest {
    notes(set)
        .iter()
        .fold(Canonical::new("sep-candles/1"), |text, (name, value)| text.field(name, value))
        .field("rows", &rows_hash(set).to_string())
        .digest()
}

/// SHA-256 over what can be learned from candles: pair, timeframe, whether they are made up, and the rows. Where
/// they came from is left out, since sources and marks are kept by the month: other bars of a month change them.
pub fn data_hash(set: &CandleSet) -> Digest {
    Canonical::new("sep-candle-data/1")
        .field("pair", set.pair.as_str())
        .field("timeframe", set.timeframe.as_str())
        .field("synthetic", &set.provenance.synthetic.to_string())
        .field("rows", &rows_hash(set).to_string())
        .digest()
}

/// SHA-256 over, for each candle, time in microseconds (8 bytes), the eight prices in ticks and the volume (4
/// bytes each), big-endian.
fn rows_hash(set: &CandleSet) -> Digest {
    let mut rows = Vec::with_capacity(set.candles.len() * 44);
    for candle in &set.candles {
        rows.extend_from_slice(&candle.time.as_microsecond().to_be_bytes());
        for price in flat(candle) {
            rows.extend_from_slice(&price.to_be_bytes());
        }
        rows.extend_from_slice(&candle.volume.to_be_bytes());
    }
    Digest::of(&rows)
}

fn notes(set: &CandleSet) -> Vec<(&'static str, String)> {
    let provenance = &set.provenance;
    let sources: Vec<&str> = provenance.sources.iter().map(String::as_str).collect();
    vec![
        ("sep.kind", "candles/1".to_owned()),
        ("sep.pair", set.pair.to_string()),
        ("sep.timeframe", set.timeframe.to_string()),
        ("sep.digits", set.pair.digits().to_string()),
        ("sep.source", sources.join(",")),
        ("sep.synthetic", provenance.synthetic.to_string()),
        ("sep.assumed_spread", provenance.assumed_spread.to_string()),
        ("sep.crossed_kept", provenance.crossed_kept.to_string()),
    ]
}

/// Writes candles as Parquet bytes.
pub fn encode(set: &CandleSet) -> Result<Vec<u8>, CandleFileError> {
    let price = |at: usize| Values::I32(set.candles.iter().map(|candle| flat(candle)[at]).collect());
    let time = Values::I64(set.candles.iter().map(|candle| candle.time.as_microsecond()).collect());
    let volume = Values::I32(set.candles.iter().map(|candle| candle.volume.cast_signed()).collect());
    let columns: Vec<Values> =
        std::iter::once(time).chain((0..PRICES.len()).map(price)).chain(std::iter::once(volume)).collect();
    let mut notes = notes(set);
    notes.push(("sep.content", content_hash(set).to_string()));
    Ok(table::encode(&fields(set.pair.digits()), &notes, &columns)?)
}

fn fields_of(notes: &BTreeMap<String, String>) -> Vec<Field> {
    fields(notes.get("sep.digits").and_then(|digits| digits.parse().ok()).unwrap_or(5))
}

/// Reads the newest candles from Parquet bytes: those of the last so many groups of some thousand rows each, and
/// whether they are all that there are. The file's seal says that the whole of it is sound; one without is read as
/// by [`decode`].
pub fn decode_newest(bytes: &[u8], groups: usize) -> Result<(CandleSet, bool), CandleFileError> {
    if !table::is_sealed(bytes) {
        return Ok((decode(bytes)?, true));
    }
    let (table, whole) = table::decode_newest(bytes, fields_of, groups)?;
    Ok((from_table(&table)?, whole))
}

/// Reads candles from Parquet bytes.
pub fn decode(bytes: &[u8]) -> Result<CandleSet, CandleFileError> {
    let table = table::decode(bytes, fields_of)?;
    let set = from_table(&table)?;
    let (recorded, found) = (note(&table.notes, "sep.content")?, content_hash(&set).to_string());
    if recorded != found {
        return Err(CandleFileError::Altered { recorded: recorded.to_owned(), found });
    }
    Ok(set)
}

/// What a file says of its candles: the set without them, and how many there are. The rows are neither read
/// nor checked, so it takes a fraction of the time of [`decode`].
pub fn describe(bytes: &[u8]) -> Result<(CandleSet, usize), CandleFileError> {
    let (notes, rows) = table::describe(bytes)?;
    Ok((empty_set(&notes)?, rows))
}

fn note<'a>(notes: &'a BTreeMap<String, String>, name: &'static str) -> Result<&'a str, CandleFileError> {
    notes.get(name).map(String::as_str).ok_or(CandleFileError::MissingNote { note: name })
}

fn from_table(table: &Table) -> Result<CandleSet, CandleFileError> {
    Ok(CandleSet { candles: candles(&table.columns)?, ..empty_set(&table.notes)? })
}

fn empty_set(notes: &BTreeMap<String, String>) -> Result<CandleSet, CandleFileError> {
    let note = |name| note(notes, name);
    let bad = |name, expected: String| {
        let found = notes.get(name).cloned().unwrap_or_default();
        CandleFileError::BadNote { note: name, found, expected }
    };
    let flag = |name| note(name)?.parse::<bool>().map_err(|_| bad(name, "true or false".into()));
    if note("sep.kind")? != "candles/1" {
        return Err(bad("sep.kind", "candles/1".into()));
    }
    let pair: Pair = note("sep.pair")?
        .parse()
        .map_err(|error: crate::pair::PairError| bad("sep.pair", error.to_string()))?;
    let timeframe: Timeframe =
        note("sep.timeframe")?.parse().map_err(|_| bad("sep.timeframe", "M1 to D1".into()))?;
    if note("sep.digits")? != pair.digits().to_string() {
        return Err(bad("sep.digits", format!("{} for {pair}", pair.digits())));
    }
    let provenance = Provenance {
        sources: note("sep.source")?
            .split(',')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect::<BTreeSet<_>>(),
        synthetic: flag("sep.synthetic")?,
        assumed_spread: flag("sep.assumed_spread")?,
        crossed_kept: flag("sep.crossed_kept")?,
    };
    Ok(CandleSet { pair, timeframe, provenance, candles: Vec::new() })
}

fn candles(columns: &[Values]) -> Result<Vec<Candle>, CandleFileError> {
    let mismatch = || TableError::Unreadable { detail: "columns of other types than asked for".into() };
    let [Values::I64(times), prices @ .., Values::I32(volumes)] = columns else {
        return Err(mismatch().into());
    };
    let prices: Vec<&Vec<i32>> =
        prices.iter().filter_map(|column| if let Values::I32(v) = column { Some(v) } else { None }).collect();
    let Ok([bo, bh, bl, bc, ao, ah, al, ac]) = <[&Vec<i32>; 8]>::try_from(prices) else {
        return Err(mismatch().into());
    };
    let mut candles = Vec::with_capacity(times.len());
    for (row, found) in times.iter().copied().enumerate() {
        let time =
            Timestamp::from_microsecond(found).map_err(|_| CandleFileError::Time { row: row + 1, found })?;
        // The codec has made sure that all columns have the same length.
        let side = |open: &[i32], high: &[i32], low: &[i32], close: &[i32]| Ohlc {
            open: Ticks::new(open[row]),
            high: Ticks::new(high[row]),
            low: Ticks::new(low[row]),
            close: Ticks::new(close[row]),
        };
        candles.push(Candle {
            time,
            bid: side(bo, bh, bl, bc),
            ask: side(ao, ah, al, ac),
            volume: volumes[row].cast_unsigned(),
        });
    }
    Ok(candles)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A month's worth of made-up candles in a deterministic zigzag.
    fn sample(pair: &str, count: i32) -> CandleSet {
        let start = 1_753_303_200_i64;
        let candles = (0..count)
            .map(|at| {
                let open = 110_000 + (at * 7919) % 97;
                let side = |spread: i32| Ohlc {
                    open: Ticks::new(open + spread),
                    high: Ticks::new(open + spread + 9),
                    low: Ticks::new(open + spread - 9),
                    close: Ticks::new(open + spread + 3),
                };
                Candle {
                    time: Timestamp::from_second(start + i64::from(at) * 60).unwrap(),
                    bid: side(0),
                    ask: side(12),
                    volume: at.cast_unsigned() % 300,
                }
            })
            .collect();
        let provenance =
            Provenance { sources: ["made".to_owned()].into(), synthetic: true, ..Provenance::default() };
        CandleSet { pair: pair.parse().unwrap(), timeframe: Timeframe::M1, provenance, candles }
    }

    #[test]
    fn what_is_written_reads_back() {
        for pair in ["EUR_USD", "USD_JPY"] {
            for count in [0, 1, 2, 1000] {
                let set = sample(pair, count);
                let bytes = encode(&set).unwrap();
                let rows = usize::try_from(count).unwrap();
                assert_eq!(describe(&bytes), Ok((CandleSet { candles: Vec::new(), ..set.clone() }, rows)));
                assert_eq!(decode(&bytes), Ok(set));
            }
        }
        let mut large = sample("EUR_USD", 2);
        large.candles[1].volume = u32::MAX;
        large.candles[1].ask.high = Ticks::new(Ticks::MAX);
        assert_eq!(decode(&encode(&large).unwrap()), Ok(large));
    }

    #[test]
    fn where_candles_come_from_is_content_but_no_data() {
        let set = sample("EUR_USD", 300);
        let mut other = set.clone();
        other.provenance.sources.insert("another".to_owned());
        other.provenance.assumed_spread = true;
        other.provenance.crossed_kept = true;
        assert_ne!(content_hash(&other), content_hash(&set));
        assert_eq!(data_hash(&other), data_hash(&set));
        let changes: [fn(&mut CandleSet); 4] = [
            |set| set.provenance.synthetic = false,
            |set| set.timeframe = Timeframe::M5,
            |set| set.pair = "GBP_USD".parse().unwrap(),
            |set| set.candles[7].volume += 1,
        ];
        for (at, change) in changes.into_iter().enumerate() {
            let mut changed = set.clone();
            change(&mut changed);
            assert_ne!(data_hash(&changed), data_hash(&set), "change {at}");
        }
    }

    #[test]
    fn the_newest_are_the_last_ones() {
        let set = sample("EUR_USD", 10_000);
        let bytes = encode(&set).unwrap();
        for (groups, from) in [(1, 8_192), (2, 4_096), (3, 0), (usize::MAX, 0)] {
            let expected = CandleSet { candles: set.candles[from..].to_vec(), ..set.clone() };
            assert_eq!(decode_newest(&bytes, groups), Ok((expected, from == 0)), "{groups}");
        }
        // Damage is found wherever it is, also in what is not read.
        for at in [100, bytes.len() / 2, bytes.len() - 100] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(decode_newest(&damaged, 1).is_err(), "byte {at}");
        }
        // Without its seal nothing is taken on trust.
        let mut unsealed = bytes.clone();
        unsealed[4..20].fill(0);
        assert_eq!(decode_newest(&unsealed, 1), Ok((set, true)));
    }

    #[test]
    fn a_row_takes_few_bytes() {
        let bytes = encode(&sample("EUR_USD", 20_000)).unwrap();
        assert!(bytes.len() < 20_000 * 12, "{} bytes", bytes.len());
    }

    #[test]
    fn damage_is_refused_and_never_read_as_other_candles() {
        let set = sample("EUR_USD", 300);
        let bytes = encode(&set).unwrap();
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "{length} of {} bytes", bytes.len());
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            if let Ok(read) = decode(&damaged) {
                assert_eq!(read, set, "byte {at}");
            }
        }
    }

    #[test]
    fn notes_must_fit_one_another() {
        let set = sample("EUR_USD", 3);
        let columns = |digits| {
            let table = table::decode(&encode(&set).unwrap(), |_| fields(5)).unwrap();
            let mut notes: Vec<(&str, String)> = notes(&set);
            notes[3].1 = format!("{digits}");
            table::encode(&fields(digits), &notes, &table.columns).unwrap()
        };
        assert_eq!(
            decode(&columns(3)).unwrap_err().to_string(),
            "the note sep.digits is '3': expected 5 for EUR_USD"
        );
        assert_eq!(decode(&columns(5)), Err(CandleFileError::MissingNote { note: "sep.content" }));
    }
}
