//! Runs the outer machine's programs (ip, losetup, nsenter, ...) with a deadline, and asks /proc about processes.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::error::SandboxError;

/// How often a condition is looked at while waiting for it.
const POLL: Duration = Duration::from_millis(10);
/// Where programs are looked for besides PATH: a plain user's PATH may lack the sbin folders.
const SBIN: &str = "/usr/local/sbin:/usr/sbin:/sbin";

/// PATH with the sbin folders.
pub fn search_path() -> String {
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned());
    format!("{path}:{SBIN}")
}

/// Whether PATH (with the sbin folders) has a file of this name.
pub fn is_installed(program: &str) -> bool {
    search_path().split(':').any(|dir| Path::new(dir).join(program).is_file())
}

/// A command that finds programs in the sbin folders too and speaks English.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("PATH", search_path()).env("LC_ALL", "C.UTF-8");
    command
}

/// Runs a program to its end and gives its standard output; anything but success is an error with what it said.
pub fn run(program: &str, args: &[&str], limit: Duration) -> Result<String, SandboxError> {
    let mut command = command(program);
    command.args(args);
    run_command(command, "", limit)
}

/// As [`run`], with a text for the standard input.
pub fn run_with_input(
    program: &str,
    args: &[&str],
    input: &str,
    limit: Duration,
) -> Result<String, SandboxError> {
    let mut command = command(program);
    command.args(args);
    run_command(command, input, limit)
}

/// As [`run_with_input`], for a command made by the caller.
pub fn run_command(mut command: Command, input: &str, limit: Duration) -> Result<String, SandboxError> {
    let shown = shown(&command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child =
        command.spawn().map_err(|source| SandboxError::Start { program: shown.clone(), source })?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends without reading its input closes the pipe; its exit status says more than that error.
        let _ = stdin.write_all(input.as_bytes());
    }
    let stdout = child.stdout.take().map(drain);
    let stderr = child.stderr.take().map(drain);
    let end = Instant::now() + limit;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < end => thread::sleep(Duration::from_millis(2)),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(SandboxError::ProgramTimeout { command: shown, seconds: limit.as_secs() });
            }
            Err(source) => return Err(SandboxError::Start { program: shown, source }),
        }
    };
    let collect = |handle: Option<thread::JoinHandle<String>>| {
        handle.and_then(|handle| handle.join().ok()).unwrap_or_default()
    };
    let (stdout, stderr) = (collect(stdout), collect(stderr));
    if status.success() {
        return Ok(stdout);
    }
    let said = if stderr.trim().is_empty() { stdout } else { stderr };
    Err(SandboxError::Program { command: shown, status: status.to_string(), said: said.trim().to_owned() })
}

fn drain(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn shown(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        text.push(' ');
        text.push_str(&arg.to_string_lossy());
    }
    text
}

/// Looks at a condition until it gives a value; `None` when the limit has passed without one.
pub fn wait_for<T>(
    limit: Duration,
    mut condition: impl FnMut() -> Result<Option<T>, SandboxError>,
) -> Result<Option<T>, SandboxError> {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = condition()? {
            return Ok(Some(value));
        }
        if Instant::now() >= end {
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}

/// A process named beyond doubt: numbers are used again, a number with its start time is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub pid: u32,
    /// Clock ticks after the outer machine's boot, as in /proc/PID/stat.
    pub start: u64,
}

impl Process {
    /// The process that has this number now.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = Stat::read(pid)?;
        Some(Self { pid, start: stat.start })
    }

    /// Whether this very process still runs (a zombie does not).
    pub fn is_alive(self) -> bool {
        Stat::read(self.pid).is_some_and(|stat| stat.start == self.start && !matches!(stat.state, 'Z' | 'X'))
    }

    /// SIGKILL, to this very process only.
    pub fn kill(self) {
        if !self.is_alive() {
            return;
        }
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw) {
            // It may have ended by itself since it was looked at: then there is nothing to do.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }

    /// Its name, as in /proc/PID/comm.
    pub fn name(self) -> String {
        fs::read_to_string(format!("/proc/{}/comm", self.pid)).unwrap_or_default().trim().to_owned()
    }
}

/// The child of `supervisor` that is PID 1 of a PID namespace of its own.
pub fn inner_init(supervisor: u32) -> Option<Process> {
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        if Stat::read(pid)?.parent != supervisor {
            return None;
        }
        let status = fs::read_to_string(entry.path().join("status")).ok()?;
        is_namespace_init(&status).then(|| Process::of(pid))?
    })
}

/// Whether /proc/PID/status tells of more than one PID namespace and number 1 in the innermost.
fn is_namespace_init(status: &str) -> bool {
    let Some(line) = status.lines().find_map(|line| line.strip_prefix("NSpid:")) else { return false };
    let numbers: Vec<&str> = line.split_whitespace().collect();
    numbers.len() > 1 && numbers.last() == Some(&"1")
}

struct Stat {
    state: char,
    parent: u32,
    start: u64,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The second field is the name in parentheses, and may itself hold spaces and parentheses.
    fn parse(stat: &str) -> Option<Self> {
        let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_whitespace().collect();
        Some(Self {
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            start: fields.get(19)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_survives_parentheses_in_the_name() {
        let stat = "42 (a) b (c)) S 7 42 42 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 98765 0 0";
        let stat = Stat::parse(stat).unwrap();
        assert_eq!((stat.state, stat.parent, stat.start), ('S', 7, 98765));
    }

    #[test]
    fn own_process_is_alive_and_another_start_is_not_it() {
        let own = Process::of(std::process::id()).unwrap();
        assert!(own.is_alive());
        assert!(!Process { start: own.start + 1, ..own }.is_alive());
    }

    #[test]
    fn namespace_init_is_number_one_of_an_inner_namespace() {
        assert!(is_namespace_init("Name:\tsystemd\nNSpid:\t711\t1\n"));
        assert!(!is_namespace_init("Name:\tsystemd\nNSpid:\t1\n"));
        assert!(!is_namespace_init("Name:\tbash\nNSpid:\t711\t12\n"));
    }

    #[test]
    fn failure_tells_what_the_program_said() {
        let error = run("sh", &["-c", "echo oops >&2; exit 3"], Duration::from_secs(10)).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("oops") && text.contains("exit status: 3"), "{text}");
    }

    #[test]
    fn a_hanging_program_is_stopped() {
        let error = run("sleep", &["60"], Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, SandboxError::ProgramTimeout { .. }), "{error}");
    }
}
