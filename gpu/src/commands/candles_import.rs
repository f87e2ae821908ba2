//! `sep-gpu candles import`

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::fmt::strtime;
use rust_decimal::Decimal;
use sep_contract::{Pair, Timeframe};

use crate::cli::StoreArgs;
use crate::error::{CommandError, OK};
use crate::import::{ColumnMap, Files, Format, PriceSide, Report, Request, TimeFormat, import};
use crate::output::{Table, Terminal, Tone, counted, grouped};

pub const EXAMPLES: &str = "\
Examples:
  # OANDA's answer with bid and ask (price=BA)
  sep-gpu candles import --pair EUR_USD --timeframe M1 eurusd.json
  # Bid and ask in files of their own
  sep-gpu candles import --pair GBP_USD --timeframe M1 --bid gbpusd-bid.csv --ask gbpusd-ask.csv
  # HistData has bids only: assume a spread of 0.8 pips
  sep-gpu candles import --pair EUR_USD --timeframe M1 --bid DAT_ASCII_EURUSD_M1_*.csv --spread 0.8
  # Columns of one's own, times two hours east of Greenwich
  sep-gpu candles import --pair EUR_USD --timeframe H1 --mid own.csv --spread 1 \\
      --columns time=Zeit,open=Auf,high=Hoch,low=Tief,close=Zu \\
      --time-format '%d.%m.%Y %H:%M' --utc-offset +02:00

  # MetaTrader without a header row: date and time apart, two hours east of Greenwich
  sep-gpu candles import --pair EUR_USD --timeframe M1 --bid eurusd.csv --spread 0.8 --utc-offset +02:00 \\
      --columns date=#1,time=#2,open=#3,high=#4,low=#5,close=#6,volume=#7
  # Dukascopy: the volume counts no price changes
  sep-gpu candles import --pair EUR_USD --timeframe M1 --bid bid.csv --ask ask.csv --columns volume=- \\
      --time-format '%d.%m.%Y %H:%M:%S%.f'

Nothing is written unless every row is sound. Importing the same file again changes nothing.
Exit codes: 0 imported, 1 refused or failed, 2 arguments that make no sense.";

/// Arguments of `import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Files that hold bid and ask
    #[arg(value_name = "FILE", conflicts_with_all = ["bid", "ask", "mid"])]
    files: Vec<PathBuf>,
    /// The pair, such as EUR_USD
    #[arg(long)]
    pair: Pair,
    /// M1, M5, M15, H1, H4 or D1
    #[arg(long)]
    timeframe: Timeframe,
    /// Files of bid prices
    #[arg(long, value_name = "FILE", num_args = 1..)]
    bid: Vec<PathBuf>,
    /// Files of ask prices
    #[arg(long, value_name = "FILE", num_args = 1..)]
    ask: Vec<PathBuf>,
    /// Files of mid prices
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["bid", "ask"])]
    mid: Vec<PathBuf>,
    /// Spread to assume, in pips, where only one price is given
    #[arg(long, value_name = "PIPS")]
    spread: Option<Decimal>,
    /// Format of the files [default: found out from the contents]
    #[arg(long, value_enum)]
    format: Option<FormatName>,
    /// Which column is what: time, date, open, high, low, close, bid_open .. ask_close, volume, pair; #1 is the
    /// first column of a file without a header row; volume=- leaves the volume out
    #[arg(long, value_name = "ROLE=NAME", value_delimiter = ',')]
    columns: Vec<String>,
    /// How times are written: iso, unix, unix-ms or a pattern such as '%d.%m.%Y %H:%M'
    #[arg(long, value_name = "FORMAT", value_parser = TimeFormat::parse)]
    time_format: Option<TimeFormat>,
    /// Zone of times that name none, such as -05:00 [default: UTC; HistData: -05:00]
    #[arg(long, value_name = "+HH:MM", allow_hyphen_values = true, value_parser = offset)]
    utc_offset: Option<i32>,
    /// Name of the source to note with the candles [default: the format]
    #[arg(long, value_name = "NAME", value_parser = source_name)]
    source: Option<String>,
    /// The candles are made up; they never mix with real ones
    #[arg(long)]
    synthetic: bool,
    /// Replace stored bars that have other content
    #[arg(long)]
    replace: bool,
    /// Take over bars with a bid above the ask as they are
    #[arg(long)]
    keep_crossed: bool,
    /// Believe moves of more than a fifth from one bar to the next
    #[arg(long)]
    allow_jumps: bool,
    /// Leave out bars that only one of bid and ask has
    #[arg(long)]
    skip_unmatched: bool,
    /// Move times down to the timeframe's grid
    #[arg(long)]
    align: bool,
    /// Check everything, write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    store: StoreArgs,
}

/// Formats by name.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormatName {
    /// YYYYMMDD HHMMSS;o;h;l;c;v without a header, EST without daylight saving time
    Histdata,
    /// CSV with a header row, times MM/DD/YYYY or ISO, UTC
    Fxcm,
    /// JSON as OANDA answers it
    Oanda,
    /// CSV with a header row, or with --columns ROLE=#NUMBER
    Csv,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Histdata => Self::HistData,
            FormatName::Fxcm => Self::Fxcm,
            FormatName::Oanda => Self::Oanda,
            FormatName::Csv => Self::Csv,
        }
    }
}

fn offset(text: &str) -> Result<i32, String> {
    strtime::parse("%:z", text)
        .ok()
        .and_then(|parts| parts.offset())
        .map(|offset| offset.seconds())
        .ok_or_else(|| "expected an offset such as -05:00".to_owned())
}

fn source_name(text: &str) -> Result<String, String> {
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'_' | b'-');
    if text.is_empty() || !text.bytes().all(allowed) {
        return Err("expected a-z, 0-9, '_' and '-'".into());
    }
    Ok(text.to_owned())
}

impl ImportArgs {
    /// The files as what they are said to be.
    fn files(&self) -> Result<Files, CommandError> {
        let usage = |text: &str| Err(CommandError::Usage(text.to_owned()));
        let single = |side, files: &Vec<PathBuf>| match self.spread {
            Some(spread) => Ok(Files::Single { side, files: files.clone(), spread }),
            None => usage("one price makes no bid and ask: name the other file, or say --spread PIPS"),
        };
        let both_sides = !self.bid.is_empty() && !self.ask.is_empty();
        if self.spread.is_some() && (both_sides || !self.files.is_empty()) {
            return usage("--spread is for files of one price: these have bid and ask");
        }
        if both_sides {
            Ok(Files::Split { bid: self.bid.clone(), ask: self.ask.clone() })
        } else if !self.bid.is_empty() {
            single(PriceSide::Bid, &self.bid)
        } else if !self.ask.is_empty() {
            single(PriceSide::Ask, &self.ask)
        } else if !self.mid.is_empty() {
            single(PriceSide::Mid, &self.mid)
        } else if self.files.is_empty() {
            usage("no files: name files with bid and ask, or use --bid and --ask, or --mid with --spread")
        } else {
            Ok(Files::Both(self.files.clone()))
        }
    }
}

/// Imports candles.
pub fn cmd_import(args: &ImportArgs, terminal: &mut Terminal) -> Result<u8, CommandError> {
    let columns = ColumnMap::parse(args.columns.iter().map(String::as_str))
        .map_err(|error| CommandError::Usage(error.to_string()))?;
    let request = Request {
        pair: args.pair,
        timeframe: args.timeframe,
        files: args.files()?,
        format: args.format.map(Format::from),
        source: args.source.clone(),
        columns,
        time_format: args.time_format.clone(),
        utc_offset: args.utc_offset,
        synthetic: args.synthetic,
        replace: args.replace,
        keep_crossed: args.keep_crossed,
        allow_jumps: args.allow_jumps,
        skip_unmatched: args.skip_unmatched,
        align: args.align,
        dry_run: args.dry_run,
    };
    let report = import(&args.store.open(), &request)?;
    if args.store.json {
        terminal.json(&report)?;
    } else {
        show(&report, args.dry_run, terminal)?;
    }
    Ok(OK)
}

fn show(report: &Report, dry_run: bool, terminal: &mut Terminal) -> Result<(), CommandError> {
    let mut table = Table::new(&["MONTH", ">NEW", ">SAME", ">REPLACED"]);
    for month in &report.months {
        let cells =
            vec![month.month.to_string(), grouped(month.new), grouped(month.same), grouped(month.replaced)];
        let tone = if month.new + month.replaced > 0 { Tone::Plain } else { Tone::Faint };
        table.row(tone, cells);
    }
    terminal.table(&table)?;
    for (number, what) in [
        (report.incomplete, "left out: not complete"),
        (report.unmatched, "left out: only bid or only ask"),
        (report.crossed, "kept with a bid above the ask"),
    ] {
        if number > 0 {
            terminal.line(&terminal.paint(Tone::Warning, &format!("{} {what}", counted(number, "bar"))))?;
        }
    }
    let outcome = match (report.written, dry_run) {
        (true, _) => "stored",
        (false, true) => "read; nothing written (--dry-run)",
        (false, false) => "read; all of them were stored before",
    };
    let (pair, timeframe) = (report.pair, report.timeframe);
    let text = format!("{pair} {timeframe}: {} {outcome}", counted(report.candles, "bar"));
    terminal.line(&terminal.paint(Tone::Good, &text))?;
    Ok(())
}
