//! `sepctl daily`: from new candles to signals on the droplet, in one command.
//!
//! Owns the order of the steps and what is said of each. The signal engine is a program of its own, `sep-gpu`: it
//! is started as a child and heard through its JSON; the push is that of `sepctl sync`. One pair that fails stops
//! no other.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use jiff::Timestamp;
use sep_contract::{Digest, Pair, Side, Timeframe};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::process::Command;

use super::{Global, sync};
use crate::door::{Door, Failure, Tint};
use crate::inventory::units::parse_days;

/// Train again where it is due, make signals, push them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sepctl daily
  sepctl daily EUR_USD USD_JPY --retrain-after 14d
  sepctl daily --rehearsal --json

A pair is trained where it never was, or where enough new candles have come since. What was trained is promoted if it
passes its gate, and never by an override: after a refusal the model that was promoted before goes on speaking. The
candles, models and signals are those of `sep-gpu` in this folder (SEP_CANDLES, SEP_MODELS, SEP_SIGNALS).

Exit status: 0 done, also where there was nothing to push; 1 something failed; 2 usage")]
pub struct DailyArgs {
    /// These pairs; otherwise all that sep-gpu has candles of
    #[arg(value_name = "PAIR")]
    pairs: Vec<Pair>,
    /// Train again when so many days of candles are new; `forever` trains only what never was
    #[arg(long, value_name = "DAYS", default_value = "7d", value_parser = days)]
    retrain_after: u32,
    /// Search a few hundred variants, when training
    #[arg(long)]
    quick: bool,
    /// Account of the executor that the signals are for
    #[arg(long, value_name = "NAME", default_value = "primary")]
    account: String,
    /// Strategy in whose name they are given
    #[arg(long, value_name = "NAME", default_value = "qfh")]
    strategy: String,
    /// Into the rehearsal database, for the simulator
    #[arg(long)]
    rehearsal: bool,
    /// The signal engine; otherwise the one beside sepctl, or the first on PATH
    #[arg(long, value_name = "FILE")]
    sep_gpu: Option<PathBuf>,
}

fn days(text: &str) -> Result<u32, String> {
    parse_days(text).map_err(|error| error.to_string())
}

/// What `sep-gpu status` says.
#[derive(Deserialize)]
struct Status {
    pairs: Vec<PairStatus>,
}

#[derive(Deserialize)]
struct PairStatus {
    pair: Pair,
    candles: Option<Candles>,
    trained: Option<Trained>,
    promoted: Option<Promoted>,
    problems: Vec<String>,
}

#[derive(Deserialize)]
struct Candles {
    last: Timestamp,
}

#[derive(Deserialize)]
struct Trained {
    data_last: Timestamp,
}

#[derive(Deserialize)]
struct Promoted {}

/// What `sep-gpu promote` says.
#[derive(Deserialize)]
struct Promotion {
    model: Digest,
    promoted: bool,
    verdict: String,
    objections: Vec<String>,
    speaking: Option<Digest>,
}

/// What `sep-gpu signals` says.
#[derive(Deserialize)]
struct Signals {
    pairs: Vec<Spoken>,
    failed: Vec<FailedPair>,
    files: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Spoken {
    pair: Pair,
    timeframe: Timeframe,
    bar_close: Option<Timestamp>,
    signal: Option<Given>,
    override_reason: Option<String>,
    expired: bool,
}

#[derive(Deserialize)]
struct Given {
    side: Side,
}

#[derive(Deserialize)]
struct FailedPair {
    pair: Pair,
    error: String,
}

/// Status, training, promotion, signals, push.
pub async fn cmd_daily(global: &Global, args: &DailyArgs, door: &mut Door) -> Result<(), Failure> {
    // Asked first: nobody wants to hear of a mistake in the inventory after an hour of training.
    let host = global.host(door)?;
    let engine = Engine { program: find(args.sep_gpu.as_deref())? };
    let mut day = Day::default();

    // The candles of the droplet are pulled here, once there is a pull.

    let status: Status = engine.ask(&["status", "--json"]).await?;
    let mut speaking = Vec::new();
    for pair in chosen(args, status, &mut day, door)? {
        let name = pair.pair;
        let mut speaks = pair.promoted.is_some();
        for problem in &pair.problems {
            day.fail(door, name, "read", problem.clone());
        }
        // What cannot be read may be the model that was trained last: then nobody knows whether one is due.
        let due = if pair.problems.is_empty() { due(&pair, args.retrain_after) } else { None };
        match due {
            Some(why) => {
                step(door, name, &format!("training: {why}"))?;
                match train(&engine, args, name).await {
                    Ok(promotion) => {
                        show_promotion(door, name, &promotion)?;
                        speaks = promotion.speaking.is_some();
                        day.trained.push(promotion_document(name, &promotion));
                    }
                    Err(failure) => day.fail(door, name, "train", failure.message),
                }
            }
            None => step(door, name, "no training is due")?,
        }
        if speaks {
            speaking.push(name.to_string());
        }
    }
    let files = if speaking.is_empty() {
        note(door, "no model is promoted: no signals are made, nothing is pushed")?;
        Vec::new()
    } else {
        make_signals(&engine, args, &speaking, &mut day, door).await?
    };
    let mut outcome = Ok(());
    if !files.is_empty() {
        let pushed = &mut day.pushed;
        outcome = sync::push_files(&host, &files, args.rehearsal, |file, batch, what| {
            pushed.push(sync::document(file, batch, what));
            if door.json { Ok(()) } else { sync::show(door, file, what) }
        })
        .await;
    }
    if door.json {
        let database = sync::name(args.rehearsal);
        let error = outcome.as_ref().err().map(|failure| failure.message.clone());
        door.document(&json!({
            "host": host.name, "database": database, "trained": day.trained, "signals": day.signals,
            "files": day.pushed, "push_error": error, "failed": day.failed,
        }))?;
    }
    outcome?;
    if day.failed.is_empty() { Ok(()) } else { Err(Failure::silent(1)) }
}

/// What was done, for machines.
#[derive(Default)]
struct Day {
    trained: Vec<Value>,
    signals: Vec<Value>,
    pushed: Vec<Value>,
    failed: Vec<Value>,
}

impl Day {
    /// Notes what went wrong with a pair, and goes on.
    fn fail(&mut self, door: &mut Door, pair: Pair, step: &str, error: String) {
        let heading = door.tint(Tint::Bad, "error");
        let named = if error.contains(pair.as_str()) { String::new() } else { format!("{pair}: ") };
        door.say(&format!("{heading}: {step}: {named}{error}"));
        self.failed.push(json!({ "pair": pair, "step": step, "error": error }));
    }
}

/// The pairs that the command is for.
fn chosen(
    args: &DailyArgs,
    status: Status,
    day: &mut Day,
    door: &mut Door,
) -> Result<Vec<PairStatus>, Failure> {
    if args.pairs.is_empty() {
        if status.pairs.is_empty() {
            note(door, "sep-gpu has no candles here: bring some in with `sep-gpu candles import`")?;
        }
        return Ok(status.pairs);
    }
    for wanted in &args.pairs {
        if !status.pairs.iter().any(|known| known.pair == *wanted) {
            day.fail(door, *wanted, "read", "sep-gpu has no candles of it here".to_owned());
        }
    }
    Ok(status.pairs.into_iter().filter(|known| args.pairs.contains(&known.pair)).collect())
}

/// Why a pair is to be trained; None where it is not.
fn due(pair: &PairStatus, after: u32) -> Option<String> {
    let candles = pair.candles.as_ref()?;
    let Some(trained) = &pair.trained else { return Some("it never was".to_owned()) };
    let days = candles.last.duration_since(trained.data_last).as_hours() / 24;
    (after > 0 && days >= i64::from(after)).then(|| format!("{days} days of candles are new"))
}

/// Trains a pair and asks for the promotion of what was found.
async fn train(engine: &Engine, args: &DailyArgs, pair: Pair) -> Result<Promotion, Failure> {
    let mut words = vec!["train", pair.as_str(), "--json"];
    if args.quick {
        words.push("--quick");
    }
    let _: Value = engine.ask(&words).await?;
    engine.ask(&["promote", pair.as_str(), "--json"]).await
}

/// The files that the newest signals stand in.
async fn make_signals(
    engine: &Engine,
    args: &DailyArgs,
    pairs: &[String],
    day: &mut Day,
    door: &mut Door,
) -> Result<Vec<PathBuf>, Failure> {
    let mut words = vec!["signals", "--json", "--account", &args.account, "--strategy", &args.strategy];
    words.extend(pairs.iter().map(String::as_str));
    let signals: Signals = engine.ask(&words).await?;
    for spoken in &signals.pairs {
        show_spoken(door, spoken)?;
        let Spoken { pair, timeframe, bar_close, override_reason, expired, .. } = spoken;
        let side = spoken.signal.as_ref().map(|given| given.side);
        day.signals.push(json!({
            "pair": pair, "timeframe": timeframe, "bar_close": bar_close, "side": side, "expired": expired,
            "override_reason": override_reason,
        }));
    }
    for FailedPair { pair, error } in signals.failed {
        day.fail(door, pair, "signals", error);
    }
    if signals.files.is_empty() {
        note(door, "no signals: nothing is pushed")?;
    }
    Ok(signals.files)
}

fn show_promotion(door: &mut Door, pair: Pair, promotion: &Promotion) -> Result<(), Failure> {
    let Promotion { promoted, verdict, objections, speaking, .. } = promotion;
    if *promoted {
        let word = door.tint(Tint::Good, "promoted");
        return step(door, pair, &format!("{word}: {verdict}"));
    }
    let word = door.tint(Tint::Change, "not promoted");
    step(door, pair, &format!("{word}: {verdict}"))?;
    // The verdict's words give the first of the gate's reasons.
    for objection in objections.iter().filter(|objection| !verdict.contains(objection.as_str())) {
        step(door, pair, &format!("  {objection}"))?;
    }
    match speaking {
        Some(model) => step(door, pair, &format!("model {model} was promoted before and goes on speaking")),
        None => step(door, pair, "no model speaks for it"),
    }
}

fn promotion_document(pair: Pair, promotion: &Promotion) -> Value {
    let Promotion { model, promoted, verdict, objections, speaking } = promotion;
    json!({
        "pair": pair, "model": model, "promoted": promoted, "verdict": verdict, "objections": objections,
        "speaking": speaking,
    })
}

fn show_spoken(door: &mut Door, spoken: &Spoken) -> Result<(), Failure> {
    let Spoken { pair, timeframe, bar_close, signal, override_reason, expired } = spoken;
    let close = bar_close.map_or_else(|| "no bar yet".to_owned(), |close| format!("bar closed {close}"));
    let mut text = match signal {
        Some(given) => door.tint(Tint::Strong, given.side.as_str()),
        None => "no signal".to_owned(),
    };
    text = format!("{timeframe} {close}: {text}");
    if *expired {
        text.push_str(", expired: the executor will refuse it");
    }
    if let Some(reason) = override_reason {
        text.push_str(&format!(" ({}: {reason})", door.tint(Tint::Bad, "overridden")));
    }
    step(door, *pair, &text)
}

/// A line about a pair, for people.
fn step(door: &mut Door, pair: Pair, text: &str) -> Result<(), Failure> {
    note(door, &format!("{pair}: {text}"))
}

fn note(door: &mut Door, text: &str) -> Result<(), Failure> {
    if door.json { Ok(()) } else { Ok(writeln!(door.out, "{text}")?) }
}

/// The signal engine, a program of its own.
struct Engine {
    program: PathBuf,
}

impl Engine {
    /// Runs it to its end. A command that refuses or fails in part still answers in JSON; one that fails as a whole
    /// has said why on standard error, which is ours.
    async fn ask<T: DeserializeOwned>(&self, words: &[&str]) -> Result<T, Failure> {
        let command = || format!("{} {}", self.program.display(), words.join(" "));
        let output = Command::new(&self.program)
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| {
                Failure::new(format!("cannot start {}: {e}", self.program.display()))
                    .hint("name the signal engine with --sep-gpu, or put it beside sepctl")
            })?
            .wait_with_output()
            .await
            .map_err(|e| Failure::new(format!("cannot wait for {}: {e}", command())))?;
        if output.stdout.is_empty() {
            return Err(Failure::new(format!("`{}` failed ({})", command(), output.status)));
        }
        serde_json::from_slice(&output.stdout).map_err(|e| {
            Failure::new(format!("`{}` ({}) gave no answer that can be read: {e}", command(), output.status))
                .hint("sepctl and sep-gpu must be of the same version")
        })
    }
}

/// The program named, or the one beside ours, or the first on PATH.
fn find(named: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(named) = named {
        if named.is_file() {
            // A bare name would be looked for on PATH.
            return Ok(std::path::absolute(named).unwrap_or_else(|_| named.to_owned()));
        }
        return Err(Failure::usage(format!("--sep-gpu {}: there is no such file", named.display())));
    }
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join("sep-gpu")));
    Ok(beside.filter(|program| program.is_file()).unwrap_or_else(|| PathBuf::from("sep-gpu")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(last: Option<&str>, trained: Option<&str>) -> PairStatus {
        let time = |text: &str| text.parse().unwrap();
        PairStatus {
            pair: "EUR_USD".parse().unwrap(),
            candles: last.map(|last| Candles { last: time(last) }),
            trained: trained.map(|last| Trained { data_last: time(last) }),
            promoted: None,
            problems: Vec::new(),
        }
    }

    #[test]
    fn a_pair_is_due_where_it_never_was_trained_or_days_of_candles_are_new() {
        let due = |last, trained, after| due(&pair(last, trained), after);
        assert_eq!(due(None, None, 7), None);
        assert_eq!(due(Some("2026-11-20T00:00:00Z"), None, 0).as_deref(), Some("it never was"));
        let trained = Some("2026-11-13T00:00:00Z");
        assert_eq!(due(Some("2026-11-19T23:59:00Z"), trained, 7), None);
        let found = due(Some("2026-11-20T00:00:00Z"), trained, 7);
        assert_eq!(found.as_deref(), Some("7 days of candles are new"));
        assert_eq!(due(Some("2027-11-20T00:00:00Z"), trained, 0), None);
    }

    #[test]
    fn what_sep_gpu_says_is_read_and_what_is_new_in_it_is_left_alone() {
        let status: Status = serde_json::from_value(json!({
            "pairs": [{
                "pair": "EUR_USD", "candles": { "last": "2026-11-20T00:00:00Z", "bars": 7 }, "next": "train",
                "trained": { "data_last": "2026-11-13T00:00:00Z", "passed": false },
                "promoted": { "model": "00" }, "problems": ["a file is damaged"]
            }],
            "newest_signals": null, "problems": []
        }))
        .unwrap();
        assert!(status.pairs[0].promoted.is_some());
        assert_eq!(status.pairs[0].problems, ["a file is damaged"]);
    }
}
