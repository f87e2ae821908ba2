//! Everything that can be wrong with an inventory, and how it is told.
//!
//! One variant for one mistake; each message says what was found, what was expected and what to do. Plain
//! text: colour is the business of whoever prints it. No message holds a value that may be a secret.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::cron::CronError;
use super::network::{HostKeyError, NetworkError};
use super::positions::Position;
use super::units::{DaysError, SizeError, about_size};
use crate::tuning::memory::MemoryUse;

/// Where in which file, and which key: `inventory.yaml:14:7: hosts.sandbox.postgres.port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// As the user named it.
    pub file: PathBuf,
    /// `None` where the file as a whole is meant.
    pub position: Option<Position>,
    /// Keys joined by dots; empty where the file as a whole is meant.
    pub path: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(position) = self.position {
            write!(f, ":{position}")?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        Ok(())
    }
}

/// One mistake and its place.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct InventoryError {
    pub place: Place,
    pub problem: Problem,
}

/// All that is wrong with an inventory, in the order of the file. Never empty.
#[derive(Debug)]
pub struct InventoryErrors(pub Vec<InventoryError>);

impl fmt::Display for InventoryErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for InventoryErrors {}

/// Something that works, but that its owner should know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {notice}")]
pub struct Warning {
    pub place: Place,
    pub notice: Notice,
}

/// What a warning is about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Notice {
    #[error(
        "PostgreSQL {version} went out of support on {since}: it gets no more security fixes; plan the move to \
         version 17"
    )]
    OutOfSupport { version: u16, since: &'static str },
    #[error(
        "found {found}, but DigitalOcean's volume names hold no `_`: is it {instead}? (`ls /dev/disk/by-id` on \
         the droplet shows it)"
    )]
    VolumeName { found: String, instead: String },
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    // The file.
    #[error("there is no such file: run `sepctl init` to write one, or name another with --inventory FILE")]
    NoFile,
    #[error("the file cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    #[error("the file is not UTF-8: save it as UTF-8")]
    NotUtf8,
    #[error("no hosts: expected at least one under `hosts:`; `sepctl init` writes a file to start from")]
    NoHosts,
    #[error("not YAML: {message}{}", hinted(.hint))]
    Syntax { message: String, hint: Option<&'static str> },
    #[error("the key stands twice, first at {first}: remove one of them")]
    DuplicateKey { first: Position },
    #[error("unknown key `{found}`: {}", suggest(.suggestion, .known))]
    UnknownKey { found: String, suggestion: Option<String>, known: Vec<String> },
    #[error("found {found}, expected {expected}")]
    WrongType { found: String, expected: String },
    #[error("the file holds several documents: remove the lines that begin with `---`")]
    SeveralDocuments,

    // Values of several keys.
    #[error("missing: expected {expected}, as in `{example}`")]
    Missing { expected: &'static str, example: &'static str },
    #[error("found `{found}`, expected a name of lower-case letters, digits, `_` and `-`{}", instead(.suggestion))]
    Name { found: String, suggestion: Option<String> },
    #[error("found `{found}`, expected a size such as 64MB or 8GiB: {why}")]
    Size { found: String, why: SizeError },
    #[error("found `{found}`, expected a length of time such as 90d or 3y: {why}")]
    Days { found: String, why: DaysError },
    #[error("found {found}, expected {expected}")]
    Range { found: String, expected: &'static str },
    #[error("found `{found}`, expected {expected}{}", instead(.suggestion))]
    Choice { found: String, expected: &'static str, suggestion: Option<String> },

    // SSH.
    #[error("found `{found}`, expected only a DNS name or an IP address: {remedy}")]
    Address { found: String, remedy: &'static str },
    #[error("this is the address of `{other}` too: each host needs one of its own, or another ssh.port")]
    SameAddress { other: String },
    #[error(
        "{0}; `ssh-keyscan -t ed25519 ADDRESS | ssh-keygen -lf -` prints one to compare on the droplet's console"
    )]
    HostKey(HostKeyError),
    #[error("`{found}` is no network: {why}")]
    Network { found: String, why: NetworkError },

    // Volume.
    #[error(
        "found {found}, a name that the kernel gives anew at each boot and that may be the system disk: write the \
         volume's /dev/disk/by-id/... path (`ls -l /dev/disk/by-id` on the droplet)"
    )]
    KernelDevice { found: String },
    #[error(
        "found {found}, expected a path such as /dev/disk/by-id/scsi-0DO_Volume_sep-data, or under /dev/disk/by-uuid/"
    )]
    Device { found: String },
    #[error("found `{found}`, {why}: choose a folder of its own, such as /mnt/sep_data")]
    MountPoint { found: String, why: &'static str },
    #[error("found the mount option `{found}`, {why}: remove it")]
    MountOption { found: String, why: &'static str },
    #[error(
        "the budgets come to {} (database {}, backups {}, cache {}, reserve {}) and the volume has {}: enlarge the \
         volume or lower a budget", about_size(*.sum), about_size(.parts[0]), about_size(.parts[1]),
        about_size(.parts[2]), about_size(.parts[3]), about_size(*.volume)
    )]
    OverVolume { sum: u64, parts: [u64; 4], volume: u64 },
    #[error("found {}, expected at most {}: the logs share a system disk of 25 GB with everything else", about_size(*.found), about_size(*.most))]
    LogsOverDisk { found: u64, most: u64 },

    // Ports.
    #[error("port {port} is {other} already: give one of them another port")]
    PortTaken { port: u16, other: &'static str },
    #[error("found port 0, expected 1 to 65535")]
    PortZero,
    #[error("port {port} is listed twice: remove one of them")]
    OpenTwice { port: u16 },
    #[error(
        "port {port}, by which sepctl and you reach the droplet, would be closed: add {port} to firewall.open"
    )]
    LockOut { port: u16 },
    #[error("port {port} is nginx's ({key}) and would be closed: add {port} to firewall.open")]
    WebPortClosed { port: u16, key: &'static str },
    #[error(
        "port {port} is the database's and must not be open to the world: remove it, and use `sepctl psql`, which goes \
         through SSH"
    )]
    DatabaseOpen { port: u16 },

    // Backup.
    #[error("`{found}` {why}; five fields are expected (minute hour day month weekday), as in \"0 2 * * *\"")]
    Schedule { found: String, why: CronError },

    // PostgreSQL.
    #[error("PostgreSQL {found} is not supported: expected a major version from 14 to 18")]
    PostgresVersion { found: u16 },
    #[error("`{name}` is not to be set here: {instead}")]
    OwnedSetting { name: String, instead: &'static str },
    #[error("PostgreSQL has no setting `{name}`{}", instead(.suggestion))]
    UnknownSetting { name: String, suggestion: Option<String> },
    #[error("the value {why}")]
    SettingValue { why: &'static str },
    #[error(
        "found `{found}`, expected an amount with one of PostgreSQL's units kB, MB, GB, TB (powers of 1024, in this \
         case of letters), as in 64MB{}", instead(.suggestion)
    )]
    SettingSize { found: String, suggestion: Option<String> },
    #[error("at worst PostgreSQL would use {worst}, and the machine has {memory_mb}MB: {remedy}")]
    OverMemory { worst: MemoryUse, memory_mb: u64, remedy: String },

    // Secrets.
    #[error(
        "the secret itself stands here: move it to a file that only you can read and write {{file: PATH}}, or use \
         {{env: NAME}} or {{command: [PROGRAM, ARGUMENT, ...]}}; if this file was ever shared or committed, replace \
         the secret"
    )]
    InlineSecret,
    #[error(
        "expected one of {{env: NAME}}, {{file: PATH}}, {{command: [PROGRAM, ARGUMENT, ...]}} (what was found is not shown)"
    )]
    SecretShape,
    #[error(
        "expected the name of an environment variable (letters, digits and `_`); what was found is not shown"
    )]
    EnvName,
    #[error("the command is empty: expected {{command: [PROGRAM, ARGUMENT, ...]}}")]
    EmptyCommand,
    #[error("the path is empty: expected one, or no such key")]
    EmptyPath,

    // Executor.
    #[error("mode `{found}` trades, and trading is not part of this release: write `observe`")]
    ModeNotReleased { found: String },
}

fn hinted(hint: &Option<&'static str>) -> String {
    hint.map(|hint| format!(" ({hint})")).unwrap_or_default()
}

fn instead(suggestion: &Option<String>) -> String {
    suggestion.as_ref().map(|name| format!(": did you mean `{name}`?")).unwrap_or_default()
}

fn suggest(suggestion: &Option<String>, known: &[String]) -> String {
    match suggestion {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("expected one of {}", known.join(", ")),
    }
}

/// The one of `known` that `found` most likely was meant to be.
pub(super) fn nearest<'k>(found: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    let most = match found.chars().count() {
        0..=2 => 1,
        3..=5 => 2,
        _ => 3,
    };
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&found.to_lowercase(), name), name))
        .filter(|&(distance, name)| distance <= most && distance < name.len())
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, name)| name.to_owned())
}
