//! `sep-gpu status`

use std::path::PathBuf;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use rayon::prelude::*;
use sep_contract::{Digest, Pair, Provenance, Timeframe};
use serde::Serialize;

use crate::cli::{ModelsArgs, StoreArgs};
use crate::error::{CommandError, FAILED, OK};
use crate::model::{Models, Stored};
use crate::output::{Terminal, Tone, counted, grouped};
use crate::signals::outbox::Outbox;
use crate::store::{Store, StoreError, join};

/// New candles that make another training worth its time.
const WORTH_TRAINING: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Digits of a model's name that tell it from others.
const SHORT: usize = 12;

pub const EXAMPLES: &str = "\
Examples:
  sep-gpu status
  sep-gpu status EUR_USD
  sep-gpu status --json

Exit codes: 0 shown, 1 something cannot be read, 2 arguments that make no sense.";

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Only this pair
    pair: Option<Pair>,
    /// Folder of the signals' files
    #[arg(long, value_name = "DIR", env = "SEP_SIGNALS", default_value = "data/signals")]
    out: PathBuf,
    #[command(flatten)]
    models: ModelsArgs,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Serialize)]
struct Answer {
    pairs: Vec<PairStatus>,
    newest_signals: Option<Newest>,
    problems: Vec<String>,
}

#[derive(Serialize)]
struct PairStatus {
    pair: Pair,
    candles: Option<Candles>,
    /// There are candles, and they cannot be read.
    #[serde(skip)]
    damaged: bool,
    /// The model that was trained last.
    trained: Option<Trained>,
    /// The model that speaks for the pair.
    promoted: Option<Promoted>,
    /// What to do next.
    next: String,
    problems: Vec<String>,
}

/// The series that everything else of a pair is made from.
#[derive(Serialize)]
struct Candles {
    timeframe: Timeframe,
    bars: usize,
    /// Open of the first, close of the last.
    first: Timestamp,
    last: Timestamp,
    sources: Vec<String>,
    synthetic: bool,
    assumed_spread: bool,
    crossed_kept: bool,
}

#[derive(Serialize)]
struct Trained {
    model: Digest,
    /// When the candles end that it was trained on.
    data_last: Timestamp,
    variants: usize,
    passed: bool,
    verdict: String,
    synthetic: bool,
}

#[derive(Serialize)]
struct Promoted {
    model: Digest,
    data_last: Timestamp,
    timeframe: Option<Timeframe>,
    override_reason: Option<String>,
    synthetic: bool,
}

#[derive(Serialize)]
struct Newest {
    file: PathBuf,
    signals: usize,
    bar_close: Option<Timestamp>,
}

/// Shows how far each pair is.
pub fn cmd_status(args: &StatusArgs, terminal: &mut Terminal) -> Result<u8, CommandError> {
    let (store, models) = (args.store.open(), args.models.open());
    let mut pairs: Vec<Pair> = store.series()?.into_iter().map(|(pair, _)| pair).collect();
    pairs.extend(models.pairs()?);
    pairs.sort_unstable();
    pairs.dedup();
    pairs.retain(|pair| args.pair.is_none_or(|only| only == *pair));
    let mut answer = Answer {
        pairs: pairs.par_iter().map(|pair| examine(*pair, &store, &models)).collect(),
        newest_signals: None,
        problems: Vec::new(),
    };
    match Outbox::at(&args.out).newest() {
        Ok(newest) => {
            answer.newest_signals = newest.map(|(file, batch)| Newest {
                file,
                signals: batch.signals().len(),
                bar_close: batch.signals().iter().map(|signal| signal.bar_close).max(),
            });
        }
        Err(error) => answer.problems.push(error.to_string()),
    }
    if args.store.json {
        terminal.json(&answer)?;
    } else {
        show(args, &answer, terminal)?;
    }
    let well = answer.problems.is_empty() && answer.pairs.iter().all(|pair| pair.problems.is_empty());
    Ok(if well { OK } else { FAILED })
}

fn examine(pair: Pair, store: &Store, models: &Models) -> PairStatus {
    let mut problems = Vec::new();
    let mut damaged = false;
    let candles = candles(pair, store).unwrap_or_else(|error| {
        problems.push(error.to_string());
        damaged = true;
        None
    });
    let trained = models.trained(pair).unwrap_or_else(|error| {
        problems.push(error.to_string());
        None
    });
    let promoted = models.promoted(pair).unwrap_or_else(|error| {
        problems.push(error.to_string());
        None
    });
    let next = if damaged {
        format!("mend the candles: 'sep-gpu candles check {pair}' says what is wrong")
    } else {
        next(pair, candles.as_ref(), trained.as_ref(), promoted.as_ref().map(|(stored, _)| stored))
    };
    let trained = trained.map(|Stored { model, hash, .. }| Trained {
        model: hash,
        data_last: model.data.last,
        variants: model.searched.variants,
        passed: model.verdict.promoted,
        verdict: model.verdict.words,
        synthetic: model.data.synthetic,
    });
    let promoted = promoted.map(|(Stored { model, hash, .. }, promotion)| Promoted {
        model: hash,
        data_last: model.data.last,
        timeframe: model.variant.map(|variant| variant.timeframe),
        override_reason: promotion.override_reason,
        synthetic: model.data.synthetic,
    });
    PairStatus { pair, candles, damaged, trained, promoted, next, problems }
}

/// What there is of the shortest timeframe of a pair. Of the months between the first and the last only what
/// their files say of themselves is read.
fn candles(pair: Pair, store: &Store) -> Result<Option<Candles>, StoreError> {
    let series = store.series()?;
    let Some((_, timeframe)) = series.into_iter().find(|(of, _)| *of == pair) else { return Ok(None) };
    let months = store.months(pair, timeframe)?;
    let (Some(first), Some(last)) = (months.first(), months.last()) else { return Ok(None) };
    let first = store.read_month(pair, timeframe, *first)?.candles.first().map(|candle| candle.time);
    let last = store.read_month(pair, timeframe, *last)?.candles.last().map(|candle| candle.time);
    let (Some(first), Some(last)) = (first, last) else { return Ok(None) };
    let mut provenance = Provenance::default();
    let mut bars = 0;
    for month in months {
        let (set, rows) = store.describe_month(pair, timeframe, month)?;
        provenance.synthetic |= set.provenance.synthetic;
        join(&mut provenance, &set.provenance);
        bars += rows;
    }
    let Provenance { sources, synthetic, assumed_spread, crossed_kept } = provenance;
    Ok(Some(Candles {
        timeframe,
        bars,
        first,
        last: timeframe.close_of(last).unwrap_or(last),
        sources: sources.into_iter().collect(),
        synthetic,
        assumed_spread,
        crossed_kept,
    }))
}

fn next(
    pair: Pair,
    candles: Option<&Candles>,
    trained: Option<&Stored>,
    promoted: Option<&Stored>,
) -> String {
    let Some(candles) = candles else {
        return "import candles: 'sep-gpu candles import --help'".to_owned();
    };
    // The usual search is of M1 to H1; what is stored alone beyond that is searched by its name.
    let train = match candles.timeframe {
        Timeframe::H4 | Timeframe::D1 => format!("'sep-gpu train {pair} --timeframes {}'", candles.timeframe),
        _ => format!("'sep-gpu train {pair}'"),
    };
    let Some(trained) = trained else { return format!("train: {train}") };
    let new = candles.last.duration_since(trained.model.data.last);
    if new >= WORTH_TRAINING {
        let days = new.as_hours() / 24;
        return format!("train again, {days} days of candles are new: {train}");
    }
    let speaks = promoted.is_some_and(|promoted| promoted.hash == trained.hash);
    if trained.model.verdict.promoted && !speaks {
        let reason = if trained.model.data.synthetic {
            " --override \"reason\"', as its candles are made up"
        } else {
            "'"
        };
        return format!("promote: 'sep-gpu promote {pair}{reason}");
    }
    match promoted {
        Some(_) => format!("make signals: 'sep-gpu signals {pair}'"),
        None => {
            "nothing to trade: import more candles, or search elsewhere ('sep-gpu train --help')".to_owned()
        }
    }
}

fn show(args: &StatusArgs, answer: &Answer, terminal: &mut Terminal) -> Result<(), CommandError> {
    let (store, models) = (args.store.open(), args.models.open());
    let models = models.root().display();
    if answer.pairs.is_empty() {
        let whose = args.pair.map_or_else(String::new, |pair| format!(" of {pair}"));
        terminal.say(&format!(
            "nothing{whose} yet: no candles in {}, no models in {models}. Begin with 'sep-gpu candles import --help', \
            or try with made-up candles: 'sep-gpu candles synth --help'",
            store.root().display()
        ))?;
    }
    for pair in &answer.pairs {
        show_pair(pair, terminal)?;
    }
    if let Some(Newest { file, signals, bar_close }) = &answer.newest_signals {
        let close = bar_close.map_or_else(String::new, |close| format!(", newest bar closed {close}"));
        let file = file.display();
        terminal.line(&format!("newest signals: {file}: {}{close}", counted(*signals, "signal")))?;
    }
    for problem in answer.problems.iter().chain(answer.pairs.iter().flat_map(|pair| &pair.problems)) {
        let heading = terminal.paint(Tone::Error, "error:");
        terminal.say(&format!("{heading} {problem}"))?;
    }
    Ok(())
}

fn show_pair(status: &PairStatus, terminal: &mut Terminal) -> Result<(), CommandError> {
    terminal.line(&terminal.paint(Tone::Strong, status.pair.as_str()))?;
    let candles = match &status.candles {
        None if status.damaged => terminal.paint(Tone::Error, "cannot be read"),
        None => "none".to_owned(),
        Some(candles) => {
            let marks = [
                (candles.synthetic, "made up"),
                (candles.assumed_spread, "spread assumed"),
                (candles.crossed_kept, "crossed kept"),
            ];
            let marks: String =
                marks.into_iter().filter(|(is, _)| *is).map(|(_, mark)| format!(", {mark}")).collect();
            let Candles { timeframe, bars, first, last, sources, .. } = candles;
            let bars = counted(*bars, "bar");
            format!("{timeframe}, {bars} from {first} to {last} ({}{marks})", sources.join(", "))
        }
    };
    terminal.line(&format!("  candles   {candles}"))?;
    let trained = match &status.trained {
        None => "never".to_owned(),
        Some(Trained { model, data_last, variants, passed, verdict, .. }) => {
            let verdict = terminal.paint(if *passed { Tone::Good } else { Tone::Warning }, verdict);
            let variants = grouped(*variants);
            format!(
                "on candles to {data_last}, {variants} variants tried: {verdict} (model {})",
                short(model)
            )
        }
    };
    terminal.line(&format!("  trained   {trained}"))?;
    let promoted = match &status.promoted {
        None => "no model".to_owned(),
        Some(Promoted { model, override_reason: None, .. }) => format!("model {}", short(model)),
        Some(Promoted { model, override_reason: Some(reason), .. }) => {
            let word = terminal.paint(Tone::Error, "BY OVERRIDE");
            format!("model {} {word}: {reason}", short(model))
        }
    };
    terminal.line(&format!("  promoted  {promoted}"))?;
    Ok(terminal.line(&format!("  next      {}", status.next))?)
}

fn short(model: &Digest) -> String {
    model.to_string().chars().take(SHORT).collect()
}
