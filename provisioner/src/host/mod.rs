//! The host's side: says what this machine is, checks the desired state, and applies what was agreed to.
//!
//! Runs as root on the droplet, started over SSH, speaking [`crate::exchange`] on its standard input and output.
//! Decides nothing: the desired state comes from the workstation, the meaning of a resource from its kind.

mod facts;
mod held;
mod lock;
pub mod status;

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::time::Instant;

use lock::{DeployLock, LockError};

use crate::exchange::{self, Ask, Desired, Event, FrameError, FromHost, PROTOCOL, Refusal, ToHost};
use crate::facts::Facts;
use crate::machine::{Command, Machine, MachineError, PostgresTarget};
use crate::plan::{Change, Report};
use crate::resource::{Ahead, ApplyError, Finding, Resource, Workstation};

const JOURNAL: &str = "/var/lib/sep/journal.jsonl";

/// Why the host's side ends early.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Machine(#[from] MachineError),
}

/// Serves one exchange. `name`: the desired state that the workstation has in mind, if this host holds it.
pub fn serve(input: &mut dyn Read, output: &mut dyn Write, name: Option<&str>) -> Result<(), HostError> {
    let machine = Machine::default();
    let facts = facts::gather(&machine)?;
    let mut wire = Wire { input, output };
    wire.send(&FromHost::Facts(facts.clone()))?;
    let held = name.and_then(held::recall).filter(|held| held.assumed == facts);
    let known = held.is_some();
    let desired = match held {
        Some(held) => held,
        None => {
            wire.send(&FromHost::WantsDesired)?;
            match wire.desired(&facts)? {
                Some(desired) => desired,
                None => return Ok(()),
            }
        }
    };
    let report = match check_all(&machine, &desired.resources) {
        Ok(report) => report,
        Err(message) => return Ok(wire.refuse(Refusal::Failed, message)?),
    };
    wire.send(&FromHost::Report(report.clone()))?;
    if report.changes.is_empty() && !known {
        held::keep(&machine, &desired);
    }
    match wire.receive() {
        Ok(ToHost::Go { digest, holder }) => {
            if go(&machine, &desired.resources, &digest, &holder, &mut wire)? {
                held::keep(&machine, &desired);
            }
            Ok(())
        }
        Ok(other) => Ok(wire.refuse(Refusal::Failed, format!("expected a go, found {other:?}"))?),
        // The workstation has seen the plan and wants nothing more.
        Err(FrameError::Ended) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Checks every resource; the message of the error names the one that could not be.
fn check_all(machine: &Machine, resources: &[Resource]) -> Result<Report, String> {
    warm_up(machine, resources);
    let mut report = Report::default();
    let mut ahead = Ahead::default();
    for (index, resource) in resources.iter().enumerate() {
        let kind = resource.kind();
        let id = kind.id();
        match kind.check(machine, &ahead) {
            Ok(None) => report.unchanged += 1,
            Ok(Some(Finding { action, why, diff })) => {
                ahead.add(id.clone(), action);
                report.changes.push(Change { index, resource: id, action, why, diff });
            }
            Err(error) => return Err(format!("{id}: {error}")),
        }
    }
    Ok(report)
}

/// Reads at once, side by side, what the checks will ask for; errors come up again where they matter.
fn warm_up(machine: &Machine, resources: &[Resource]) {
    let units: Vec<String> = resources.iter().flat_map(|r| r.kind().units()).collect();
    let probes: Vec<Command> = resources.iter().flat_map(|r| r.kind().probes()).collect();
    let mut targets: Vec<PostgresTarget> = Vec::new();
    for resource in resources {
        if let Resource::PostgresDatabase(database) = resource {
            for name in ["postgres", &database.name] {
                let target = PostgresTarget { port: database.port, database: name.to_owned() };
                if !targets.contains(&target) {
                    targets.push(target);
                }
            }
        }
    }
    std::thread::scope(|scope| {
        scope.spawn(|| machine.load_units(&units));
        scope.spawn(|| machine.packages());
        for probe in &probes {
            scope.spawn(|| machine.probe(probe).map(|_| ()));
        }
        for target in &targets {
            if machine.postgres_listens(target.port) {
                scope.spawn(|| machine.database(target).map(|_| ()));
            }
        }
    });
}

/// Applies what the report of this digest said: under the lock, after looking again. Whether all of it was done.
fn go(
    machine: &Machine,
    resources: &[Resource],
    digest: &str,
    holder: &str,
    wire: &mut Wire<'_>,
) -> Result<bool, HostError> {
    let _lock = match DeployLock::take(holder) {
        Ok(lock) => lock,
        Err(LockError::Held(by)) => {
            let message = format!("another deployment is under way: {by}");
            wire.refuse(Refusal::Locked, message)?;
            return Ok(false);
        }
        Err(error) => {
            wire.refuse(Refusal::Failed, error.to_string())?;
            return Ok(false);
        }
    };
    crate::failpoint::hit("host-locked");
    machine.forget();
    match check_all(machine, resources) {
        Ok(report) if report.digest() == digest => {}
        Ok(report) => {
            let names: Vec<&str> = report.changes.iter().map(|c| c.resource.as_str()).collect();
            let message = format!(
                "the host is no longer as the plan that was shown; it would now change: {}",
                if names.is_empty() { "nothing".into() } else { names.join(", ") }
            );
            wire.refuse(Refusal::Changed, message)?;
            return Ok(false);
        }
        Err(message) => {
            wire.refuse(Refusal::Failed, message)?;
            return Ok(false);
        }
    }
    let mut applied = 0;
    for (index, resource) in resources.iter().enumerate() {
        let id = resource.kind().id();
        match bring_about(machine, index, resource, wire)? {
            Outcome::Unchanged => {}
            Outcome::Applied => applied += 1,
            Outcome::Failed { message, rolled_back } => {
                journal(holder, applied, Some(&format!("{id}: {message}")));
                let event = Event::Failed { index, resource: id, message, rolled_back };
                wire.send(&FromHost::Event(event))?;
                return Ok(false);
            }
        }
    }
    journal(holder, applied, None);
    wire.send(&FromHost::Event(Event::Finished { applied }))?;
    Ok(true)
}

enum Outcome {
    Unchanged,
    Applied,
    Failed { message: String, rolled_back: bool },
}

/// Looks, applies, and looks again: a resource that still differs after its apply has failed.
fn bring_about(
    machine: &Machine,
    index: usize,
    resource: &Resource,
    wire: &mut Wire<'_>,
) -> Result<Outcome, FrameError> {
    let kind = resource.kind();
    let failed = |message: String| Ok(Outcome::Failed { message, rolled_back: false });
    let now = Ahead::default();
    let what = match kind.check(machine, &now) {
        Ok(None) => return Ok(Outcome::Unchanged),
        Ok(Some(finding)) => finding.why,
        Err(error) => return failed(error.to_string()),
    };
    wire.event(Event::Started { index, resource: kind.id(), what })?;
    crate::failpoint::hit("host-before-apply");
    let start = Instant::now();
    match kind.apply(machine, wire) {
        Ok(()) => {}
        Err(ApplyError::Machine(error)) => return failed(error.to_string()),
        Err(ApplyError::RolledBack(message)) => return Ok(Outcome::Failed { message, rolled_back: true }),
    }
    crate::failpoint::hit("host-after-apply");
    machine.forget();
    match kind.check(machine, &now) {
        Ok(None) => {}
        Ok(Some(finding)) => {
            let lines = finding.diff.join("\n");
            return failed(format!("it still differs after it was applied: {}\n{lines}", finding.why));
        }
        Err(error) => return failed(error.to_string()),
    }
    wire.event(Event::Applied { index, resource: kind.id(), seconds: start.elapsed().as_secs_f64() })?;
    Ok(Outcome::Applied)
}

/// Notes what was done, for people who ask later; nothing reads it to decide.
fn journal(holder: &str, applied: usize, error: Option<&str>) {
    let line = serde_json::json!({
        "time": lock::now(), "by": holder, "applied": applied, "error": error,
    });
    // A journal that cannot be written (a full disk) must not fail a deployment that has succeeded.
    if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(JOURNAL) {
        let _ = writeln!(file, "{line}");
    }
}

/// The two directions of the exchange.
struct Wire<'a> {
    input: &'a mut dyn Read,
    output: &'a mut dyn Write,
}

impl Wire<'_> {
    fn send(&mut self, message: &FromHost) -> Result<(), FrameError> {
        exchange::write(&mut self.output, message)
    }

    fn receive(&mut self) -> Result<ToHost, FrameError> {
        exchange::read(&mut self.input)
    }

    /// Waits for a desired state made from these facts; `None`: there is none to come, and it has been said why.
    fn desired(&mut self, facts: &Facts) -> Result<Option<Desired>, FrameError> {
        let problem = match self.receive() {
            Ok(ToHost::Desired(desired)) if desired.protocol != PROTOCOL => {
                format!("found protocol {}, expected {PROTOCOL}", desired.protocol)
            }
            Ok(ToHost::Desired(desired)) if desired.assumed != *facts => {
                "the desired state was made from other facts than this host's".to_owned()
            }
            Ok(ToHost::Desired(desired)) => return Ok(Some(desired)),
            Ok(other) => format!("expected a desired state, found {other:?}"),
            Err(FrameError::Ended) => return Ok(None),
            Err(error) => return Err(error),
        };
        self.refuse(Refusal::Failed, problem).map(|()| None)
    }

    fn event(&mut self, event: Event) -> Result<(), FrameError> {
        self.send(&FromHost::Event(event))
    }

    fn refuse(&mut self, kind: Refusal, message: String) -> Result<(), FrameError> {
        self.send(&FromHost::Refused { kind, message })
    }
}

impl Workstation for Wire<'_> {
    fn ask(&mut self, ask: Ask) -> Result<(), MachineError> {
        let lost = |e: FrameError| {
            MachineError::Expectation(format!("the workstation went away while it was needed: {e}"))
        };
        self.send(&FromHost::Ask(ask)).map_err(lost)?;
        match self.receive().map_err(lost)? {
            ToHost::Answer { error: None } => Ok(()),
            ToHost::Answer { error: Some(error) } => Err(MachineError::Expectation(error)),
            other => Err(MachineError::Expectation(format!("expected an answer, found {other:?}"))),
        }
    }
}
