//! The way to a host: connection, host keys, authentication, commands, files, forwarded sockets.
//!
//! Knows nothing of desired states or databases.

mod auth;
mod connection;
mod error;
mod exec;
mod host_key;
mod sftp;

use std::path::PathBuf;

pub use connection::{Connection, deadline};
pub use error::SshError;
pub use exec::{Exec, Finished, Piece};
pub use host_key::HostKeyPolicy;

/// What makes a user's command root's, in front of it; never asks for a password.
pub fn sudo(user: &str) -> &'static str {
    if user == "root" { "" } else { "sudo -n " }
}

/// Where to connect to, and as whom.
#[derive(Debug, Clone)]
pub struct Target {
    /// Name in the inventory, for messages.
    pub host: String,
    /// DNS name or IP address.
    pub address: String,
    pub port: u16,
    pub user: String,
    /// The only key to offer, if given.
    pub identity: Option<PathBuf>,
    pub host_key: HostKeyPolicy,
}

impl Target {
    /// The target that the inventory describes.
    pub fn of(host: &crate::inventory::model::Host) -> Self {
        Self {
            host: host.name.clone(),
            address: host.ssh.address.clone(),
            port: host.ssh.port,
            user: host.ssh.user.clone(),
            identity: host.ssh.identity.clone(),
            host_key: HostKeyPolicy::from_inventory(&host.ssh),
        }
    }
}
