//! Tells how far a verb has come, one line a step with the seconds it took.

use std::io::Write;
use std::time::Instant;

use super::place::Name;

/// Writes the lines of one droplet's verb.
pub struct Steps<'a> {
    talk: &'a mut dyn Write,
    name: Name,
    began: Instant,
    last: Instant,
}

impl<'a> Steps<'a> {
    /// Starts the clock.
    pub fn new(talk: &'a mut dyn Write, name: &Name) -> Self {
        let now = Instant::now();
        Self { talk, name: name.clone(), began: now, last: now }
    }

    /// A step is done: what, and its time since the step before.
    pub fn done(&mut self, what: &str) {
        let now = Instant::now();
        let seconds = now.duration_since(self.last).as_secs_f64();
        self.last = now;
        self.line(&format!("{seconds:6.2} s  {what}"));
    }

    /// Something worth knowing that is no step.
    pub fn note(&mut self, what: &str) {
        self.line(&format!("          {what}"));
    }

    /// The last line: the whole time.
    pub fn finish(&mut self, what: &str) {
        let seconds = self.began.elapsed().as_secs_f64();
        self.line(&format!("{seconds:6.2} s  {what} (in all)"));
    }

    fn line(&mut self, text: &str) {
        // Talk that nobody can read any more must not stop the work.
        let _ = writeln!(self.talk, "{}  {text}", self.name);
    }
}
