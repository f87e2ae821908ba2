//! Making one set: dump, describe, read back, sync, publish by rename, prune.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock, statvfs};

use super::{DatabaseEntry, Manifest, ManifestError, is_set_name, list};
use crate::machine::{Command, Machine, MachineError, PostgresTarget};

/// The databases of a droplet can be large; the unit's own limit is longer.
const PATIENCE: Duration = Duration::from_secs(6000);

/// What a set is made of, and how much room it may take.
#[derive(Debug, Clone)]
pub struct TakeOptions {
    /// The folder of all sets.
    pub target: PathBuf,
    pub port: u16,
    /// Major version: a dump by another version's pg_dump may not restore.
    pub version: u16,
    pub databases: Vec<String>,
    /// Sets that stay.
    pub keep: usize,
    /// Bytes that all sets together may take.
    pub budget: u64,
    /// Bytes of the volume that stay free whatever happens.
    pub reserve: u64,
}

/// Why there is no new set; the older ones are untouched.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    #[error("{}: {source}", .path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("another backup is under way (it holds {})", .0.display())]
    Locked(PathBuf),
    #[error(transparent)]
    Machine(#[from] MachineError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(
        "no room for a backup: found {free} bytes free, expected {needed} ({estimate} for the dump, {reserve} in reserve); free some space, or lower `backup.keep`"
    )]
    NoRoom { free: u64, needed: u64, estimate: u64, reserve: u64 },
    #[error(
        "the backups would outgrow their budget: {used} bytes are in use and about {estimate} more are needed, the budget is {budget}; raise `budgets.backups`, or lower `backup.keep`"
    )]
    OverBudget { used: u64, estimate: u64, budget: u64 },
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> TakeError {
    let path = path.to_owned();
    move |source| TakeError::Io { path, source }
}

/// Takes a set and gives its name.
pub fn take(machine: &Machine, options: &TakeOptions) -> Result<String, TakeError> {
    let lock_path = options.target.join(".lock");
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&lock_path)
        .map_err(io(&lock_path))?;
    if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Err(TakeError::Locked(lock_path));
    }
    sweep(&options.target)?;
    let databases = describe_databases(machine, options)?;
    make_room(options, &databases)?;
    let (now, name) = free_name(&options.target);
    let (partial, published) = (options.target.join(format!(".partial-{name}")), options.target.join(&name));
    std::fs::create_dir(&partial).map_err(io(&partial))?;
    let made = fill(machine, options, &partial, &now.to_string(), databases)
        .and_then(|()| std::fs::rename(&partial, &published).map_err(io(&published)));
    if let Err(error) = made {
        // Nothing half-made stays behind.
        let _ = std::fs::remove_dir_all(&partial);
        return Err(error);
    }
    sync(&options.target)?;
    prune(options)?;
    Ok(name)
}

/// A set is named by its second: where one was taken within this very second, the next is waited for.
fn free_name(target: &Path) -> (jiff::Timestamp, String) {
    loop {
        let now = jiff::Timestamp::now();
        let name = now.strftime("%Y-%m-%dT%H%M%SZ").to_string();
        if !target.join(&name).exists() {
            return (now, name);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Removes what killed runs left.
fn sweep(target: &Path) -> Result<(), TakeError> {
    for entry in std::fs::read_dir(target).map_err(io(target))? {
        let path = entry.map_err(io(target))?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".partial-")) {
            std::fs::remove_dir_all(&path).map_err(io(&path))?;
        }
    }
    Ok(())
}

fn describe_databases(machine: &Machine, options: &TakeOptions) -> Result<Vec<DatabaseEntry>, TakeError> {
    let mut entries = Vec::new();
    for name in &options.databases {
        let target = PostgresTarget { port: options.port, database: name.clone() };
        let sql = "select pg_database_size(current_database()), \
                   coalesce((select extversion from pg_extension where extname = 'timescaledb'), '')";
        let rows = machine.ask(&target, sql)?;
        let cell = |i: usize| rows.first().and_then(|row| row.get(i).cloned().flatten()).unwrap_or_default();
        let bytes = cell(0).parse().unwrap_or(0);
        entries.push(DatabaseEntry { name: name.clone(), bytes, timescaledb: cell(1) });
    }
    Ok(entries)
}

/// Refuses before the dump what would fill the volume. A dump is estimated by the last one, with half as much again,
/// or by a third of the databases' size.
fn make_room(options: &TakeOptions, databases: &[DatabaseEntry]) -> Result<(), TakeError> {
    let sets = list(&options.target).map_err(io(&options.target))?;
    let used: u64 = sets.iter().map(|set| set.bytes).sum();
    let estimate = match sets.iter().rev().find(|set| set.fault.is_none()) {
        Some(last) => last.bytes + last.bytes / 2,
        None => databases.iter().map(|d| d.bytes).sum::<u64>() / 3,
    };
    // What this set will replace counts as free for the budget, but not on the disk: it goes after the new one stands.
    let surplus = (sets.len() + 1).saturating_sub(options.keep.max(1));
    let replaced: u64 = sets.iter().take(surplus).map(|set| set.bytes).sum();
    if used - replaced + estimate > options.budget {
        return Err(TakeError::OverBudget { used, estimate, budget: options.budget });
    }
    let disk = statvfs(&options.target).map_err(|e| io(&options.target)(e.into()))?;
    let free = disk.f_bavail * disk.f_frsize;
    let needed = estimate + options.reserve / 2;
    if free < needed {
        return Err(TakeError::NoRoom { free, needed, estimate, reserve: options.reserve / 2 });
    }
    Ok(())
}

fn fill(
    machine: &Machine,
    options: &TakeOptions,
    set: &Path,
    created: &str,
    databases: Vec<DatabaseEntry>,
) -> Result<(), TakeError> {
    let program = |name: &str| format!("/usr/lib/postgresql/{}/bin/{name}", options.version);
    let port = options.port.to_string();
    let server =
        ["--host", "/var/run/postgresql", "--port", &port, "--username", "postgres", "--no-password"];
    for database in &options.databases {
        let folder = set.join(database).display().to_string();
        let mut args = server.to_vec();
        args.extend([
            "--format",
            "directory",
            "--jobs",
            "2",
            "--compress",
            "zstd:1",
            "--lock-wait-timeout",
            "60s",
        ]);
        args.extend(["--file", &folder, database]);
        machine.run(&Command::new(&program("pg_dump"), args).limit(PATIENCE))?;
        crate::failpoint::hit("backup-after-dump");
    }
    let roles = set.join("roles.sql").display().to_string();
    let mut args = server.to_vec();
    args.extend(["--roles-only", "--no-role-passwords", "--file", &roles]);
    machine.run(&Command::new(&program("pg_dumpall"), args).limit(PATIENCE))?;
    let rows = machine.ask(
        &PostgresTarget { port: options.port, database: "postgres".into() },
        "select current_setting('server_version')",
    )?;
    let version = rows.first().and_then(|row| row.first().cloned().flatten()).unwrap_or_default();
    let manifest = Manifest::describe(set, created, version, databases)?;
    manifest.write(set)?;
    sync_below(set)?;
    crate::failpoint::hit("backup-before-verify");
    verify(machine, set, options.version)?;
    crate::failpoint::hit("backup-before-publish");
    Ok(())
}

/// Reads a set whole: every byte against the manifest, every archive by pg_restore.
pub fn verify(machine: &Machine, set: &Path, version: u16) -> Result<Manifest, TakeError> {
    let manifest = Manifest::read(set)?;
    manifest.verify(set)?;
    for database in &manifest.databases {
        let folder = set.join(&database.name).display().to_string();
        let program = format!("/usr/lib/postgresql/{version}/bin/pg_restore");
        let args = ["--file", "/dev/null", "--format", "directory", &folder];
        machine.run(&Command::new(&program, args).limit(PATIENCE))?;
    }
    Ok(manifest)
}

/// Removes whole sets beyond the newest `keep`. A damaged one stays to be looked at, and replaces none.
fn prune(options: &TakeOptions) -> Result<(), TakeError> {
    let sets = list(&options.target).map_err(io(&options.target))?;
    let whole: Vec<_> = sets.iter().filter(|set| set.fault.is_none()).collect();
    for set in whole.iter().take(whole.len().saturating_sub(options.keep.max(1))) {
        let path = options.target.join(&set.name);
        debug_assert!(is_set_name(&set.name));
        std::fs::remove_dir_all(&path).map_err(io(&path))?;
    }
    Ok(())
}

fn sync_below(folder: &Path) -> Result<(), TakeError> {
    for entry in std::fs::read_dir(folder).map_err(io(folder))? {
        let path = entry.map_err(io(folder))?.path();
        if path.is_dir() {
            sync_below(&path)?;
        } else {
            sync(&path)?;
        }
    }
    sync(folder)
}

fn sync(path: &Path) -> Result<(), TakeError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(io(path))
}
