//! `sepctl sync`: signals from the workstation to the droplet.

use std::io::Write;
use std::path::{Path, PathBuf};

use sep_contract::SignalBatch;
use sep_contract::signals::{read_csv, read_parquet};
use serde_json::{Value, json};

use super::Global;
use crate::control::{PushError, Pushed, database, push};
use crate::desired::{REHEARSAL, TRADING};
use crate::door::{Door, Failure, Tint};
use crate::inventory::model::Host;
use crate::machine::socket;
use crate::ssh::{Connection, Target};

/// Push signals to the droplet, each exactly once
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sepctl sync data/signals/2026-11-21.parquet
  sepctl sync --rehearsal signals.csv

A file is stored whole or not at all. The same file, or the same signals in another file, change nothing; a signal
whose key is stored with other content is a conflict, and is named; the other files are pushed all the same. Signals of
made-up candles go to the rehearsal database alone.")]
pub struct SyncArgs {
    /// Parquet or CSV files of signals
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Into the rehearsal database, for the simulator
    #[arg(long)]
    rehearsal: bool,
}

/// Pushes every file; all are read and checked before the first is sent.
pub async fn cmd_sync(global: &Global, args: &SyncArgs, door: &mut Door) -> Result<(), Failure> {
    let host = global.host(door)?;
    let mut documents = Vec::new();
    let mut refused = false;
    push_files(&host, &args.files, args.rehearsal, |file, batch, pushed| {
        documents.push(document(file, batch, &pushed));
        refused |= pushed.is_err();
        show(door, file, &pushed)
    })
    .await?;
    if door.json {
        door.document(&json!({ "host": host.name, "database": name(args.rehearsal), "files": documents }))?;
    }
    if refused { Err(Failure::silent(1)) } else { Ok(()) }
}

/// The database that signals go to.
pub(super) const fn name(rehearsal: bool) -> &'static str {
    if rehearsal { REHEARSAL } else { TRADING }
}

/// Reads and checks all files, then pushes one after the other; `done` hears what became of each. One that the
/// database refuses stops no other.
pub(super) async fn push_files(
    host: &Host,
    files: &[PathBuf],
    rehearsal: bool,
    mut done: impl FnMut(&Path, &SignalBatch, Result<Pushed, Failure>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let batches = files.iter().map(|file| Ok((file, read(file)?))).collect::<Result<Vec<_>, Failure>>()?;
    if let Some((file, _)) = batches.iter().find(|(_, batch)| batch.is_synthetic() && !rehearsal) {
        let what =
            format!("{}: found signals of made-up candles, which never mix with real ones", file.display());
        return Err(
            Failure::new(what).hint("nothing was sent; --rehearsal pushes into the rehearsal database")
        );
    }
    let connection = Connection::open(&Target::of(host)).await?;
    let failed = |error: &dyn std::fmt::Display| Failure::new(format!("{}: {error}", host.name));
    let client = database::connect(&connection, &socket(host.postgres.port), name(rehearsal), "sep_sync")
        .await
        .map_err(|e| failed(&e).hint("has this host been deployed? `sepctl status` shows its services"))?;
    for (file, batch) in batches {
        crate::failpoint::hit("sync-before-push");
        let failed = |error: PushError, hint| failed(&format!("{}: {error}", file.display())).hint(hint);
        let pushed = match push(&client, &batch).await {
            Ok(pushed) => Ok(pushed),
            Err(error @ (PushError::Conflict { .. } | PushError::Refused { .. })) => Err(failed(
                error,
                "nothing of this file was stored; run the command again after mending the cause",
            )),
            // The server may have stored the batch before the connection broke.
            Err(error @ (PushError::Unanswered(_) | PushError::Database(_))) => {
                return Err(failed(
                    error,
                    "whether this file was stored is not known; run the same command again: it stores what is missing",
                ));
            }
        };
        crate::failpoint::hit("sync-after-push");
        done(file, &batch, pushed)?;
    }
    connection.close().await;
    Ok(())
}

/// What became of a file, for machines.
pub(super) fn document(file: &Path, batch: &SignalBatch, pushed: &Result<Pushed, Failure>) -> Value {
    let mut document =
        json!({ "file": file, "batch": batch.batch_id().to_string(), "signals": batch.signals().len() });
    match pushed {
        Ok(Pushed { inserted, duplicates, already_applied }) => {
            document["inserted"] = json!(inserted);
            document["duplicates"] = json!(duplicates);
            document["already_applied"] = json!(already_applied);
        }
        Err(failure) => document["error"] = json!(failure.message),
    }
    document
}

fn read(file: &Path) -> Result<SignalBatch, Failure> {
    let name = file.display().to_string();
    let unusable =
        |error: String| Failure::new(error).hint("nothing was sent; mend the file and run it again");
    let bytes = std::fs::read(file).map_err(|e| unusable(format!("{name}: {e}")))?;
    let batch = match file.extension().and_then(|e| e.to_str()) {
        Some("parquet") => read_parquet(&bytes, &name),
        Some("csv") => {
            let text = String::from_utf8(bytes)
                .map_err(|e| unusable(format!("{name}: found bytes that are no UTF-8 text: {e}")))?;
            read_csv(&text, &name)
        }
        _ => return Err(Failure::usage(format!("{name}: expected a file that ends in .parquet or .csv"))),
    };
    batch.map_err(|e| unusable(e.to_string()))
}

/// The same for people: what was stored, and, also beside a document, what was refused.
pub(super) fn show(door: &mut Door, file: &Path, pushed: &Result<Pushed, Failure>) -> Result<(), Failure> {
    let pushed = match pushed {
        Err(failure) => {
            door.fail(failure);
            return Ok(());
        }
        Ok(_) if door.json => return Ok(()),
        Ok(pushed) => pushed,
    };
    let text = if pushed.already_applied {
        door.tint(Tint::Faint, "already applied, nothing changed")
    } else {
        let stored = door.tint(Tint::Good, &format!("{} stored", pushed.inserted));
        format!("{stored}, {} known before", pushed.duplicates)
    };
    Ok(writeln!(door.out, "{}: {text}", file.display())?)
}
