//! `sep-gpu windows`

use clap::Args;
use jiff::Timestamp;
use sep_contract::{Pair, Timeframe};
use serde::Serialize;

use crate::cli::StoreArgs;
use crate::error::{CommandError, OK};
use crate::history::History;
use crate::output::{Table, Terminal, Tone, grouped};
use crate::windows::{Census, census};

pub const EXAMPLES: &str = "\
A window collapses when enough of its transitions are two rises in a row (or, falling, two bars in a row that \
do not rise). Thresholds that hardly any window reaches, or nearly all do, leave a search nothing to find.

Examples:
  sep-gpu windows EUR_USD
  sep-gpu windows EUR_USD M5 --collapse 0.5
  sep-gpu windows EUR_USD --json

Exit codes: 0 counted, 1 failed, 2 arguments that make no sense.";

/// Arguments of `windows`.
#[derive(Debug, Args)]
pub struct WindowsArgs {
    /// The pair, such as EUR_USD
    pair: Pair,
    /// M1, M5, M15 or H1
    #[arg(default_value = "M1")]
    timeframe: Timeframe,
    /// Share of the transitions from which a window collapses
    #[arg(long, value_name = "SHARE", default_value_t = 0.6, value_parser = share)]
    collapse: f64,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Serialize)]
struct Answer {
    pair: Pair,
    timeframe: Timeframe,
    synthetic: bool,
    collapse: f64,
    windows: Vec<Census>,
}

fn share(text: &str) -> Result<f64, String> {
    let found = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    found.ok_or_else(|| "expected a share from 0 to 1, such as 0.6".to_owned())
}

/// Counts the windows that collapse.
pub fn cmd_windows(args: &WindowsArgs, terminal: &mut Terminal) -> Result<u8, CommandError> {
    let (pair, timeframe, collapse) = (args.pair, args.timeframe, args.collapse);
    let all = (Timestamp::MIN, Timestamp::MAX);
    let history = History::load(&args.store.open(), pair, &[timeframe], all)?;
    let bars = history.bars(timeframe).expect("a history has every timeframe that it was loaded for");
    let windows = census(bars, collapse);
    if args.store.json {
        let synthetic = history.provenance.synthetic;
        terminal.json(&Answer { pair, timeframe, synthetic, collapse, windows })?;
        return Ok(OK);
    }
    let mut table = Table::new(&[">BITS", ">WINDOWS", ">RISING", ">FALLING"]);
    for census in &windows {
        let share = |count: usize| format!("{:.2} %", 100.0 * count as f64 / census.windows.max(1) as f64);
        let cells = vec![
            census.window.to_string(),
            grouped(census.windows),
            share(census.rising),
            share(census.falling),
        ];
        table.row(Tone::Plain, cells);
    }
    terminal.table(&table)?;
    Ok(OK)
}
