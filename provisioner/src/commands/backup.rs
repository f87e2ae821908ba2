//! `sepctl backup`: take, list and verify the sets on the droplet.

use std::io::Write;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Global;
use crate::backup::Listed;
use crate::control::call;
use crate::door::{Door, Failure, Tint};
use crate::inventory::model::Host;
use crate::inventory::units::about_size;
use crate::ssh::{Connection, Target, sudo};

/// Take, list and verify backups
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sepctl backup now              take a set now, besides the nightly one
  sepctl backup list
  sepctl backup verify           read the newest set whole
  sepctl backup verify 2026-11-21T020000Z

The sets lie on the droplet's volume, beside the database: they protect against mistakes, not against the loss
of the volume.")]
pub struct BackupArgs {
    #[command(subcommand)]
    verb: BackupVerb,
}

/// What to do with backups.
#[derive(Debug, clap::Subcommand)]
enum BackupVerb {
    /// Take a set now
    Now,
    /// List the sets
    List,
    /// Read a set whole: every byte against its hash, every archive by pg_restore
    Verify {
        /// The set's name; without it, the newest
        name: Option<String>,
    },
}

#[derive(Deserialize)]
struct Sets {
    backups: Vec<Listed>,
}

#[derive(Serialize, Deserialize)]
struct Verified {
    name: String,
    files: usize,
    bytes: u64,
    verified: bool,
}

/// Runs the verb on the one chosen host.
pub async fn cmd_backup(global: &Global, args: &BackupArgs, door: &mut Door) -> Result<(), Failure> {
    let host = global.host(door)?;
    let connection = Connection::open(&Target::of(&host)).await?;
    match &args.verb {
        BackupVerb::Now => now(&connection, &host, door).await?,
        BackupVerb::List => list(&connection, &host, door).await?,
        BackupVerb::Verify { name } => verify(&connection, &host, name.as_deref(), door).await?,
    }
    connection.close().await;
    Ok(())
}

fn target(host: &Host) -> [String; 2] {
    ["--target".into(), format!("{}/backups", host.volume.mount)]
}

async fn sets(connection: &Connection, host: &Host) -> Result<Vec<Listed>, Failure> {
    let [option, path] = target(host);
    let answer: Sets = call(connection, &host.ssh.user, &["backups".into(), option, path]).await?;
    Ok(answer.backups)
}

/// Starts the same unit as the nightly cron, and waits for it.
async fn now(connection: &Connection, host: &Host, door: &mut Door) -> Result<(), Failure> {
    let sudo = sudo(&host.ssh.user);
    let before = sets(connection, host).await?.pop().map(|set| set.name);
    door.passing("  … sep-backup.service dumps, reads back and publishes");
    let start = format!("{sudo}systemctl start sep-backup.service");
    let finished = connection.exec(&start).await?.finish().await;
    if !finished.success() {
        let journal = format!("{sudo}journalctl -q -n 6 -o cat --no-pager -u sep-backup.service");
        let said = connection.exec(&journal).await?.finish().await;
        return Err(Failure::new(format!(
            "{}: the backup failed; its journal ends with:\n{}",
            host.name,
            String::from_utf8_lossy(&said.stdout).trim_end()
        ))
        .hint("older sets are untouched; mend the cause and run `sepctl backup now` again"));
    }
    let Some(newest) = sets(connection, host).await?.pop().filter(|set| Some(&set.name) != before.as_ref())
    else {
        return Err(Failure::new(format!("{}: the backup ended well but published no set", host.name)));
    };
    if door.json {
        return door.document(&json!({ "host": host.name, "backup": newest }));
    }
    door.passing("");
    writeln!(door.out, "{}: {}, {}", host.name, newest.name, about_size(newest.bytes))?;
    Ok(())
}

async fn list(connection: &Connection, host: &Host, door: &mut Door) -> Result<(), Failure> {
    let sets = sets(connection, host).await?;
    if door.json {
        return door.document(&json!({ "host": host.name, "backups": sets }));
    }
    if sets.is_empty() {
        writeln!(door.out, "{}: no backup yet", host.name)?;
    }
    for set in sets {
        let databases: Vec<&str> = set.databases.iter().map(|d| d.name.as_str()).collect();
        let text = match &set.fault {
            None => format!("{:>10}  {}", about_size(set.bytes), databases.join(", ")),
            Some(fault) => door.tint(Tint::Bad, fault),
        };
        writeln!(door.out, "{}  {text}", set.name)?;
    }
    Ok(())
}

async fn verify(
    connection: &Connection,
    host: &Host,
    name: Option<&str>,
    door: &mut Door,
) -> Result<(), Failure> {
    let mut args = vec!["verify".to_owned()];
    args.extend(target(host));
    args.extend(["--postgres-version".to_owned(), host.postgres.version.to_string()]);
    args.extend(name.map(str::to_owned));
    door.passing("  … reading the set");
    let verified: Verified = call(connection, &host.ssh.user, &args).await?;
    if door.json {
        return door.document(&json!({ "host": host.name, "backup": verified }));
    }
    door.passing("");
    let good = door.tint(Tint::Good, "verified");
    let size = about_size(verified.bytes);
    writeln!(door.out, "{}: {} {good}: {} files, {size}", host.name, verified.name, verified.files)?;
    Ok(())
}
