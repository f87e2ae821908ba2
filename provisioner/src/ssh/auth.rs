//! Proving who we are: a named key file, or the agent and the usual files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::client::Handle;
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Algorithm, PrivateKey, PrivateKeyWithHashAlg, load_secret_key};

use super::connection::Client;
use super::{SshError, Target};

/// Offers keys until one is accepted.
///
/// A key named in the inventory is the only one offered; otherwise the agent's keys come first, then
/// ~/.ssh/id_ed25519, id_ecdsa and id_rsa.
pub(super) async fn authenticate(handle: &mut Handle<Client>, target: &Target) -> Result<(), SshError> {
    let broken =
        |source| SshError::broken(&target.host, format!("authenticating as `{}`", target.user), source);
    let mut tried = Vec::new();
    if let Some(path) = &target.identity {
        let key = load(path)?;
        if offer(handle, target, key).await.map_err(broken)? {
            return Ok(());
        }
        tried.push(path.display().to_string());
    } else {
        if offer_agent(handle, target, &mut tried).await? {
            return Ok(());
        }
        for path in usual_files() {
            // A default key that cannot be read (a passphrase, say) was not asked for by name: pass on.
            let Ok(key) = load(&path) else { continue };
            if offer(handle, target, key).await.map_err(broken)? {
                return Ok(());
            }
            tried.push(path.display().to_string());
        }
        if tried.is_empty() {
            return Err(SshError::NoKey { host: target.host.clone() });
        }
    }
    Err(SshError::Denied { host: target.host.clone(), user: target.user.clone(), tried: tried.join(", ") })
}

fn usual_files() -> Vec<PathBuf> {
    let ssh = std::env::home_dir().unwrap_or_default().join(".ssh");
    ["id_ed25519", "id_ecdsa", "id_rsa"].iter().map(|name| ssh.join(name)).filter(|p| p.exists()).collect()
}

fn load(path: &Path) -> Result<PrivateKey, SshError> {
    load_secret_key(path, None)
        .map_err(|e| SshError::Identity { path: path.to_owned(), reason: e.to_string() })
}

async fn offer(handle: &mut Handle<Client>, target: &Target, key: PrivateKey) -> Result<bool, russh::Error> {
    let hash = match key.algorithm() {
        Algorithm::Rsa { .. } => handle.best_supported_rsa_hash().await?.flatten(),
        _ => None,
    };
    let key = PrivateKeyWithHashAlg::new(Arc::new(key), hash);
    Ok(handle.authenticate_publickey(target.user.clone(), key).await?.success())
}

async fn offer_agent(
    handle: &mut Handle<Client>,
    target: &Target,
    tried: &mut Vec<String>,
) -> Result<bool, SshError> {
    let Ok(mut agent) = AgentClient::connect_env().await else { return Ok(false) };
    let Ok(identities) = agent.request_identities().await else { return Ok(false) };
    for identity in identities {
        let AgentIdentity::PublicKey { key, comment } = identity else { continue };
        let hash = match key.algorithm() {
            Algorithm::Rsa { .. } => handle.best_supported_rsa_hash().await?.flatten(),
            _ => None,
        };
        tried.push(format!("agent key {comment}"));
        // An agent that declines to sign (a confirmation refused) leaves the connection usable.
        if let Ok(result) =
            handle.authenticate_publickey_with(target.user.clone(), key, hash, &mut agent).await
            && result.success()
        {
            return Ok(true);
        }
    }
    Ok(false)
}
