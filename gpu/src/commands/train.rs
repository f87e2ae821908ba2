//! `sep-gpu train`

mod pace;

use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use jiff::Timestamp;
use sep_contract::{Digest, Pair, Timeframe};
use serde::Serialize;

use crate::backend::cuda::CudaError;
use crate::backend::{Backend, Wanted};
use crate::cli::{ModelsArgs, StoreArgs, all_pairs};
use crate::costs::CostBook;
use crate::error::{CommandError, FAILED, OK};
use crate::history::History;
use crate::history::confirmed::prepare;
use crate::model::searches::{Searches, Tried};
use crate::model::{Data, FORMAT, Model, Models, Searched, Stored};
use crate::output::{Table, Terminal, Tone, counted, grouped};
use crate::qfh::Constants;
use crate::store::Store;
use crate::train::{Checkpoint, Request, Slices, TrainError, Training, Walks, clear, place};
use crate::trials::Grid;
use crate::variant::{MOST_VARIANTS, Search, Space, Variant};
use crate::verdict::{Demands, Plan, examine};

use pace::Pace;

pub const EXAMPLES: &str = "\
Every variant of the search is played on 16 slices of the history, after all costs. What it is worth is asked \
by walk-forward, combinatorial cross-validation, the number of variants tried, shifted trades and random walks; \
the verdict stands in the model's file, and in most cases it will be: no edge. A backtest is not a promise.

Examples:
  sep-gpu train EUR_USD
  sep-gpu train --all --quick
  sep-gpu train EUR_USD GBP_USD --variants 1000000 --seed 7
  sep-gpu train EUR_USD --timeframes M5,M15 --from 2023-01-01T00:00:00Z
  sep-gpu train EUR_USD --space space.json --grid
  sep-gpu train --show-space > space.json

An interrupted training goes on where it was when the same command is given again. What was ever tried on a pair \
stands in searches.json beside its models, and counts: another seed, span, embargo or price of trading is another \
search.
Exit codes: 0 trained, whatever the verdict, 1 failed, for one pair of several too, 2 arguments that make no sense.";

/// Arguments of `train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// The pairs to train
    #[arg(required_unless_present_any = ["all", "show_space"])]
    pairs: Vec<Pair>,
    /// All pairs of the store
    #[arg(long, conflicts_with = "pairs")]
    all: bool,
    /// A few hundred variants: an answer within seconds
    #[arg(long, conflicts_with_all = ["space", "variants", "grid"])]
    quick: bool,
    /// Draw so many variants from the space
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(2..=MOST_VARIANTS))]
    variants: u64,
    /// Try every variant of the space
    #[arg(long, conflicts_with = "variants")]
    grid: bool,
    /// Number that the draw of the variants follows from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A search space of your own, in JSON (see --show-space)
    #[arg(long, value_name = "FILE")]
    space: Option<PathBuf>,
    /// Print the search space and do nothing else
    #[arg(long)]
    show_space: bool,
    /// Search only these timeframes
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    timeframes: Vec<Timeframe>,
    /// Train on bars from this moment on
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Train on bars before this moment
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
    /// What trading costs (see 'sep-gpu backtest --help')
    #[arg(long, value_name = "FILE")]
    costs: Option<PathBuf>,
    /// Where to compute
    #[arg(long, value_enum, default_value = "auto")]
    backend: Wanted,
    /// Bars that each slice loses besides the longest window and hold
    #[arg(long, value_name = "BARS", default_value_t = 0)]
    embargo: usize,
    #[command(flatten)]
    models: ModelsArgs,
    #[command(flatten)]
    store: StoreArgs,
}

/// What is told of one training.
#[derive(Serialize)]
struct Answer {
    pair: Pair,
    model: Digest,
    path: PathBuf,
    promotable: bool,
    verdict: String,
    variants: usize,
    backend: String,
    seconds: f64,
    /// Timeframes that the history is too short for, or that it has no candles for.
    left_out: Vec<Timeframe>,
}

/// A pair that could not be trained beside others that could.
#[derive(Serialize)]
struct Problem {
    pair: Pair,
    error: String,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Trained(Box<Answer>),
    Failed(Problem),
}

/// Trains.
pub fn cmd_train(args: &TrainArgs, terminal: &mut Terminal) -> Result<u8, CommandError> {
    let space = space(args)?;
    if args.show_space {
        terminal.json(&space)?;
        return Ok(OK);
    }
    let costs = args.costs.as_deref().map_or_else(|| Ok(CostBook::default()), CostBook::read)?;
    let (store, models) = (args.store.open(), args.models.open());
    let backend = Backend::choose(args.backend)?;
    let mut told = None;
    tell_why_not(&backend, &mut told, terminal)?;
    let pairs = pairs(args, &store)?;
    let mut outcomes = Vec::new();
    for pair in &pairs {
        let request = request(args, &space, &costs, *pair);
        let trained = train(args, *pair, request, (&store, &models, &backend), terminal);
        tell_why_not(&backend, &mut told, terminal)?;
        match trained {
            Ok((stored, answer)) => {
                if !args.store.json {
                    show(&stored, &answer, terminal)?;
                }
                outcomes.push(Outcome::Trained(Box::new(answer)));
            }
            // One pair stops no other. Alone it is the whole command's failure, and nothing is answered.
            Err(error) if pairs.len() > 1 && !matches!(error, CommandError::Output(_)) => {
                let error = error.to_string();
                let heading = terminal.paint(Tone::Error, "error:");
                let named = if error.contains(pair.as_str()) { String::new() } else { format!("{pair}: ") };
                terminal.say(&format!("{heading} {named}{error}"))?;
                outcomes.push(Outcome::Failed(Problem { pair: *pair, error }));
            }
            Err(error) => return Err(error),
        }
    }
    if args.store.json {
        terminal.json(&outcomes)?;
    }
    let failed = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Failed(_)));
    Ok(if failed { FAILED } else { OK })
}

fn request(args: &TrainArgs, space: &Space, costs: &CostBook, pair: Pair) -> Request {
    Request {
        space: space.clone(),
        search: search(args),
        constants: Constants::default(),
        costs: costs.terms(pair).costs,
        slices: 16,
        embargo: args.embargo,
    }
}

fn search(args: &TrainArgs) -> Search {
    if args.quick || args.grid {
        return Search::Grid;
    }
    Search::Random { variants: args.variants, seed: args.seed }
}

/// Says, once, why the CPU computes where a card was hoped for: from the start, or since the card failed.
fn tell_why_not(
    backend: &Backend,
    told: &mut Option<CudaError>,
    terminal: &mut Terminal,
) -> Result<(), CommandError> {
    let why = backend.why_not_cuda();
    if let Some(why) = why.as_ref().filter(|why| told.as_ref() != Some(why)) {
        terminal.say(&format!("note: {why}; the CPU computes"))?;
    }
    *told = why;
    Ok(())
}

fn space(args: &TrainArgs) -> Result<Space, CommandError> {
    let mut space = match &args.space {
        Some(path) => {
            let problem = |detail: String| CommandError::Usage(format!("{}: {detail}", path.display()));
            let text = fs::read_to_string(path).map_err(|error| problem(error.to_string()))?;
            serde_json::from_str(&text).map_err(|error| {
                problem(format!("{error}: this is no search space; 'sep-gpu train --show-space' prints one"))
            })?
        }
        None if args.quick => Space::quick(),
        None => Space::full(),
    };
    if !args.timeframes.is_empty() {
        space.timeframes.clone_from(&args.timeframes);
    }
    space
        .check()
        // What is only shown may be of any size.
        .and_then(|()| if args.show_space { Ok(0) } else { search(args).count(&space) })
        .map_err(|error| CommandError::Usage(format!("the search space: {error}")))?;
    Ok(space)
}

fn pairs(args: &TrainArgs, store: &Store) -> Result<Vec<Pair>, CommandError> {
    if !args.all {
        return Ok(args.pairs.clone());
    }
    all_pairs(store)
}

fn train(
    args: &TrainArgs,
    pair: Pair,
    mut request: Request,
    (store, models, backend): (&Store, &Models, &Backend),
    terminal: &mut Terminal,
) -> Result<(Stored, Answer), CommandError> {
    let begin = Instant::now();
    let range = (args.from.unwrap_or(Timestamp::MIN), args.to.unwrap_or(Timestamp::MAX));
    let chosen_by_hand = args.space.is_some() || !args.timeframes.is_empty();
    let mut left_out = Vec::new();
    if !chosen_by_hand {
        left_out = leave_out_unstored(&mut request, store, pair)?;
        for timeframe in &left_out {
            let found = "no candles that it is made from are stored";
            terminal.say(&format!("{pair}: {timeframe} is left out: {found}"))?;
        }
    }
    let mut history = History::load(store, pair, &request.space.timeframes, range)?;
    prepare(&mut history, &request.space, &request.constants)?;
    if !chosen_by_hand {
        let too_long = leave_out(&mut request, &history)?;
        for timeframe in &too_long {
            terminal.say(&format!("{pair}: the history is too short for {timeframe}: it is left out"))?;
        }
        left_out.extend(too_long);
    }
    terminal.say(&format!("{pair}: {} on {}", counted(history.base().len(), "bar"), backend.line()))?;
    let pace = RefCell::new(Pace::new(pair));
    let shown = terminal.progress();
    let training = Training::new(&request, &history, backend, |progress| {
        shown.show(|| pace.borrow_mut().line(progress));
    })?;
    let _lock = models.lock(pair)?;
    let folder = models.folder(pair);
    let data = Data::of(&history);
    let mut searches = Searches::read(&folder)?;
    let tried = Tried::of(pair, &request, &data, training.variants())?;
    let searched = Searched {
        space: request.space.clone(),
        search: request.search,
        variants: training.variants(),
        variants_before: searches.before(&tried),
    };
    let plan = Plan {
        embargo: request.embargo,
        tried_before: searched.variants_before,
        ..Plan::new(training.slices.base.clone(), training.slices.apart, tried.seed())
    };
    let name = name(&tried, &history, &plan)?;
    let place = place(&folder, &tried.question, &name);
    let mut checkpoint = Checkpoint::open(&place, &name).map_err(TrainError::from)?;
    let had = checkpoint.rows(request.slices);
    if had > 0 {
        let (had, all) = (grouped(had), grouped(training.variants()));
        terminal.say(&format!("{pair}: goes on after {had} of {all} variants that were played before"))?;
    }
    let matrix = training.search(Some(&mut checkpoint))?;
    let mut walks = Walks::open(&place.with_extension("walks"), &name).map_err(TrainError::from)?;
    if walks.finished() > 0 {
        shown.clear();
        terminal.say(&format!(
            "{pair}: goes on after {} of {} random walks",
            walks.finished(),
            plan.walks
        ))?;
    }
    let (evidence, verdict) = examine(&training, &matrix, &plan, &Demands::default(), |walk, search| {
        if let Some(ratio) = walks.ratio(walk) {
            return Ok(ratio);
        }
        pace.borrow_mut().begin(format!("the same search on random walk {} of {}", walk + 1, plan.walks));
        let ratio = search()?;
        walks.add(ratio)?;
        Ok::<f64, TrainError>(ratio)
    })?;
    let told = evidence.finalist.into_iter().chain(evidence.folds.iter().filter_map(|fold| fold.variant));
    let model = Model {
        format: FORMAT.to_owned(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        pair,
        variant: evidence.finalist.map(|place| training.variant(place)),
        verdict,
        data,
        costs: request.costs,
        constants: request.constants.clone(),
        searched,
        plan,
        variants: told.map(|place| (place, training.variant(place))).collect(),
        evidence,
    };
    // Counted before anybody can look at what it found; and the pointer last, as it says that all else is there.
    searches.record(tried.clone())?;
    let stored = models.keep(&model)?;
    Grid::of(&training, &matrix).keep(&stored)?;
    models.remember(&stored)?;
    clear(&folder, &tried.question).map_err(TrainError::from)?;
    shown.clear();
    let answer = Answer {
        pair,
        model: stored.hash,
        path: stored.path.clone(),
        promotable: model.verdict.promoted,
        verdict: model.verdict.words.clone(),
        variants: training.variants(),
        backend: backend.line(),
        seconds: begin.elapsed().as_secs_f64(),
        left_out,
    };
    Ok((stored, answer))
}

/// Takes those timeframes out of the usual search that are shorter than all that is stored.
fn leave_out_unstored(
    request: &mut Request,
    store: &Store,
    pair: Pair,
) -> Result<Vec<Timeframe>, CommandError> {
    let base = History::base_of(store, pair, &request.space.timeframes)?;
    let timeframes = &mut request.space.timeframes;
    let (kept, left_out): (Vec<_>, Vec<_>) = timeframes.iter().partition(|timeframe| **timeframe >= base);
    if kept.is_empty() {
        return Err(CommandError::Refused(format!(
            "{pair}: the usual search is of M1 to H1, and {} holds {base} candles: search them alone with \
            --timeframes {base}",
            store.root().display()
        )));
    }
    *timeframes = kept;
    Ok(left_out)
}

/// Takes those timeframes out of a search that the history is too short for.
fn leave_out(request: &mut Request, history: &History) -> Result<Vec<Timeframe>, TrainError> {
    let mut left_out = Vec::new();
    loop {
        match Slices::new(history, request).map(|_| ()) {
            Err(TrainError::TooShort { timeframe, .. })
                if request.space.timeframes.len() > 1 && request.space.timeframes.contains(&timeframe) =>
            {
                request.space.timeframes.retain(|kept| *kept != timeframe);
                left_out.push(timeframe);
            }
            outcome => return outcome.map(|()| left_out),
        }
    }
}

/// What names a search: everything that its outcome depends on, the program among it.
fn name(tried: &Tried, history: &History, plan: &Plan) -> Result<Digest, CommandError> {
    let engine = env!("SEP_ENGINE");
    let text = serde_json::to_vec(&(FORMAT, engine, history.hash, tried, &plan.slices))
        .map_err(std::io::Error::from)?;
    Ok(Digest::of(&text))
}

fn show(stored: &Stored, answer: &Answer, terminal: &mut Terminal) -> Result<(), CommandError> {
    let model = &stored.model;
    let tone = if model.verdict.promoted { Tone::Good } else { Tone::Warning };
    let words = terminal.paint(tone, &model.verdict.words);
    terminal.line(&format!("{}: {words}", model.pair))?;
    let mut table = Table::new(&["", "CRITERION", "WHAT WAS FOUND"]);
    for criterion in &model.verdict.criteria {
        let (mark, tone) = if criterion.passed { ("pass", Tone::Plain) } else { ("FAIL", Tone::Error) };
        table.row(tone, vec![mark.into(), criterion.name.to_string(), criterion.sentence.clone()]);
    }
    terminal.table(&table)?;
    if let Some(variant) = &model.variant {
        terminal.line(&format!("finalist: {}", describe(variant)))?;
    }
    terminal.line(&format!(
        "{} in {:.1} s; model {}",
        counted(answer.variants, "variant"),
        answer.seconds,
        stored.path.display()
    ))?;
    Ok(())
}

/// A variant in a line.
pub fn describe(variant: &Variant) -> String {
    let Variant { timeframe, window, symmetric, weights, buy_above, sell_above, .. } = variant;
    let mut parts = vec![
        format!("{timeframe}, window {window}{}", if *symmetric { ", symmetric" } else { "" }),
        format!("weights {}/{}/{}", weights.stability, weights.coherence, weights.entropy),
        format!("BUY above {buy_above}, SELL above {sell_above}"),
        format!("confidence from {}, coherence from {}", variant.min_confidence, variant.min_coherence),
    ];
    parts.extend(variant.collapse.map(|share| format!("no signal from rupture share {share} on")));
    if variant.confirm {
        parts.push("confirmed by M5 and M15".to_owned());
    }
    parts.push(format!("hours {} UTC", variant.hours));
    parts.push(format!("stop {}, target {}, hold {} bars", variant.stop, variant.target, variant.hold));
    parts.join("; ")
}
