//! `sep-gpu train`

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use jiff::Timestamp;
use sep_contract::{Digest, Pair, Timeframe};
use serde::Serialize;

use crate::backend::cuda::CudaError;
use crate::backend::{Backend, Wanted};
use crate::cli::{ModelsArgs, StoreArgs, all_pairs};
use crate::costs::CostBook;
use crate::error::{CommandError, OK};
use crate::history::History;
use crate::model::{Data, FORMAT, Model, Models, Searched, Stored};
use crate::output::{Table, Terminal, Tone, counted, grouped};
use crate::qfh::Constants;
use crate::store::Store;
use crate::train::{Checkpoint, Progress, Request, Slices, TrainError, Training, prepare};
use crate::trials::Grid;
use crate::variant::{Search, Space, Variant};
use crate::verdict::{Demands, Plan, examine};

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

An interrupted training goes on where it was when the same command is given again.
Exit codes: 0 trained, whatever the verdict, 1 failed, 2 arguments that make no sense.";

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
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(2..))]
    variants: u64,
    /// Try every variant of the space
    #[arg(long, conflicts_with = "variants")]
    grid: bool,
    /// Number that all draws follow from
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
    /// Timeframes that the history is too short for.
    left_out: Vec<Timeframe>,
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
    let mut answers = Vec::new();
    for pair in pairs(args, &store)? {
        let search = if args.quick || args.grid {
            Search::Grid
        } else {
            Search::Random { variants: args.variants, seed: args.seed }
        };
        let request = Request {
            space: space.clone(),
            search,
            constants: Constants::default(),
            costs: costs.terms(pair).costs,
            slices: 16,
            embargo: args.embargo,
        };
        let (stored, answer) = train(args, pair, request, (&store, &models, &backend), terminal)?;
        tell_why_not(&backend, &mut told, terminal)?;
        if !args.store.json {
            show(&stored, &answer, terminal)?;
        }
        answers.push(answer);
    }
    if args.store.json {
        terminal.json(&answers)?;
    }
    Ok(OK)
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
    space.check().map_err(|error| CommandError::Usage(format!("the search space: {error}")))?;
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
    let mut history = History::load(store, pair, &request.space.timeframes, range)?;
    prepare(&mut history, &request.space, &request.constants)?;
    let chosen_by_hand = args.space.is_some() || !args.timeframes.is_empty();
    let left_out = if chosen_by_hand { Vec::new() } else { leave_out(&mut request, &history)? };
    for timeframe in &left_out {
        terminal.say(&format!("{pair}: the history is too short for {timeframe}: it is left out"))?;
    }
    terminal.say(&format!("{pair}: {} on {}", counted(history.base().len(), "bar"), backend.line()))?;
    let mut pace = Pace::new(pair);
    let shown = terminal.progress();
    let training = Training::new(&request, &history, backend, |progress| shown.show(|| pace.line(progress)))?;
    let searched = Searched {
        space: request.space.clone(),
        search: request.search,
        variants: training.variants(),
        variants_before: 0,
    };
    let variants_before = models.variants_before(pair, &searched, &Data::of(&history))?;
    let searched = Searched { variants_before, ..searched };
    let plan = Plan {
        tried_before: variants_before,
        ..Plan::new(training.slices.base.clone(), training.slices.purge, args.seed)
    };
    let name = name(&request, &history, &plan)?;
    let mut checkpoint =
        Checkpoint::open(&models.folder(pair).join("search.checkpoint"), &name).map_err(TrainError::from)?;
    let matrix = training.search(Some(&mut checkpoint))?;
    let walks = plan.walks;
    let (evidence, verdict) = examine(&training, &matrix, &plan, &Demands::default(), |walk| {
        shown.show(|| format!("{pair}: the same search on random walk {} of {walks}", walk + 1));
    })?;
    let told = evidence.finalist.into_iter().chain(evidence.folds.iter().filter_map(|fold| fold.variant));
    let model = Model {
        format: FORMAT.to_owned(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        pair,
        variant: evidence.finalist.map(|place| training.variant(place)),
        verdict,
        data: Data::of(&history),
        costs: request.costs,
        constants: request.constants.clone(),
        searched,
        plan,
        variants: told.map(|place| (place, training.variant(place))).collect(),
        evidence,
    };
    let stored = models.keep(&model)?;
    Grid::of(&training, &matrix).keep(&stored)?;
    checkpoint.remove().map_err(TrainError::from)?;
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

/// Takes those timeframes out of a search that the history is too short for.
fn leave_out(request: &mut Request, history: &History) -> Result<Vec<Timeframe>, TrainError> {
    let mut left_out = Vec::new();
    loop {
        match Slices::new(history, &request.space, request.slices, request.embargo).map(|_| ()) {
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

/// What names a search: everything that its outcome depends on.
fn name(request: &Request, history: &History, plan: &Plan) -> Result<Digest, CommandError> {
    let program = env!("CARGO_PKG_VERSION");
    let Request { space, search, constants, costs, .. } = request;
    let text =
        serde_json::to_vec(&(FORMAT, program, history.hash, space, search, constants, costs, &plan.slices))
            .map_err(std::io::Error::from)?;
    Ok(Digest::of(&text))
}

/// How fast a search goes.
struct Pace {
    pair: Pair,
    begin: Instant,
    /// Variants that a checkpoint had.
    had: Option<usize>,
    bar_variants: f64,
}

impl Pace {
    fn new(pair: Pair) -> Self {
        Self { pair, begin: Instant::now(), had: None, bar_variants: 0.0 }
    }

    fn line(&mut self, progress: Progress) -> String {
        let Progress { variants_done, variants, bar_variants } = progress;
        let had = *self.had.get_or_insert(if bar_variants > 0.0 { 0 } else { variants_done });
        self.bar_variants += bar_variants;
        let elapsed = self.begin.elapsed().as_secs_f64().max(1e-3);
        let (new, left) = ((variants_done - had) as f64, (variants - variants_done) as f64);
        let left = if new > 0.0 { Duration::from_secs_f64(left * elapsed / new).as_secs() } else { 0 };
        format!(
            "{}: {} of {} variants, {:.2e} bar-variants/s, {left} s left",
            self.pair,
            grouped(variants_done),
            grouped(variants),
            self.bar_variants / elapsed,
        )
    }
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
