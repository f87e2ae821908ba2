//! What the workstation brings along to a deployment, read before anything is sent.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::agent::Agent;
use super::{Blobs, ControlError, migrate};
use crate::desired::{Inputs, desired};
use crate::facts::Facts;
use crate::hash;
use crate::inventory::model::Host;
use crate::render::Templates;
use crate::resource::{Migration, Resource};
use crate::secret::Secret;

/// Everything that does not come from the host.
pub struct Prepared {
    pub agent: Agent,
    /// The executor's binary, by its hash.
    pub blobs: Blobs,
    /// What works, but should be known.
    pub warnings: Vec<String>,
    executor: String,
    templates: Templates,
    migrations: Vec<Migration>,
    credentials: BTreeMap<String, Secret>,
    tls: Option<(String, Secret)>,
}

impl Prepared {
    /// Reads binaries, templates and secrets. `folder` is the inventory's.
    pub fn load(host: &Host, folder: &Path) -> Result<Self, ControlError> {
        let (executor, blobs) =
            if host.executor.enabled { read_executor(host)? } else { (String::new(), Blobs::new()) };
        let mut warnings = Vec::new();
        let mut secret = |what: String, reference: &crate::secret::SecretRef| match reference.read(folder) {
            Ok(fetched) if std::str::from_utf8(fetched.secret.expose()).is_err() => {
                Err(ControlError::SecretBytes { what })
            }
            Ok(fetched) => {
                warnings.extend(fetched.exposed.map(|file| format!("{what}: {file}")));
                Ok(fetched.secret)
            }
            Err(source) => Err(ControlError::Secret { what, source }),
        };
        let mut credentials = BTreeMap::new();
        for (name, reference) in &host.executor.credentials {
            let what = format!("hosts.{}.executor.credentials.{name}", host.name);
            credentials.insert(name.clone(), secret(what, reference)?);
        }
        let tls = match &host.nginx.tls {
            None => None,
            Some(tls) => {
                let certificate = read_text(&tls.certificate)?;
                Some((certificate, secret(format!("hosts.{}.nginx.tls.key", host.name), &tls.key)?))
            }
        };
        Ok(Self {
            agent: Agent::load()?,
            blobs,
            warnings,
            executor,
            templates: Templates::with(&own_templates(folder)?),
            migrations: migrate::migrations(),
            credentials,
            tls,
        })
    }

    /// The desired state of this host.
    pub fn desired(&self, host: &Host, facts: &Facts) -> Result<Vec<Resource>, ControlError> {
        let inputs = Inputs {
            templates: &self.templates,
            executor: &self.executor,
            agent: &self.agent.sha256,
            migrations: &self.migrations,
            credentials: &self.credentials,
            tls: self.tls.as_ref().map(|(certificate, key)| (certificate.as_str(), key)),
        };
        Ok(desired(host, facts, &inputs)?)
    }
}

/// The binary that the inventory names, or the one beside this program.
fn read_executor(host: &Host) -> Result<(String, Blobs), ControlError> {
    let beside = || {
        let own = std::env::current_exe().unwrap_or_default();
        own.with_file_name("sep-executor")
    };
    let path = host.executor.binary.clone().unwrap_or_else(beside);
    let bytes = std::fs::read(&path).map_err(|source| ControlError::Executor { path, source })?;
    let sha256 = hash::sha256(&bytes);
    Ok((sha256.clone(), Blobs::from([(sha256, bytes)])))
}

fn own_templates(folder: &Path) -> Result<BTreeMap<String, String>, ControlError> {
    let mut own = BTreeMap::new();
    for name in Templates::paths() {
        let path = folder.join("templates").join(name);
        if path.exists() {
            own.insert(name.to_owned(), read_text(&path)?);
        }
    }
    Ok(own)
}

fn read_text(path: &PathBuf) -> Result<String, ControlError> {
    std::fs::read_to_string(path).map_err(|source| ControlError::Read { path: path.clone(), source })
}
