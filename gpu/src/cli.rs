//! The command line: what can be said, and which verb does it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::commands::{candles_check, candles_import, candles_show};
use crate::error::USAGE;
use crate::output::Terminal;
use crate::store::Store;

/// The candle store of the workstation.
#[derive(Debug, Parser)]
#[command(name = "sep-gpu", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Import, check and show candles
    #[command(subcommand, arg_required_else_help = true)]
    Candles(Candles),
}

#[derive(Debug, Subcommand)]
enum Candles {
    /// Import candles from CSV or JSON files
    #[command(after_help = candles_import::EXAMPLES)]
    Import(Box<candles_import::ImportArgs>),
    /// Check the stored candles: order, gaps, duplicates, spikes, prices
    #[command(after_help = candles_check::EXAMPLES)]
    Check(candles_check::CheckArgs),
    /// Show what is stored, and the newest bars
    #[command(after_help = candles_show::EXAMPLES)]
    Show(candles_show::ShowArgs),
}

/// Where the store is and how to answer; the same for all verbs.
#[derive(Debug, Args)]
pub struct StoreArgs {
    /// Folder of the candle store
    #[arg(long, value_name = "DIR", env = "SEP_CANDLES", default_value = "data/candles")]
    store: PathBuf,
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

impl StoreArgs {
    /// The store.
    pub fn open(&self) -> Store {
        Store::at(&self.store)
    }
}

/// Runs the command that the arguments (with the program's name first) ask for.
pub fn run(arguments: impl IntoIterator<Item = OsString>, terminal: &mut Terminal) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers; everything else is a mistake in the arguments. Where the
            // terminal is gone there is nobody left to tell.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    let Command::Candles(verb) = &cli.command;
    let result = match verb {
        Candles::Import(args) => candles_import::cmd_import(args, terminal),
        Candles::Check(args) => candles_check::cmd_check(args, terminal),
        Candles::Show(args) => candles_show::cmd_show(args, terminal),
    };
    let result = result.and_then(|code| Ok(terminal.flush().map(|()| code)?));
    ExitCode::from(result.unwrap_or_else(|error| {
        error.report(terminal);
        error.code()
    }))
}
