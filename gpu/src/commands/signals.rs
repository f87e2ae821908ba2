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
signal expires one bar after its bar's close: the executor refuses it from then on. Expired signals, and those of \
made-up candles, stand in files of their own.

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
    /// The files that were written now.
    written: &'a [PathBuf],
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
    /// By now, whatever moment was asked for.
    expired: bool,
    /// The file that the signal stands in.
    file: Option<&'a PathBuf>,
    /// A signal of this bar was written before, and stands.
    written_before: bool,
    /// The model would say something else now.
    differs_from_model: bool,
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
    let Some(stop) = stop else {
        let look = follower.look(args.at.unwrap_or_else(Timestamp::now))?;
        show(args, &look, terminal)?;
        return Ok(if look.failed.is_empty() { OK } else { FAILED });
    };
    watch(args, &mut follower, &stop, terminal)
}

/// Looks again and again. What goes wrong may pass (a full disk, a file that is being repaired): it is said once,
/// and tried again.
fn watch(
    args: &SignalsArgs,
    follower: &mut Follower,
    stop: &Receiver<&'static str>,
    terminal: &mut Terminal,
) -> Result<u8, CommandError> {
    let place = args.store.open().root().display().to_string();
    let mut watching = false;
    let mut told: Option<String> = None;
    loop {
        match follower.look(Timestamp::now()) {
            Ok(look) => {
                if !watching || !look.said.is_empty() || !look.failed.is_empty() {
                    show(args, &look, terminal)?;
                }
                if !watching {
                    terminal.say(&format!("watching {place} for bars that close"))?;
                }
                (watching, told) = (true, None);
            }
            Err(error) => {
                let error = error.to_string();
                if told.as_ref() != Some(&error) {
                    let heading = terminal.paint(Tone::Error, "error:");
                    terminal.say(&format!("{heading} {error}; looking again"))?;
                }
                told = Some(error);
            }
        }
        terminal.flush()?;
        match stop.recv_timeout(PAUSE) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(name) => {
                terminal.say(&format!("stopped by {name}"))?;
                return Ok(OK);
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(OK),
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

fn show(args: &SignalsArgs, look: &Look, terminal: &mut Terminal) -> Result<(), CommandError> {
    let now = Timestamp::now();
    if args.store.json {
        let answer = answer(look, args.at.unwrap_or(now), now);
        if args.watch {
            let line = serde_json::to_string(&answer).map_err(std::io::Error::from)?;
            return Ok(terminal.line(&line)?);
        }
        return Ok(terminal.json(&answer)?);
    }
    if !look.said.is_empty() {
        terminal.table(&table(look, now))?;
    } else if look.failed.is_empty() {
        let models = args.models.open();
        let place = models.root().display();
        terminal.say(&format!("no model is promoted in {place}: nothing is said ('sep-gpu status')"))?;
    }
    for path in &look.written {
        let new = |said: &&Said| said.before == Before::No && said.file.as_ref() == Some(path);
        let new = look.said.iter().filter(new).count();
        let text = format!("{} written to {}", counted(new, "signal"), path.display());
        terminal.line(&terminal.paint(Tone::Good, &text))?;
    }
    if look.written.is_empty() && !look.said.is_empty() {
        let signals = look.said.iter().any(|said| said.signal.is_some());
        terminal.line(if signals {
            "nothing new: no file was written"
        } else {
            "no signal: no file was written"
        })?;
    }
    for said in look.said.iter().filter(|said| said.before == Before::Other) {
        terminal.say(&format!(
            "warning: {}: a signal of this bar was written before, and stands: candles or model have changed since",
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

/// Whether the executor would refuse a signal.
fn expired(said: &Said, now: Timestamp) -> bool {
    said.signal.as_ref().is_some_and(|signal| signal.expires_at <= now)
}

fn spoken(said: &Said, now: Timestamp) -> Spoken<'_> {
    Spoken {
        pair: said.pair,
        timeframe: said.timeframe,
        model: said.model,
        override_reason: said.override_reason.as_deref(),
        synthetic: said.synthetic,
        bar_close: said.bar_close,
        signal: said.signal.as_ref(),
        expired: expired(said, now),
        file: said.file.as_ref(),
        written_before: said.before != Before::No,
        differs_from_model: said.before == Before::Other,
    }
}

fn answer(look: &Look, at: Timestamp, now: Timestamp) -> Answer<'_> {
    let mut files: Vec<&PathBuf> = look.said.iter().filter_map(|said| said.file.as_ref()).collect();
    files.sort_unstable();
    files.dedup();
    Answer {
        at,
        pairs: look.said.iter().map(|said| spoken(said, now)).collect(),
        failed: look
            .failed
            .iter()
            .map(|(pair, error)| Failed { pair: *pair, error: error.to_string() })
            .collect(),
        written: &look.written,
        files,
    }
}

fn table(look: &Look, now: Timestamp) -> Table {
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
        if expired(said, now) {
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
