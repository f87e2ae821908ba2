//! The one door to the user: standard output for data, standard error for talk, and how errors end the program.

use std::io::{IsTerminal, Write};

use crate::control::{ControlError, Talk};
use crate::exchange::Event;
use crate::inventory::{HostError, InventoryErrors};

/// How a command ended, when not well.
#[derive(Debug)]
pub struct Failure {
    /// 1 failed, 2 usage, 3 drift, 4 rolled back.
    pub code: u8,
    pub message: String,
    pub hint: Option<String>,
}

impl Failure {
    /// Something failed.
    pub fn new(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into(), hint: None }
    }

    /// The command was given wrongly.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, ..Self::new(message) }
    }

    /// `plan --check` found changes; the plan has said which.
    pub fn drift() -> Self {
        Self::silent(3)
    }

    /// Whoever failed has said so.
    pub fn silent(code: u8) -> Self {
        Self { code, ..Self::new("") }
    }

    /// What to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        let code = if error.rolled_back() { 4 } else { 1 };
        Self { code, message: error.to_string(), hint: error.hint() }
    }
}

impl From<crate::ssh::SshError> for Failure {
    fn from(error: crate::ssh::SshError) -> Self {
        ControlError::from(error).into()
    }
}

impl From<InventoryErrors> for Failure {
    fn from(errors: InventoryErrors) -> Self {
        Self::usage(errors.to_string())
    }
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(format!("cannot write the output: {error}"))
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::new(format!("cannot write the output as JSON: {error}"))
    }
}

/// Where a command writes to.
pub struct Door {
    pub out: Box<dyn Write>,
    pub talk: Box<dyn Write>,
    /// JSON on `out`.
    pub json: bool,
    /// How much detail the user asked for.
    pub verbose: u8,
    colour: bool,
    /// Progress lines that overwrite themselves.
    live: bool,
    line_open: bool,
}

/// The colours in use, by their meaning.
#[derive(Debug, Clone, Copy)]
pub enum Tint {
    Good,
    Bad,
    Change,
    Faint,
    Strong,
}

impl Door {
    /// Standard output and error; colours and progress only on terminals, and no colour where NO_COLOR is set.
    pub fn standard(json: bool, verbose: u8) -> Self {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            out: Box::new(std::io::stdout()),
            talk: Box::new(std::io::stderr()),
            json,
            verbose,
            colour: !no_colour && std::io::stdout().is_terminal(),
            live: std::io::stderr().is_terminal(),
            line_open: false,
        }
    }

    /// The text in a colour, where colours are shown.
    pub fn tint(&self, tint: Tint, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match tint {
            Tint::Good => "32",
            Tint::Bad => "31",
            Tint::Change => "33",
            Tint::Faint => "2",
            Tint::Strong => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// One line of talk.
    pub fn say(&mut self, text: &str) {
        self.clear_line();
        // Nobody reads it: nothing to do about it.
        let _ = writeln!(self.talk, "{text}");
    }

    /// A JSON document on standard output.
    pub fn document(&mut self, value: &serde_json::Value) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value)?;
        Ok(writeln!(self.out, "{text}")?)
    }

    /// Prints a failure; its code is the process's.
    pub fn fail(&mut self, failure: &Failure) -> u8 {
        self.clear_line();
        if !failure.message.is_empty() {
            let heading = if failure.code == 4 { "rolled back" } else { "error" };
            let _ = writeln!(self.talk, "{}: {}", self.tint(Tint::Bad, heading), failure.message);
        }
        if let Some(hint) = &failure.hint {
            let _ = writeln!(self.talk, "{}: {hint}", self.tint(Tint::Strong, "do this"));
        }
        failure.code
    }

    /// A line that the next one replaces; terminals only.
    pub fn passing(&mut self, text: &str) {
        if self.live {
            let _ = write!(self.talk, "\r\x1b[2K{text}");
            let _ = self.talk.flush();
            self.line_open = true;
        }
    }

    fn clear_line(&mut self) {
        if self.line_open {
            let _ = write!(self.talk, "\r\x1b[2K");
            self.line_open = false;
        }
    }
}

impl Talk for Door {
    fn progress(&mut self, what: &str, done: u64, total: u64) {
        let percent = (done * 100).checked_div(total).unwrap_or(100);
        self.passing(&format!("  {what}: {percent} % of {:.1} MB", mega(total)));
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::Started { resource, what, .. } => self.passing(&format!("  … {resource} ({what})")),
            Event::Applied { resource, seconds, .. } if self.live || self.verbose > 0 => {
                let time = self.tint(Tint::Faint, &format!("{seconds:>6.2} s"));
                self.say(&format!("  {} {time}  {resource}", self.tint(Tint::Good, "✓")));
            }
            Event::Failed { resource, .. } => {
                self.say(&format!("  {} {resource}", self.tint(Tint::Bad, "✗")));
            }
            Event::Applied { .. } | Event::Finished { .. } => self.clear_line(),
        }
    }
}

/// Bytes as megabytes, for people.
pub fn mega(bytes: u64) -> f64 {
    // Exact enough below 2^53 bytes.
    #[allow(clippy::cast_precision_loss)]
    let bytes = bytes as f64;
    bytes / 1_000_000.0
}
