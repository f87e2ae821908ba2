//! What can go wrong with a sandbox droplet, each with what was found and what to do.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Every refusal and failure of `sepctl sandbox`.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error(
        "a sandbox droplet needs root (namespaces, loop devices, a veth), and this is user id {uid}: run it as `sudo {command}`"
    )]
    NotRoot { uid: u32, command: String },
    #[error(
        "programs that a sandbox droplet needs are missing: {missing}\n  Debian, Ubuntu: apt install {debian}\n  Fedora: dnf install {fedora}"
    )]
    MissingPrograms { missing: String, debian: String, fedora: String },
    #[error(
        "'{name}' cannot name a droplet: expected 1 to 32 of a-z, 0-9 and '-', beginning with a letter and not ending in '-'"
    )]
    BadName { name: String },
    #[error(
        "'{text}' cannot name a volume: expected 1 to 64 of a-z, 0-9 and '-', as DigitalOcean names them"
    )]
    BadVolumeName { text: String },
    #[error(
        "'{text}' is not a size: expected a whole number with MiB, GiB or TiB, at least 64MiB, such as 50GiB"
    )]
    BadSize { text: String },
    #[error("no cgroup2 file system is mounted on this machine: mount -t cgroup2 none /sys/fs/cgroup")]
    NoCgroup2,
    #[error(
        "{path} lies on an overlay file system, which cannot carry the droplets' own overlay: mount a disk file system (ext4, xfs, btrfs) there"
    )]
    OverlayOnOverlay { path: PathBuf },
    #[error("the image needs {needed} MiB in {path}, and {free} MiB are free: make room there")]
    NoSpace { path: PathBuf, needed: u64, free: u64 },
    #[error("cannot {action} {path}: {source}")]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot write the answer: {0}")]
    Output(io::Error),
    #[error("cannot start {program}: {source}")]
    Start { program: String, source: io::Error },
    #[error("`{command}` failed ({status}): {said}")]
    Program { command: String, status: String, said: String },
    #[error("`{command}` did not end within {seconds} s and was stopped")]
    ProgramTimeout { command: String, seconds: u64 },
    #[error("{path} cannot be understood ({reason}): `sepctl sandbox down {name}` removes the droplet")]
    BadState { path: PathBuf, name: String, reason: String },
    #[error("no droplet named '{name}' ({known}): `sepctl sandbox up {name}` makes one")]
    Unknown { name: String, known: String },
    #[error("droplet '{name}' is not running: `sepctl sandbox up {name}` boots it")]
    NotRunning { name: String },
    #[error(
        "droplet '{name}' exists already, so it cannot be made from '{from}': `sepctl sandbox down {name}` first"
    )]
    Exists { name: String, from: String },
    #[error("droplet '{name}' cannot be made from itself")]
    FromItself { name: String },
    #[error(
        "droplet '{name}' exists with {what} {has}, not {asked}: `sepctl sandbox down {name}` first, or leave the option out"
    )]
    Differs { name: String, what: &'static str, has: String, asked: String },
    #[error(
        "no free /30 is left in 10.213.0.0/16 (droplets and existing routes hold them all): take droplets down with `sepctl sandbox down --all`"
    )]
    NoSubnet,
    #[error(
        "the network {subnet} of droplet '{name}' now overlaps the route to {route} of this machine: remove that route, or `sepctl sandbox down {name}` and up again for another network"
    )]
    SubnetTaken { name: String, subnet: String, route: String },
    #[error("building the droplet image failed ({status}); {log}")]
    ImageBuild { status: String, log: Box<LogTail> },
    #[error("droplet '{name}' ended while it was starting ({status}); {log}")]
    Died { name: String, status: String, log: Box<LogTail> },
    #[error("droplet '{name}': {what} did not come about within {seconds} s; {found}\n{log}")]
    Deadline { name: String, what: String, seconds: u64, found: String, log: Box<LogTail> },
    #[error("droplet '{name}' still holds {what} {seconds} s after it was ended")]
    NotReleased { name: String, what: String, seconds: u64 },
    #[error(
        "{what} has been held by another `sepctl sandbox` for {seconds} s: wait for it, or end it, and try again"
    )]
    Locked { what: String, seconds: u64 },
    #[error("the command in droplet '{name}' ended with {code}")]
    CommandFailed { name: String, code: u8 },
}

/// The end of a log file, where the reason of a failure mostly stands.
#[derive(Debug)]
pub struct LogTail {
    path: PathBuf,
    lines: Vec<String>,
}

impl LogTail {
    const LINES: usize = 15;

    /// Reads it; a file that cannot be read has no lines.
    pub(super) fn read(path: &Path) -> Box<Self> {
        let text = String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        let lines = lines[lines.len().saturating_sub(Self::LINES)..].iter().map(|line| (*line).to_owned());
        Box::new(Self { path: path.to_path_buf(), lines: lines.collect() })
    }
}

impl fmt::Display for LogTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lines.is_empty() {
            return write!(f, "{} says nothing", self.path.display());
        }
        write!(f, "the last lines of {}:", self.path.display())?;
        self.lines.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl SandboxError {
    /// For `map_err` on file work: which action on which path failed.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }

    /// What the process should exit with: that of the command for `exec`, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::CommandFailed { code, .. } => *code,
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_tail_keeps_the_last_lines_that_say_something() {
        let path = std::env::temp_dir().join(format!("sepctl-tail-{}", std::process::id()));
        fs::write(&path, "gone\n\n".to_owned() + &"line  \n\n".repeat(LogTail::LINES)).unwrap();
        let text = LogTail::read(&path).to_string();
        fs::remove_file(&path).unwrap();
        assert_eq!(text.matches("\n  line").count(), LogTail::LINES);
        assert!(!text.contains("gone"), "{text}");
        assert!(LogTail::read(&path).to_string().ends_with("says nothing"));
    }
}
