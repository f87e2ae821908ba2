//! `sepctl host`: the host's side, started over SSH or by a unit there. Not for people.

use std::io::Write;
use std::path::PathBuf;

use serde_json::json;

use crate::backup::{self, TakeOptions};
use crate::door::{Door, Failure};
use crate::host::status::{Places, gather};
use crate::machine::Machine;

/// The host's side of sepctl
#[derive(Debug, clap::Args)]
pub struct HostArgs {
    /// The desired state that this host may hold from the last time
    #[arg(long)]
    desired: Option<String>,
    #[command(subcommand)]
    verb: Option<HostVerb>,
}

/// What the host's side is to do; without a verb it serves an exchange.
#[derive(Debug, clap::Subcommand)]
enum HostVerb {
    /// Take a backup set
    Backup {
        #[arg(long)]
        target: PathBuf,
        #[arg(long)]
        port: u16,
        #[arg(long)]
        postgres_version: u16,
        #[arg(long = "database")]
        databases: Vec<String>,
        #[arg(long)]
        keep: usize,
        #[arg(long)]
        budget: u64,
        #[arg(long)]
        reserve: u64,
    },
    /// List the sets, as JSON
    Backups {
        #[arg(long)]
        target: PathBuf,
    },
    /// Read a set whole, as JSON
    Verify {
        #[arg(long)]
        target: PathBuf,
        #[arg(long)]
        postgres_version: u16,
        name: Option<String>,
    },
    /// Report the host's condition, as JSON
    Status {
        #[arg(long)]
        mount: String,
        #[arg(long)]
        port: u16,
        #[arg(long = "unit")]
        units: Vec<String>,
        #[arg(long = "database")]
        databases: Vec<String>,
    },
}

/// Runs the host's side.
pub fn cmd_host(args: &HostArgs, door: &mut Door) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(error.to_string());
    let machine = Machine::default();
    match &args.verb {
        None => {
            let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
            crate::host::serve(&mut input, &mut output, args.desired.as_deref()).map_err(|e| failed(&e))
        }
        Some(HostVerb::Backup { target, port, postgres_version, databases, keep, budget, reserve }) => {
            let options = TakeOptions {
                target: target.clone(),
                port: *port,
                version: *postgres_version,
                databases: databases.clone(),
                keep: *keep,
                budget: *budget,
                reserve: *reserve,
            };
            let name = backup::take(&machine, &options).map_err(|e| failed(&e))?;
            Ok(writeln!(door.out, "{name}")?)
        }
        Some(HostVerb::Backups { target }) => {
            let sets = backup::list(target).map_err(|e| failed(&format!("{}: {e}", target.display())))?;
            door.document(&json!({ "backups": sets }))
        }
        Some(HostVerb::Verify { target, postgres_version, name }) => {
            let set = backup::choose(target, name.as_deref()).map_err(|e| failed(&e))?;
            let manifest = backup::verify(&machine, &set, *postgres_version).map_err(|e| failed(&e))?;
            let name = set.file_name().unwrap_or_default().to_string_lossy().into_owned();
            door.document(&json!({
                "name": name, "files": manifest.files.len(), "bytes": manifest.bytes(), "verified": true,
            }))
        }
        Some(HostVerb::Status { mount, port, units, databases }) => {
            let places = Places {
                mount: mount.clone(),
                port: *port,
                units: units.clone(),
                databases: databases.clone(),
                api_socket: crate::desired::API_SOCKET.to_owned(),
            };
            door.document(&serde_json::to_value(gather(&machine, &places))?)
        }
    }
}
