//! `sep-gpu backtest`

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use sep_contract::Pair;
use serde::Serialize;

use crate::account::strategy::{Rules, Strategy, rates};
use crate::account::summary::{LegSummary, Summary, Totals};
use crate::account::{Leg, Outcome, Refusal, Settings, play};
use crate::bars::Bars;
use crate::cli::{ModelsArgs, StoreArgs, all_pairs};
use crate::commands::train::describe;
use crate::costs::{self, CostBook, Terms};
use crate::error::{CommandError, OK};
use crate::model::{self, Stored};
use crate::output::{Table, Terminal, Tone, counted, grouped, grouped_decimal};
use crate::qfh::Constants;
use crate::spark;
use crate::table_file;
use crate::variant::{Space, Variant};

const EXAMPLES: &str = "\
A pair is played by the model that was trained last for it, by the variant of --variant, or, without either, by \
the published one. All pairs trade in one account, in the order of time.

Examples:
  sep-gpu backtest EUR_USD USD_JPY
  sep-gpu backtest data/models/EUR_USD/0a1b2c.json --from 2025-01-01T00:00:00Z
  sep-gpu backtest EUR_USD --variant mine.json --nav 5000 --currency EUR --risk 0.5
  sep-gpu backtest --costs costs.yaml --parquet out
  sep-gpu backtest EUR_USD --json | jq .summary.totals

With --parquet, trades.parquet and equity.parquet are written for pandas or Polars.
";

/// What stands below the arguments in `--help`.
pub fn examples() -> String {
    let codes = "Exit codes: 0 played, whatever the result, 1 failed, 2 arguments that make no sense.";
    format!("{EXAMPLES}\n{}\n\n{codes}", costs::HELP)
}

/// Spans of the equity that is kept: hours of a month, days of more.
const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;
/// Characters of the equity's line.
const SPARK_WIDTH: usize = 72;

/// What no backtest shows.
const CAVEAT: &str = "\
A backtest is no forecast. It says what these rules would have done on these candles after the costs above, and \
rules that were chosen by looking at the same candles look better than they are: whether to believe them is \
what the verdict of 'sep-gpu train' is for. Not in it: requotes, partial fills, spreads wider than the candles', \
margin calls, outages.";

/// Arguments of `backtest`.
#[derive(Debug, Args)]
pub struct BacktestArgs {
    /// Pairs, or files of models; all pairs of the store where there are none
    #[arg(value_name = "PAIR|MODEL.json")]
    what: Vec<String>,
    /// Rules of your own for the pairs, in JSON (see --show-variant)
    #[arg(long, value_name = "FILE")]
    variant: Option<PathBuf>,
    /// Print the published variant, to begin a file for --variant with, and do nothing else
    #[arg(long)]
    show_variant: bool,
    /// Play bars from this moment on
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Play bars before this moment
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
    /// What the account begins with
    #[arg(long, value_name = "AMOUNT", default_value = "10000")]
    nav: Decimal,
    /// The account's currency
    #[arg(long, value_name = "CODE", default_value = "USD")]
    currency: String,
    /// Percent of the account that a position's stop may cost
    #[arg(long, value_name = "PERCENT", default_value = "1")]
    risk: Decimal,
    /// What trading costs; else what the model was trained with, or the built-in figures
    #[arg(long, value_name = "FILE")]
    costs: Option<PathBuf>,
    /// Write trades and equity to this folder
    #[arg(long, value_name = "DIR")]
    parquet: Option<PathBuf>,
    #[command(flatten)]
    models: ModelsArgs,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Serialize)]
struct Answer<'a> {
    first: Timestamp,
    last: Timestamp,
    risk_percent: Decimal,
    runs: Vec<Played<'a>>,
    summary: &'a Summary,
    /// Time, balance, equity, margin in use.
    equity: Vec<(Timestamp, Decimal, Decimal, Decimal)>,
    caveat: &'a str,
}

/// What was played on one pair.
#[derive(Serialize)]
struct Played<'a> {
    rules: &'a str,
    variant: &'a Variant,
    costs: Terms,
    bars: usize,
    synthetic: bool,
    assumed_spread: bool,
    chosen_by_these_candles: bool,
}

/// Plays an account.
pub fn cmd_backtest(args: &BacktestArgs, terminal: &mut Terminal) -> Result<u8, CommandError> {
    if args.show_variant {
        terminal.json(&Variant::published())?;
        return Ok(OK);
    }
    let store = args.store.open();
    let range = (args.from.unwrap_or(Timestamp::MIN), args.to.unwrap_or(Timestamp::MAX));
    let mut strategies = Vec::new();
    for (pair, rules, terms) in chosen(args, terminal)? {
        let strategy = Strategy::load(&store, rules, terms, range)?;
        if !args.store.json {
            let (bars, from) = (counted(strategy.segment.len(), "bar"), &strategy.rules.from);
            terminal.say(&format!("{pair}: {bars}, {from}: {}", describe(&strategy.rules.variant)))?;
        }
        strategies.push(strategy);
    }
    let spans = strategies.iter().map(Strategy::span);
    let Some((first, last)) = spans.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))) else {
        return Err(CommandError::Refused("none of the models has a variant to play: see above".to_owned()));
    };
    let rates = rates(&store, &strategies, &args.currency, (first, last))?;
    let seconds = last.as_second() - first.as_second();
    let settings = Settings {
        nav: args.nav,
        currency: args.currency.clone(),
        risk_percent: args.risk,
        sample_seconds: if seconds > 31 * DAY { DAY } else { HOUR },
        ..Settings::default()
    };
    let legs: Vec<Leg> = strategies.iter().map(Strategy::leg).collect();
    let outcome = play(&legs, &rates.iter().collect::<Vec<&Bars>>(), &settings)?;
    let summary = outcome.summary(&legs);
    if let Some(folder) = &args.parquet {
        keep(folder, &outcome, &legs)?;
    }
    if args.store.json {
        let answer = Answer {
            first,
            last,
            risk_percent: args.risk,
            runs: strategies.iter().map(played).collect(),
            summary: &summary,
            equity: equity(&outcome),
            caveat: CAVEAT,
        };
        terminal.json(&answer)?;
    } else {
        show(&strategies, &outcome, &summary, (first, last), terminal)?;
        if let Some(folder) = &args.parquet {
            terminal.say(&format!("trades.parquet and equity.parquet are in {}", folder.display()))?;
        }
    }
    Ok(OK)
}

fn chosen(args: &BacktestArgs, terminal: &mut Terminal) -> Result<Vec<(Pair, Rules, Terms)>, CommandError> {
    let book = args.costs.as_deref().map_or_else(|| Ok(CostBook::default()), CostBook::read)?;
    let variant = args.variant.as_deref().map(read_variant).transpose()?;
    let models = args.models.open();
    let of_model = |stored: Stored| {
        let Stored { model, path, hash } = stored;
        let mut terms = book.terms(model.pair);
        if args.costs.is_none() {
            terms.costs = model.costs;
        }
        let judged = if model.verdict.promoted { "passed" } else { "failed" };
        let rules = model.variant.map(|variant| Rules {
            variant,
            constants: model.constants,
            from: format!("model {:.12}, which {judged} its verdict", hash.to_string()),
            chosen_by: Some((model.data.first, model.data.last)),
        });
        rules.map(|rules| (model.pair, rules, terms)).ok_or(path)
    };
    let mut all = Vec::new();
    for what in named(args)? {
        let found = match what {
            What::File(path) if variant.is_some() => {
                let text = format!(
                    "--variant has rules for pairs, {} has its own: give one of them",
                    path.display()
                );
                return Err(CommandError::Usage(text));
            }
            What::File(path) => of_model(model::read(&path)?),
            What::Pair(pair) => {
                // Whoever brings rules of their own asks no model.
                let model = if variant.is_some() { None } else { models.trained(pair)? };
                match (model, variant) {
                    (Some(stored), _) => of_model(stored),
                    (None, own) => {
                        let from =
                            if own.is_some() { "rules of your own" } else { "no model, the published rules" };
                        let rules = Rules {
                            variant: own.unwrap_or_else(Variant::published),
                            constants: Constants::default(),
                            from: from.to_owned(),
                            chosen_by: None,
                        };
                        Ok((pair, rules, book.terms(pair)))
                    }
                }
            }
        };
        match found {
            Ok(found) => all.push(found),
            Err(path) => {
                let text = "the training found no variant that trades often enough: there is nothing to play";
                terminal.say(&format!("{}: {text}", path.display()))?;
            }
        }
    }
    Ok(all)
}

/// One of the words that say what to play.
enum What {
    Pair(Pair),
    File(PathBuf),
}

fn named(args: &BacktestArgs) -> Result<Vec<What>, CommandError> {
    if let Some((_, twice)) = args.what.iter().enumerate().find(|(at, word)| args.what[..*at].contains(word))
    {
        return Err(CommandError::Usage(format!(
            "{twice} is there twice: it would trade side by side with itself"
        )));
    }
    if !args.what.is_empty() {
        let what = |word: &String| match word.parse::<Pair>() {
            Ok(pair) => Ok(What::Pair(pair)),
            Err(_) if word.ends_with(".json") => Ok(What::File(PathBuf::from(word))),
            Err(error) => Err(CommandError::Usage(format!("{error}; a model's file ends in .json"))),
        };
        return args.what.iter().map(what).collect();
    }
    Ok(all_pairs(&args.store.open())?.into_iter().map(What::Pair).collect())
}

fn read_variant(path: &Path) -> Result<Variant, CommandError> {
    let problem = |detail: String| CommandError::Usage(format!("{}: {detail}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| problem(error.to_string()))?;
    let variant: Variant = serde_json::from_str(&text).map_err(|error| {
        problem(format!("{error}: this is no variant; 'sep-gpu backtest --show-variant' prints one"))
    })?;
    Space::from(&variant).check().map_err(|error| problem(error.to_string()))?;
    Ok(variant)
}

fn keep(folder: &Path, outcome: &Outcome, legs: &[Leg]) -> Result<(), CommandError> {
    let notes = |kind: &str| {
        let program = format!("sep-gpu {}", env!("CARGO_PKG_VERSION"));
        [("sep.kind", kind.to_owned()), ("sep.currency", outcome.currency.clone()), ("sep.program", program)]
    };
    let trades = outcome.trade_columns(legs)?;
    table_file::write(&folder.join("trades.parquet"), &trades, &notes("trades/1"))?;
    table_file::write(&folder.join("equity.parquet"), &outcome.equity_columns()?, &notes("equity/1"))?;
    Ok(())
}

fn played(strategy: &Strategy) -> Played<'_> {
    Played {
        rules: &strategy.rules.from,
        variant: &strategy.rules.variant,
        costs: strategy.terms,
        bars: strategy.segment.len(),
        synthetic: strategy.bars().synthetic,
        assumed_spread: strategy.history.provenance.assumed_spread,
        chosen_by_these_candles: strategy.knows_its_bars(),
    }
}

fn equity(outcome: &Outcome) -> Vec<(Timestamp, Decimal, Decimal, Decimal)> {
    let row = |at: &crate::account::Equity| {
        let time = Timestamp::from_second(at.time).unwrap_or(Timestamp::UNIX_EPOCH);
        (time, at.balance, at.equity, at.margin)
    };
    outcome.equity.iter().map(row).collect()
}

fn show(
    strategies: &[Strategy],
    outcome: &Outcome,
    summary: &Summary,
    (first, last): (Timestamp, Timestamp),
    terminal: &mut Terminal,
) -> Result<(), CommandError> {
    terminal.table(&table(summary))?;
    let line: Vec<f64> = outcome.equity.iter().filter_map(|at| at.equity.to_f64()).collect();
    let tone = if summary.end >= summary.start { Tone::Good } else { Tone::Error };
    let line = terminal.paint(tone, &spark::line(&line, SPARK_WIDTH));
    terminal.line(&format!("\nequity    {line}  {first} to {last}"))?;
    let money = grouped_decimal;
    let result = format!(
        "{} -> {} {} ({:+} %)",
        money(summary.start),
        money(summary.end),
        summary.currency,
        summary.net_percent
    );
    terminal.line(&format!("account   {}", terminal.paint(tone, &result)))?;
    terminal.line(&format!(
        "drawdown  {} {} ({} %), open positions counted; at most {} % of the equity was margin",
        money(summary.drawdown.money),
        summary.currency,
        summary.drawdown.percent,
        summary.margin_peak_percent
    ))?;
    let mut refused: BTreeMap<Refusal, usize> = BTreeMap::new();
    for (refusal, count) in summary.legs.iter().flat_map(|leg| &leg.refused) {
        *refused.entry(*refusal).or_default() += usize::try_from(*count).unwrap_or(0);
    }
    for (refusal, count) in refused {
        let entries = if count == 1 { "1 entry".to_owned() } else { format!("{} entries", grouped(count)) };
        let hint = if refusal == Refusal::Margin { "; a smaller --risk leaves room for more" } else { "" };
        terminal.line(&format!("refused   {entries}: {}{hint}", refusal.as_str()))?;
    }
    for (terms, pairs) in by_text(strategies, |strategy| vec![strategy.terms.to_string()]) {
        terminal.line(&format!("costs     {pairs}: {terms}"))?;
    }
    terminal
        .line("          COSTS are commission, swap and slippage, within NET; the spread is in the prices")?;
    for (text, pairs) in by_text(strategies, notes) {
        terminal.line(&terminal.paint(Tone::Warning, &format!("note      {pairs}: {text}")))?;
    }
    terminal.line(&format!("\n{CAVEAT}"))?;
    Ok(())
}

/// What must be known of the candles that a strategy was played on.
fn notes(strategy: &Strategy) -> Vec<String> {
    let notes = [
        (strategy.bars().synthetic, "made-up candles: no market was ever like this"),
        (strategy.history.provenance.assumed_spread, "the spread is an assumption, not what was asked"),
        (strategy.knows_its_bars(), "the model was chosen by candles of the same time: no evidence"),
    ];
    notes.into_iter().filter(|(holds, _)| *holds).map(|(_, text)| text.to_owned()).collect()
}

/// What there is to say of the strategies, each text once with its pairs.
fn by_text(strategies: &[Strategy], say: impl Fn(&Strategy) -> Vec<String>) -> Vec<(String, String)> {
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for strategy in strategies {
        let pair = strategy.terms.pair.as_str();
        for text in say(strategy) {
            match groups.iter_mut().find(|(known, _)| *known == text) {
                Some((_, pairs)) => pairs.push(pair),
                None => groups.push((text, vec![pair])),
            }
        }
    }
    groups.into_iter().map(|(text, pairs)| (text, pairs.join(", "))).collect()
}

fn table(summary: &Summary) -> Table {
    let money = |column: &str| format!(">{column} {}", summary.currency);
    let (net, costs, drawdown) = (money("NET"), money("COSTS"), money("DRAWDOWN"));
    let mut table = Table::new(&[
        "PAIR",
        "TIMEFRAME",
        ">TRADES",
        ">WON",
        ">NET PIPS",
        &net,
        &costs,
        &drawdown,
        ">PROFIT FACTOR",
        ">MEAN HOLD",
        ">REFUSED",
    ]);
    for LegSummary { pair, timeframe, totals, refused } in &summary.legs {
        let refused = refused.values().sum();
        table.row(Tone::Plain, row([pair.to_string(), timeframe.to_string()], totals, refused));
    }
    if summary.legs.len() > 1 {
        let refused = summary.legs.iter().flat_map(|leg| leg.refused.values()).sum();
        table.row(Tone::Strong, row(["all".to_owned(), String::new()], &summary.totals, refused));
    }
    table
}

fn row([pair, timeframe]: [String; 2], totals: &Totals, refused: u32) -> Vec<String> {
    let whole = |count: u32| grouped(usize::try_from(count).unwrap_or(usize::MAX));
    let won = match totals.trades {
        0 => "-".to_owned(),
        trades => format!("{:.1} %", f64::from(totals.wins) * 100.0 / f64::from(trades)),
    };
    let mut net_pips = totals.net_pips;
    net_pips.rescale(1);
    vec![
        pair,
        timeframe,
        whole(totals.trades),
        won,
        grouped_decimal(net_pips),
        grouped_decimal(totals.net),
        grouped_decimal(totals.fees + totals.slippage),
        grouped_decimal(totals.drawdown),
        totals.profit_factor.map_or_else(|| "-".to_owned(), |factor| factor.to_string()),
        if totals.trades == 0 { "-".to_owned() } else { span(totals.mean_hold_seconds) },
        whole(refused),
    ]
}

/// `12 min`, `3.4 h`, `2.1 d`.
fn span(seconds: i64) -> String {
    let parts = |unit: i64| seconds as f64 / unit as f64;
    match seconds {
        ..7_200 => format!("{:.0} min", parts(60)),
        7_200..172_800 => format!("{:.1} h", parts(HOUR)),
        _ => format!("{:.1} d", parts(DAY)),
    }
}
