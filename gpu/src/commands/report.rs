//! `sep-gpu report`

use std::path::{Path, PathBuf};

use clap::Args;
use sep_contract::Pair;
use serde::Serialize;

use crate::backend::{Backend, Wanted};
use crate::cli::{ModelsArgs, StoreArgs};
use crate::error::{CommandError, OK};
use crate::model::{self, Data, ModelError, Models, Searched, Stored};
use crate::output::{Table, Terminal, Tone, counted, grouped};
use crate::report::{Replay, ReportError, Standing, page, tables, words};
use crate::spark;
use crate::table_file;
use crate::trials::{Grid, dimensions};
use crate::variant::Variant;
use crate::verdict::{Evidence, Verdict};
use crate::whole_file::publish;

pub const EXAMPLES: &str = "\
Examples:
  sep-gpu report
  sep-gpu report EUR_USD
  sep-gpu report EUR_USD --out eur_usd.html --heat window,stop
  sep-gpu report data/models/EUR_USD/0c3f...e1.json
  sep-gpu report EUR_USD --parquet tables
  sep-gpu report EUR_USD --json

The page is one HTML file that needs nothing else, beside the model unless --out says otherwise. --parquet \
writes trials.parquet, days.parquet and trades.parquet below DIR/PAIR; for the trials the whole search is \
played again. --json shows the models alone, and needs no candles.

Exit codes: 0 reported, 1 failed, 2 arguments that make no sense.";

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Pair, whose newest model is reported, or a model's file; without it, all pairs that have models
    #[arg(value_name = "PAIR | MODEL.json")]
    what: Option<String>,
    /// Where the page goes; only for one model
    #[arg(long, value_name = "FILE.html", conflicts_with = "json")]
    out: Option<PathBuf>,
    /// Also write the trials, days and trades as Parquet below this folder
    #[arg(long, value_name = "DIR", conflicts_with = "json")]
    parquet: Option<PathBuf>,
    /// Two dimensions of the search for the heat map, such as window,stop; else those that tell most
    #[arg(long, value_name = "ROW,COLUMN", value_parser = axes, conflicts_with = "json")]
    heat: Option<(String, String)>,
    #[command(flatten)]
    models: ModelsArgs,
    #[command(flatten)]
    store: StoreArgs,
}

/// A model as `--json` shows it.
#[derive(Serialize)]
struct Shown<'a> {
    pair: Pair,
    model: String,
    path: &'a Path,
    #[serde(flatten)]
    standing: &'a Standing,
    verdict: &'a Verdict,
    variant: Option<Variant>,
    data: &'a Data,
    searched: &'a Searched,
    evidence: &'a Evidence,
    deflated_sharpe: f64,
}

#[derive(Serialize)]
struct Answer<'a> {
    models: Vec<Shown<'a>>,
    /// Why others are not among them.
    problems: Vec<String>,
}

/// Reports on models.
pub fn cmd_report(args: &ReportArgs, terminal: &mut Terminal) -> Result<u8, CommandError> {
    let models = args.models.open();
    let (chosen, mut problems) = choose(args, &models)?;
    if args.out.is_some() && chosen.len() > 1 {
        let text = "--out names one file, and there are several models: name a pair".to_owned();
        return Err(CommandError::Usage(text));
    }
    for (stored, _) in &chosen {
        check_axes(args, stored)?;
    }
    if args.store.json {
        let models = chosen.iter().map(|(stored, standing)| shown(stored, standing)).collect();
        terminal.json(&Answer { models, problems: problems.iter().map(ToString::to_string).collect() })?;
    } else {
        for (at, (stored, standing)) in chosen.iter().enumerate() {
            if at > 0 {
                terminal.line("")?;
            }
            summary(stored, standing, terminal)?;
            match write(args, stored, standing, terminal) {
                Err(error) if !matches!(error, CommandError::Output(_)) => problems.push(error),
                written => written?,
            }
        }
    }
    // Whatever was in one model's way was not in that of the others.
    let Some(last) = problems.pop() else { return Ok(OK) };
    for problem in &problems {
        problem.report(terminal);
    }
    Err(last)
}

fn axes(text: &str) -> Result<(String, String), String> {
    let (row, column) = text
        .split_once(',')
        .ok_or_else(|| format!("'{text}' names no two dimensions: expected such as window,stop"))?;
    let name = |part: &str| part.trim().replace(['_', '-'], " ");
    Ok((name(row), name(column)))
}

/// Whether the search varied what the map is to be drawn of.
fn check_axes(args: &ReportArgs, stored: &Stored) -> Result<(), CommandError> {
    let Some((row, column)) = &args.heat else { return Ok(()) };
    let dimensions = dimensions(&stored.model.searched.space).into_iter();
    let varied: Vec<String> =
        dimensions.filter(|dimension| dimension.values.len() > 1).map(|dimension| dimension.name).collect();
    if row != column && varied.contains(row) && varied.contains(column) {
        return Ok(());
    }
    let (pair, varied) = (stored.model.pair, varied.join(", "));
    Err(CommandError::Usage(format!(
        "--heat {row},{column}: expected two of what the search for {pair} varied: {varied}"
    )))
}

/// Models with where they stand, and why others are not among them.
type Chosen = (Vec<(Stored, Standing)>, Vec<CommandError>);

/// The models to report on, and, where all are asked for, why some cannot be read.
fn choose(args: &ReportArgs, models: &Models) -> Result<Chosen, CommandError> {
    let with_standing = |stored: Stored| -> Result<(Stored, Standing), ReportError> {
        let standing = Standing::of(&stored, models)?;
        Ok((stored, standing))
    };
    let root = || models.root().to_owned();
    let Some(what) = &args.what else {
        let (mut found, mut problems) = (Vec::new(), Vec::new());
        for pair in models.pairs().map_err(ReportError::from)? {
            let newest = models.trained(pair).map_err(ReportError::from);
            match newest.and_then(|newest| newest.map(with_standing).transpose()) {
                Ok(one) => found.extend(one),
                Err(error) => problems.push(error.into()),
            }
        }
        if found.is_empty() && problems.is_empty() {
            return Err(ReportError::NoModels { root: root() }.into());
        }
        return Ok((found, problems));
    };
    let path = Path::new(what);
    let stored = match what.parse::<Pair>() {
        Ok(pair) => models
            .trained(pair)
            .map_err(ReportError::from)?
            .ok_or_else(|| ReportError::NoModel { pair, root: root() })?,
        Err(error) if path.extension().is_none_or(|ending| ending != "json") && !path.exists() => {
            return Err(CommandError::Usage(format!(
                "{error}; nor is it a file of a model, which ends in .json"
            )));
        }
        Err(_) => model::read(path).map_err(ReportError::from)?,
    };
    Ok((vec![with_standing(stored)?], Vec::new()))
}

fn shown<'a>(stored: &'a Stored, standing: &'a Standing) -> Shown<'a> {
    let model = &stored.model;
    Shown {
        pair: model.pair,
        model: stored.hash.to_string(),
        path: &stored.path,
        standing,
        verdict: &model.verdict,
        variant: model.variant,
        data: &model.data,
        searched: &model.searched,
        evidence: &model.evidence,
        deflated_sharpe: model.evidence.trials.deflated(),
    }
}

fn summary(stored: &Stored, standing: &Standing, terminal: &mut Terminal) -> Result<(), CommandError> {
    let model = &stored.model;
    let tone = match standing.tone() {
        "good" => Tone::Good,
        "warn" => Tone::Warning,
        _ => Tone::Error,
    };
    let headline = terminal.paint(tone, standing.headline(model));
    let pair = terminal.paint(Tone::Strong, model.pair.as_str());
    terminal.line(&format!("{pair}  {headline}"))?;
    terminal.line(&format!("{}.", words::sentence(&model.verdict.words)))?;
    terminal.line(&standing.consequence(model))?;
    let marks = [
        (model.data.synthetic, "These candles are made up: nothing here says anything about a market."),
        (model.data.assumed_spread, "The spread was assumed, not seen: true costs may be higher."),
    ];
    for (_, text) in marks.iter().filter(|(marked, _)| *marked) {
        let text = terminal.paint(Tone::Warning, text);
        terminal.line(&text)?;
    }
    terminal.line("")?;
    let mut table = Table::new(&["criterion", ">found", ">demanded", "verdict"]);
    for criterion in &model.verdict.criteria {
        let (found, demanded) = words::found_and_demanded(criterion, &model.evidence);
        let (tone, verdict) =
            if criterion.passed { (Tone::Plain, "passed") } else { (Tone::Error, "FAILED") };
        let name = words::name(criterion.name).to_owned();
        table.row(tone, vec![name, found, demanded, verdict.to_owned()]);
    }
    terminal.table(&table)?;
    terminal.line("")?;
    let evidence = &model.evidence;
    let mut sum = 0.0;
    let sums = evidence.days.iter().map(|net| {
        sum += *net as f64;
        sum
    });
    let sums: Vec<f64> = std::iter::once(0.0).chain(sums).collect();
    terminal.line(&format!(
        "{}  {} pips on {}, deepest drawdown {}",
        spark::line(&sums, 40),
        words::pips(evidence.trades.net),
        counted(evidence.days.len(), "day"),
        words::plain_pips(evidence.drawdown.depth)
    ))?;
    terminal.line(&format!(
        "{} {} tried here, {} before; candles {}, model {}",
        grouped(model.searched.variants),
        if model.searched.variants == 1 { "variant" } else { "variants" },
        words::grouped(model.searched.variants_before),
        &model.data.hash.to_string()[..12],
        &stored.hash.to_string()[..12]
    ))?;
    Ok(())
}

/// Writes the page, and the tables where they are asked for.
fn write(
    args: &ReportArgs,
    stored: &Stored,
    standing: &Standing,
    terminal: &mut Terminal,
) -> Result<(), CommandError> {
    let store = args.store.open();
    let backend = match &args.parquet {
        Some(_) => {
            let variants = counted(stored.model.searched.variants, "variant");
            terminal.say(&format!("playing {variants} again for the table of trials"))?;
            Some(Backend::choose(Wanted::Auto).map_err(|error| ReportError::Train(error.into()))?)
        }
        None => None,
    };
    let shown = terminal.progress();
    let replay = Replay::of(stored, &store, backend.as_ref(), |progress| {
        let (done, all) = (grouped(progress.variants_done), grouped(progress.variants));
        shown.show(|| format!("{}: {done} of {all} variants", stored.model.pair));
    })?;
    shown.clear();
    let kept = match &replay.trials {
        Some(_) => None,
        None => Grid::read(stored).map_err(ReportError::from)?,
    };
    let grid = replay.trials.as_ref().map(|trials| &trials.grid).or(kept.as_ref());
    let axes = args.heat.as_ref().map(|(row, column)| (row.as_str(), column.as_str()));
    let path = args.out.clone().unwrap_or_else(|| stored.path.with_extension("html"));
    let page = page(stored, standing, &replay, grid, axes)?;
    publish(&path, page.as_bytes()).map_err(ModelError::from).map_err(ReportError::from)?;
    terminal.line(&format!("page    {}", path.display()))?;
    if let (Some(folder), Some(trials)) = (&args.parquet, &replay.trials) {
        let folder = folder.join(stored.model.pair.as_str());
        let notes = |kind: &str| {
            [
                ("sep.kind", format!("{kind}/1")),
                ("sep.pair", stored.model.pair.to_string()),
                ("sep.model", stored.hash.to_string()),
                ("sep.synthetic", stored.model.data.synthetic.to_string()),
            ]
        };
        let (days, trades) = (tables::days(&replay), tables::trades(&replay));
        for (kind, table) in [("trials", &trials.table), ("days", &days), ("trades", &trades)] {
            let path = folder.join(format!("{kind}.parquet"));
            table_file::write(&path, table, &notes(kind)).map_err(ReportError::from)?;
            terminal.line(&format!("{kind:<6}  {}", path.display()))?;
        }
    }
    Ok(())
}
