//! A systemd unit that is to run, with what it loads.
//!
//! Level-triggered: it is restarted (or reloaded) when a file it loads is newer than its last start (or reload),
//! whoever changed it and whenever, so a run that died between the two is made good by the next.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::postgres_config::wait_until_ready;
use super::{Ahead, ApplyError, Finding, Kind, Workstation};
use crate::machine::{Command, Machine, MachineError, Unit};
use crate::plan::Action;

/// A unit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Service {
    /// With its suffix: `nginx.service`.
    pub unit: String,
    /// `None`: enabling it is somebody else's work.
    pub enabled: Option<bool>,
    /// Files (and ids of resources) whose change it has to take over.
    pub loads: Vec<String>,
    /// It takes a change over by a reload; otherwise by a restart.
    pub reload: bool,
    /// A program that says whether the files are right, run before they are taken over.
    pub validate: Vec<String>,
    pub ready: Option<Ready>,
    /// Somebody else starts it (cron, a timer): it only has to be known to systemd as it is in its file.
    pub on_demand: bool,
}

/// How to tell that it works, besides systemd's word.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ready {
    /// It accepts connections on that port's socket.
    Postgres { port: u16 },
}

impl Service {
    /// A unit that is started at boot and runs; restarted when one of these files changes.
    pub fn new(unit: impl Into<String>, loads: &[&str]) -> Self {
        Self {
            unit: unit.into(),
            enabled: Some(true),
            loads: loads.iter().map(|&path| path.to_owned()).collect(),
            reload: false,
            validate: Vec::new(),
            ready: None,
            on_demand: false,
        }
    }

    /// A unit that somebody else starts, and its file.
    pub fn on_demand(unit: impl Into<String>, path: &str) -> Self {
        Self { enabled: None, on_demand: true, ..Self::new(unit, &[path]) }
    }

    /// Takes changes over by a reload, after this command found nothing wrong.
    pub fn reloaded_after(mut self, validate: &[&str]) -> Self {
        self.reload = true;
        self.validate = validate.iter().map(|&word| word.to_owned()).collect();
        self
    }

    fn stale(&self, machine: &Machine, unit: &Unit) -> Result<Option<&str>, MachineError> {
        let since = if self.reload { unit.changed } else { unit.entered };
        for path in &self.loads {
            // Files only; ids of resources count while planning.
            if path.starts_with('/')
                && let Some(found) = machine.metadata(Path::new(path))?
                && since.is_some_and(|since| found.modified > since)
            {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    fn take_over(&self) -> (Action, &'static str) {
        if self.reload { (Action::Reload, "reload") } else { (Action::Restart, "restart") }
    }
}

/// Whether the unit does what it is for: running, or passed over by a condition of its own.
fn is_up(unit: &Unit) -> bool {
    unit.active == "active" || unit.active == "reloading" || unit.condition_failed
}

impl Kind for Service {
    fn id(&self) -> String {
        format!("service {}", self.unit)
    }

    fn units(&self) -> Vec<String> {
        vec![self.unit.clone()]
    }

    fn check(&self, machine: &Machine, ahead: &Ahead) -> Result<Option<Finding>, MachineError> {
        let unit = machine.unit(&self.unit)?;
        if unit.load == "masked" {
            return Err(MachineError::Expectation(format!(
                "{} is masked on the host, expected it to run; run `systemctl unmask {}` there",
                self.unit, self.unit
            )));
        }
        if unit.load == "not-found" {
            let action = if self.on_demand { Action::Create } else { Action::Start };
            return Ok(Some(Finding::new(action, "is not there yet")));
        }
        if !is_up(&unit) && !self.on_demand {
            return Ok(Some(Finding::new(Action::Start, format!("is {}", unit.active))));
        }
        let action = if self.on_demand { Action::Update } else { self.take_over().0 };
        if let Some(path) = self.loads.iter().find(|path| ahead.writes(path) || ahead.changes(path)) {
            return Ok(Some(Finding::new(action, format!("{path} changes"))));
        }
        if unit.needs_daemon_reload {
            return Ok(Some(Finding::new(Action::Update, "systemd has not read its newest unit file")));
        }
        if self.enabled.is_some_and(|wanted| wanted != (unit.file == "enabled")) {
            let lines = vec![format!("-{}", unit.file), "+enabled".into()];
            return Ok(Some(Finding::with(Action::Update, "is not started at boot", lines)));
        }
        if self.on_demand {
            return Ok(None);
        }
        Ok(self.stale(machine, &unit)?.map(|path| Finding::new(action, format!("runs with an older {path}"))))
    }

    fn apply(&self, machine: &Machine, _: &mut dyn Workstation) -> Result<(), ApplyError> {
        if let Some((program, args)) = self.validate.split_first() {
            machine.run(&Command::new(program, args.to_vec()))?;
        }
        machine.run(&Command::new("systemctl", ["daemon-reload"]))?;
        machine.forget();
        if self.enabled == Some(true) && machine.unit(&self.unit)?.file != "enabled" {
            machine.run(&Command::new("systemctl", ["enable", &self.unit]))?;
        }
        if self.on_demand {
            return Ok(());
        }
        let unit = machine.unit(&self.unit)?;
        let verb = match (is_up(&unit), self.stale(machine, &unit)?) {
            (false, _) => "restart",
            (true, Some(_)) => self.take_over().1,
            (true, None) => return Ok(()),
        };
        let started = Command::new("systemctl", [verb, &self.unit]).limit(Duration::from_secs(180));
        machine.run(&started).map_err(|error| self.with_journal(machine, &error))?;
        if let Some(Ready::Postgres { port }) = &self.ready {
            wait_until_ready(machine, *port)?;
        }
        Ok(())
    }
}

impl Service {
    /// systemctl's message says only where to look; what the unit said itself is what helps.
    fn with_journal(&self, machine: &Machine, error: &MachineError) -> MachineError {
        let args = ["-q", "-n", "8", "-o", "cat", "--no-pager", "-u", &self.unit];
        let journal = machine.try_run(&Command::new("journalctl", args)).map(|(_, out)| out.stdout);
        MachineError::Expectation(format!(
            "{error}\nits journal ends with:\n{}",
            journal.unwrap_or_default().trim_end()
        ))
    }
}
