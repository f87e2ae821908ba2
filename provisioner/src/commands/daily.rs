//! `sepctl daily`: from new candles to signals on the droplet, in one command.
//!
//! Owns the order of the steps and what is said of each. The push is that of `sepctl sync`. One pair that fails stops
//! no other.

use std::fmt;
use std::io::Write;
use std::path::PathBuf;

use sep_contract::{Digest, Pair};
use serde_json::{Value, json};

use super::{Global, sync};
use crate::door::{Door, Failure, Tint};
use crate::inventory::units::parse_days;

mod engine;

use engine::{Engine, FailedPair, PairStatus, Promotion, Signals, Spoken, Status, Training};

/// Train again where it is due, make signals, push them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sepctl daily
  sepctl daily EUR_USD USD_JPY --retrain-after 14d
  sepctl daily --rehearsal --json
  sepctl daily -- --costs costs.yaml --backend cuda

A pair is trained where it never was, or where enough new candles have come since. What was trained is promoted if it
passes its gate, and never by an override: after a refusal the model that was promoted before goes on speaking. The
candles, models and signals are those of `sep-gpu` in this folder (SEP_CANDLES, SEP_MODELS, SEP_SIGNALS). Signals of
made-up candles are pushed with --rehearsal alone.

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
    /// What else `sep-gpu train` is told, such as --costs, --space or --backend
    #[arg(last = true, value_name = "TRAIN ARGUMENT")]
    train: Vec<String>,
}

fn days(text: &str) -> Result<u32, String> {
    parse_days(text).map_err(|error| error.to_string())
}

/// Status, training, promotion, signals, push.
pub async fn cmd_daily(global: &Global, args: &DailyArgs, door: &mut Door) -> Result<(), Failure> {
    // Asked first: nobody wants to hear of a mistake in the inventory after an hour of training.
    let host = global.host(door)?;
    let engine = Engine::find(args.sep_gpu.as_deref())?;
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
        let work = work(&pair, args.retrain_after);
        step(door, name, &work.to_string())?;
        let promotion = match work {
            Work::Train(_) => Some(train(&engine, args, name).await),
            Work::Promote => Some(engine.ask(&["promote", name.as_str(), "--json"]).await),
            Work::Nothing | Work::Unpromoted(_) => None,
        };
        match promotion {
            Some(Ok(promotion)) => {
                show_promotion(door, name, &promotion)?;
                speaks = promotion.speaking.is_some();
                day.trained.push(promotion_document(name, &promotion));
            }
            Some(Err(failure)) => day.fail(door, name, "train", failure.message),
            None => {}
        }
        if speaks {
            speaking.push(name.to_string());
        }
    }
    let mut outcome = Ok(());
    let mut files = Vec::new();
    if speaking.is_empty() {
        note(door, "no model speaks: no signals are made, nothing is pushed")?;
    } else {
        match make_signals(&engine, args, &speaking, &mut day, door).await {
            Ok(made) => files = made,
            Err(failure) => outcome = Err(failure),
        }
    }
    if !files.is_empty() {
        let (pushed, refused) = (&mut day.pushed, &mut day.refused);
        outcome = sync::push_files(&host, &files, args.rehearsal, |file, batch, what| {
            pushed.push(sync::document(file, batch, &what));
            *refused |= what.is_err();
            sync::show(door, file, &what)
        })
        .await;
    }
    if door.json {
        let database = sync::name(args.rehearsal);
        let error = outcome.as_ref().err().map(|failure| failure.message.clone());
        door.document(&json!({
            "host": host.name, "database": database, "trained": day.trained, "signals": day.signals,
            "files": day.pushed, "failed": day.failed, "error": error,
        }))?;
    }
    outcome?;
    if day.failed.is_empty() && !day.refused { Ok(()) } else { Err(Failure::silent(1)) }
}

/// What was done, for machines.
#[derive(Default)]
struct Day {
    trained: Vec<Value>,
    signals: Vec<Value>,
    pushed: Vec<Value>,
    failed: Vec<Value>,
    /// The database refused a file.
    refused: bool,
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

/// What is to be done with a pair's models.
#[derive(Debug, PartialEq, Eq)]
enum Work {
    /// Train, for this reason.
    Train(String),
    /// The last training passed its gate, and whoever trained did not come to promote it.
    Promote,
    /// The same, but another model was promoted: perhaps on purpose, so only the user changes that.
    Unpromoted(Digest),
    Nothing,
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Train(why) => write!(f, "training: {why}"),
            Self::Promote => f.write_str("no training is due; the last one passed and was not promoted"),
            Self::Unpromoted(model) => write!(
                f,
                "no training is due; another model speaks than {model}, which was trained last and passed (see \
                 `sep-gpu promote`)"
            ),
            Self::Nothing => f.write_str("no training is due"),
        }
    }
}

/// What is to be done with a pair's models. Where something cannot be read it may be the model that was trained
/// last: then nobody knows.
fn work(pair: &PairStatus, after: u32) -> Work {
    let Some(candles) = pair.candles.as_ref().filter(|_| pair.problems.is_empty()) else {
        return Work::Nothing;
    };
    let Some(trained) = &pair.trained else { return Work::Train("it never was".to_owned()) };
    let days = candles.last.duration_since(trained.data_last).as_hours() / 24;
    if after > 0 && days >= i64::from(after) {
        return Work::Train(format!("{days} days of candles are new"));
    }
    match &pair.promoted {
        None if trained.passed && !trained.synthetic => Work::Promote,
        Some(promoted) if trained.passed && promoted.model != trained.model => {
            Work::Unpromoted(trained.model)
        }
        _ => Work::Nothing,
    }
}

/// Trains a pair and asks for the promotion of what was found.
async fn train(engine: &Engine, args: &DailyArgs, pair: Pair) -> Result<Promotion, Failure> {
    let mut words = vec!["train", pair.as_str(), "--json"];
    if args.quick {
        words.push("--quick");
    }
    words.extend(args.train.iter().map(String::as_str));
    let trained: Vec<Training> = engine.ask_at_leisure(&words).await?;
    let Some(trained) = trained.iter().find(|training| training.pair == pair) else {
        return Err(Failure::new("no model was made: sep-gpu says why above"));
    };
    engine.ask(&["promote", pair.as_str(), "--model", &trained.model.to_string(), "--json"]).await
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
        let Spoken { pair, timeframe, bar_close, override_reason, synthetic, expired, .. } = spoken;
        let side = spoken.signal.as_ref().map(|given| given.side);
        day.signals.push(json!({
            "pair": pair, "timeframe": timeframe, "bar_close": bar_close, "side": side, "expired": expired,
            "synthetic": synthetic, "override_reason": override_reason,
        }));
    }
    for FailedPair { pair, error } in signals.failed {
        day.fail(door, pair, "signals", error);
    }
    let mut files = signals.files;
    for made_up in signals.pairs.iter().filter(|spoken| spoken.synthetic && !args.rehearsal) {
        if let Some(file) = &made_up.file {
            files.retain(|kept| kept != file);
            let text =
                format!("{}: signals of made-up candles are pushed with --rehearsal alone", file.display());
            day.fail(door, made_up.pair, "push", text);
        }
    }
    if files.is_empty() {
        note(door, "no signals to push")?;
    }
    Ok(files)
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
    let Spoken { pair, timeframe, bar_close, signal, override_reason, expired, .. } = spoken;
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

#[cfg(test)]
mod tests {
    use super::engine::{Candles, Promoted, Trained};
    use super::*;

    fn digest(of: &str) -> Digest {
        Digest::of(of.as_bytes())
    }

    fn pair(last: Option<&str>, trained_at: Option<&str>) -> PairStatus {
        let time = |text: &str| text.parse().unwrap();
        let trained = |last: &str| Trained {
            model: digest("trained"),
            data_last: time(last),
            passed: false,
            synthetic: false,
        };
        PairStatus {
            pair: "EUR_USD".parse().unwrap(),
            candles: last.map(|last| Candles { last: time(last) }),
            trained: trained_at.map(trained),
            promoted: None,
            problems: Vec::new(),
        }
    }

    #[test]
    fn a_pair_is_trained_where_it_never_was_or_days_of_candles_are_new() {
        let work = |last, trained, after| work(&pair(last, trained), after);
        assert_eq!(work(None, None, 7), Work::Nothing);
        assert_eq!(work(Some("2026-11-20T00:00:00Z"), None, 0), Work::Train("it never was".to_owned()));
        let trained = Some("2026-11-13T00:00:00Z");
        assert_eq!(work(Some("2026-11-19T23:59:00Z"), trained, 7), Work::Nothing);
        let found = work(Some("2026-11-20T00:00:00Z"), trained, 7);
        assert_eq!(found, Work::Train("7 days of candles are new".to_owned()));
        assert_eq!(work(Some("2027-11-20T00:00:00Z"), trained, 0), Work::Nothing);
        let unread = PairStatus {
            problems: vec!["a file is damaged".to_owned()],
            ..pair(Some("2027-11-20T00:00:00Z"), trained)
        };
        assert_eq!(super::work(&unread, 7), Work::Nothing);
    }

    /// Whoever trained may have been interrupted before the promotion.
    #[test]
    fn what_passed_is_promoted_later_but_never_over_another_model() {
        let time = Some("2026-11-13T00:00:00Z");
        let with = |passed, synthetic, promoted: Option<&str>| {
            let mut pair = pair(time, time);
            pair.trained = pair.trained.map(|trained| Trained { passed, synthetic, ..trained });
            pair.promoted = promoted.map(|name| Promoted { model: digest(name) });
            work(&pair, 7)
        };
        assert_eq!(with(true, false, None), Work::Promote);
        assert_eq!(with(false, false, None), Work::Nothing);
        assert_eq!(with(true, true, None), Work::Nothing);
        assert_eq!(with(true, false, Some("trained")), Work::Nothing);
        assert_eq!(with(true, false, Some("another")), Work::Unpromoted(digest("trained")));
    }
}
