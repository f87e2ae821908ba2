//! PostgreSQL: version, settings, and whether the worst case fits the memory.

use crate::inventory::findings::Findings;
use crate::inventory::model::{Host, Postgres};
use crate::inventory::problem::{Notice, Problem, nearest};
use crate::tuning;
use crate::tuning::memory::{self, MIB};

/// Every setting that a postgresql.conf of versions 14 to 18 may hold, one a line (pg_settings, without
/// the read-only ones; extensions' settings are told by the dot in their names).
const SETTINGS: &str = include_str!("../postgres_settings.txt");

/// Settings that sepctl itself decides, and where to turn instead.
const OWNED: [(&str, &str); 20] = [
    ("port", "write it as postgres.port"),
    ("max_connections", "write it as postgres.max_connections"),
    ("data_directory", "the cluster lives under volume.mount"),
    ("config_file", "sepctl writes the configuration"),
    ("hba_file", "sepctl decides who may log in"),
    ("ident_file", "sepctl decides who may log in"),
    ("external_pid_file", "the service manager keeps it"),
    ("unix_socket_directories", "the services look for the socket where Debian puts it"),
    ("unix_socket_group", "logins are by peer authentication"),
    ("unix_socket_permissions", "logins are by peer authentication"),
    ("cluster_name", "sepctl names the cluster"),
    ("event_source", "it is for Windows"),
    ("logging_collector", "the service manager collects the log"),
    ("log_destination", "the service manager collects the log"),
    ("log_directory", "the service manager collects the log"),
    ("log_filename", "the service manager collects the log"),
    ("include", "write the settings here"),
    ("include_dir", "write the settings here"),
    ("include_if_exists", "write the settings here"),
    ("allow_alter_system", "changes by hand are found by `sepctl plan`"),
];

/// Version, and the day of its last minor release where that lies before this program's.
const OUT_OF_SUPPORT: (u16, &str) = (14, "2026-11-12");

/// PostgreSQL's own default: advice to go below it would be bad advice.
const LEAST_WORK_MEM: u64 = 4 * MIB;

pub(super) fn check(host: &Host, findings: &mut Findings<'_>) {
    let pg = &host.postgres;
    match pg.version {
        14..=18 if pg.version == OUT_OF_SUPPORT.0 => {
            let (version, since) = OUT_OF_SUPPORT;
            findings.warn("postgres.version", Notice::OutOfSupport { version, since });
        }
        14..=18 => {}
        found => findings.refuse("postgres.version", Problem::PostgresVersion { found }),
    }
    if !(10..=1000).contains(&pg.max_connections) {
        let expected =
            "10 to 1000: the executor, sync, backup and retention need some, and three are kept for you";
        let problem = Problem::Range { found: pg.max_connections.to_string(), expected };
        findings.refuse("postgres.max_connections", problem);
        return;
    }
    let mut readable = true;
    for (name, value) in &pg.settings {
        if let Err(problem) = setting(name, value) {
            findings.refuse(&format!("postgres.settings.{name}"), problem);
            readable = false;
        }
    }
    if let (true, Some(memory)) = (readable, host.hardware.memory) {
        worst_case(pg, memory, host.hardware.cores.unwrap_or(1), findings);
    }
}

fn setting(name: &str, value: &str) -> Result<(), Problem> {
    let owned = |instead| Problem::OwnedSetting { name: name.to_owned(), instead };
    if let Some((_, instead)) = OWNED.iter().find(|(owned, _)| *owned == name) {
        return Err(owned(instead));
    }
    known(name)?;
    if value.contains(|c: char| c.is_control()) {
        return Err(Problem::SettingValue {
            why: "holds a line break or control character: write it on one line",
        });
    }
    if value.matches('\'').count() % 2 == 1 {
        return Err(Problem::SettingValue {
            why: "holds a single quote without its partner: add or remove one",
        });
    }
    let off = ["off", "false", "no", "0"].iter().any(|off| value.eq_ignore_ascii_case(off));
    match name {
        "listen_addresses" if !["", "localhost", "127.0.0.1", "::1"].contains(&value) => {
            Err(owned("the database is reached through SSH alone; `localhost` may be written"))
        }
        "shared_preload_libraries" if !value.split(',').any(|library| library.trim() == "timescaledb") => {
            Err(Problem::SettingValue {
                why: "must hold `timescaledb`, as in \"timescaledb,pg_stat_statements\"",
            })
        }
        "timezone" | "log_timezone" if !["UTC", "Etc/UTC", "GMT"].contains(&value) => {
            Err(Problem::SettingValue { why: "must be UTC: every time in the schema is" })
        }
        "fsync" | "full_page_writes" if off => {
            Err(Problem::SettingValue { why: "would lose the database at a power cut: remove it" })
        }
        "autovacuum" if off => Err(Problem::SettingValue {
            why: "would end in a database that stops by itself (transaction wraparound): remove it",
        }),
        _ => size(name, value),
    }
}

/// Whether PostgreSQL has such a setting.
fn known(name: &str) -> Result<(), Problem> {
    let part = |part: &str| {
        part.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_')
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let known = match name.split_once('.') {
        Some((extension, setting)) => part(extension) && part(setting),
        None => SETTINGS.lines().any(|known| known == name),
    };
    if known {
        return Ok(());
    }
    Err(Problem::UnknownSetting { name: name.to_owned(), suggestion: nearest(name, SETTINGS.lines()) })
}

/// Settings that hold an amount of memory must be written in PostgreSQL's way.
fn size(name: &str, value: &str) -> Result<(), Problem> {
    let is_size = memory::SIZE_SETTINGS.iter().any(|(known, _)| *known == name);
    if !is_size || memory::parse(name, value).is_some() {
        return Ok(());
    }
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let unit = match value[digits..].trim().to_ascii_lowercase().as_str() {
        "k" | "kb" | "kib" => Some("kB"),
        "m" | "mb" | "mib" => Some("MB"),
        "g" | "gb" | "gib" => Some("GB"),
        "t" | "tb" | "tib" => Some("TB"),
        _ => None,
    };
    let suggestion = unit.filter(|_| digits > 0).map(|unit| format!("{}{unit}", &value[..digits]));
    Err(Problem::SettingSize { found: value.to_owned(), suggestion })
}

fn worst_case(pg: &Postgres, memory: u64, cores: u32, findings: &mut Findings<'_>) {
    let settings = tuning::settings(memory, cores, pg);
    let Err(worst) = memory::fits(memory, &settings) else { return };
    let nominal = memory::nominal(memory);
    // What would be left for each sort if nothing else changed.
    let room = nominal.saturating_sub(worst.total() - worst.sorting());
    let each = room.saturating_mul(1000) / worst.sorters.saturating_mul(worst.hash_thousandths).max(1);
    let sorts = ["postgres.settings.work_mem", "postgres.max_connections"];
    let others = [
        "postgres.settings.shared_buffers",
        "postgres.settings.maintenance_work_mem",
        "postgres.settings.autovacuum_work_mem",
        "postgres.settings.autovacuum_max_workers",
    ];
    let (keys, remedy) = if each >= LEAST_WORK_MEM {
        let most = memory::format(each / MIB * MIB);
        (
            [sorts.as_slice(), &others].concat(),
            format!("lower work_mem to {most} or less, or max_connections"),
        )
    } else {
        let quarter = memory::format(nominal / 4 / MIB * MIB);
        let remedy =
            format!("lower shared_buffers ({quarter}, a quarter, is usual) or the maintenance settings");
        ([others.as_slice(), &sorts].concat(), remedy)
    };
    let problem = Problem::OverMemory { worst, memory_mb: nominal / MIB, remedy };
    findings.refuse_any(&keys, problem);
}
