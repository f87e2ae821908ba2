//! What a user is told about a file of signals that cannot be read.

use crate::digest::DigestError;
use crate::pair::PairError;
use crate::side::SideError;
use crate::signal::{ConfidenceError, SignalFault};
use crate::signals::{BatchError, Place};
use crate::table::TableError;
use crate::ticks::PriceError;
use crate::timeframe::TimeframeError;

/// Why a file holds no signals that can be used.
#[derive(Debug, thiserror::Error)]
pub enum SignalFileError {
    #[error("{place}: column {column}: {fault}")]
    Cell { place: Place, column: &'static str, fault: CellFault },
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error("{file}: the file is empty: expected a header row with the columns of a signal")]
    NoHeader { file: String },
    #[error("{file}:1: column {column} is missing: expected {expected}")]
    MissingColumn { file: String, column: &'static str, expected: String },
    #[error("{file}:1: column '{column}' is unknown: expected {expected}")]
    UnknownColumn { file: String, column: String, expected: String },
    #[error("{file}:1: column '{column}' is there twice")]
    RepeatedColumn { file: String, column: String },
    #[error("{place}: {found} columns where the header has {expected}")]
    Width { place: Place, found: u64, expected: u64 },
    #[error("{file}: not readable as CSV: {detail}")]
    Csv { file: String, detail: String },
    #[error("{file}: {source}")]
    Parquet { file: String, source: TableError },
    #[error(
        "{file}: the rows are not those that were written: the file says batch {recorded}, its rows make \
        {found}. Write the file again."
    )]
    Altered { file: String, recorded: String, found: String },
}

/// What is wrong with one value.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CellFault {
    #[error(transparent)]
    Pair(#[from] PairError),
    #[error(transparent)]
    Timeframe(#[from] TimeframeError),
    #[error(transparent)]
    Side(#[from] SideError),
    #[error(transparent)]
    Confidence(#[from] ConfidenceError),
    #[error(transparent)]
    Price(#[from] PriceError),
    #[error(transparent)]
    Digest(#[from] DigestError),
    #[error(transparent)]
    Signal(#[from] SignalFault),
    #[error("'{found}' is no time: expected RFC 3339 with a zone, such as 2025-07-23T20:41:00Z")]
    Time { found: String },
    #[error("time {found} lies outside the years that can be shown")]
    TimeRange { found: i64 },
    #[error("'{found}' is no number")]
    Number { found: String },
    #[error("the value is missing")]
    Missing,
}
