//! Strict host keys: the inventory's fingerprint or key, else known_hosts. Nothing is trusted on first use.

use std::path::PathBuf;

use russh::keys::ssh_key::public::PublicKey;
use russh::keys::{Algorithm, HashAlg, known_hosts};

use super::SshError;

/// What the server's key is compared with.
#[derive(Debug, Clone)]
pub enum HostKeyPolicy {
    /// `SHA256:...` of the inventory.
    Fingerprint(String),
    /// A whole public key line of the inventory.
    Key(String),
    /// A known_hosts file.
    KnownHosts(PathBuf),
}

impl HostKeyPolicy {
    /// Chooses by what the inventory says: `host_key`, else `known_hosts`, else ~/.ssh/known_hosts.
    pub fn from_inventory(ssh: &crate::inventory::model::Ssh) -> Self {
        match (&ssh.host_key, &ssh.known_hosts) {
            (Some(key), _) if key.starts_with("SHA256:") => Self::Fingerprint(key.clone()),
            (Some(key), _) => Self::Key(key.clone()),
            (None, Some(path)) => Self::KnownHosts(path.clone()),
            (None, None) => {
                Self::KnownHosts(std::env::home_dir().unwrap_or_default().join(".ssh").join("known_hosts"))
            }
        }
    }

    /// The key types already known for the host, so that the server is asked for one of these.
    pub fn known_algorithms(&self, address: &str, port: u16) -> Vec<Algorithm> {
        match self {
            Self::Fingerprint(_) => Vec::new(),
            Self::Key(line) => PublicKey::from_openssh(line).map(|k| vec![k.algorithm()]).unwrap_or_default(),
            Self::KnownHosts(path) => known_hosts::known_host_keys_path(address, port, path)
                .map(|keys| keys.into_iter().map(|(_, key)| key.algorithm()).collect())
                .unwrap_or_default(),
        }
    }

    /// Accepts the key or says why not.
    pub fn check(&self, host: &str, address: &str, port: u16, key: &PublicKey) -> Result<(), SshError> {
        let found = key.fingerprint(HashAlg::Sha256).to_string();
        let mismatch = |expected: String, place: String| SshError::HostKeyMismatch {
            host: host.to_owned(),
            found: found.clone(),
            expected,
            place,
        };
        match self {
            Self::Fingerprint(expected) if *expected == found => Ok(()),
            Self::Fingerprint(expected) => {
                Err(mismatch(expected.clone(), "ssh.host_key of the inventory".into()))
            }
            Self::Key(line) => match PublicKey::from_openssh(line) {
                Ok(expected) if expected.key_data() == key.key_data() => Ok(()),
                Ok(expected) => Err(mismatch(
                    expected.fingerprint(HashAlg::Sha256).to_string(),
                    "ssh.host_key of the inventory".into(),
                )),
                Err(_) => {
                    Err(mismatch(line.clone(), "ssh.host_key of the inventory, which is no key".into()))
                }
            },
            Self::KnownHosts(path) => {
                let line = known_hosts_line(address, port, key);
                if is_revoked(path, &line) {
                    return Err(SshError::HostKeyRevoked {
                        host: host.to_owned(),
                        known_hosts: path.clone(),
                    });
                }
                let known = known_hosts::known_host_keys_path(address, port, path)
                    .map_err(|source| SshError::KnownHosts { path: path.clone(), source })?;
                if known.iter().any(|(_, k)| k.key_data() == key.key_data()) {
                    return Ok(());
                }
                // Known keys of another type only are a mismatch too: the server was asked for a known type.
                match known.first() {
                    Some((number, expected)) => Err(mismatch(
                        expected.fingerprint(HashAlg::Sha256).to_string(),
                        format!("{}:{number}", path.display()),
                    )),
                    None => Err(SshError::HostKeyUnknown {
                        host: host.to_owned(),
                        found,
                        line,
                        known_hosts: path.clone(),
                    }),
                }
            }
        }
    }
}

fn known_hosts_line(address: &str, port: u16, key: &PublicKey) -> String {
    let name = if port == 22 { address.to_owned() } else { format!("[{address}]:{port}") };
    let mut bare = key.clone();
    bare.set_comment("");
    format!("{name} {}", bare.to_openssh().unwrap_or_default().trim_end())
}

/// russh's reader passes over `@revoked` lines, so they are looked for here.
fn is_revoked(path: &std::path::Path, line: &str) -> bool {
    let Some(blob) = line.split(' ').nth(2) else { return false };
    std::fs::read_to_string(path)
        .unwrap_or_default()
        .lines()
        .any(|l| l.starts_with("@revoked") && l.split_whitespace().any(|word| word == blob))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILIG2T/B0l0gaqj3puu510tu9N1OkQ4znY3LYuEm5zCF";

    fn key(line: &str) -> PublicKey {
        PublicKey::from_openssh(line).unwrap()
    }

    fn known_hosts(name: &str, text: &str) -> HostKeyPolicy {
        let path = std::env::temp_dir().join(format!("sepctl-known-hosts-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        HostKeyPolicy::KnownHosts(path)
    }

    #[test]
    fn a_key_line_and_its_fingerprint_are_accepted_and_another_key_is_not() {
        let fingerprint = key(KEY).fingerprint(HashAlg::Sha256).to_string();
        for policy in [HostKeyPolicy::Key(KEY.into()), HostKeyPolicy::Fingerprint(fingerprint)] {
            assert!(policy.check("h", "10.0.0.1", 22, &key(KEY)).is_ok());
            assert!(matches!(
                policy.check("h", "10.0.0.1", 22, &key(OTHER)),
                Err(SshError::HostKeyMismatch { .. })
            ));
        }
    }

    #[test]
    fn known_hosts_tell_known_changed_unknown_and_revoked_apart() {
        let policy = known_hosts("a", &format!("10.0.0.1 {KEY}\n[10.0.0.2]:2222 {KEY}\n"));
        assert!(policy.check("h", "10.0.0.1", 22, &key(KEY)).is_ok());
        assert!(policy.check("h", "10.0.0.2", 2222, &key(KEY)).is_ok());
        assert!(matches!(
            policy.check("h", "10.0.0.1", 22, &key(OTHER)),
            Err(SshError::HostKeyMismatch { .. })
        ));
        let Err(SshError::HostKeyUnknown { line, .. }) = policy.check("h", "10.0.0.3", 22, &key(KEY)) else {
            panic!("an unknown host was not refused");
        };
        assert_eq!(line, format!("10.0.0.3 {KEY}"));
        let policy = known_hosts("b", &format!("10.0.0.1 {KEY}\n@revoked * {KEY}\n"));
        assert!(matches!(policy.check("h", "10.0.0.1", 22, &key(KEY)), Err(SshError::HostKeyRevoked { .. })));
    }
}
