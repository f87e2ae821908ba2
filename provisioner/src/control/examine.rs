//! From an inventory entry to a report, in as few round trips as possible.
//!
//! The facts of the last time are remembered here. With them the desired state is sent along with the start of the
//! host's side; the host compares them with its own, and asks for another state where they differ.

use std::path::PathBuf;

use super::agent;
use super::{ControlError, Prepared, Session, Talk, encode_desired};
use crate::facts::Facts;
use crate::hash;
use crate::inventory::model::Host;
use crate::plan::Report;
use crate::ssh::Target;
use crate::tuning;

/// A host that has been looked at, its side waiting for a go.
pub struct Examined {
    pub session: Session,
    pub report: Report,
}

/// Connects to the host and has every resource checked.
pub async fn examine(
    host: &Host,
    prepared: &Prepared,
    talk: &mut dyn Talk,
) -> Result<Examined, ControlError> {
    let target = Target::of(host);
    let memory = Memory::of(host);
    let remembered = memory.recall();
    let ahead = match &remembered {
        None => None,
        Some(facts) => {
            let resources = prepared.desired(host, facts)?;
            let bytes = encode_desired(&resources, facts)
                .map_err(|source| ControlError::Frame { host: host.name.clone(), source })?;
            Some((facts, bytes))
        }
    };
    let bytes = ahead.as_ref().map(|(_, bytes)| bytes.as_slice());
    let mut session = Session::open(&target, &prepared.agent, bytes, talk).await?;
    let facts = session.facts().await?;
    agent::supported(&host.name, &facts)?;
    fits(host, &facts)?;
    let resources = prepared.desired(host, &facts)?;
    let report = session.examine(&facts, remembered.as_ref(), &resources).await?;
    if remembered.as_ref() != Some(&facts) {
        memory.keep(&facts);
    }
    Ok(Examined { session, report })
}

/// The inventory was checked against the memory it names; where it names none, the host's own is what counts.
fn fits(host: &Host, facts: &Facts) -> Result<(), ControlError> {
    if host.hardware.memory.is_some() {
        return Ok(());
    }
    let cores = host.hardware.cores.unwrap_or(facts.cores);
    let settings = tuning::settings(facts.memory, cores, &host.postgres);
    tuning::memory::fits(facts.memory, &settings).map_err(|usage| ControlError::Preflight {
        host: host.name.clone(),
        found: usage.to_string(),
        expected: "settings whose worst case the machine's memory holds".into(),
        hint: "lower `postgres.max_connections` or the memory settings under `postgres.settings`".into(),
    })
}

/// Where a host's facts are remembered. Losing it costs a round trip, nothing else.
struct Memory(PathBuf);

impl Memory {
    fn of(host: &Host) -> Self {
        let cache = std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .unwrap_or_else(|| std::env::home_dir().unwrap_or_default().join(".cache"));
        let ssh = &host.ssh;
        let key = hash::sha256(format!("{}:{}:{}", ssh.address, ssh.port, ssh.user).as_bytes());
        Self(cache.join("sepctl").join("facts").join(format!("{key}.json")))
    }

    fn recall(&self) -> Option<Facts> {
        serde_json::from_slice(&std::fs::read(&self.0).ok()?).ok()
    }

    fn keep(&self, facts: &Facts) {
        let Some(folder) = self.0.parent() else { return };
        let Ok(text) = serde_json::to_vec(facts) else { return };
        // Without it the next exchange takes one more round trip.
        let _ = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&self.0, text));
    }
}
