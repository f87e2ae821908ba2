//! What can go wrong between the workstation and a host's shell.

use std::path::PathBuf;
use std::time::Duration;

/// What the two sides do before anybody logs in.
pub(super) const AGREEING: &str = "agreeing on keys";

/// Errors of the SSH layer; each says what was found, what was expected, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    #[error("cannot connect to {address}: {source}")]
    Connect { address: String, source: std::io::Error },
    #[error("{host}: no answer within {} s while waiting for {waiting_for}", .limit.as_secs())]
    Deadline { host: String, waiting_for: String, limit: Duration },
    #[error("{host}: the host key is unknown\n  found     {found}\n  expected  an entry in {}", .known_hosts.display())]
    HostKeyUnknown { host: String, found: String, line: String, known_hosts: PathBuf },
    #[error(
        "{host}: THE HOST KEY IS NOT THE EXPECTED ONE; somebody may be listening in\n  found     {found}\n  expected  {expected} ({place})"
    )]
    HostKeyMismatch { host: String, found: String, expected: String, place: String },
    #[error("{host}: the host key is marked as revoked in {}", .known_hosts.display())]
    HostKeyRevoked { host: String, known_hosts: PathBuf },
    #[error("cannot read {}: {source}", .path.display())]
    KnownHosts { path: PathBuf, source: russh::keys::Error },
    #[error("cannot use the private key {}: {reason}", .path.display())]
    Identity { path: PathBuf, reason: String },
    #[error("{host}: user `{user}` was not let in; tried {tried}")]
    Denied { host: String, user: String, tried: String },
    #[error("{host}: no key to offer: no ssh agent answers at SSH_AUTH_SOCK and ~/.ssh holds no usable key")]
    NoKey { host: String },
    #[error("{host}: the connection broke while {during}: {source}")]
    Broken { host: String, during: String, source: Box<russh::Error> },
    #[error("{host}: the SSH server refused {what}")]
    Refused { host: String, what: String },
    #[error("{host}: uploading {to} failed: {reason}")]
    Upload { host: String, to: String, reason: String },
    // russh asks its handler's error type for this conversion; `Connection` gives it a place and a host.
    #[error("SSH protocol: {0}")]
    Protocol(#[from] russh::Error),
}

impl SshError {
    /// The connection broke in the middle of something.
    pub(super) fn broken(host: &str, during: impl Into<String>, source: russh::Error) -> Self {
        Self::Broken { host: host.to_owned(), during: during.into(), source: Box::new(source) }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Connect { source, .. } => Some(match source.kind() {
                std::io::ErrorKind::ConnectionRefused => {
                    "is sshd running there, and is `ssh.port` of the inventory its port?".into()
                }
                _ => "check `ssh.address` in the inventory and that the host is up".into(),
            }),
            Self::Deadline { .. } => {
                Some("the host accepted the connection but does not answer; look at its console".into())
            }
            Self::HostKeyUnknown { found, line, known_hosts, .. } => Some(format!(
                "compare the fingerprint with the one on the host's console, then either put\n    host_key: \"{found}\"\n  under `ssh:` in the inventory, or add this line to {}:\n    {line}",
                known_hosts.display()
            )),
            Self::HostKeyMismatch { .. } => Some(
                "if you have rebuilt the host, take its new fingerprint from its console and replace the old entry"
                    .into(),
            ),
            Self::Denied { user, .. } => Some(format!(
                "put the public key into ~{user}/.ssh/authorized_keys on the host, or name another key as `ssh.identity`"
            )),
            Self::NoKey { .. } => {
                Some("name a private key as `ssh.identity` in the inventory, or start an ssh agent".into())
            }
            Self::Broken { during, .. } if during == AGREEING => Some(
                "is `ssh.port` of the inventory an SSH server's? After failed logins sshd hangs up on an address for a while: wait a minute and try again"
                    .into(),
            ),
            Self::Identity { .. } => Some(
                "give a readable, unencrypted OpenSSH key file; for a key with a passphrase use ssh-agent and leave `ssh.identity` out"
                    .into(),
            ),
            _ => None,
        }
    }
}
