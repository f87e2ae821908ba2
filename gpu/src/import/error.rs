//! What a user is told about files that cannot be imported.

use std::fmt;
use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use sep_contract::candle::CandleFault;
use sep_contract::ticks::PriceError;
use sep_contract::{Pair, Timeframe};

use crate::store::StoreError;
use crate::store::merge::{Conflicts, MergeError};

/// How many bad rows are named one by one.
const SHOWN: usize = 10;

/// Why nothing was imported. Whatever it is, nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("cannot read {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: {what}: expected text", path.display())]
    NotText { path: PathBuf, what: String },
    #[error("{}: the file is empty", path.display())]
    Empty { path: PathBuf },
    #[error("no complete candles in {files}")]
    NoCandles { files: String },
    #[error("{file}: the file's name speaks of {found}, --pair of {expected}. Name the right one.")]
    OtherPairByName { file: String, found: Pair, expected: Pair },
    #[error("{file}:{line}: holds {found}, --pair says {expected}. Name the right one.")]
    OtherPair { file: String, line: u64, found: String, expected: Pair },
    #[error("{file}:{line}: holds {found} candles, --timeframe says {expected}. Name the right one.")]
    OtherTimeframe { file: String, line: u64, found: String, expected: Timeframe },
    #[error("{file}:{line}: the JSON breaks off or is damaged: {detail}")]
    Json { file: String, line: u64, detail: String },
    #[error("{file}:1: no column for {role}: found {found}. Say which it is with --columns {role}=NAME.")]
    NoColumn { file: String, role: &'static str, found: String },
    #[error(
        "{file}: holds {found}, no bid and ask. Say which price it is with --bid, --ask or --mid before its name, and \
        which spread to assume with --spread PIPS."
    )]
    OnePrice { file: String, found: &'static str },
    #[error("{file}:1: --columns names '{name}', which is not there: found {found}")]
    UnknownColumn { file: String, name: String, found: String },
    #[error("the spread of {found} pips is no whole number of ticks from 0 to 10000 (a pip is 10 ticks)")]
    Spread { found: rust_decimal::Decimal },
    #[error("{}", shown(problems, *total))]
    Rows { problems: Vec<Problem>, total: usize },
    #[error(
        "{total} bars have only one of bid and ask; the first, of {time}, is only in {place}. \
        Leave them out with --skip-unmatched."
    )]
    Unmatched { total: usize, time: Timestamp, place: String },
    #[error(
        "{total} of {candles} bars have a bid above the ask; the first: {place}: {fault}. \
        If the source is like that, take them over as they are with --keep-crossed."
    )]
    Crossed { total: usize, candles: usize, place: String, fault: CandleFault },
    #[error(
        "{place}: the bar of {time} opens at {found}, the one before, of {before_time}, closed at {before} \
        (bid, ticks): is this another pair? If the market did move by more than a fifth, say --allow-jumps."
    )]
    Jump { place: String, time: Timestamp, found: i32, before_time: Timestamp, before: i32 },
    #[error("{}: conflict: {conflicts}, from {place}. Replace what is stored with --replace.", path.display())]
    Conflict { path: PathBuf, place: String, conflicts: Box<Conflicts> },
    #[error(transparent)]
    Kind(MergeError),
    #[error(transparent)]
    Store(StoreError),
}

/// One bad row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub file: String,
    pub line: u64,
    pub fault: RowFault,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.fault)
    }
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowFault {
    #[error("{found} values: expected {expected}")]
    Width { found: usize, expected: String },
    #[error("column {column}: {source}")]
    Price { column: &'static str, source: PriceError },
    #[error("column {column}: the value is missing")]
    Missing { column: &'static str },
    #[error(
        "column time: '{found}' is no time: expected {expected}. Another way is said with --time-format."
    )]
    Time { found: String, expected: String },
    #[error("column volume: '{found}' is no volume: expected a whole number from 0")]
    Volume { found: String },
    #[error(
        "column volume: '{found}' is no volume: expected a whole number of price changes. Leave the column out with \
        --columns volume=-, if it counts something else."
    )]
    VolumeColumn { found: String },
    #[error("{0}. Move times down to the grid with --align, if that is what they mean.")]
    OffGrid(CandleFault),
    #[error(transparent)]
    Candle(CandleFault),
    #[error("the bar of {time} stands after that of {before} in line {line}: rows must be in order of time")]
    OutOfOrder { time: Timestamp, before: Timestamp, line: u64 },
    #[error("the bar of {time} is there twice: also at {first}")]
    Repeated { time: Timestamp, first: String },
    #[error("not readable: {detail}")]
    Unreadable { detail: String },
}

/// Gathers bad rows: the first few by name, the rest by number.
#[derive(Debug, Default)]
pub(super) struct Problems {
    first: Vec<Problem>,
    total: usize,
}

impl Problems {
    pub(super) fn add(&mut self, file: &str, line: u64, fault: RowFault) {
        self.total += 1;
        if self.first.len() < SHOWN {
            self.first.push(Problem { file: file.to_owned(), line, fault });
        }
    }

    /// An error if there are any.
    pub(super) fn into_result(self) -> Result<(), ImportError> {
        if self.total == 0 {
            return Ok(());
        }
        Err(ImportError::Rows { problems: self.first, total: self.total })
    }
}

fn shown(problems: &[Problem], total: usize) -> String {
    let mut lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    if total > problems.len() {
        lines.push(format!("... and {} more bad rows", total - problems.len()));
    }
    lines.join("\n")
}
