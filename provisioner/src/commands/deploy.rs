//! `sepctl deploy`: plan, ask, apply.

use std::io::{BufRead, IsTerminal, Write};
use std::time::Instant;

use serde_json::json;

use super::Global;
use super::plan::{document, show};
use crate::control::{Examined, apply, examine};
use crate::door::{Door, Failure, Tint};
use crate::inventory::model::Host;

/// Make the droplet what the inventory says: plan, confirm, apply
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sepctl deploy                     show the plan, ask, apply
  sepctl deploy --yes               apply without asking (for scripts)
  sepctl deploy --host lon1 --json --yes")]
pub struct DeployArgs {
    /// Apply without asking
    #[arg(long, short)]
    yes: bool,
}

/// Deploys to every chosen host, one after the other; the first failure ends it.
pub async fn cmd_deploy(global: &Global, args: &DeployArgs, door: &mut Door) -> Result<(), Failure> {
    let mut documents = Vec::new();
    let mut failure = None;
    for host in global.hosts(door)? {
        let start = Instant::now();
        door.passing(&format!("  … looking at {}", host.name));
        let mut examined = examine(&host, &global.folder(), door).await?;
        examined.prepared.warnings.iter().for_each(|warning| door.say(&format!("warning: {warning}")));
        if !door.json {
            show(door, &host.name, &examined.report)?;
        }
        let mut entry = document(&host.name, &examined.report);
        let mut applied = 0;
        if !examined.report.changes.is_empty() {
            if !args.yes && !confirmed(&host, door)? {
                return Err(Failure::new("not applied: no consent was given"));
            }
            failure = go(&mut examined, door, &mut applied).await.err();
        }
        let seconds = (start.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        entry["applied"] = json!(applied);
        entry["failed"] = json!(failure.as_ref().map(|f| f.message.clone()));
        entry["seconds"] = json!(seconds);
        documents.push(entry);
        if failure.is_some() {
            break;
        }
        if !door.json && applied > 0 {
            let done = door.tint(Tint::Good, "deployed");
            writeln!(door.out, "{}: {done}, {applied} changed in {seconds:.1} s", host.name)?;
        }
    }
    if door.json {
        door.document(&json!({ "hosts": documents }))?;
    }
    failure.map_or(Ok(()), Err)
}

async fn go(examined: &mut Examined, door: &mut Door, applied: &mut usize) -> Result<(), Failure> {
    let Examined { session, report, prepared } = examined;
    Ok(apply(session, report, &holder(), &prepared.blobs, door, applied).await?)
}

/// Who deploys, for the lock's note and the journal.
fn holder() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "root".into());
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{user}@{host}, sepctl {}, process {}", env!("CARGO_PKG_VERSION"), std::process::id())
}

fn confirmed(host: &Host, door: &mut Door) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("there is no terminal to ask for consent on")
            .hint("look at the plan, then give --yes"));
    }
    write!(door.talk, "Apply this to {} ({})? [y/N] ", host.name, host.ssh.address)?;
    door.talk.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
