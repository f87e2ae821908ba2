//! executor.yaml: what this daemon is, where its database and its socket are.
//!
//! Owns the file's shape and its checks. Nothing here opens a connection. The mode stands in this file, which
//! root alone may write, and nowhere else: the database can halt and lower risk, never raise the mode.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub mode: Mode,
    /// The account whose signals this executor decides upon.
    pub account: String,
    pub database: Database,
    pub api: Api,
}

/// What may become of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Decides and records, sends nothing.
    Observe,
}

impl Mode {
    /// As the file and the database spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Mode::Observe => "observe",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The database, reached through a unix socket; who we are is proved by the unix user.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Directory of the server's socket.
    pub socket_dir: PathBuf,
    pub port: u16,
    pub name: String,
    pub user: String,
}

/// Where the status is served.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// Path of the unix socket.
    pub socket: PathBuf,
    /// Unix group that may connect: the web server's.
    pub group: String,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}:{line}:{column}: {message}")]
    Yaml { path: PathBuf, line: usize, column: usize, message: String },
    #[error("{path}: {field} is {found:?}, expected {expected}")]
    Value { path: PathBuf, field: &'static str, found: String, expected: &'static str },
}

/// sockaddr_un holds 108 bytes with the closing zero, and a name with a number is made beside the socket.
const LONGEST_SOCKET_PATH: usize = 96;

impl Config {
    /// Reads and checks the file at `path`.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let config: Config = serde_yaml::from_str(text).map_err(|error| {
            let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or(&message).to_owned();
            ConfigError::Yaml { path: path.to_owned(), line, column, message }
        })?;
        let socket_dir = config.database.socket_dir.to_string_lossy();
        let socket = config.api.socket.to_string_lossy();
        let checks: [(bool, &'static str, &str, &'static str); 6] = [
            (is_name(&config.account), "account", &config.account, "1 to 64 of a-z, 0-9, '_' and '-'"),
            (socket_dir.starts_with('/'), "database.socket_dir", &socket_dir, "an absolute path"),
            (config.database.port != 0, "database.port", "0", "1 to 65535"),
            (!config.database.name.is_empty(), "database.name", "", "the database's name"),
            (!config.database.user.is_empty(), "database.user", "", "a role of the database"),
            (
                socket.starts_with('/') && socket.len() <= LONGEST_SOCKET_PATH,
                "api.socket",
                &socket,
                "an absolute path of at most 96 bytes",
            ),
        ];
        for (fine, field, found, expected) in checks {
            if !fine {
                let (path, found) = (path.to_owned(), found.to_owned());
                return Err(ConfigError::Value { path, field, found, expected });
            }
        }
        Ok(config)
    }
}

fn is_name(text: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'_' | b'-');
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
mode: observe
account: primary
database:
  socket_dir: /var/run/postgresql
  port: 5432
  name: sep_trading
  user: sep_executor
api:
  socket: /run/sep-executor/api.sock
  group: www-data
";

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("e.yaml")).map_err(|error| error.to_string())
    }

    #[test]
    fn the_file_of_the_droplet_is_read() {
        let config = parse(GOOD).unwrap();
        assert_eq!((config.mode, config.account.as_str()), (Mode::Observe, "primary"));
        assert_eq!(config.database.port, 5432);
        assert_eq!(config.api.socket, Path::new("/run/sep-executor/api.sock"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (from, to, expected) in [
            ("mode: observe", "mode: live", "e.yaml:1:7: mode: unknown variant `live`, expected `observe`"),
            ("account: primary", "acount: primary", "e.yaml:2:1: unknown field `acount`, expected one of"),
            ("account: primary\n", "", "e.yaml:1:1: missing field `account`"),
            (
                "port: 5432",
                "port: many",
                "e.yaml:5:9: database.port: invalid type: string \"many\", expected u16",
            ),
            ("port: 5432", "port: 70000", "e.yaml:5:9: database.port: invalid value: integer `70000`"),
            ("port: 5432", "port: 0", "e.yaml: database.port is \"0\", expected 1 to 65535"),
            (
                "account: primary",
                "account: My Account",
                "e.yaml: account is \"My Account\", expected 1 to 64",
            ),
            (
                "/run/sep",
                "run/sep",
                "e.yaml: api.socket is \"run/sep-executor/api.sock\", expected an absolute",
            ),
            (
                "/var/run",
                "var/run",
                "e.yaml: database.socket_dir is \"var/run/postgresql\", expected an absolute",
            ),
            ("  group: www-data", "  group: a\n  group: b", "e.yaml:9:3: api: duplicate field `group`"),
            ("api:", "api: [", "e.yaml:"),
        ] {
            let error = parse(&GOOD.replace(from, to)).unwrap_err();
            assert!(error.starts_with(expected), "{to:?}\n found {error}\nwanted {expected}");
        }
    }
}
