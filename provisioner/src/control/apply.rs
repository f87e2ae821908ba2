//! After the go: follow the host's events and do what it asks for.

use std::collections::HashMap;
use std::time::Duration;

use super::{ControlError, Session, Talk, migrate};
use crate::exchange::{Ask, Event, FromHost, ToHost};
use crate::plan::Report;

/// The longest step is the package transaction; the host's own deadlines are shorter than this.
const STEP_PATIENCE: Duration = Duration::from_secs(2400);

/// Files that the host may ask for, by their SHA-256.
pub type Blobs = HashMap<String, Vec<u8>>;

/// Gives the go for this report and sees it through. `applied` counts the resources that were changed, also where
/// a later one fails.
pub async fn apply(
    session: &mut Session,
    report: &Report,
    holder: &str,
    blobs: &Blobs,
    talk: &mut dyn Talk,
    applied: &mut usize,
) -> Result<(), ControlError> {
    session.send(&ToHost::Go { digest: report.digest(), holder: holder.to_owned() }).await?;
    let mut during = String::from("taking the lock");
    loop {
        match session.receive(&during, STEP_PATIENCE).await? {
            FromHost::Event(event) => {
                talk.event(&event);
                match event {
                    Event::Started { resource, .. } => during = format!("applying {resource}"),
                    Event::Applied { .. } => *applied += 1,
                    Event::Failed { resource, message, rolled_back, .. } => {
                        let host = session.connection.host().to_owned();
                        return Err(ControlError::Apply { host, resource, message, rolled_back });
                    }
                    Event::Finished { .. } => return Ok(()),
                }
            }
            FromHost::Ask(ask) => {
                let error = answer(session, ask, blobs, talk).await.err();
                session.send(&ToHost::Answer { error }).await?;
            }
            other => return Err(session.unexpected("an event", &other)),
        }
    }
}

async fn answer(session: &Session, ask: Ask, blobs: &Blobs, talk: &mut dyn Talk) -> Result<(), String> {
    match ask {
        Ask::Blob { sha256, path } => {
            let bytes = blobs.get(&sha256).ok_or("the workstation has no file with that hash")?;
            let total = bytes.len() as u64;
            let mut progress = |sent: u64| talk.progress("uploading the release", sent, total);
            session.connection.upload(&path, bytes, &mut progress).await.map_err(|e| e.to_string())
        }
        Ask::Migrate { database, socket, role } => {
            migrate::run(&session.connection, &socket, &database, &role).await
        }
    }
}
