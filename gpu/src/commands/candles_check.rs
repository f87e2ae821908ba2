//! `sep-gpu candles check`

use std::collections::BTreeMap;

use clap::Args;
use sep_contract::{Pair, Timeframe};
use serde::Serialize;

use crate::check::{Finding, Kind, SeriesReport, Settings, Severity, check};
use crate::cli::{StoreArgs, nothing_stored};
use crate::error::{CommandError, FAILED, OK};
use crate::output::{Terminal, Tone, counted, grouped};

pub const EXAMPLES: &str = "\
Examples:
  sep-gpu candles check
  sep-gpu candles check EUR_USD --timeframe M1 --all
  sep-gpu candles check --json | jq '.series[].findings[]'

Exit codes: 0 no errors (warnings may be there), 1 errors, or nothing to check, 2 arguments that make no sense.";

/// How many findings of one kind are shown unless all are asked for.
const SHOWN: usize = 5;

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Only this pair
    pair: Option<Pair>,
    /// Only this timeframe
    #[arg(long)]
    timeframe: Option<Timeframe>,
    /// A bar that moves more than so many times the month's median range is a spike
    #[arg(long, value_name = "TIMES", default_value_t = Settings::default().spike)]
    spike: u32,
    /// A hole of so many minutes of open market is worth a warning
    #[arg(long, value_name = "MINUTES", default_value_t = Settings::default().gap_minutes)]
    gap: u32,
    /// Show every finding, not only the first of each kind
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Serialize)]
struct Answer<'a> {
    errors: usize,
    warnings: usize,
    series: &'a [SeriesReport],
}

/// Checks candles.
pub fn cmd_check(args: &CheckArgs, terminal: &mut Terminal) -> Result<u8, CommandError> {
    let wanted = |pair: Pair, timeframe: Timeframe| {
        args.pair.is_none_or(|only| only == pair) && args.timeframe.is_none_or(|only| only == timeframe)
    };
    let store = args.store.open();
    let settings = Settings { spike: args.spike, gap_minutes: args.gap };
    let series = check(&store, wanted, settings)?;
    let count = |severity| series.iter().map(|report| report.count(severity)).sum::<usize>();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    if args.store.json {
        terminal.json(&Answer { errors, warnings, series: &series })?;
    }
    if series.is_empty() {
        return Err(nothing_stored(&store, args.pair, args.timeframe));
    }
    if !args.store.json {
        for report in &series {
            show(report, args.all, terminal)?;
        }
        let tone = match (errors, warnings) {
            (0, 0) => Tone::Good,
            (0, _) => Tone::Warning,
            _ => Tone::Error,
        };
        let text = format!("{}, {}", counted(errors, "error"), counted(warnings, "warning"));
        terminal.line(&terminal.paint(tone, &text))?;
    }
    Ok(if errors > 0 { FAILED } else { OK })
}

fn show(report: &SeriesReport, all: bool, terminal: &mut Terminal) -> Result<(), CommandError> {
    let name = terminal.paint(Tone::Strong, &format!("{} {}", report.pair, report.timeframe));
    let span = match (report.first, report.last) {
        (Some(first), Some(last)) => format!("{first} to {last}"),
        _ => "empty".to_owned(),
    };
    let months = counted(report.months, "month");
    terminal.line(&format!("{name}  {months}, {}, {span}", counted(report.candles, "bar")))?;
    if report.holes > 0 {
        let missing = counted(usize::try_from(report.missing).unwrap_or(usize::MAX), "bar");
        let text = format!("  {missing} of open market missing in {}", counted(report.holes, "hole"));
        terminal.line(&terminal.paint(Tone::Faint, &text))?;
    }
    let mut by_kind: BTreeMap<(Severity, Kind), Vec<&Finding>> = BTreeMap::new();
    for finding in &report.findings {
        by_kind.entry((finding.severity, finding.kind)).or_default().push(finding);
    }
    for ((severity, _), findings) in by_kind {
        let (word, tone) = match severity {
            Severity::Error => ("error", Tone::Error),
            Severity::Warning => ("warning", Tone::Warning),
        };
        let shown = if all { findings.len() } else { findings.len().min(SHOWN) };
        for finding in &findings[..shown] {
            let row = finding.row.map(|row| format!(", row {row}")).unwrap_or_default();
            let time = finding.time.map(|time| format!(" {time}")).unwrap_or_default();
            let word = terminal.paint(tone, word);
            terminal.line(&format!("  {word}  {}{row}{time}: {}", finding.file, finding.message))?;
        }
        if shown < findings.len() {
            let text = format!("  ... and {} more like it (--all)", grouped(findings.len() - shown));
            terminal.line(&terminal.paint(Tone::Faint, &text))?;
        }
    }
    Ok(())
}
