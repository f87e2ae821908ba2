//! Reports: what a training found, for people to look at.
//!
//! Owns what a report says and how it looks: the replay that its trades come from, the words, the charts, the
//! page, the tables. The verdict is the gate's; a report only repeats it. Must not write to the terminal.

mod charts;
mod heat;
mod page;
mod replay;
mod standing;
mod svg;
pub mod tables;
pub mod words;

use std::path::PathBuf;

use sep_contract::Pair;

use crate::history::HistoryError;
use crate::model::ModelError;
use crate::table_file::TableFileError;
use crate::train::TrainError;

pub use page::page;
pub use replay::{Kind, Played, Replay, Trials};
pub use standing::Standing;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("there is no model of {pair} in {}: 'sep-gpu train {pair}' makes one", root.display())]
    NoModel { pair: Pair, root: PathBuf },
    #[error("there are no models in {}: 'sep-gpu train' makes them", root.display())]
    NoModels { root: PathBuf },
    #[error(
        "the candles in {} are not those that the model was trained on: {series} has the hash {found}, the model \
         says {expected}. They were imported again or replaced since: bring the old ones back, or train again; \
         --json shows the model without candles",
        store.display()
    )]
    OtherCandles {
        store: PathBuf,
        /// Pair, timeframe, first and last moment.
        series: String,
        found: String,
        expected: String,
    },
    #[error(
        "{}: played again on the same candles it comes to {found}, the model says {expected}: this version of \
        sep-gpu plays otherwise than the {program} that trained it; train again",
        path.display()
    )]
    Differs { path: PathBuf, program: String, found: String, expected: String },
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    History(#[from] HistoryError),
    #[error(transparent)]
    Train(#[from] TrainError),
    #[error(transparent)]
    Table(#[from] TableFileError),
    #[error("the page cannot be made: {0:#}")]
    Page(#[from] minijinja::Error),
}
