//! What a host says of itself, as plain data. Gathering it is `host::facts`' work.

use serde::{Deserialize, Serialize};

/// A host's own report, pushed by its side at the start of every exchange.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// `ID` of /etc/os-release: `debian`.
    pub os: String,
    /// `VERSION_ID`: `13`.
    pub os_version: String,
    /// `x86_64`, `aarch64`.
    pub architecture: String,
    /// Bytes, as /proc/meminfo gives them.
    pub memory: u64,
    pub cores: u32,
}

/// What the first shell command finds out before anything of ours is on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct Bootstrap {
    pub facts: Facts,
    /// `2.41`.
    pub glibc: String,
    /// Free bytes where /opt lies.
    pub free: u64,
    /// A new private folder of the SSH user's, for the upload.
    pub upload_dir: String,
}
