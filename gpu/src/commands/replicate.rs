//! `sep-gpu replicate`

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::error::{CommandError, OK};
use crate::output::{Table, Terminal, Tone, counted, grouped};
use crate::replicate::{Evaluation, LEAKS, Share, evaluate, read};

pub const EXAMPLES: &str = "\
The published row LEAKS: it looks at the bars that it predicts. It is shown to be seen through, and nothing \
here can become a signal or a model.

Examples:
  sep-gpu replicate candles.json
  sep-gpu replicate candles.json --json | jq .causal

Exit codes: 0 counted, 1 failed, 2 arguments that make no sense.";

/// Arguments of `replicate`.
#[derive(Debug, Args)]
pub struct ReplicateArgs {
    /// Candles of OANDA as JSON, with mid prices
    file: PathBuf,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer {
    file: String,
    #[serde(flatten)]
    evaluation: Evaluation,
    accuracy_percent: Accuracies,
    published_leaking_score: f64,
    leaks: [&'static str; 5],
}

#[derive(Serialize)]
struct Accuracies {
    #[serde(rename = "published_leaking")]
    published: f64,
    causal: f64,
    always_buy: f64,
    always_sell: f64,
}

/// Counts as published, and without the leaks.
pub fn cmd_replicate(args: &ReplicateArgs, terminal: &mut Terminal) -> Result<u8, CommandError> {
    let evaluation = evaluate(&read(&args.file)?);
    if args.json {
        terminal.json(&Answer {
            file: args.file.display().to_string(),
            accuracy_percent: Accuracies {
                published: evaluation.published.percent(),
                causal: evaluation.causal.percent(),
                always_buy: evaluation.always_buy.percent(),
                always_sell: evaluation.always_sell.percent(),
            },
            published_leaking_score: evaluation.published_score(),
            evaluation,
            leaks: LEAKS,
        })?;
        return Ok(OK);
    }
    show(args, &evaluation, terminal)?;
    Ok(OK)
}

fn show(args: &ReplicateArgs, evaluation: &Evaluation, terminal: &mut Terminal) -> Result<(), CommandError> {
    let warning = "LEAKING: the published evaluation looks at the bars that it predicts. Its accuracy is worth nothing.";
    terminal.line(&terminal.paint(Tone::Warning, warning))?;
    terminal.line(&format!("{}  {}", args.file.display(), counted(evaluation.bars, "bar")))?;
    terminal.line("")?;
    let mut table =
        Table::new(&["CALLS OF HIGH CONFIDENCE", ">RIGHT", ">OF", ">ACCURACY", ">OF ALL SIGNALS"]);
    let mut row = |tone, name: &str, share: Share, signals: Option<usize>| {
        let rate = signals.map(|of| Share { right: share.of, of });
        table.row(
            tone,
            vec![
                name.to_owned(),
                grouped(share.right),
                grouped(share.of),
                format!("{:.2} %", share.percent()),
                rate.map(|rate| format!("{:.1} %", rate.percent())).unwrap_or_default(),
            ],
        );
    };
    let Evaluation { published, published_signals, causal, causal_signals, always_buy, always_sell, .. } =
        *evaluation;
    row(Tone::Warning, "as published (LEAKING)", published, Some(published_signals));
    row(Tone::Strong, "causal, no bar of the future seen", causal, Some(causal_signals));
    row(Tone::Plain, "always BUY, every bar", always_buy, None);
    row(Tone::Plain, "always SELL, every bar", always_sell, None);
    terminal.table(&table)?;
    terminal.line("")?;
    let score = evaluation.published_score();
    terminal.line(&format!(
        "The published score, (accuracy - 50) x rate, is {score:.2} here: that, too, is leakage."
    ))?;
    terminal
        .line("Right is a close that moved by more than half a pip (of 0.0001) the way that was called.")?;
    terminal.line("What leaks:")?;
    for (number, leak) in (1..).zip(LEAKS) {
        terminal.line(&format!("  {number}. {leak}"))?;
    }
    Ok(())
}
