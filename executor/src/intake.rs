//! The intake: a thread that reads settings and pending signals and hands them to the engine.
//!
//! Woken by NOTIFY, and every few seconds by itself, since notifications are lost while disconnected. Owns a
//! connection of its own. Must not decide, and writes nothing: a signal is pending until its decision stands.

use std::sync::mpsc::{Receiver, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::config::Config;
use crate::engine::{Event, Link};
use crate::run::Mail;
use crate::store::dial::Dialer;
use crate::store::reader::{BATCH, FoundSettings, Reader};
use crate::store::{STACK, StoreError};

/// How long a notification that was lost goes unnoticed.
const POLL: Duration = Duration::from_secs(5);

/// How long one connection attempt is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// The engine is gone, and so is the reason for this thread.
struct EngineGone;

enum Ended {
    Engine,
    Database(StoreError),
}

impl From<EngineGone> for Ended {
    fn from(_: EngineGone) -> Self {
        Ended::Engine
    }
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Self {
        Ended::Database(error)
    }
}

struct Intake {
    account: String,
    mail: Sender<Mail>,
    /// After each batch: whether its decisions stand.
    recorded: Receiver<bool>,
    sent: Option<FoundSettings>,
}

/// Starts the thread. `recorded` tells after each batch whether its decisions stand.
pub fn start(
    config: &Config,
    mail: Sender<Mail>,
    recorded: Receiver<bool>,
) -> std::io::Result<JoinHandle<()>> {
    let mut dialer = Dialer::new(&config.database, "intake");
    let mut intake = Intake { account: config.account.clone(), mail, recorded, sent: None };
    std::thread::Builder::new().name("intake".to_owned()).stack_size(STACK).spawn(move || {
        while let Err(Ended::Database(error)) = intake.serve(&mut dialer) {
            if intake.send(Event::Intake(Link::Down(error.to_string()))).is_err() {
                return;
            }
            std::thread::sleep(dialer.pause());
        }
    })
}

impl Intake {
    /// Works over one connection until it or the engine is gone.
    fn serve(&mut self, dialer: &mut Dialer) -> Result<(), Ended> {
        let client = dialer.dial(PATIENCE)?;
        let mut reader = Reader::open(client, &self.account).map_err(|error| dialer.back_off(error))?;
        match self.rounds(&mut reader) {
            Ended::Engine => Ok(()),
            Ended::Database(error) => Err(dialer.back_off(error).into()),
        }
    }

    fn rounds(&mut self, reader: &mut Reader) -> Ended {
        loop {
            let more = match self.round(reader) {
                Ok(more) => more,
                Err(ended) => return ended,
            };
            if !more && let Err(error) = reader.wait(POLL) {
                return error.into();
            }
        }
    }

    /// Reads once; tells whether more is waiting.
    fn round(&mut self, reader: &mut Reader) -> Result<bool, Ended> {
        let found = reader.settings()?;
        self.send(Event::Intake(Link::Up))?;
        if self.sent.as_ref() != Some(&found) {
            self.sent = Some(found.clone());
            self.send(Event::Settings(found.clone()))?;
        }
        let Ok(settings) = found else { return Ok(false) };
        let Some(batch) = reader.pending(&settings)? else { return Ok(false) };
        let full = batch.signals.len() == BATCH;
        self.send(Event::Pending(batch))?;
        // Read again before the decisions stand, the same signals would come again.
        let recorded = self.recorded.recv().map_err(|_| EngineGone)?;
        Ok(full && recorded)
    }

    fn send(&self, event: Event) -> Result<(), EngineGone> {
        self.mail.send(Mail::Event(event)).map_err(|_| EngineGone)
    }
}
