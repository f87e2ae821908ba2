//! `sepctl plan`: what would change, and why. Changes nothing.

use std::io::Write;

use serde_json::{Value, json};

use super::Global;
use crate::control::examine;
use crate::door::{Door, Failure, Tint};
use crate::plan::{Action, Change, Report};

/// Show what a deployment would change, and why
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sepctl plan                 every host of inventory.yaml
  sepctl plan --check         exit status 3 where something differs (for cron and CI)
  sepctl plan --json | jq '.hosts[].changes[].resource'")]
pub struct PlanArgs {
    /// End with status 3 when anything would change
    #[arg(long)]
    check: bool,
}

/// Plans every chosen host.
pub async fn cmd_plan(global: &Global, args: &PlanArgs, door: &mut Door) -> Result<(), Failure> {
    let mut documents = Vec::new();
    let mut drift = false;
    for host in global.hosts(door)? {
        door.passing(&format!("  … looking at {}", host.name));
        let examined = examine(&host, &global.folder(), door).await?;
        examined.prepared.warnings.iter().for_each(|warning| door.say(&format!("warning: {warning}")));
        drift |= !examined.report.changes.is_empty();
        if door.json {
            documents.push(document(&host.name, &examined.report));
        } else {
            show(door, &host.name, &examined.report)?;
        }
    }
    if door.json {
        door.document(&json!({ "hosts": documents }))?;
    }
    if args.check && drift { Err(Failure::drift()) } else { Ok(()) }
}

/// A report as JSON.
pub fn document(host: &str, report: &Report) -> Value {
    let changes: Vec<Value> = report
        .changes
        .iter()
        .map(|c| json!({ "resource": c.resource, "action": c.action, "why": c.why, "diff": c.diff }))
        .collect();
    json!({ "host": host, "changes": changes, "unchanged": report.unchanged })
}

/// A report for people.
pub fn show(door: &mut Door, host: &str, report: &Report) -> Result<(), Failure> {
    door.passing("");
    let title = door.tint(Tint::Strong, host);
    if report.changes.is_empty() {
        let nothing = door.tint(Tint::Good, "nothing to do");
        writeln!(door.out, "{title}: {nothing}, {} resources are as they should be", report.unchanged)?;
        return Ok(());
    }
    let count = report.changes.len();
    let noun = if count == 1 { "change" } else { "changes" };
    writeln!(door.out, "{title}: {count} {noun}, {} resources are as they should be", report.unchanged)?;
    for change in &report.changes {
        show_change(door, change)?;
    }
    Ok(())
}

fn show_change(door: &mut Door, change: &Change) -> Result<(), Failure> {
    let tint = match change.action {
        Action::Create | Action::Start => Tint::Good,
        Action::Remove => Tint::Bad,
        Action::Update | Action::Restart | Action::Reload => Tint::Change,
    };
    let sign = door.tint(tint, &format!("{} {}", change.action.sign(), change.resource));
    let why = door.tint(Tint::Faint, &format!("{}: {}", change.action.name(), change.why));
    writeln!(door.out, "{sign}  {why}")?;
    let limit = if door.verbose > 0 { usize::MAX } else { 12 };
    for line in change.diff.iter().take(limit) {
        let line = match line.chars().next() {
            Some('+') => door.tint(Tint::Good, line),
            Some('-') => door.tint(Tint::Bad, line),
            _ => door.tint(Tint::Faint, line),
        };
        writeln!(door.out, "    {line}")?;
    }
    if let Some(more) = change.diff.len().checked_sub(limit).filter(|more| *more > 0) {
        let note = door.tint(Tint::Faint, &format!("… {more} more lines (-v shows them)"));
        writeln!(door.out, "    {note}")?;
    }
    Ok(())
}
