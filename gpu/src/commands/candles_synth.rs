//! `sep-gpu candles synth`

use std::ops::RangeInclusive;

use clap::Args;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use sep_contract::{CandleSet, Pair};
use serde::Serialize;

use crate::cli::StoreArgs;
use crate::error::{CommandError, OK};
use crate::output::{Terminal, Tone, counted, grouped};
use crate::store::Store;
use crate::store::merge::{self, Incoming, Place, Sourced};
use crate::synth::{Edge, MILLI, Spec, SynthError, generate};

pub const EXAMPLES: &str = "\
Examples:
  # Three years of minutes for two pairs, in a folder of their own
  sep-gpu candles synth EUR_USD USD_JPY --days 1096 --seed 1 --store data/made-up
  # With an edge that QFH can find: 0.3 pips a bar, for ten bars after a window full of ruptures
  sep-gpu candles synth EUR_USD --days 60 --seed 1 --edge 0.3 --store data/made-up

Made-up candles are marked as such and never mix with real ones. The same words make the same candles on \
every machine; more days only add to them.

Exit codes: 0 stored, 1 failed, 2 arguments that make no sense.";

/// The years in which made-up candles may begin.
const YEARS: RangeInclusive<i16> = 1970..=9998;

/// Arguments of `synth`.
#[derive(Debug, Args)]
pub struct SynthArgs {
    /// Pairs, such as EUR_USD; they do not move together
    #[arg(value_name = "PAIR", required = true)]
    pairs: Vec<Pair>,
    /// Days, weekends among them
    #[arg(long, value_name = "N", required_unless_present = "bars", conflicts_with = "bars")]
    days: Option<u32>,
    /// M1 bars
    #[arg(long, value_name = "N")]
    bars: Option<usize>,
    /// What the chance is drawn from
    #[arg(long, value_name = "S")]
    seed: u64,
    /// First day, UTC
    #[arg(long, value_name = "DATE", default_value = "2024-01-01")]
    start: Date,
    /// Plant an edge: drift of the ten bars after a window of 11 bits with 60 % ruptures, in pips a bar
    #[arg(long, value_name = "PIPS")]
    edge: Option<Decimal>,
    /// Standard deviation of a minute's move, in pips
    #[arg(long, value_name = "PIPS", default_value = "1")]
    volatility: Decimal,
    /// Ask less bid, in pips
    #[arg(long, value_name = "PIPS", default_value = "0.8")]
    spread: Decimal,
    /// Replace stored bars that have other content
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    store: StoreArgs,
}

/// What was made of one pair.
#[derive(Serialize)]
struct Made {
    pair: Pair,
    candles: usize,
    new: usize,
    same: usize,
    replaced: usize,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

/// Makes candles up and stores them.
pub fn cmd_synth(args: &SynthArgs, terminal: &mut Terminal) -> Result<u8, CommandError> {
    let store = args.store.open();
    let mut all = Vec::with_capacity(args.pairs.len());
    for &pair in &args.pairs {
        let made = keep(&store, generate(&args.spec(pair)?)?, args.replace)?;
        if !args.store.json {
            let text = format!(
                "{pair} M1: {} made up, {} new, {} replaced",
                counted(made.candles, "bar"),
                grouped(made.new),
                grouped(made.replaced)
            );
            terminal.line(&terminal.paint(Tone::Good, &text))?;
        }
        all.push(made);
    }
    if args.store.json {
        terminal.json(&all)?;
    }
    Ok(OK)
}

impl SynthArgs {
    fn spec(&self, pair: Pair) -> Result<Spec, CommandError> {
        let start = TimeZone::UTC
            .to_timestamp(self.start.into())
            .ok()
            .filter(|_| YEARS.contains(&self.start.year()))
            .ok_or_else(|| {
                let (first, last) = (YEARS.start(), YEARS.end());
                CommandError::Usage(format!("--start {}: expected a year from {first} to {last}", self.start))
            })?;
        let ticks = Decimal::from(pair.ticks_per_pip());
        let edge = match self.edge {
            Some(size) => Some(Edge::of_drift(whole("--edge", size, ticks * Decimal::from(MILLI))?)),
            None => None,
        };
        let spec = Spec {
            start,
            volatility: whole("--volatility", self.volatility, ticks * Decimal::from(MILLI))?,
            spread: whole("--spread", self.spread, ticks)?,
            edge,
            ..Spec::new(pair, self.bars.unwrap_or(0), self.seed)
        };
        let spec = match self.days {
            Some(days) => spec.of_days(days)?,
            None => spec,
        };
        // None at all is a series, too, but nobody asks for it on purpose.
        if spec.bars == 0 { Err(SynthError::Bars { found: 0 }.into()) } else { Ok(spec) }
    }
}

/// Pips as a whole number of smaller units.
fn whole(option: &str, pips: Decimal, units: Decimal) -> Result<i32, CommandError> {
    let number = pips.checked_mul(units).filter(Decimal::is_integer).and_then(|number| number.to_i32());
    number.ok_or_else(|| {
        let smallest = (Decimal::ONE / units).normalize();
        CommandError::Usage(format!(
            "{option} {pips}: expected a moderate number of steps of {smallest} pips"
        ))
    })
}

fn keep(store: &Store, set: CandleSet, replace: bool) -> Result<Made, CommandError> {
    let CandleSet { pair, timeframe, provenance, candles } = set;
    let mut made = Made {
        pair,
        candles: candles.len(),
        new: 0,
        same: 0,
        replaced: 0,
        first: candles.first().map(|candle| candle.time),
        last: candles.last().map(|candle| candle.time),
    };
    // No file was read: a conflict is told by its bar alone.
    let place = Place { file: 0, line: 0 };
    let candles = candles.into_iter().map(|candle| Sourced { candle, place }).collect();
    let lock = store.lock()?;
    let merged = merge::merge(store, Incoming { pair, timeframe, provenance, candles }, replace)?;
    for change in &merged.changes {
        made.new += change.new;
        made.same += change.same;
        made.replaced += change.replaced;
    }
    store.publish(&lock, &merged.months)?;
    Ok(made)
}
