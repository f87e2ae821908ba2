//! `sep-gpu candles show`

use clap::Args;
use jiff::Timestamp;
use sep_contract::{Candle, Pair, Provenance, Timeframe};
use serde::Serialize;

use crate::cli::StoreArgs;
use crate::error::{CommandError, OK};
use crate::output::{Table, Terminal, Tone, grouped};
use crate::store::{Store, StoreError, join};

pub const EXAMPLES: &str = "\
Examples:
  sep-gpu candles show
  sep-gpu candles show EUR_USD
  sep-gpu candles show EUR_USD M1 -n 10
  sep-gpu candles show EUR_USD M1 -n 500 --json

Exit codes: 0 shown, 1 failed, 2 arguments that make no sense.";

/// Arguments of `show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Only this pair
    pair: Option<Pair>,
    /// Only this timeframe
    timeframe: Option<Timeframe>,
    /// Also the newest so many bars (needs a pair and a timeframe)
    #[arg(short, value_name = "N")]
    n: Option<usize>,
    #[command(flatten)]
    store: StoreArgs,
}

/// What there is of one series.
#[derive(Serialize)]
struct Coverage {
    pair: Pair,
    timeframe: Timeframe,
    months: usize,
    candles: usize,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    sources: Vec<String>,
    synthetic: bool,
    assumed_spread: bool,
    crossed_kept: bool,
}

/// A bar with its prices as decimals, in text.
#[derive(Serialize)]
struct Bar {
    time: Timestamp,
    bid: [String; 4],
    ask: [String; 4],
    volume: u32,
}

#[derive(Serialize)]
struct Answer {
    series: Vec<Coverage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    candles: Option<Vec<Bar>>,
}

/// Shows what is stored.
pub fn cmd_show(args: &ShowArgs, terminal: &mut Terminal) -> Result<u8, CommandError> {
    let store = args.store.open();
    let newest = match (args.n, args.pair, args.timeframe) {
        (None, ..) => None,
        (Some(n), Some(pair), Some(timeframe)) => Some((n, pair, timeframe)),
        _ => {
            let text = "-n shows the bars of one series: name it, such as 'show EUR_USD M1 -n 10'";
            return Err(CommandError::Usage(text.into()));
        }
    };
    let mut series = Vec::new();
    for (pair, timeframe) in store.series()? {
        let wanted =
            args.pair.is_none_or(|only| only == pair) && args.timeframe.is_none_or(|only| only == timeframe);
        if wanted {
            series.push(coverage(&store, pair, timeframe)?);
        }
    }
    let candles = match newest {
        Some((n, pair, timeframe)) => Some(newest_bars(&store, pair, timeframe, n)?),
        None => None,
    };
    if args.store.json {
        terminal.json(&Answer { series, candles })?;
    } else if series.is_empty() {
        let what = [args.pair.map(|pair| pair.to_string()), args.timeframe.map(|t| t.to_string())];
        let what: Vec<String> = what.into_iter().flatten().collect();
        let what = if what.is_empty() { String::new() } else { format!(" of {}", what.join(" ")) };
        terminal.say(&format!("no candles{what} in {}", store.root().display()))?;
    } else {
        terminal.table(&coverage_table(&series))?;
        if let Some(candles) = candles {
            terminal.line("")?;
            terminal.table(&bar_table(&candles))?;
        }
    }
    Ok(OK)
}

fn coverage(store: &Store, pair: Pair, timeframe: Timeframe) -> Result<Coverage, StoreError> {
    let months = store.months(pair, timeframe)?;
    let mut provenance = Provenance::default();
    let (mut candles, mut first, mut last) = (0, None, None);
    for month in &months {
        let set = store.read_month(pair, timeframe, *month)?;
        provenance.synthetic |= set.provenance.synthetic;
        join(&mut provenance, &set.provenance);
        candles += set.candles.len();
        first = first.or(set.candles.first().map(|candle| candle.time));
        last = set.candles.last().map(|candle| candle.time).or(last);
    }
    Ok(Coverage {
        pair,
        timeframe,
        months: months.len(),
        candles,
        first,
        last,
        sources: provenance.sources.into_iter().collect(),
        synthetic: provenance.synthetic,
        assumed_spread: provenance.assumed_spread,
        crossed_kept: provenance.crossed_kept,
    })
}

/// The newest bars, oldest first.
fn newest_bars(store: &Store, pair: Pair, timeframe: Timeframe, n: usize) -> Result<Vec<Bar>, StoreError> {
    let mut newest: Vec<Candle> = Vec::new();
    for month in store.months(pair, timeframe)?.into_iter().rev() {
        if newest.len() >= n {
            break;
        }
        let candles = store.read_month(pair, timeframe, month)?.candles;
        newest.extend(candles.into_iter().rev().take(n - newest.len()));
    }
    let bar = |candle: &Candle| {
        let prices = |side: [(&str, sep_contract::Ticks); 4]| {
            side.map(|(_, price)| price.to_decimal(pair).to_string())
        };
        Bar {
            time: candle.time,
            bid: prices(candle.bid.named()),
            ask: prices(candle.ask.named()),
            volume: candle.volume,
        }
    };
    Ok(newest.iter().rev().map(bar).collect())
}

fn coverage_table(series: &[Coverage]) -> Table {
    let mut table =
        Table::new(&["PAIR", "TIMEFRAME", ">MONTHS", ">BARS", "FIRST", "LAST", "SOURCE", "MARKS"]);
    for one in series {
        let time = |time: Option<Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
        let marks = [
            (one.synthetic, "made up"),
            (one.assumed_spread, "spread assumed"),
            (one.crossed_kept, "crossed kept"),
        ];
        let marks: Vec<&str> = marks.into_iter().filter(|(is, _)| *is).map(|(_, mark)| mark).collect();
        let cells = vec![
            one.pair.to_string(),
            one.timeframe.to_string(),
            grouped(one.months),
            grouped(one.candles),
            time(one.first),
            time(one.last),
            one.sources.join(","),
            marks.join(", "),
        ];
        table.row(Tone::Plain, cells);
    }
    table
}

fn bar_table(bars: &[Bar]) -> Table {
    let mut table = Table::new(&[
        "TIME",
        ">BID OPEN",
        ">HIGH",
        ">LOW",
        ">CLOSE",
        ">ASK OPEN",
        ">HIGH",
        ">LOW",
        ">CLOSE",
        ">VOLUME",
    ]);
    for bar in bars {
        let mut cells = vec![bar.time.to_string()];
        cells.extend(bar.bid.iter().chain(&bar.ask).cloned());
        cells.push(grouped(usize::try_from(bar.volume).unwrap_or(usize::MAX)));
        table.row(Tone::Plain, cells);
    }
    table
}
