//! Programs, each under a deadline.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use super::{Machine, MachineError, lock};

/// Kept of each output stream.
const KEPT: u64 = 4 * 1024 * 1024;

/// A program to run: data until [`Machine::run`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Command {
    program: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    stdin: Vec<u8>,
    limit: Duration,
}

/// What a program that ended with status 0 printed.
#[derive(Debug, Clone)]
pub struct Output {
    pub stdout: String,
    pub stderr: String,
}

impl Command {
    /// A program with its arguments; half a minute is its time unless told otherwise.
    pub fn new<S: Into<String>>(program: &str, args: impl IntoIterator<Item = S>) -> Self {
        Self {
            program: program.to_owned(),
            args: args.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            stdin: Vec::new(),
            limit: Duration::from_secs(30),
        }
    }

    /// Another deadline.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// A further environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Bytes for its standard input; none otherwise.
    pub fn stdin(mut self, bytes: &[u8]) -> Self {
        self.stdin = bytes.to_vec();
        self
    }

    /// What it printed, or an error that carries what it said.
    pub fn succeeded(&self, (status, output): (Option<i32>, Output)) -> Result<Output, MachineError> {
        if status == Some(0) {
            return Ok(output);
        }
        let said = if output.stderr.trim().is_empty() { &output.stdout } else { &output.stderr };
        Err(MachineError::Command {
            command: self.shown(),
            status: status.map_or("a signal".into(), |s| format!("status {s}")),
            stderr: last_lines(said, 12),
        })
    }

    fn shown(&self) -> String {
        let mut words = vec![self.program.clone()];
        words.extend(self.args.iter().cloned());
        words.join(" ")
    }
}

impl Machine {
    /// Runs a program to its end; any status but 0 is an error that carries what it said.
    pub fn run(&self, command: &Command) -> Result<Output, MachineError> {
        command.succeeded(self.try_run(command)?)
    }

    /// As [`Machine::try_run`], for programs that only look: run once, and remembered until something is changed.
    pub fn probe(&self, command: &Command) -> Result<(Option<i32>, Output), MachineError> {
        if let Some(answer) = lock(&self.probes).get(command) {
            return Ok(answer.clone());
        }
        let answer = self.try_run(command)?;
        lock(&self.probes).insert(command.clone(), answer.clone());
        Ok(answer)
    }

    /// Runs a program whose failure is an answer too: its status (`None`: a signal) and what it printed.
    pub fn try_run(&self, command: &Command) -> Result<(Option<i32>, Output), MachineError> {
        let mut child = std::process::Command::new(&command.program)
            .args(&command.args)
            .env("LC_ALL", "C.UTF-8")
            .envs(command.env.iter().map(|(k, v)| (k, v)))
            .stdin(if command.stdin.is_empty() { Stdio::null() } else { Stdio::piped() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|source| MachineError::Spawn { program: command.program.clone(), source })?;
        let (ended, watch) = mpsc::channel::<()>();
        let watchdog = watch_over(&child, command.limit, watch);
        let input = child.stdin.take().map(|mut pipe| {
            let bytes = command.stdin.clone();
            // A program that does not read its input to the end says so by its status.
            thread::spawn(move || drop(pipe.write_all(&bytes)))
        });
        let stdout = drain(child.stdout.take());
        let stderr = drain(child.stderr.take());
        let status = child.wait();
        let output = Output { stdout: joined(stdout), stderr: joined(stderr) };
        drop(ended);
        let overran = watchdog.join().unwrap_or(false);
        if let Some(input) = input {
            drop(input.join());
        }
        if overran {
            return Err(MachineError::Deadline { command: command.shown(), limit: command.limit });
        }
        let status =
            status.map_err(|source| MachineError::Spawn { program: command.program.clone(), source })?;
        Ok((status.code(), output))
    }
}

/// Ends the program and its children when the time is over; tells whether it had to.
fn watch_over(child: &Child, limit: Duration, watch: mpsc::Receiver<()>) -> thread::JoinHandle<bool> {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    thread::spawn(move || {
        let overran = watch.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout);
        if overran && let Some(group) = group {
            // The group may just have ended by itself.
            let _ = kill_process_group(group, Signal::KILL);
        }
        overran
    })
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What could be read until an error is what there is to show.
            let _ = pipe.by_ref().take(KEPT).read_to_end(&mut bytes);
            let _ = std::io::copy(&mut pipe, &mut std::io::sink());
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn joined(thread: thread::JoinHandle<String>) -> String {
    thread.join().unwrap_or_default()
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_hangs_is_ended_with_its_children() {
        let command = Command::new("sh", ["-c", "sleep 600 & sleep 600"]).limit(Duration::from_millis(100));
        assert!(matches!(Machine::default().run(&command), Err(MachineError::Deadline { .. })));
    }

    #[test]
    fn a_failure_carries_what_was_said() {
        let error = Machine::default().run(&Command::new("sh", ["-c", "echo why >&2; exit 3"])).unwrap_err();
        assert_eq!(error.to_string(), "`sh -c echo why >&2; exit 3` ended with status 3: why");
    }

    #[test]
    fn input_reaches_the_program() {
        let out = Machine::default().run(&Command::new("cat", [""; 0]).stdin(b"in")).unwrap();
        assert_eq!(out.stdout, "in");
    }
}
