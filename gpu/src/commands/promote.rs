//! `sep-gpu promote`

use std::path::Path;

use clap::Args;
use sep_contract::signal::check_reason;
use sep_contract::{Digest, Pair};
use serde::Serialize;

use crate::cli::ModelsArgs;
use crate::error::{CommandError, FAILED, OK};
use crate::model::{ModelError, Models, Stored, read};
use crate::output::{Terminal, Tone};
use crate::signals::speaker::objections;

/// Fewest digits by which a model can be named.
const SHORTEST: usize = 6;

pub const EXAMPLES: &str = "\
A promoted model speaks for its pair: 'sep-gpu signals' makes signals of it. A model that failed its gate, or was \
trained on made-up candles, is refused. You may override that, with a reason: the reason is kept, and travels with \
every signal to the droplet.

Examples:
  sep-gpu promote EUR_USD
  sep-gpu promote EUR_USD --model 3fa9c1
  sep-gpu promote EUR_USD --override \"practice account, to see the way of a signal\"

Exit codes: 0 promoted, 1 refused or failed and nothing changed, 2 arguments that make no sense.";

/// Arguments of `promote`.
#[derive(Debug, Args)]
pub struct PromoteArgs {
    /// The pair that the model shall speak for
    pair: Pair,
    /// The model, by the beginning of its name or by its file; otherwise the one trained last
    #[arg(long, value_name = "HASH|FILE")]
    model: Option<String>,
    /// Promote it although it failed, for this reason
    #[arg(long = "override", value_name = "REASON")]
    reason: Option<String>,
    #[command(flatten)]
    models: ModelsArgs,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer {
    pair: Pair,
    model: Digest,
    promoted: bool,
    verdict: String,
    /// What speaks against it, in sentences.
    objections: Vec<String>,
    /// The reason that was recorded.
    override_reason: Option<String>,
    /// A reason was given and not needed: it was not recorded.
    override_not_needed: bool,
    /// The model that speaks for the pair now.
    speaking: Option<Digest>,
}

/// Lets a model speak for its pair, or says why not.
pub fn cmd_promote(args: &PromoteArgs, terminal: &mut Terminal) -> Result<u8, CommandError> {
    if let Some(reason) = &args.reason {
        check_reason(reason).map_err(|fault| CommandError::Usage(format!("--override: {fault}")))?;
    }
    let models = args.models.open();
    let stored = find(&models, args)?;
    let mut objections = objections(&stored.model);
    let empty = stored.model.variant.is_none();
    if empty {
        objections.insert(0, "there is no variant to trade, and no override of that".to_owned());
    }
    let promoted = objections.is_empty() || args.reason.is_some() && !empty;
    let needed = args.reason.as_ref().filter(|_| !objections.is_empty() && promoted);
    if promoted {
        models.promote(&stored, needed.cloned())?;
    }
    let speaking = models.promoted(args.pair)?.map(|(speaking, _)| speaking.hash);
    let answer = Answer {
        pair: args.pair,
        model: stored.hash,
        promoted,
        verdict: stored.model.verdict.words.clone(),
        override_reason: needed.cloned(),
        override_not_needed: args.reason.is_some() && objections.is_empty(),
        objections,
        speaking,
    };
    if args.json {
        terminal.json(&answer)?;
    } else if answer.promoted {
        tell(&answer, terminal)?;
    } else {
        refuse(&answer, empty, terminal)?;
    }
    Ok(if promoted { OK } else { FAILED })
}

fn tell(answer: &Answer, terminal: &mut Terminal) -> Result<(), CommandError> {
    let Answer { pair, model, verdict, .. } = answer;
    let Some(reason) = &answer.override_reason else {
        let word = terminal.paint(Tone::Good, "promoted");
        terminal.line(&format!("{pair}: model {model} {word}: {verdict}"))?;
        if answer.override_not_needed {
            terminal.line(
                "the model passed: the reason given with --override is not needed and was not recorded",
            )?;
        }
        return Ok(());
    };
    let word = terminal.paint(Tone::Error, "PROMOTED BY OVERRIDE");
    terminal.line(&format!("{pair}: model {model} {word}, although:"))?;
    for objection in &answer.objections {
        terminal.line(&format!("  {objection}"))?;
    }
    Ok(terminal
        .line(&format!("reason: {reason}\nIt is recorded, and travels with every signal to the droplet."))?)
}

fn refuse(answer: &Answer, empty: bool, terminal: &mut Terminal) -> Result<(), CommandError> {
    let Answer { pair, model, verdict, .. } = answer;
    let heading = terminal.paint(Tone::Error, "refused:");
    terminal.say(&format!("{heading} {pair}: model {model} is not promoted: {verdict}"))?;
    for objection in &answer.objections {
        terminal.say(&format!("  {objection}"))?;
    }
    let speaking = match answer.speaking {
        Some(speaking) => format!("model {speaking} goes on speaking for {pair}"),
        None => format!("no model speaks for {pair}"),
    };
    let way = if empty { "" } else { " To promote it all the same, say why: --override \"reason\"." };
    Ok(terminal.say(&format!("Nothing was changed: {speaking}.{way}"))?)
}

/// The model that is asked for, read from its place among the models.
fn find(models: &Models, args: &PromoteArgs) -> Result<Stored, CommandError> {
    let pair = args.pair;
    let Some(wanted) = &args.model else {
        return models.trained(pair)?.ok_or_else(|| {
            let place = models.folder(pair).display().to_string();
            CommandError::Refused(format!("no model in {place}: train one with 'sep-gpu train {pair}'"))
        });
    };
    if wanted.bytes().all(|c| c.is_ascii_hexdigit()) && wanted.len() >= SHORTEST {
        return by_name(models, pair, wanted);
    }
    let path = Path::new(wanted);
    if wanted.bytes().all(|c| c.is_ascii_hexdigit()) && !path.exists() {
        return Err(CommandError::Usage(format!(
            "--model {wanted}: give at least {SHORTEST} digits of the model's name, or its file"
        )));
    }
    let given = read(path)?;
    let named: Option<Digest> = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
    match named {
        Some(expected) if expected != given.hash => {
            Err(ModelError::Changed { path: path.to_owned(), found: given.hash, expected }.into())
        }
        _ if given.model.pair != pair => {
            Err(ModelError::OtherPair { path: path.to_owned(), found: given.model.pair, expected: pair }
                .into())
        }
        // It must lie among the models, for it is read from there whenever signals are made.
        _ if !models.folder(pair).join(format!("{}.json", given.hash)).exists() => {
            Err(CommandError::Refused(format!(
                "{wanted}: it is no model of {}: copy it to {}/{}.json first",
                models.root().display(),
                models.folder(pair).display(),
                given.hash
            )))
        }
        _ => Ok(models.read(pair, &given.hash)?),
    }
}

fn by_name(models: &Models, pair: Pair, wanted: &str) -> Result<Stored, CommandError> {
    let wanted = wanted.to_ascii_lowercase();
    let names = models.names(pair)?;
    let mut found = names.into_iter().filter(|hash| hash.to_string().starts_with(&wanted));
    match (found.next(), found.next()) {
        (Some(hash), None) => Ok(models.read(pair, &hash)?),
        (None, _) => Err(CommandError::Refused(format!(
            "no model of {pair} in {} has a name that begins with {wanted}",
            models.folder(pair).display()
        ))),
        (Some(_), Some(_)) => Err(CommandError::Usage(format!(
            "--model {wanted}: more than one model of {pair} begins so: give more digits"
        ))),
    }
}
