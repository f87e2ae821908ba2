//! PostgreSQL's settings as pure functions of a machine's memory and cores.
//!
//! Owns the numbers and their reasons. Reads no machine: the caller says what there is. Values are bare,
//! as `SHOW` would print them; quoting is the business of whoever writes postgresql.conf.

pub mod memory;

use std::collections::BTreeMap;

use crate::inventory::model::Postgres;
use memory::{GIB, KIB, MIB};

/// Background processes of PostgreSQL itself that count against `max_worker_processes`
/// (timescaledb-tune reserves the same three).
const BASE_WORKERS: u32 = 3;

/// TimescaleDB's scheduler and jobs, over all databases (timescaledb-tune's default).
const TIMESCALE_WORKERS: u32 = 16;

/// Autovacuum workers; PostgreSQL's default, written out because the worst case counts them.
const AUTOVACUUM_WORKERS: u32 = 3;

/// Measured with 2,191 chunks and 24 connections: 64 fails on `count(*)`, 128 fails on `drop_chunks`.
const LOCKS_PER_TRANSACTION: u32 = 256;

/// The settings for a machine of `memory_bytes` and `cores`, with the user's own laid over them.
///
/// `memory_bytes` may be what the kernel reports, which is less than what was bought; see
/// [`memory::nominal`].
pub fn settings(memory_bytes: u64, cores: u32, pg: &Postgres) -> BTreeMap<String, String> {
    let memory = memory::nominal(memory_bytes);
    let cores = cores.max(1);
    let size = memory::format;
    let maintenance = floor_mib(memory / 16).clamp(16 * MIB, 2 * GIB);
    let shared_buffers = floor_mib(memory / 4).max(32 * MIB);

    let tuned = [
        // Memory.
        ("shared_buffers", size(shared_buffers)),
        ("effective_cache_size", size(floor_mib(memory / 4 * 3))),
        ("work_mem", size(work_mem(memory, cores, pg.max_connections))),
        ("maintenance_work_mem", size(maintenance)),
        // Each worker may use this much; at the default they would each take maintenance_work_mem.
        ("autovacuum_work_mem", size(floor_mib(maintenance / 4))),
        ("max_connections", pg.max_connections.to_string()),
        ("max_locks_per_transaction", LOCKS_PER_TRANSACTION.to_string()),
        // Write-ahead log. PostgreSQL's own rule is 1/32 of shared_buffers, at most one segment.
        ("wal_buffers", size((shared_buffers / 32).min(16 * MIB))),
        ("wal_compression", if pg.version >= 15 { "lz4" } else { "on" }.to_owned()),
        ("min_wal_size", size(512 * MIB)),
        ("max_wal_size", size(4 * GIB)),
        ("checkpoint_completion_target", "0.9".to_owned()),
        // Solid state storage.
        ("random_page_cost", "1.1".to_owned()),
        ("effective_io_concurrency", "200".to_owned()),
        // Short queries over few chunks: compiling them costs more than it saves.
        ("jit", "off".to_owned()),
        // Workers.
        ("timescaledb.max_background_workers", TIMESCALE_WORKERS.to_string()),
        ("max_worker_processes", (BASE_WORKERS + TIMESCALE_WORKERS).saturating_add(cores).to_string()),
        ("max_parallel_workers", cores.to_string()),
        ("max_parallel_workers_per_gather", (cores / 2).max(1).to_string()),
        ("max_parallel_maintenance_workers", (cores / 2).max(1).to_string()),
        ("autovacuum_max_workers", AUTOVACUUM_WORKERS.to_string()),
        ("autovacuum_naptime", "10s".to_owned()),
        ("shared_preload_libraries", "timescaledb".to_owned()),
        // No TCP at all: everyone comes through the unix socket, by peer authentication.
        ("listen_addresses", String::new()),
        ("port", pg.port.to_string()),
        ("password_encryption", "scram-sha-256".to_owned()),
        ("timescaledb.telemetry_level", "off".to_owned()),
        ("timezone", "UTC".to_owned()),
        // Log to where the service manager looks, and say what was slow or waited.
        ("log_destination", "stderr".to_owned()),
        ("logging_collector", "off".to_owned()),
        ("log_timezone", "UTC".to_owned()),
        ("log_line_prefix", "%m [%p] %q%u@%d ".to_owned()),
        ("log_checkpoints", "on".to_owned()),
        ("log_lock_waits", "on".to_owned()),
        ("log_min_duration_statement", "250ms".to_owned()),
        ("log_temp_files", "10MB".to_owned()),
    ];
    let mut settings: BTreeMap<_, _> = tuned.map(|(name, value)| (name.to_owned(), value)).into();
    settings.extend(pg.settings.iter().map(|(name, value)| (name.clone(), value.clone())));
    settings
}

/// A value as postgresql.conf wants it: bare where its grammar takes a word (`lz4`), a number (`1.1`) or a
/// number with a unit (`64MB`), else in single quotes.
pub fn quoted(value: &str) -> String {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let word = value.starts_with(|c: char| c.is_ascii_alphabetic())
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let amount = digits(value.trim_end_matches(|c: char| c.is_ascii_alphabetic()));
    let decimal = value.split_once('.').is_some_and(|(whole, fraction)| digits(whole) && digits(fraction));
    let negative = value.strip_prefix('-').is_some_and(digits);
    if word || amount || decimal || negative {
        value.to_owned()
    } else {
        // Within quotes the file takes backslashes as escapes.
        format!("'{}'", value.replace('\\', r"\\").replace('\'', "''"))
    }
}

/// What one sort may use: 13/64 of the memory over everyone who may sort at once, which is the design's
/// 64 MB for 8 GB, 24 connections and 2 cores; never more than 1/128 of the memory, so that few
/// connections do not tempt the planner into a handful of giant hashes.
fn work_mem(memory: u64, cores: u32, max_connections: u32) -> u64 {
    let sorters = u64::from(max_connections) + u64::from(cores);
    let share = (memory / 64 * 13 / sorters).min(memory / 128);
    if share >= MIB { floor_mib(share) } else { (share / KIB * KIB).max(64 * KIB) }
}

fn floor_mib(bytes: u64) -> u64 {
    bytes / MIB * MIB
}

#[cfg(test)]
mod tests {
    use super::*;

    fn postgres(version: u16, max_connections: u32) -> Postgres {
        Postgres { version, port: 5432, max_connections, settings: BTreeMap::new() }
    }

    fn tuned(gib_tenths: u64, cores: u32) -> BTreeMap<String, String> {
        settings(gib_tenths * GIB / 10, cores, &postgres(17, 24))
    }

    #[test]
    fn by_memory() {
        // memory in tenths of GiB, as reported; cores; shared, cache, work, maintenance, autovacuum, wal
        let table = [
            (5, 1, ["128MB", "384MB", "4MB", "32MB", "8MB", "4MB"]),
            (10, 1, ["256MB", "768MB", "8MB", "64MB", "16MB", "8MB"]),
            (20, 1, ["512MB", "1536MB", "16MB", "128MB", "32MB", "16MB"]),
            (39, 2, ["1GB", "3GB", "32MB", "256MB", "64MB", "16MB"]),
            (80, 2, ["2GB", "6GB", "64MB", "512MB", "128MB", "16MB"]),
            (78, 2, ["2GB", "6GB", "64MB", "512MB", "128MB", "16MB"]),
            (80, 4, ["2GB", "6GB", "59MB", "512MB", "128MB", "16MB"]),
            (156, 4, ["4GB", "12GB", "118MB", "1GB", "256MB", "16MB"]),
            (628, 16, ["16GB", "48GB", "332MB", "2GB", "512MB", "16MB"]),
        ];
        for (memory, cores, expected) in table {
            let settings = tuned(memory, cores);
            let names = [
                "shared_buffers",
                "effective_cache_size",
                "work_mem",
                "maintenance_work_mem",
                "autovacuum_work_mem",
                "wal_buffers",
            ];
            assert_eq!(names.map(|name| settings[name].as_str()), expected, "{memory}/10 GiB, {cores} cores");
        }
    }

    #[test]
    fn by_cores() {
        let table = [(1, "20", "1", "1"), (2, "21", "2", "1"), (4, "23", "4", "2"), (16, "35", "16", "8")];
        for (cores, processes, parallel, gather) in table {
            let settings = tuned(80, cores);
            assert_eq!(settings["max_worker_processes"], processes);
            assert_eq!(settings["max_parallel_workers"], parallel);
            assert_eq!(settings["max_parallel_workers_per_gather"], gather);
        }
    }

    #[test]
    fn the_worst_case_fits_every_machine() {
        for memory in [10, 20, 39, 80, 156, 320, 628, 1280] {
            for cores in [1, 2, 4, 8, 16, 64] {
                for connections in [8, 24, 100, 500] {
                    let pg = postgres(17, connections);
                    let bytes = memory * GIB / 10;
                    let use_of = memory::worst_case(bytes, &settings(bytes, cores, &pg)).unwrap();
                    assert!(
                        use_of.total() <= memory::nominal(bytes),
                        "{memory}/10 GiB, {cores} cores, {connections} connections: {use_of}"
                    );
                }
            }
        }
    }

    #[test]
    fn values_are_quoted_where_the_file_needs_it() {
        let table = [
            ("64MB", "64MB"),
            ("1.1", "1.1"),
            ("-1", "-1"),
            ("lz4", "lz4"),
            ("", "''"),
            ("127.0.0.1", "'127.0.0.1'"),
            ("scram-sha-256", "'scram-sha-256'"),
            ("%m [%p] ", "'%m [%p] '"),
            ("it's", "'it''s'"),
            (r"a\b", r"'a\\b'"),
            ("1a2", "'1a2'"),
        ];
        for (value, expected) in table {
            assert_eq!(quoted(value), expected);
        }
    }

    #[test]
    fn the_users_settings_win() {
        let mut pg = postgres(14, 24);
        pg.settings.insert("work_mem".into(), "16MB".into());
        pg.settings.insert("track_io_timing".into(), "on".into());
        let settings = settings(8 * GIB, 2, &pg);
        assert_eq!(settings["work_mem"], "16MB");
        assert_eq!(settings["track_io_timing"], "on");
        assert_eq!(settings["wal_compression"], "on", "14 knows no lz4 here");
    }

    #[test]
    fn the_whole_for_the_droplet_of_the_design() {
        let lines: String = tuned(78, 2).iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
        insta::assert_snapshot!(lines, @r"
        autovacuum_max_workers = 3
        autovacuum_naptime = 10s
        autovacuum_work_mem = 128MB
        checkpoint_completion_target = 0.9
        effective_cache_size = 6GB
        effective_io_concurrency = 200
        jit = off
        listen_addresses = 
        log_checkpoints = on
        log_destination = stderr
        log_line_prefix = %m [%p] %q%u@%d 
        log_lock_waits = on
        log_min_duration_statement = 250ms
        log_temp_files = 10MB
        log_timezone = UTC
        logging_collector = off
        maintenance_work_mem = 512MB
        max_connections = 24
        max_locks_per_transaction = 256
        max_parallel_maintenance_workers = 1
        max_parallel_workers = 2
        max_parallel_workers_per_gather = 1
        max_wal_size = 4GB
        max_worker_processes = 21
        min_wal_size = 512MB
        password_encryption = scram-sha-256
        port = 5432
        random_page_cost = 1.1
        shared_buffers = 2GB
        shared_preload_libraries = timescaledb
        timescaledb.max_background_workers = 16
        timescaledb.telemetry_level = off
        timezone = UTC
        wal_buffers = 16MB
        wal_compression = lz4
        work_mem = 64MB
        ");
    }
}
