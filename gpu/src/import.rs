//! Candles from files of others into the store.
//!
//! `read` turns files into rows, `assemble` makes sound candles of them, the store's `merge` fits them into
//! the months, and this module runs the three in that order: nothing is written unless everything is sound.

use std::path::PathBuf;

use rust_decimal::Decimal;
use sep_contract::{Pair, Provenance, Timeframe};

use crate::store::merge::{self, Incoming, MergeError, MonthChange};
use crate::store::{Store, StoreError};

mod assemble;
mod columns;
mod error;
mod file_name;
mod histdata;
mod json;
mod price;
mod read;
mod time;

pub use columns::{ColumnMap, ColumnMapError};
pub use error::{ImportError, Problem, RowFault};
pub use read::Format;
pub use time::TimeFormat;

/// The files and what their prices are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Files {
    /// Each holds bid and ask.
    Both(Vec<PathBuf>),
    /// Bid and ask lie in files of their own.
    Split { bid: Vec<PathBuf>, ask: Vec<PathBuf> },
    /// One price only; the spread, in pips, is assumed.
    Single { side: PriceSide, files: Vec<PathBuf>, spread: Decimal },
}

/// Which price a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriceSide {
    Bid,
    Ask,
    Mid,
}

impl PriceSide {
    /// `bid`, `ask` or `mid`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bid => "bid",
            Self::Ask => "ask",
            Self::Mid => "mid",
        }
    }
}

/// What is to be imported, and how.
#[derive(Debug, Clone)]
pub struct Request {
    pub pair: Pair,
    pub timeframe: Timeframe,
    pub files: Files,
    /// `None`: found out from the contents.
    pub format: Option<Format>,
    /// Name noted with the candles; `None`: that of the format.
    pub source: Option<String>,
    pub columns: ColumnMap,
    /// `None`: as the format has it.
    pub time_format: Option<TimeFormat>,
    /// Seconds east of Greenwich for times without a zone; `None`: as the format has it.
    pub utc_offset: Option<i32>,
    /// The candles are made up.
    pub synthetic: bool,
    /// Bars of other content replace those that are stored.
    pub replace: bool,
    /// Bars with a bid above the ask are taken over as they are.
    pub keep_crossed: bool,
    /// Moves of more than a fifth from one bar to the next are believed.
    pub allow_jumps: bool,
    /// Bars that only one of bid and ask has are left out.
    pub skip_unmatched: bool,
    /// Times off the grid are moved down to it.
    pub align: bool,
    /// Nothing is written.
    pub dry_run: bool,
}

/// What was imported.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    pub pair: Pair,
    pub timeframe: Timeframe,
    /// Candles that the files made.
    pub candles: usize,
    /// Candles left out because their bar was not complete.
    pub incomplete: usize,
    /// Bars left out because only one of bid and ask had them.
    pub unmatched: usize,
    /// Bars kept although their bid is above their ask.
    pub crossed: usize,
    pub months: Vec<MonthChange>,
    /// Whether the store was changed.
    pub written: bool,
}

/// Imports files into a store.
pub fn import(store: &Store, request: &Request) -> Result<Report, ImportError> {
    let sheets = read::read(request)?;
    let assembled = assemble::assemble(request, &sheets)?;
    // The lock is held from before the stored months are read until the merged ones are in place. Where nothing is to
    // be written, it would be the first thing that is.
    let lock = if request.dry_run { None } else { Some(store.lock()?) };
    assemble::check_against_store(store, request, &sheets, &assembled.candles)?;
    let mut provenance = Provenance {
        synthetic: request.synthetic,
        assumed_spread: matches!(request.files, Files::Single { .. }),
        crossed_kept: assembled.crossed > 0,
        ..Provenance::default()
    };
    provenance.sources.insert(match &request.source {
        Some(name) => name.clone(),
        None => sheets.source().to_owned(),
    });
    let incoming =
        Incoming { pair: request.pair, timeframe: request.timeframe, provenance, candles: assembled.candles };
    let candles = incoming.candles.len();
    let merged = merge::merge(store, incoming, request.replace).map_err(|error| match error {
        MergeError::Conflicts(conflicts) => ImportError::Conflict {
            path: store.path(request.pair, request.timeframe, conflicts.month),
            place: sheets.place(conflicts.incoming.place),
            conflicts,
        },
        MergeError::Store(error) => ImportError::Store(error),
        MergeError::Kind { .. } => ImportError::Kind(error),
    })?;
    let written = match &lock {
        Some(lock) if !merged.months.is_empty() => {
            store.publish(lock, &merged.months)?;
            true
        }
        _ => false,
    };
    Ok(Report {
        pair: request.pair,
        timeframe: request.timeframe,
        candles,
        incomplete: assembled.incomplete,
        unmatched: assembled.unmatched,
        crossed: assembled.crossed,
        months: merged.changes,
        written,
    })
}

impl From<StoreError> for ImportError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
