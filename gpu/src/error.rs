//! The door that every error leaves by: its text, and the exit code it means.

use std::io;

use crate::account::AccountError;
use crate::backend::cuda::CudaError;
use crate::costs::CostsError;
use crate::history::HistoryError;
use crate::import::ImportError;
use crate::model::ModelError;
use crate::output::{Terminal, Tone};
use crate::replicate::ReplicateError;
use crate::report::ReportError;
use crate::signals::follow::FollowError;
use crate::store::StoreError;
use crate::store::merge::MergeError;
use crate::synth::SynthError;
use crate::table_file::TableFileError;
use crate::train::TrainError;

/// Exit code of a command that did its work.
pub const OK: u8 = 0;
/// Exit code of a command that failed, or that found errors.
pub const FAILED: u8 = 1;
/// Exit code of arguments that make no sense.
pub const USAGE: u8 = 2;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Merge(#[from] MergeError),
    #[error("no candles are made up: {0}")]
    Synth(#[from] SynthError),
    #[error("{0}")]
    NothingStored(String),
    #[error("{0}")]
    NothingToTest(String),
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Follow(#[from] FollowError),
    #[error("cannot listen for the signals that end the program: {0}")]
    Listen(std::io::Error),
    #[error(transparent)]
    History(#[from] HistoryError),
    #[error(transparent)]
    Train(#[from] TrainError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Cuda(#[from] CudaError),
    #[error(transparent)]
    Costs(#[from] CostsError),
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error(transparent)]
    TableFile(#[from] TableFileError),
    #[error(transparent)]
    Replicate(#[from] ReplicateError),
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error("cannot write to the terminal: {0}")]
    Output(#[from] io::Error),
}

impl CommandError {
    /// The exit code it means. A reader that goes away (`| head`) is no failure.
    pub fn code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Synth(_) | Self::Import(ImportError::Spread { .. }) => USAGE,
            Self::Account(
                AccountError::Currency { .. } | AccountError::Nav { .. } | AccountError::Risk { .. },
            ) => USAGE,
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => OK,
            _ => FAILED,
        }
    }

    /// Says what is wrong on stderr.
    pub fn report(&self, terminal: &mut Terminal) {
        if self.code() == OK {
            return;
        }
        let heading = terminal.paint(Tone::Error, "error:");
        // Where stderr is gone there is nobody left to tell.
        let _ = terminal.say(&format!("{heading} {self}"));
        if matches!(self, Self::Import(_)) {
            let _ = terminal.say("Nothing was written.");
        }
    }
}
