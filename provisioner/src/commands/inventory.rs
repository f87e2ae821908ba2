//! `sepctl inventory`: what the inventory says, and whether it holds together.

use std::io::{self, Write};
use std::path::Path;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::door::Failure;
use crate::inventory::model::Host;
use crate::inventory::{self, HostError, Inventory, InventoryErrors, shown};
use crate::tuning;

/// Show or check the inventory
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  sepctl inventory check
  sepctl inventory show sandbox
  sepctl inventory show sandbox --json")]
pub struct InventoryArgs {
    #[command(subcommand)]
    pub command: InventoryCommand,
}

/// What to do with the inventory.
#[derive(Debug, Clone, Subcommand)]
pub enum InventoryCommand {
    /// Prints what a host comes to, with every default filled in
    ///
    /// The YAML reads back as the same host. Secrets are shown as references and never fetched.
    Show(ShowArgs),
    /// Reads the whole inventory and tells all that is wrong with it
    Check,
}

#[derive(Debug, Clone, Args)]
pub struct ShowArgs {
    /// The host; may be left out where there is only one
    pub host: Option<String>,
}

/// Why the inventory could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum InventoryCommandError {
    #[error(transparent)]
    Inventory(#[from] InventoryErrors),
    #[error(transparent)]
    Host(#[from] HostError),
    #[error("the host cannot be written as YAML: {0}")]
    Yaml(#[from] serde_yaml::Error),
    #[error("the output cannot be written: {0}")]
    Out(#[from] io::Error),
}

impl From<InventoryCommandError> for Failure {
    fn from(error: InventoryCommandError) -> Self {
        match error {
            InventoryCommandError::Inventory(errors) => errors.into(),
            InventoryCommandError::Host(error) => error.into(),
            other => Self::new(other.to_string()),
        }
    }
}

/// What `check --json` prints.
#[derive(Serialize)]
struct Checked<'a> {
    hosts: Vec<&'a str>,
    warnings: Vec<String>,
}

/// Runs `sepctl inventory ...` on `file`. Data goes to `out`, warnings to `talk`.
pub fn cmd_inventory(
    args: &InventoryArgs,
    file: &Path,
    json: bool,
    out: &mut dyn Write,
    talk: &mut dyn Write,
) -> Result<(), InventoryCommandError> {
    let inventory = inventory::read(file)?;
    for warning in &inventory.warnings {
        writeln!(talk, "warning: {warning}")?;
    }
    match &args.command {
        InventoryCommand::Show(show) => {
            let host = inventory.only(show.host.as_deref())?;
            if json { as_json(host, out)? } else { as_yaml(host, out)? }
        }
        InventoryCommand::Check => check(&inventory, json, out)?,
    }
    Ok(())
}

fn as_json(value: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}

fn as_yaml(host: &Host, out: &mut dyn Write) -> Result<(), InventoryCommandError> {
    write!(out, "{}", shown::to_yaml(host)?)?;
    // What follows is derived, so it stands in comments: the YAML stays an inventory.
    if let (Some(memory), Some(cores)) = (host.hardware.memory, host.hardware.cores) {
        writeln!(out, "# PostgreSQL, tuned for this hardware:")?;
        for (name, value) in tuning::settings(memory, cores, &host.postgres) {
            writeln!(out, "#   {name} = {}", tuning::quoted(&value))?;
        }
    }
    Ok(())
}

fn check(inventory: &Inventory, json: bool, out: &mut dyn Write) -> io::Result<()> {
    let hosts: Vec<_> = inventory.hosts.iter().map(|host| host.name.as_str()).collect();
    if json {
        let warnings = inventory.warnings.iter().map(ToString::to_string).collect();
        return as_json(&Checked { hosts, warnings }, out);
    }
    let count = hosts.len();
    let noun = if count == 1 { "host" } else { "hosts" };
    writeln!(out, "{}: {count} {noun}, nothing wrong: {}", inventory.file.display(), hosts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{Origin, parse};

    /// The inventory at the top of the repository.
    const OWN: &str = include_str!("../../../inventory.yaml");

    fn origin(file: &Path) -> Origin<'_> {
        Origin { file, folder: Path::new("/srv/trading"), home: Some(Path::new("/home/me")) }
    }

    fn run(command: InventoryCommand, text: &str, json: bool) -> (String, String) {
        let name = format!("sepctl-inventory-{}-{:?}.yaml", std::process::id(), std::thread::current().id());
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, text).unwrap();
        let (mut out, mut talk) = (Vec::new(), Vec::new());
        cmd_inventory(&InventoryArgs { command }, &file, json, &mut out, &mut talk).unwrap();
        std::fs::remove_file(&file).unwrap();
        let clean = |bytes: Vec<u8>| {
            String::from_utf8(bytes).unwrap().replace(file.to_str().unwrap(), "inventory.yaml")
        };
        (clean(out), clean(talk))
    }

    #[test]
    fn the_repositorys_own_inventory() {
        let (out, talk) = run(InventoryCommand::Check, OWN, false);
        insta::assert_snapshot!(out + &talk, @"inventory.yaml: 1 host, nothing wrong: sandbox");
        let (out, _) = run(InventoryCommand::Show(ShowArgs { host: None }), OWN, false);
        insta::assert_snapshot!(out, @r"
        hosts:
          sandbox:
            ssh:
              address: 10.213.0.2
              port: 22
              user: root
              identity: /var/lib/sepctl-sandbox/sandbox/id_ed25519
              known_hosts: /var/lib/sepctl-sandbox/sandbox/known_hosts
            hardware:
              memory: 8GiB
              cores: 2
            volume:
              device: /dev/disk/by-id/scsi-0DO_Volume_sep-data
              mount: /mnt/sep_data
              filesystem: ext4
              options: defaults,discard,noatime
              size: 50GB
            postgres:
              version: 17
              port: 5432
              max_connections: 24
              settings: {}
            firewall:
              open:
              - 22
              - 80
              - 443
              ssh_from: []
              ssh_rate: 30
            nginx:
              http_port: 80
              https_port: 443
            backup:
              schedule: 0 2 * * *
              keep: 7
            retention:
              market_candles: 1095d
              system_logs: 90d
            budgets:
              database: 35GB
              backups: 8GB
              cache: 5GB
              reserve: 2GB
              logs: 3GB
            executor:
              enabled: true
              account: primary
              mode: observe
              credentials: {}
        # PostgreSQL, tuned for this hardware:
        #   autovacuum_max_workers = 3
        #   autovacuum_naptime = 10s
        #   autovacuum_work_mem = 128MB
        #   checkpoint_completion_target = 0.9
        #   effective_cache_size = 6GB
        #   effective_io_concurrency = 200
        #   jit = off
        #   listen_addresses = ''
        #   log_checkpoints = on
        #   log_destination = stderr
        #   log_line_prefix = '%m [%p] %q%u@%d '
        #   log_lock_waits = on
        #   log_min_duration_statement = 250ms
        #   log_temp_files = 10MB
        #   log_timezone = UTC
        #   logging_collector = off
        #   maintenance_work_mem = 512MB
        #   max_connections = 24
        #   max_locks_per_transaction = 256
        #   max_parallel_maintenance_workers = 1
        #   max_parallel_workers = 2
        #   max_parallel_workers_per_gather = 1
        #   max_wal_size = 4GB
        #   max_worker_processes = 21
        #   min_wal_size = 512MB
        #   password_encryption = 'scram-sha-256'
        #   port = 5432
        #   random_page_cost = 1.1
        #   shared_buffers = 2GB
        #   shared_preload_libraries = timescaledb
        #   timescaledb.max_background_workers = 16
        #   timescaledb.telemetry_level = off
        #   timezone = UTC
        #   wal_buffers = 16MB
        #   wal_compression = lz4
        #   work_mem = 64MB
        ");
    }

    #[test]
    fn what_is_shown_reads_back_as_the_same_host() {
        let text = "\
hosts:
  odd:
    ssh: {address: 2001:db8::1, port: 2222, user: deploy, identity: ~/k, host_key: SHA256:uNiVztksCsDhcc0u9e8BrCd2X0Zcw5mCxcD0zTwCCMs}
    hardware: {memory: 8000MB}
    volume: {device: /dev/disk/by-uuid/12, size: 1500GB}
    postgres: {settings: {jit: on, search_path: '''a: b'', #c', work_mem: 4096}}
    firewall: {open: [2222, 80, 443], ssh_from: [2001:db8::/32]}
    nginx: {tls: {certificate: c.pem, key: {file: k.pem}}}
    backup: {schedule: '*/5 * * * *'}
    retention: {market_candles: forever}
    executor: {account: '1e5', credentials: {a: {env: A}, b: {command: [pass, 'show x']}}}
";
        let file = Path::new("inventory.yaml");
        let host = parse(text, &origin(file)).unwrap().hosts.remove(0);
        let shown = shown::to_yaml(&host).unwrap();
        assert_eq!(parse(&shown, &origin(file)).unwrap().hosts, [host], "{shown}");
        let bare = "hosts: {a: {ssh: {address: a}, volume: {device: /dev/disk/by-id/v}}}";
        let host = parse(bare, &origin(file)).unwrap().hosts.remove(0);
        let shown = shown::to_yaml(&host).unwrap();
        assert!(!shown.contains("null") && !shown.contains("hardware"), "{shown}");
        assert_eq!(parse(&shown, &origin(file)).unwrap().hosts, [host]);
    }

    #[test]
    fn json_is_the_model_and_warnings_are_talk() {
        let text = "hosts: {a: {ssh: {address: a}, volume: {device: /dev/disk/by-id/v}, postgres: {version: 14}, executor: {credentials: {t: {env: T}}}}}";
        let (out, talk) = run(InventoryCommand::Show(ShowArgs { host: Some("a".into()) }), text, true);
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(json["volume"]["size"], 50_000_000_000u64);
        assert_eq!(json["executor"]["credentials"]["t"]["env"], "T");
        assert!(talk.starts_with("warning: inventory.yaml:1:") && talk.contains("2026-11-12"), "{talk}");
        let (out, _) = run(InventoryCommand::Check, text, true);
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(json["hosts"][0], "a");
        assert_eq!(json["warnings"].as_array().unwrap().len(), 1);
    }
}
