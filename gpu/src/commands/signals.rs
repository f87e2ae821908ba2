//! `sep-gpu signals`

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use sep_contract::{Digest, Pair, Signal, Timeframe};
use serde::Serialize;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::cli::{ModelsArgs, StoreArgs};
use crate::error::{CommandError, FAILED, OK};
use crate::output::{Table, Terminal, Tone, counted};
use crate::signals::Address;
use crate::signals::follow::{Before, Follower, Look, Said};
use crate::signals::outbox::Outbox;

/// How often --watch looks whether a file has changed. A look costs a few calls of the kernel for each pair.
const PAUSE: Duration = Duration::from_millis(250);

pub const EXAMPLES: &str = "\
Every promoted model is asked what it says of the newest bar that has closed. Signals are written as one Parquet file, \
named by the bar's close and by its content; of one bar nothing is written twice. 'sepctl sync' pushes the file. A \
signal expires one bar after its bar's close: the executor refuses it from then on.

Examples:
  sep-gpu signals
  sep-gpu signals EUR_USD GBP_USD --json
  sep-gpu signals --at 2026-11-20T10:15:00Z --out /tmp/signals
  sep-gpu signals --watch

Exit codes: 0 said, signal or not, 1 a pair could not be asked, 2 arguments that make no sense.";

/// Arguments of `signals`.
#[derive(Debug, Args)]
pub struct SignalsArgs {
    /// These pairs; otherwise all that have a promoted model
    #[arg(value_name = "PAIR")]
    pairs: Vec<Pair>,
    /// All pairs that have a promoted model
    #[arg(long, conflicts_with = "pairs")]
    all: bool,
    /// What was known then, instead of now
    #[arg(long, value_name = "TIME", conflicts_with = "watch")]
    at: Option<Timestamp>,
    /// Folder that the files are written to
    #[arg(long, value_name = "DIR", env = "SEP_SIGNALS", default_value = "data/signals")]
    out: PathBuf,
    /// Account of the executor that they are for
    #[arg(long, value_name = "NAME", default_value = "primary")]
    account: String,
    /// Strategy in whose name they are given
    #[arg(long, value_name = "NAME", default_value = "qfh")]
    strategy: String,
    /// Stay, and write signals as bars close, until SIGINT or SIGTERM; with --json one line a look
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    models: ModelsArgs,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Serialize)]
struct Answer<'a> {
    at: Timestamp,
    pairs: Vec<Spoken<'a>>,
    failed: Vec<Failed>,
    /// The file that was written now.
    written: Option<&'a PathBuf>,
    /// All files that these signals stand in: what is to be pushed.
    files: Vec<&'a PathBuf>,
}

#[derive(Serialize)]
struct Spoken<'a> {
    pair: Pair,
    timeframe: Timeframe,
    model: Digest,
    override_reason: Option<&'a str>,
    synthetic: bool,
    bar_close: Option<Timestamp>,
    signal: Option<&'a Signal>,
    expired: bool,
    file: Option<&'a PathBuf>,
    /// A signal of this bar was written before; another one, if it differs.
    written_before: bool,
    differs_from_file: bool,
}

#[derive(Serialize)]
struct Failed {
    pair: Pair,
    error: String,
}

/// Says what the promoted models say.
pub fn cmd_signals(args: &SignalsArgs, terminal: &mut Terminal) -> Result<u8, CommandError> {
    let stop = if args.watch { Some(listen()?) } else { None };
    let mut pairs = args.pairs.clone();
    pairs.sort_unstable();
    pairs.dedup();
    let address = Address { account: args.account.clone(), strategy: args.strategy.clone() };
    address.check().map_err(|fault| CommandError::Usage(format!("--{}: {fault}", fault.field())))?;
    let (store, models, outbox) = (args.store.open(), args.models.open(), Outbox::at(&args.out));
    let mut follower = Follower::new(store, models, outbox, address, pairs);
    let at = args.at.unwrap_or_else(Timestamp::now);
    let look = follower.look(at)?;
    let Some(stop) = stop else {
        show(args, &look, at, terminal)?;
        return Ok(if look.failed.is_empty() { OK } else { FAILED });
    };
    show(args, &look, at, terminal)?;
    terminal.say(&format!("watching {} for bars that close", args.store.open().root().display()))?;
    loop {
        terminal.flush()?;
        match stop.recv_timeout(PAUSE) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(name) => {
                terminal.say(&format!("stopped by {name}"))?;
                return Ok(OK);
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(OK),
        }
        let at = Timestamp::now();
        let look = follower.look(at)?;
        if !look.said.is_empty() || !look.failed.is_empty() {
            show(args, &look, at, terminal)?;
        }
    }
}

/// The name of the first signal that asks the program to end.
fn listen() -> Result<Receiver<&'static str>, CommandError> {
    let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(CommandError::Listen)?;
    let (sender, receiver) = channel();
    let wait = move || {
        for signal in signals.forever() {
            if sender.send(if signal == SIGTERM { "SIGTERM" } else { "SIGINT" }).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(wait).map_err(CommandError::Listen)?;
    Ok(receiver)
}

fn show(args: &SignalsArgs, look: &Look, at: Timestamp, terminal: &mut Terminal) -> Result<(), CommandError> {
    if args.store.json {
        let answer = answer(look, at);
        if args.watch {
            let line = serde_json::to_string(&answer).map_err(std::io::Error::from)?;
            return Ok(terminal.line(&line)?);
        }
        return Ok(terminal.json(&answer)?);
    }
    if !look.said.is_empty() {
        terminal.table(&table(look, at))?;
    } else if look.failed.is_empty() {
        let models = args.models.open();
        let place = models.root().display();
        terminal.say(&format!("no model is promoted in {place}: nothing is said ('sep-gpu status')"))?;
    }
    if let Some(path) = &look.written {
        let new = look.said.iter().filter(|said| said.signal.is_some() && said.before == Before::No).count();
        let text = format!("{} written to {}", counted(new, "signal"), path.display());
        terminal.line(&terminal.paint(Tone::Good, &text))?;
    } else if !look.said.is_empty() {
        let signals = look.said.iter().any(|said| said.signal.is_some());
        terminal.line(if signals {
            "nothing new: no file was written"
        } else {
            "no signal: no file was written"
        })?;
    }
    for said in look.said.iter().filter(|said| said.before == Before::Other) {
        terminal.say(&format!(
            "warning: {}: the signal of this bar was written before with other content, and stands: candles or model have changed since",
            said.pair
        ))?;
    }
    for (pair, error) in &look.failed {
        let heading = terminal.paint(Tone::Error, "error:");
        let error = error.to_string();
        let name = if error.contains(pair.as_str()) { String::new() } else { format!("{pair}: ") };
        terminal.say(&format!("{heading} {name}{error}"))?;
    }
    Ok(())
}

fn expired(said: &Said, at: Timestamp) -> bool {
    said.signal.as_ref().is_some_and(|signal| signal.expires_at <= at)
}

fn spoken(said: &Said, at: Timestamp) -> Spoken<'_> {
    Spoken {
        pair: said.pair,
        timeframe: said.timeframe,
        model: said.model,
        override_reason: said.override_reason.as_deref(),
        synthetic: said.synthetic,
        bar_close: said.bar_close,
        signal: said.signal.as_ref(),
        expired: expired(said, at),
        file: said.file.as_ref(),
        written_before: said.before != Before::No,
        differs_from_file: said.before == Before::Other,
    }
}

fn answer(look: &Look, at: Timestamp) -> Answer<'_> {
    let mut files: Vec<&PathBuf> = look.said.iter().filter_map(|said| said.file.as_ref()).collect();
    files.sort_unstable();
    files.dedup();
    Answer {
        at,
        pairs: look.said.iter().map(|said| spoken(said, at)).collect(),
        failed: look
            .failed
            .iter()
            .map(|(pair, error)| Failed { pair: *pair, error: error.to_string() })
            .collect(),
        written: look.written.as_ref(),
        files,
    }
}

fn table(look: &Look, at: Timestamp) -> Table {
    let mut table = Table::new(&[
        "PAIR",
        "TIMEFRAME",
        "BAR CLOSED",
        "SIGNAL",
        ">CONFIDENCE",
        ">STOP",
        ">TARGET",
        "EXPIRES",
        "NOTES",
    ]);
    for said in &look.said {
        let time =
            |time: Option<Timestamp>| time.map_or_else(|| "none yet".to_owned(), |time| time.to_string());
        let mut cells = vec![said.pair.to_string(), said.timeframe.to_string(), time(said.bar_close)];
        match &said.signal {
            Some(signal) => cells.extend([
                signal.side.to_string(),
                signal.confidence.to_string(),
                signal.stop.to_string(),
                signal.target.to_string(),
                signal.expires_at.to_string(),
            ]),
            None => cells.extend(["no signal", "", "", "", ""].map(str::to_owned)),
        }
        let mut notes = Vec::new();
        if expired(said, at) {
            notes.push("expired: the executor will refuse it".to_owned());
        }
        if said.before != Before::No {
            notes.push("written before".to_owned());
        }
        if said.synthetic {
            notes.push("made-up candles".to_owned());
        }
        notes.extend(said.override_reason.as_ref().map(|reason| format!("OVERRIDDEN: {reason}")));
        cells.push(notes.join("; "));
        let tone = match (&said.signal, &said.override_reason) {
            (None, _) => Tone::Faint,
            (Some(_), Some(_)) => Tone::Warning,
            (Some(_), None) => Tone::Plain,
        };
        table.row(tone, cells);
    }
    table
}
