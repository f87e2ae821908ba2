//! `sep-gpu leaktest`

use clap::Args;
use jiff::Timestamp;
use sep_contract::{CandleSet, Pair, Timeframe};
use serde::Serialize;

use crate::cli::{ModelsArgs, StoreArgs};
use crate::error::{CommandError, FAILED, OK};
use crate::history::HistoryError;
use crate::leaktest::{FEWEST, Report, Settings, examine, watch, watch_variant};
use crate::output::{Terminal, Tone, counted, grouped};

pub const EXAMPLES: &str = "\
The series is cut after some bars, and other futures take the place of the real one. Whatever the engine \
says of the bars before - features, signals, orders, longer bars made from M1 - must stay as it is, bit for bit. \
Where a model was promoted, or else trained, its signals are watched as well.

Examples:
  sep-gpu leaktest
  sep-gpu leaktest EUR_USD M1
  sep-gpu leaktest EUR_USD M1 --cuts 100 --seed 7 --json

Exit codes: 0 nothing leaks, 1 something does or there was nothing to test, 2 arguments that make no sense.";

/// Arguments of `leaktest`.
#[derive(Debug, Args)]
pub struct LeaktestArgs {
    /// Only this pair
    pair: Option<Pair>,
    /// Only this timeframe
    timeframe: Option<Timeframe>,
    /// After how many bars the future is replaced
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    cuts: u32,
    /// Number that the cuts and the made-up futures are drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Test the newest so many bars of a series
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = at_least_fewest)]
    bars: usize,
    #[command(flatten)]
    models: ModelsArgs,
    #[command(flatten)]
    store: StoreArgs,
}

fn at_least_fewest(text: &str) -> Result<usize, String> {
    let found = text.parse().ok().filter(|bars| *bars >= FEWEST);
    found.ok_or_else(|| format!("expected a number of at least {FEWEST}"))
}

#[derive(Serialize)]
struct Answer {
    passed: bool,
    cuts: u32,
    seed: u64,
    series: Vec<Report>,
    /// Series with too few bars.
    skipped: Vec<Skipped>,
}

#[derive(Serialize)]
struct Skipped {
    pair: Pair,
    timeframe: Timeframe,
    bars: usize,
}

/// Tests the engine on the candles of the store.
pub fn cmd_leaktest(args: &LeaktestArgs, terminal: &mut Terminal) -> Result<u8, CommandError> {
    let (store, models) = (args.store.open(), args.models.open());
    let settings = Settings { cuts: usize::try_from(args.cuts).unwrap_or(usize::MAX), seed: args.seed };
    let (mut series, mut skipped) = (Vec::new(), Vec::new());
    for (pair, timeframe) in store.series()? {
        let wanted =
            args.pair.is_none_or(|only| only == pair) && args.timeframe.is_none_or(|only| only == timeframe);
        if !wanted {
            continue;
        }
        let mut set = store.load(pair, timeframe, Timestamp::MIN, Timestamp::MAX)?;
        let bars = set.candles.len();
        set.candles.drain(..bars.saturating_sub(args.bars));
        let model = match models.promoted(pair)? {
            Some((promoted, _)) => Some(promoted),
            None => models.trained(pair)?,
        };
        let model = model.filter(|stored| stored.model.data.timeframe == timeframe);
        let variant =
            model.as_ref().and_then(|stored| Some((stored.model.variant?, &stored.model.constants)));
        let all = |candles: &CandleSet| {
            let mut columns = watch(candles)?;
            if let Some((variant, constants)) = &variant {
                columns.extend(watch_variant(candles, variant, constants)?);
            }
            Ok::<_, HistoryError>(columns)
        };
        match examine(&set, settings, all)? {
            Some(report) => {
                if !args.store.json {
                    show(&report, terminal)?;
                }
                series.push(report);
            }
            None => skipped.push(Skipped { pair, timeframe, bars: set.candles.len() }),
        }
    }
    for Skipped { pair, timeframe, bars } in &skipped {
        let bars = counted(*bars, "bar");
        terminal.say(&format!("{pair} {timeframe}: {bars}, not tested: expected at least {FEWEST}"))?;
    }
    if series.is_empty() {
        let what = [args.pair.map(|pair| pair.to_string()), args.timeframe.map(|t| t.to_string())];
        let what: String = what.into_iter().flatten().map(|word| format!(" of {word}")).collect();
        return Err(CommandError::NothingToTest(format!(
            "no series{what} with at least {FEWEST} bars in {}: import candles first",
            store.root().display()
        )));
    }
    let passed = series.iter().all(|report| report.leaks.is_empty());
    if args.store.json {
        terminal.json(&Answer { passed, cuts: args.cuts, seed: args.seed, series, skipped })?;
    } else {
        let (tone, verdict) = if passed {
            (Tone::Good, "nothing leaks")
        } else {
            (Tone::Error, "the engine knows the future: believe none of its results")
        };
        terminal.line(&terminal.paint(tone, verdict))?;
    }
    Ok(if passed { OK } else { FAILED })
}

fn show(report: &Report, terminal: &mut Terminal) -> Result<(), CommandError> {
    let name = terminal.paint(Tone::Strong, &format!("{} {}", report.pair, report.timeframe));
    terminal.line(&format!(
        "{name}  {}, {}, {} futures: {} values compared, {} columns leak",
        counted(report.bars, "bar"),
        counted(report.columns, "column"),
        grouped(report.checks),
        grouped(report.values),
        grouped(report.leaks.len()),
    ))?;
    for leak in &report.leaks {
        let word = terminal.paint(Tone::Error, "leak");
        terminal.line(&format!(
            "  {word}  {}: its value of {} changed when what followed the bar of {} {} ({} of {} futures)",
            leak.column,
            leak.changed,
            leak.cut,
            leak.future,
            grouped(leak.changes),
            grouped(report.checks)
        ))?;
    }
    Ok(())
}
