//! `sep-gpu candles show`

use clap::Args;
use jiff::Timestamp;
use sep_contract::{Candle, Ohlc, Pair, Provenance, Ticks, Timeframe};
use serde::Serialize;

use crate::cli::{StoreArgs, nothing_stored};
use crate::error::{CommandError, FAILED, OK};
use crate::output::{Table, Terminal, Tone, grouped};
use crate::store::{Store, StoreError, join};

pub const EXAMPLES: &str = "\
Examples:
  sep-gpu candles show
  sep-gpu candles show EUR_USD
  sep-gpu candles show EUR_USD M1 -n 10
  sep-gpu candles show EUR_USD M1 -n 500 --json

Exit codes: 0 shown, 1 nothing there, or something cannot be read, 2 arguments that make no sense.";

/// Arguments of `show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Only this pair
    pair: Option<Pair>,
    /// Only this timeframe
    timeframe: Option<Timeframe>,
    /// Also the newest so many bars (needs a pair and a timeframe)
    #[arg(short = 'n', long, value_name = "N")]
    newest: Option<usize>,
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
    bid: Prices,
    ask: Prices,
    volume: u32,
}

#[derive(Serialize)]
struct Prices {
    open: String,
    high: String,
    low: String,
    close: String,
}

impl Prices {
    fn of(side: &Ohlc, pair: Pair) -> Self {
        let text = |price: Ticks| price.to_decimal(pair).to_string();
        let Ohlc { open, high, low, close } = *side;
        Self { open: text(open), high: text(high), low: text(low), close: text(close) }
    }

    fn cells(&self) -> [String; 4] {
        [&self.open, &self.high, &self.low, &self.close].map(String::clone)
    }
}

#[derive(Serialize)]
struct Answer {
    series: Vec<Coverage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    candles: Option<Vec<Bar>>,
    /// Months that cannot be read, and are not among the rest.
    problems: Vec<String>,
}

/// Shows what is stored.
pub fn cmd_show(args: &ShowArgs, terminal: &mut Terminal) -> Result<u8, CommandError> {
    let store = args.store.open();
    let newest = match (args.newest, args.pair, args.timeframe) {
        (None, ..) => None,
        (Some(n), Some(pair), Some(timeframe)) => Some((n, pair, timeframe)),
        _ => {
            let text = "--newest shows the bars of one series: name it, such as 'show EUR_USD M1 -n 10'";
            return Err(CommandError::Usage(text.into()));
        }
    };
    let (mut series, mut problems) = (Vec::new(), Vec::new());
    for (pair, timeframe) in store.series()? {
        let wanted =
            args.pair.is_none_or(|only| only == pair) && args.timeframe.is_none_or(|only| only == timeframe);
        if wanted {
            series.push(coverage(&store, pair, timeframe, &mut problems)?);
        }
    }
    let candles = match newest {
        Some((n, pair, timeframe)) => Some(newest_bars(&store, pair, timeframe, n)?),
        None => None,
    };
    let answer = Answer { series, candles, problems };
    if args.store.json {
        terminal.json(&answer)?;
    }
    if answer.series.is_empty() {
        return Err(nothing_stored(&store, args.pair, args.timeframe));
    }
    if !args.store.json {
        terminal.table(&coverage_table(&answer.series))?;
        if let Some(candles) = &answer.candles {
            terminal.line("")?;
            terminal.table(&bar_table(candles))?;
        }
        for problem in &answer.problems {
            let heading = terminal.paint(Tone::Error, "error:");
            terminal.say(&format!("{heading} {problem}"))?;
        }
    }
    Ok(if answer.problems.is_empty() { OK } else { FAILED })
}

/// What can be read of a series; the rest is told.
fn coverage(
    store: &Store,
    pair: Pair,
    timeframe: Timeframe,
    problems: &mut Vec<String>,
) -> Result<Coverage, StoreError> {
    let months = store.months(pair, timeframe)?;
    let mut provenance = Provenance::default();
    let (mut candles, mut first, mut last) = (0, None, None);
    for month in &months {
        let set = match store.read_month(pair, timeframe, *month) {
            Ok(set) => set,
            Err(error) => {
                problems.push(error.to_string());
                continue;
            }
        };
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

/// The newest bars that can be read, oldest first.
fn newest_bars(store: &Store, pair: Pair, timeframe: Timeframe, n: usize) -> Result<Vec<Bar>, StoreError> {
    let mut newest: Vec<Candle> = Vec::new();
    for month in store.months(pair, timeframe)?.into_iter().rev() {
        if newest.len() >= n {
            break;
        }
        // What cannot be read was told with the coverage.
        let Ok(set) = store.read_month(pair, timeframe, month) else { continue };
        newest.extend(set.candles.into_iter().rev().take(n - newest.len()));
    }
    let bar = |candle: &Candle| Bar {
        time: candle.time,
        bid: Prices::of(&candle.bid, pair),
        ask: Prices::of(&candle.ask, pair),
        volume: candle.volume,
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
        cells.extend(bar.bid.cells().into_iter().chain(bar.ask.cells()));
        cells.push(grouped(usize::try_from(bar.volume).unwrap_or(usize::MAX)));
        table.row(Tone::Plain, cells);
    }
    table
}
