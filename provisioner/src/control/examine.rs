//! From an inventory entry to a report, in as few round trips as possible.
//!
//! The facts of the last time are remembered here, and the host holds the desired state of the last time. So only
//! the name of the state travels, along with the start of the host's side; the host compares facts and name with its
//! own, checks the machine, and asks for the state where it has another one.

use std::path::Path;

use super::memory::Memory;
use super::{ControlError, Prepared, Session, Talk, agent};
use crate::exchange::{Desired, FrameError};
use crate::facts::Facts;
use crate::inventory::model::Host;
use crate::plan::Report;
use crate::ssh::{Connection, Target};
use crate::tuning;

/// A host that has been looked at, its side waiting for a go.
pub struct Examined {
    pub session: Session,
    pub report: Report,
    /// What the go may need.
    pub prepared: Prepared,
}

/// Connects to the host and has every resource checked. `folder` is the inventory's.
pub async fn examine(host: &Host, folder: &Path, talk: &mut dyn Talk) -> Result<Examined, ControlError> {
    let target = Target::of(host);
    // The binaries are read and hashed while the first packets are on their way.
    let connecting = async { Ok(Connection::open(&target).await?) };
    let (connection, (prepared, expected)) = tokio::try_join!(connecting, expect(host, folder))?;
    let name = expected.as_ref().map(|(_, desired)| desired.name.as_str());
    let mut session = Session::open(connection, &target, &prepared.agent, name, talk).await?;
    let facts = session.facts().await?;
    agent::supported(&host.name, &facts)?;
    fits(host, &facts)?;
    let report = match session.report().await? {
        Some(report) => report,
        None => {
            let known = expected.filter(|(memory, _)| memory.facts == facts);
            let desired = match known {
                Some((_, desired)) => desired,
                None => {
                    let memory = Memory::new(facts);
                    memory.keep(host);
                    desired(host, &prepared, &memory)?
                }
            };
            session.examine(desired).await?
        }
    };
    Ok(Examined { session, report, prepared })
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

type Expected = Option<(Memory, Desired)>;

/// What the workstation brings along, and what the host most likely is to be.
async fn expect(host: &Host, folder: &Path) -> Result<(Prepared, Expected), ControlError> {
    let (host, folder) = (host.clone(), folder.to_owned());
    let work = move || {
        let prepared = Prepared::load(&host, &folder)?;
        let expected = match Memory::recall(&host) {
            None => None,
            Some(memory) => {
                let desired = desired(&host, &prepared, &memory)?;
                Some((memory, desired))
            }
        };
        Ok((prepared, expected))
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(lost) => std::panic::resume_unwind(lost.into_panic()),
    }
}

fn desired(host: &Host, prepared: &Prepared, memory: &Memory) -> Result<Desired, ControlError> {
    let resources = prepared.desired(host, &memory.facts)?;
    let frame = |source| ControlError::Frame { host: host.name.clone(), source: FrameError::Json(source) };
    memory.desired(resources).map_err(frame)
}
