//! The resolved inventory: what one host is to be, with every default filled in.
//!
//! Pure data. Reading and checking it is `inventory`'s work; nothing here knows of YAML.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use crate::secret::SecretRef;

/// One droplet as the inventory describes it, defaults merged in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Host {
    /// Key under `hosts:`.
    pub name: String,
    pub ssh: Ssh,
    pub hardware: Hardware,
    pub volume: Volume,
    pub postgres: Postgres,
    pub firewall: Firewall,
    pub nginx: Nginx,
    pub backup: Backup,
    pub retention: Retention,
    pub budgets: Budgets,
    pub executor: Executor,
}

/// How the droplet is reached.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ssh {
    /// DNS name or IP address.
    pub address: String,
    pub port: u16,
    /// `root`, or a user who may `sudo` without a password.
    pub user: String,
    /// `SHA256:...` fingerprint or a whole `ssh-ed25519 AAAA...` key; without it `known_hosts` decides.
    pub host_key: Option<String>,
    /// Private key file; without it the ssh agent and the usual files under ~/.ssh are tried.
    pub identity: Option<PathBuf>,
    /// A known_hosts file other than ~/.ssh/known_hosts.
    pub known_hosts: Option<PathBuf>,
}

/// What to tune for where the machine's own report is not to be trusted. `None`: as the host's facts say.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hardware {
    /// Bytes.
    pub memory: Option<u64>,
    pub cores: Option<u32>,
}

/// The block storage volume that holds everything worth keeping.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Volume {
    /// A /dev/disk/by-id path.
    pub device: String,
    /// Mount point, `/mnt/sep_data`.
    pub mount: String,
    /// `ext4` or `xfs`.
    pub filesystem: String,
    /// Mount options besides `nofail`, comma separated.
    pub options: String,
    /// Bytes the volume is expected to have; budgets are checked against it.
    pub size: u64,
}

/// The database server.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Postgres {
    /// Major version: 14 to 18.
    pub version: u16,
    pub port: u16,
    pub max_connections: u32,
    /// Settings that override the tuned ones, as written into postgresql.conf.
    pub settings: BTreeMap<String, String>,
}

/// What may reach the droplet from outside.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Firewall {
    /// TCP ports open to everyone (22 is further narrowed by `ssh_from`).
    pub open: Vec<u16>,
    /// Networks (CIDR or address) that may reach the SSH port; empty: everyone.
    pub ssh_from: Vec<String>,
    /// New SSH connections a minute accepted from one address.
    pub ssh_rate: u32,
}

/// The web server in front of the executor's socket.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Nginx {
    /// Plain HTTP: what is public; everything else is redirected to TLS.
    pub http_port: u16,
    /// TLS.
    pub https_port: u16,
    /// A further plain port for the API, such as 8080.
    pub extra_port: Option<u16>,
    /// Certificate and key; without it a self-signed one is made on the host.
    pub tls: Option<Tls>,
}

/// A certificate given by the user.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tls {
    /// PEM file on the workstation.
    pub certificate: PathBuf,
    pub key: SecretRef,
}

/// The nightly dump.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Backup {
    /// Five cron fields, UTC.
    pub schedule: String,
    /// Verified sets to keep.
    pub keep: u32,
}

/// How long rows are kept, in days; 0 keeps them for ever.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Retention {
    pub market_candles: u32,
    pub system_logs: u32,
}

/// Shares of the volume and of the system disk, in bytes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Budgets {
    pub database: u64,
    pub backups: u64,
    pub cache: u64,
    pub reserve: u64,
    /// Cap of journald on the system disk.
    pub logs: u64,
}

/// The trading daemon.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Executor {
    /// Whether the daemon is installed and runs.
    pub enabled: bool,
    /// Account name that rows carry, `primary`.
    pub account: String,
    pub mode: Mode,
    /// The binary on the workstation; without it, `sep-executor` beside `sepctl`.
    pub binary: Option<PathBuf>,
    /// Files under /etc/sep/credentials by name, for systemd's LoadCredential.
    pub credentials: BTreeMap<String, SecretRef>,
}

/// What the executor may do with a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Decides and records, sends nothing.
    Observe,
}
