//! `sepctl status`: services, databases, disks against their budgets, last backup, release.

use std::io::Write;

use serde_json::{Value, json};

use super::Global;
use crate::control::call;
use crate::desired::{self, REHEARSAL, TRADING};
use crate::door::{Door, Failure, Tint};
use crate::host::status::Status;
use crate::inventory::model::Host;
use crate::inventory::units::about_size;
use crate::ssh::{Connection, Target};

/// Show how a droplet is: services, database, disk, backups, executor
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sepctl status
  sepctl status --json | jq '.hosts[].executor.signals'")]
pub struct StatusArgs {}

/// Asks every chosen host.
pub async fn cmd_status(global: &Global, _: &StatusArgs, door: &mut Door) -> Result<(), Failure> {
    let mut documents = Vec::new();
    let mut unwell = Vec::new();
    for host in global.hosts(door)? {
        let connection = Connection::open(&Target::of(&host)).await?;
        let status: Status = call(&connection, &host.ssh.user, &question(&host)).await?;
        if !is_well(&status) {
            unwell.push(host.name.clone());
        }
        if door.json {
            documents.push(document(&host, &status)?);
        } else {
            show(door, &host, &status)?;
        }
        connection.close().await;
    }
    if door.json {
        door.document(&json!({ "hosts": documents }))?;
    }
    if unwell.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("not everything is well on {}", unwell.join(", "))))
}

fn question(host: &Host) -> Vec<String> {
    let mut args: Vec<String> = ["status", "--mount", &host.volume.mount, "--port"].map(str::to_owned).into();
    args.push(host.postgres.port.to_string());
    for unit in desired::services(host) {
        args.extend(["--unit".to_owned(), unit]);
    }
    for database in [TRADING, REHEARSAL] {
        args.extend(["--database", database].map(str::to_owned));
    }
    args
}

fn is_well(status: &Status) -> bool {
    let running = |state: &str| ["active", "activating", "not needed here"].contains(&state);
    let services = status
        .services
        .iter()
        .all(|s| running(&s.state) || s.unit.starts_with("sep-backup") && s.state != "failed");
    services && status.faults.is_empty()
}

/// What is used of what is granted.
fn budgets<'a>(host: &Host, status: &'a Status) -> [(&'a str, u64, u64); 4] {
    let (budget, used) = (&host.budgets, &status.used);
    [
        ("database", used.database, budget.database),
        ("backups", used.backups, budget.backups),
        ("cache", used.cache, budget.cache),
        ("logs", used.logs, budget.logs),
    ]
}

fn document(host: &Host, status: &Status) -> Result<Value, Failure> {
    let mut value = serde_json::to_value(status)?;
    value["host"] = json!(host.name);
    value["well"] = json!(is_well(status));
    value["budgets"] = budgets(host, status)
        .iter()
        .map(|(name, used, budget)| json!({ "name": name, "used": used, "budget": budget }))
        .collect();
    Ok(value)
}

fn show(door: &mut Door, host: &Host, status: &Status) -> Result<(), Failure> {
    let title = door.tint(Tint::Strong, &host.name);
    let well = if is_well(status) { door.tint(Tint::Good, "well") } else { door.tint(Tint::Bad, "not well") };
    writeln!(door.out, "{title} ({}): {well}", host.ssh.address)?;
    writeln!(door.out, "  services")?;
    for service in &status.services {
        let tint = if service.state == "active" { Tint::Good } else { Tint::Faint };
        let tint = if service.state == "failed" { Tint::Bad } else { tint };
        writeln!(door.out, "    {:<32} {}", service.unit, door.tint(tint, &service.state))?;
    }
    writeln!(door.out, "  databases")?;
    for database in &status.databases {
        let version = database.schema_version.map_or("no schema".into(), |v| format!("schema {v}"));
        writeln!(door.out, "    {:<32} {}, {version}", database.name, about_size(database.bytes))?;
    }
    writeln!(door.out, "  disk")?;
    for disk in &status.disks {
        let free = about_size(disk.free);
        writeln!(door.out, "    {:<32} {free} free of {}", disk.path, about_size(disk.bytes))?;
    }
    for (name, used, budget) in budgets(host, status) {
        let text = format!("{} of {}", about_size(used), about_size(budget));
        let text = if used > budget { door.tint(Tint::Bad, &text) } else { text };
        writeln!(door.out, "    {name:<32} {text}")?;
    }
    let backup = match &status.last_backup {
        None => "none yet".to_owned(),
        Some(set) => match &set.fault {
            None => format!("{}, {}", set.name, about_size(set.bytes)),
            Some(fault) => door.tint(Tint::Bad, &format!("{}: {fault}", set.name)),
        },
    };
    writeln!(door.out, "  last backup                        {backup}")?;
    show_executor(door, status)?;
    for fault in &status.faults {
        writeln!(door.out, "  {} {fault}", door.tint(Tint::Bad, "fault:"))?;
    }
    Ok(())
}

fn show_executor(door: &mut Door, status: &Status) -> Result<(), Failure> {
    let release = status.release.as_deref().map_or("none", |hash| hash.get(..12).unwrap_or(hash));
    writeln!(door.out, "  release                            {release}")?;
    if let Some(executor) = &status.executor {
        let text = |pointer: &str| match executor.pointer(pointer) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => "?".to_owned(),
        };
        writeln!(
            door.out,
            "  executor                           {}, mode {}, {} pending, {} decided today",
            text("/status"),
            text("/mode"),
            text("/signals/pending"),
            text("/signals/decided_today")
        )?;
    }
    Ok(())
}
