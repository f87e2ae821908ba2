//! The daemon: starts the threads, turns their mail into events, and does what the engine's actions say.
//!
//! Owns the loop, the engine's connection and the word with systemd. Decides nothing.

use std::collections::VecDeque;
use std::io::Stderr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::api::{self, ApiError};
use crate::config::Config;
use crate::engine::{self, Action, Event, Health, Link, State};
use crate::intake;
use crate::journal::{Entry, Journal, Level};
use crate::release;
use crate::store::STACK;
use crate::store::writer::{Tended, Writer};
use crate::systemd::Systemd;

/// The rhythm of everything that is looked after and not told.
const TICK: Duration = Duration::from_secs(1);

/// What the other threads send to the engine's.
pub enum Mail {
    Event(Event),
    Log(Entry),
    /// What the engine believes now. That it answers is part of the answer.
    Ask(SyncSender<View>),
}

/// What the engine believes, for the status.
#[derive(Debug)]
pub struct View {
    pub health: Health,
    pub problems: Vec<String>,
    pub database: Link,
    /// Enabled pairs by name.
    pub enabled: Vec<String>,
}

/// Why the daemon could not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("cannot listen for signals: {0}")]
    Signals(#[source] std::io::Error),
    #[error("cannot start the thread `{name}`: {source}")]
    Thread { name: &'static str, source: std::io::Error },
    #[error(transparent)]
    Api(#[from] ApiError),
}

/// Runs until SIGTERM or SIGINT.
pub fn run(config: Config) -> Result<(), RunError> {
    let release = release::current();
    let (mail, inbox) = channel();
    let (recorded, acknowledgements) = channel();
    listen_for_signals(mail.clone())?;
    api::start(&config, &release, mail.clone())?;
    intake::start(&config, mail, acknowledgements)
        .map_err(|source| RunError::Thread { name: "intake", source })?;

    let mut journal = Journal::new(std::io::stderr(), std::env::var_os("JOURNAL_STREAM").is_some());
    let message = format!(
        "sep-executor {} (release {release}) starts: mode {}, account {}, database {}",
        release::VERSION,
        config.mode,
        config.account,
        config.database.name
    );
    journal.write(Entry::new(Level::Info, "engine", message));
    let mut daemon = Daemon {
        state: State::new(Instant::now()),
        writer: Writer::new(&config, release),
        journal,
        systemd: Systemd::from_environment(),
        recorded,
        stopping: false,
    };
    daemon.serve(&inbox);
    daemon.systemd.notify("STOPPING=1");
    daemon.flush();
    daemon.writer.close();
    // The threads end with the process: they hold nothing that is not committed.
    let _ = std::fs::remove_file(&config.api.socket);
    Ok(())
}

fn listen_for_signals(mail: Sender<Mail>) -> Result<(), RunError> {
    let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(RunError::Signals)?;
    let wait = move || {
        for signal in signals.forever() {
            let name = if signal == SIGTERM { "SIGTERM" } else { "SIGINT" };
            if mail.send(Mail::Event(Event::Stop(name))).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .stack_size(STACK)
        .spawn(wait)
        .map(drop)
        .map_err(|source| RunError::Thread { name: "signals", source })
}

struct Daemon {
    state: State,
    writer: Writer,
    journal: Journal<Stderr>,
    systemd: Systemd,
    recorded: Sender<bool>,
    stopping: bool,
}

impl Daemon {
    fn serve(&mut self, inbox: &Receiver<Mail>) {
        let mut next_tick = Instant::now();
        while !self.stopping {
            match inbox.recv_timeout(next_tick.saturating_duration_since(Instant::now())) {
                Ok(mail) => self.take(mail),
                Err(RecvTimeoutError::Timeout) => {}
                // The threads that send end with this one; were they gone, nothing could be done any more.
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if Instant::now() >= next_tick && !self.stopping {
                self.tick();
                next_tick = Instant::now() + TICK;
            }
        }
    }

    fn take(&mut self, mail: Mail) {
        match mail {
            Mail::Log(entry) => self.journal.write(entry),
            Mail::Ask(answer) => {
                let now = Instant::now();
                let pairs = self.state.settings().map(|settings| &settings.pairs);
                let enabled = pairs.into_iter().flatten().filter(|(_, pair)| pair.enabled);
                // Whoever asked may have given up.
                let _ = answer.try_send(View {
                    health: self.state.health(now),
                    problems: self.state.problems(now),
                    database: self.state.database().clone(),
                    enabled: enabled.map(|(name, _)| name.clone()).collect(),
                });
            }
            Mail::Event(event) => {
                let is_batch = matches!(event, Event::Pending(_));
                let recorded = self.feed(event);
                if is_batch {
                    let _ = self.recorded.send(recorded);
                }
            }
        }
    }

    fn tick(&mut self) {
        match self.writer.tend() {
            Tended::AsBefore => {}
            Tended::Connected => {
                self.feed(Event::Database(Link::Up));
            }
            Tended::Lost(error) => {
                self.feed(Event::Database(Link::Down(error.to_string())));
            }
        }
        self.feed(Event::Tick);
        self.flush();
    }

    /// Gives an event to the engine and does what follows from it; tells whether decisions were recorded.
    fn feed(&mut self, event: Event) -> bool {
        let mut recorded = false;
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            recorded |= matches!(event, Event::Recorded(_));
            for action in engine::step(&mut self.state, event, Instant::now()) {
                events.extend(self.act(action));
            }
        }
        recorded
    }

    fn act(&mut self, action: Action) -> Option<Event> {
        let answer = match action {
            Action::TryLock => self.writer.try_lock().map(Event::Lock),
            Action::Record(decisions) => self.writer.record(decisions).map(Event::Recorded),
            Action::Log(entry) => {
                self.journal.write(entry);
                return None;
            }
            Action::Ready => {
                self.systemd.notify("READY=1");
                return None;
            }
            Action::Status(line) => {
                self.systemd.status(&line);
                return None;
            }
            Action::Watchdog => {
                self.systemd.notify("WATCHDOG=1");
                return None;
            }
            Action::Stop => {
                self.stopping = true;
                return None;
            }
        };
        Some(answer.unwrap_or_else(|error| Event::Database(Link::Down(error.to_string()))))
    }

    /// Sends to the database what the journal holds for it.
    fn flush(&mut self) {
        if !self.writer.is_open() {
            return;
        }
        let entries = self.journal.take();
        if entries.is_empty() {
            return;
        }
        if let Err(error) = self.writer.log(&entries) {
            self.journal.put_back(entries);
            self.feed(Event::Database(Link::Down(error.to_string())));
        }
    }
}
