//! The engine: a pure function (state, event, now) -> actions, which alone decides.
//!
//! Owns what the executor believes: whether the database, the lock, the settings and the other threads are
//! there. Must not read a clock, open a connection or write anything: `run` does what the actions say.

pub mod judge;
pub mod model;

use std::time::{Duration, Instant};

use crate::engine::model::{Batch, Decision, Settings};
use crate::journal::{Entry, Level};

/// A thread that has not been heard for so long is taken for stuck, and the watchdog is no longer fed. Both
/// report at least every ten seconds, also while the database is away.
const SILENCE: Duration = Duration::from_secs(45);

/// Whether something that is needed is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    Up,
    /// With the reason.
    Down(String),
}

/// Who may decide for this account in this database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    Held,
    /// Another executor holds it.
    Elsewhere,
}

/// What happened.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// A second has passed.
    Tick,
    /// The engine's own connection.
    Database(Link),
    /// Answer to [`Action::TryLock`].
    Lock(Lock),
    /// The thread that reads signals; also the sign that it lives.
    Intake(Link),
    /// The server of the status; also the sign that it lives.
    Api(Link),
    /// The settings as they are now, or why they cannot be used.
    Settings(Result<Settings, String>),
    /// Signals that wait for a decision.
    Pending(Batch),
    /// The decisions of [`Action::Record`] that the database had not got before.
    Recorded(Vec<Decision>),
    /// A signal to end, by name.
    Stop(&'static str),
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub enum Action {
    /// Ask for the account's lock.
    TryLock,
    /// Write these decisions.
    Record(Vec<Decision>),
    Log(Entry),
    /// Tell systemd that the start is over.
    Ready,
    /// Tell systemd and whoever looks what the state is.
    Status(String),
    /// Tell systemd that work goes on.
    Watchdog,
    Stop,
}

/// The state in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Decides.
    Ok,
    /// Refuses entries by order of the settings.
    Halted,
    /// Waits for the lock that another executor holds.
    Standby,
    /// Something that is needed is missing.
    Degraded,
}

impl Health {
    /// As the status shows it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Health::Ok => "ok",
            Health::Halted => "halted",
            Health::Standby => "standby",
            Health::Degraded => "degraded",
        }
    }
}

/// What the engine believes.
#[derive(Debug)]
pub struct State {
    database: Link,
    lock: Option<Lock>,
    intake: Link,
    api: Link,
    /// None until they were read once.
    settings: Option<Result<Settings, String>>,
    intake_heard: Instant,
    api_heard: Instant,
    ready: bool,
    /// The status line last told.
    told: String,
}

impl State {
    /// At the start nothing is there yet.
    pub fn new(now: Instant) -> Self {
        let starting = || Link::Down("starting".to_owned());
        Self {
            database: starting(),
            lock: None,
            intake: starting(),
            api: starting(),
            settings: None,
            intake_heard: now,
            api_heard: now,
            ready: false,
            told: String::new(),
        }
    }

    /// What is missing, in the order of importance; empty when all is well.
    pub fn problems(&self, now: Instant) -> Vec<String> {
        let mut problems = Vec::new();
        let mut link = |name: &str, link: &Link| {
            if let Link::Down(reason) = link {
                problems.push(format!("{name}: {reason}"));
            }
        };
        link("database", &self.database);
        link("intake", &self.intake);
        link("api", &self.api);
        match &self.settings {
            Some(Ok(_)) => {}
            Some(Err(reason)) => problems.push(format!("settings: {reason}")),
            None => problems.push("settings: not read yet".to_owned()),
        }
        for (name, heard) in [("intake", self.intake_heard), ("api", self.api_heard)] {
            if now.duration_since(heard) > SILENCE {
                problems.push(format!("{name}: silent for more than {} s", SILENCE.as_secs()));
            }
        }
        problems
    }

    /// The state in one word.
    pub fn health(&self, now: Instant) -> Health {
        if !self.problems(now).is_empty() {
            Health::Degraded
        } else if self.lock != Some(Lock::Held) {
            Health::Standby
        } else if self.settings().is_some_and(|settings| settings.halted) {
            Health::Halted
        } else {
            Health::Ok
        }
    }

    /// The engine's own connection.
    pub fn database(&self) -> &Link {
        &self.database
    }

    /// The settings in force.
    pub fn settings(&self) -> Option<&Settings> {
        self.settings.as_ref().and_then(|found| found.as_ref().ok())
    }

    fn line(&self, now: Instant) -> String {
        match self.health(now) {
            Health::Ok => "ok".to_owned(),
            Health::Halted => "halted: entries are refused by the setting `halted`".to_owned(),
            Health::Standby => "standby: another session holds this account's lock".to_owned(),
            Health::Degraded => format!("degraded: {}", self.problems(now).join("; ")),
        }
    }
}

/// Takes in what happened and says what is to be done.
pub fn step(state: &mut State, event: Event, now: Instant) -> Vec<Action> {
    let mut actions = match event {
        Event::Tick => tick(state, now),
        Event::Database(link) => {
            // The lock lived in the connection, and a new one has to ask again.
            state.lock = None;
            let up = link == Link::Up;
            state.database = link;
            if up { vec![Action::TryLock] } else { Vec::new() }
        }
        Event::Lock(lock) => {
            state.lock = Some(lock);
            Vec::new()
        }
        Event::Intake(link) => {
            (state.intake, state.intake_heard) = (link, now);
            Vec::new()
        }
        Event::Api(link) => {
            (state.api, state.api_heard) = (link, now);
            Vec::new()
        }
        Event::Settings(settings) => {
            state.settings = Some(settings);
            Vec::new()
        }
        Event::Pending(batch) => decide(state, &batch),
        Event::Recorded(decisions) => decisions.into_iter().map(told).collect(),
        Event::Stop(signal) => {
            let message = format!("stopping on {signal}");
            vec![Action::Log(Entry::new(Level::Info, "engine", message)), Action::Stop]
        }
    };
    actions.extend(announce(state, now));
    actions
}

fn tick(state: &State, now: Instant) -> Vec<Action> {
    let mut actions = Vec::new();
    if state.database == Link::Up && state.lock != Some(Lock::Held) {
        actions.push(Action::TryLock);
    }
    let alive = |heard: Instant| now.duration_since(heard) <= SILENCE;
    if alive(state.intake_heard) && alive(state.api_heard) {
        actions.push(Action::Watchdog);
    }
    actions
}

/// Only the holder of the lock decides, and never without knowing the settings: a signal that is not decided
/// now stays pending and is met again at the next poll.
fn decide(state: &State, batch: &Batch) -> Vec<Action> {
    match (state.settings(), state.lock) {
        (Some(settings), Some(Lock::Held)) if !batch.signals.is_empty() => {
            let decide = |signal| judge::judge(signal, settings, batch.now);
            vec![Action::Record(batch.signals.iter().map(decide).collect())]
        }
        _ => Vec::new(),
    }
}

fn told(decision: Decision) -> Action {
    let Decision { signal_id, outcome, code, reason, strategy } = decision;
    let message = match outcome {
        model::Outcome::WouldEnter => format!("signal {signal_id}: {reason}"),
        model::Outcome::Refuse => format!("signal {signal_id}: refused, {code}: {reason}"),
    };
    Action::Log(Entry { strategy: Some(strategy), ..Entry::new(Level::Info, "engine", message) })
}

/// Tells of every change of the state once.
fn announce(state: &mut State, now: Instant) -> Vec<Action> {
    let mut actions = Vec::new();
    let started = state.database == Link::Up
        && state.api == Link::Up
        && state.lock.is_some()
        && state.settings.is_some();
    if started && !state.ready {
        state.ready = true;
        actions.push(Action::Ready);
    }
    let line = state.line(now);
    // While it starts, every moment lacks something, and a new connection has asked for the lock but not heard
    // yet: not worth a line.
    let settled = state.ready && (state.lock.is_some() || state.database != Link::Up);
    if settled && line != state.told {
        let level = if state.health(now) == Health::Degraded { Level::Error } else { Level::Info };
        actions.push(Action::Log(Entry::new(level, "engine", line.clone())));
        actions.push(Action::Status(line.clone()));
        state.told = line;
    }
    actions
}

#[cfg(test)]
mod tests;
