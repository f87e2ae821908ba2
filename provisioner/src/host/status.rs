//! What `sepctl status` shows, gathered on the host in one go. Only looks.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::backup;
use crate::machine::{Machine, MachineError, PostgresTarget};
use crate::resource::api_status;

/// Where to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The volume's mount point.
    pub mount: String,
    /// PostgreSQL's port.
    pub port: u16,
    /// Units to report on.
    pub units: Vec<String>,
    pub databases: Vec<String>,
    pub api_socket: String,
}

/// A host's condition. What could not be found out is `None`, with the reason in `faults`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Status {
    pub services: Vec<ServiceStatus>,
    pub databases: Vec<DatabaseStatus>,
    pub disks: Vec<DiskStatus>,
    /// Bytes in the folders and logs that have a budget.
    pub used: Used,
    pub last_backup: Option<backup::Listed>,
    /// Hash of the executor's release that `current` points to.
    pub release: Option<String>,
    /// The executor's own /api/status.
    pub executor: Option<Value>,
    pub faults: Vec<String>,
}

/// One unit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServiceStatus {
    pub unit: String,
    /// `active`, `failed`, `inactive`, `not-found`.
    pub state: String,
}

/// One database.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DatabaseStatus {
    pub name: String,
    pub bytes: u64,
    pub schema_version: Option<i64>,
}

/// One mounted filesystem.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DiskStatus {
    pub path: String,
    pub bytes: u64,
    pub free: u64,
}

/// Bytes in use against a budget each.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Used {
    pub database: u64,
    pub backups: u64,
    pub cache: u64,
    pub logs: u64,
}

/// Looks at everything; a part that cannot be looked at is a fault, not an end.
pub fn gather(machine: &Machine, places: &Places) -> Status {
    let mut status = Status::default();
    if let Err(error) = machine.load_units(&places.units) {
        status.faults.push(error.to_string());
    }
    for name in &places.units {
        let state = match machine.unit(name) {
            Ok(unit) if unit.load == "not-found" => "not-found".to_owned(),
            Ok(unit) if unit.condition_failed && unit.active == "inactive" => "not needed here".to_owned(),
            Ok(unit) => unit.active,
            Err(error) => {
                status.faults.push(format!("{name}: {error}"));
                continue;
            }
        };
        status.services.push(ServiceStatus { unit: name.clone(), state });
    }
    for name in &places.databases {
        match database(machine, places.port, name) {
            Ok(found) => status.databases.push(found),
            Err(error) => status.faults.push(error.to_string()),
        }
    }
    for path in ["/", &places.mount] {
        match rustix::fs::statvfs(path) {
            Ok(disk) => status.disks.push(DiskStatus {
                path: path.to_owned(),
                bytes: disk.f_blocks * disk.f_frsize,
                free: disk.f_bavail * disk.f_frsize,
            }),
            Err(error) => status.faults.push(format!("{path}: {error}")),
        }
    }
    let below = |name: &str| size_of(&Path::new(&places.mount).join(name));
    status.used = Used {
        database: below("postgresql"),
        backups: below("backups"),
        cache: below("cache"),
        logs: size_of(Path::new("/var/log")),
    };
    match backup::list(&Path::new(&places.mount).join("backups")) {
        Ok(mut sets) => status.last_backup = sets.pop(),
        Err(error) => status.faults.push(format!("{}/backups: {error}", places.mount)),
    }
    status.release = machine
        .link_target(Path::new("/opt/sep/current"))
        .and_then(|target| Some(target.file_name()?.to_string_lossy().into_owned()));
    match api_status(&places.api_socket) {
        Ok((_, body)) => status.executor = serde_json::from_str(&body).ok(),
        Err(error) => status.faults.push(format!("the executor's API does not answer: {error}")),
    }
    status
}

fn database(machine: &Machine, port: u16, name: &str) -> Result<DatabaseStatus, MachineError> {
    let target = PostgresTarget { port, database: name.to_owned() };
    let rows = machine.ask(
        &target,
        "select pg_database_size(current_database()), \
         case when to_regclass('public.refinery_schema_history') is not null then \
           (xpath('/row/v/text()', query_to_xml('select max(version) as v from public.refinery_schema_history', false, true, '')))[1]::text end",
    )?;
    let cell = |i: usize| rows.first().and_then(|row| row.get(i).cloned().flatten());
    Ok(DatabaseStatus {
        name: name.to_owned(),
        bytes: cell(0).and_then(|text| text.parse().ok()).unwrap_or(0),
        schema_version: cell(1).and_then(|text| text.parse().ok()),
    })
}

/// Blocks in use below a folder; what vanishes or may not be read meanwhile counts nothing.
fn size_of(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => size_of(&entry.path()),
            Ok(found) => found.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}
