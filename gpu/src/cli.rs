//! The command line: what can be said, and which verb does it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use sep_contract::{Pair, Timeframe};

use crate::backend::cuda::probe;
use crate::commands::{
    backtest, candles_check, candles_import, candles_show, candles_synth, completions, cuda_probe, leaktest,
    promote, replicate, report, signals, status, train, windows,
};
use crate::error::{CommandError, USAGE};
use crate::model::Models;
use crate::output::Terminal;
use crate::store::Store;

/// Trains, backtests and judges QFH on your own candles, and makes the signals that the droplet trades.
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
    /// Search the history for settings that would have earned money, and judge what is found
    #[command(after_help = train::EXAMPLES)]
    Train(Box<train::TrainArgs>),
    /// Play a model, or rules of your own, as one account over all pairs
    #[command(after_help = backtest::examples())]
    Backtest(Box<backtest::BacktestArgs>),
    /// Replace the future of your own candles, and demand that nothing said before it changes
    #[command(after_help = leaktest::EXAMPLES)]
    Leaktest(leaktest::LeaktestArgs),
    /// Count again what was published of QFH: LEAKING, and what is left of it without the leaks
    #[command(after_help = replicate::EXAMPLES)]
    Replicate(replicate::ReplicateArgs),
    /// Count how often windows of each length collapse on your candles
    #[command(after_help = windows::EXAMPLES)]
    Windows(windows::WindowsArgs),
    /// What a training found: a summary here, and a page to look at
    #[command(after_help = report::EXAMPLES)]
    Report(report::ReportArgs),
    /// Let a model speak for its pair, if it passed its gate
    #[command(after_help = promote::EXAMPLES)]
    Promote(promote::PromoteArgs),
    /// Make signals of the newest closed bars, with the promoted models
    #[command(after_help = signals::EXAMPLES)]
    Signals(Box<signals::SignalsArgs>),
    /// Show candles, models and signals of each pair, and what to do next
    #[command(after_help = status::EXAMPLES)]
    Status(status::StatusArgs),
    /// Print completions for a shell
    #[command(after_help = completions::EXAMPLES)]
    Completions(completions::CompletionsArgs),
    /// Ask the CUDA driver for its device, in a process that may not survive it
    #[command(name = probe::VERB, hide = true)]
    CudaProbe,
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
    /// Make candles up, for trying and testing
    #[command(after_help = candles_synth::EXAMPLES)]
    Synth(Box<candles_synth::SynthArgs>),
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

/// Where the models are; the same for all verbs that have to do with them.
#[derive(Debug, Args)]
pub struct ModelsArgs {
    /// Folder of the models
    #[arg(long, value_name = "DIR", env = "SEP_MODELS", default_value = "data/models")]
    models: PathBuf,
}

impl ModelsArgs {
    /// The models.
    pub fn open(&self) -> Models {
        Models::at(&self.models)
    }
}

/// All pairs that the store has candles of.
pub fn all_pairs(store: &Store) -> Result<Vec<Pair>, CommandError> {
    let mut pairs: Vec<Pair> = store.series()?.into_iter().map(|(pair, _)| pair).collect();
    pairs.dedup();
    if pairs.is_empty() {
        return Err(nothing_stored(store, None, None));
    }
    Ok(pairs)
}

/// What is told where the store has no candles at all, or none of a pair and a timeframe.
pub fn nothing_stored(store: &Store, pair: Option<Pair>, timeframe: Option<Timeframe>) -> CommandError {
    let what = [pair.map(|pair| pair.to_string()), timeframe.map(|timeframe| timeframe.to_string())];
    let what: Vec<String> = what.into_iter().flatten().collect();
    let what = if what.is_empty() { String::new() } else { format!(" of {}", what.join(" ")) };
    let place = store.root().display();
    CommandError::NothingStored(format!(
        "no candles{what} in {place}: 'sep-gpu candles import' brings some in"
    ))
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
    let result = match &cli.command {
        Command::Candles(Candles::Import(args)) => candles_import::cmd_import(args, terminal),
        Command::Candles(Candles::Check(args)) => candles_check::cmd_check(args, terminal),
        Command::Candles(Candles::Show(args)) => candles_show::cmd_show(args, terminal),
        Command::Train(args) => train::cmd_train(args, terminal),
        Command::Backtest(args) => backtest::cmd_backtest(args, terminal),
        Command::Leaktest(args) => leaktest::cmd_leaktest(args, terminal),
        Command::Replicate(args) => replicate::cmd_replicate(args, terminal),
        Command::Report(args) => report::cmd_report(args, terminal),
        Command::Promote(args) => promote::cmd_promote(args, terminal),
        Command::Signals(args) => signals::cmd_signals(args, terminal),
        Command::Status(args) => status::cmd_status(args, terminal),
        Command::Candles(Candles::Synth(args)) => candles_synth::cmd_synth(args, terminal),
        Command::Windows(args) => windows::cmd_windows(args, terminal),
        Command::Completions(args) => completions::cmd_completions(args, Cli::command(), terminal),
        Command::CudaProbe => cuda_probe::cmd_cuda_probe(terminal),
    };
    let result = result.and_then(|code| Ok(terminal.flush().map(|()| code)?));
    ExitCode::from(result.unwrap_or_else(|error| {
        error.report(terminal);
        error.code()
    }))
}
