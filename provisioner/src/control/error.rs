//! What can end a conversation with a host.

use std::path::PathBuf;

use crate::exchange::{FrameError, Refusal};
use crate::render::RenderError;
use crate::secret::SecretError;
use crate::ssh::SshError;

/// Errors of the workstation's side.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error(transparent)]
    Ssh(#[from] SshError),
    #[error("{}: {source}", .path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("cannot read the executor's binary {}: {source}", .path.display())]
    Executor { path: PathBuf, source: std::io::Error },
    #[error("{what}: {source}")]
    Secret { what: String, source: SecretError },
    #[error("{what}: found bytes that are no UTF-8 text, expected text; encode the secret, as base64 say")]
    SecretBytes { what: String },
    #[error(transparent)]
    Render(#[from] RenderError),
    #[error("{host}: found {found}, expected {expected}")]
    Preflight { host: String, found: String, expected: String, hint: String },
    #[error("{host}: the shell did not answer as one; found: {found}")]
    NoShell { host: String, found: String },
    #[error("{host}: the SSH user may not become root without a password")]
    NotRoot { host: String },
    #[error("{host}: installing sepctl on the host failed: {reason}")]
    Install { host: String, reason: String },
    #[error("{host}: {source}")]
    Frame { host: String, source: FrameError },
    #[error("{host}: the host's side ended (status {status}) while {during}: {said}")]
    Ended { host: String, status: String, during: String, said: String },
    #[error("{host}: nothing came from the host for {seconds} s while {during}")]
    Silent { host: String, seconds: u64, during: String },
    #[error("{host}: {reason}")]
    Answer { host: String, reason: String },
    #[error("{host}: sepctl is not on the host")]
    NotDeployed { host: String },
    #[error("{host}: {message}")]
    Refused { host: String, kind: Refusal, message: String },
    #[error("{host}: {resource}: {message}")]
    Apply { host: String, resource: String, message: String, rolled_back: bool },
}

impl ControlError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Ssh(error) => error.hint(),
            Self::Executor { .. } => Some(
                "build it with `cargo build --release -p sep-executor`, or name it as `executor.binary` in the inventory".into(),
            ),
            Self::Preflight { hint, .. } => Some(hint.clone()),
            Self::NotDeployed { .. } => Some("run `sepctl deploy` first".into()),
            Self::NoShell { .. } => {
                Some("the login shell of `ssh.user` must be a POSIX shell that prints nothing of its own".into())
            }
            Self::NotRoot { .. } => Some(
                "let `ssh.user` be root, or give the user a line in sudoers: NAME ALL=(ALL) NOPASSWD: ALL".into(),
            ),
            Self::Refused { kind: Refusal::Locked, .. } => {
                Some("wait for it; the lock is free as soon as that process ends, in whatever way".into())
            }
            Self::Refused { kind: Refusal::Changed, .. } => {
                Some("nothing was applied; look at a new plan and decide again".into())
            }
            Self::Apply { rolled_back: false, .. } => {
                Some("what was applied before it stays; mend the cause and deploy again".into())
            }
            _ => None,
        }
    }

    /// Whether something new was tried and the old state stands again.
    pub fn rolled_back(&self) -> bool {
        matches!(self, Self::Apply { rolled_back: true, .. })
    }
}
