//! A program under its content's hash, and the link that says which one runs.
//!
//! `current` is switched only to a complete release, and switched back when the new one does not become healthy.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Ahead, ApplyError, Finding, Kind, Workstation};
use crate::exchange::Ask;
use crate::machine::{Command, Machine, MachineError, Ownership};
use crate::plan::Action;

/// A healthy start takes a second; recovering from the broker may take longer.
const HEALTHY_WITHIN: Duration = Duration::from_secs(30);
/// Releases that stay for the way back.
const KEPT: usize = 5;

/// A released program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Release {
    /// Holds `releases/HASH/PROGRAM` and the link `current`.
    pub root: String,
    pub program: String,
    pub sha256: String,
    /// The service that runs `current`.
    pub unit: String,
    /// The unix socket on which it serves /api/status.
    pub socket: String,
    /// Arguments with which the new program says whether it could run; as which user.
    pub check: Vec<String>,
    pub user: String,
}

impl Release {
    fn folder(&self) -> PathBuf {
        Path::new(&self.root).join("releases").join(&self.sha256)
    }

    fn binary(&self) -> PathBuf {
        self.folder().join(&self.program)
    }

    fn current(&self) -> PathBuf {
        Path::new(&self.root).join("current")
    }

    /// The program that the unit runs now, once it has started.
    fn running(&self, machine: &Machine) -> Result<Option<PathBuf>, MachineError> {
        let unit = machine.unit(&self.unit)?;
        let pid = unit.main_pid.filter(|_| unit.active == "active");
        Ok(pid.and_then(|pid| machine.link_target(Path::new(&format!("/proc/{pid}/exe")))))
    }

    fn is_complete(&self) -> bool {
        std::fs::read(self.binary()).is_ok_and(|bytes| crate::hash::sha256(&bytes) == self.sha256)
    }

    fn fetch(&self, machine: &Machine, workstation: &mut dyn Workstation) -> Result<(), MachineError> {
        let incoming = machine.incoming()?;
        let upload = incoming.join(&self.sha256);
        workstation.ask(Ask::Blob { sha256: self.sha256.clone(), path: upload.display().to_string() })?;
        let bytes =
            std::fs::read(&upload).map_err(|source| MachineError::Io { path: upload.clone(), source })?;
        machine.remove(&upload)?;
        let found = crate::hash::sha256(&bytes);
        if found != self.sha256 {
            return Err(MachineError::Expectation(format!(
                "the upload of {} arrived with hash {found}, expected {}; deploy again",
                self.program, self.sha256
            )));
        }
        let root = Ownership { owner: "root".into(), group: "root".into(), mode: 0o755 };
        machine.create_dir(&self.folder(), &root)?;
        machine.write(&self.binary(), &bytes, &root)
    }

    fn switch(&self, machine: &Machine, folder: &Path) -> Result<(), MachineError> {
        machine.link(&self.current(), folder)?;
        crate::failpoint::hit("host-release-linked");
        machine.run(&Command::new("systemctl", ["daemon-reload"]))?;
        machine
            .run(&Command::new("systemctl", ["restart", &self.unit]).limit(Duration::from_secs(90)))
            .map(|_| ())
    }

    fn wait_until_healthy(&self) -> Result<(), String> {
        let end = Instant::now() + HEALTHY_WITHIN;
        loop {
            let answer = status(&self.socket);
            match &answer {
                Ok((200, body)) if body.contains(&self.sha256) => return Ok(()),
                _ if Instant::now() > end => {
                    return Err(match answer {
                        Ok((code, body)) => format!("/api/status answered {code}: {body}"),
                        Err(error) => format!("/api/status did not answer: {error}"),
                    });
                }
                _ => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    fn prune(&self, machine: &Machine) {
        let current = machine.link_target(&self.current()).unwrap_or_default();
        let Ok(entries) = std::fs::read_dir(Path::new(&self.root).join("releases")) else { return };
        let mut old: Vec<_> = entries
            .flatten()
            .map(|e| e.path())
            .filter(|path| *path != current)
            .map(|path| (machine.metadata(&path).ok().flatten().map_or(0, |m| m.modified), path))
            .collect();
        old.sort();
        let surplus = old.len().saturating_sub(KEPT - 1);
        for (_, path) in old.into_iter().take(surplus) {
            // What cannot be removed now is tried again with the next release.
            let _ = std::fs::remove_dir_all(path);
        }
    }
}

/// Status code and body of /api/status.
pub fn status(socket: &str) -> std::io::Result<(u16, String)> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET /api/status HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(1024 * 1024).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Ok((code, body.to_owned()))
}

impl Kind for Release {
    fn id(&self) -> String {
        format!("release {}", self.program)
    }

    fn units(&self) -> Vec<String> {
        vec![self.unit.clone()]
    }

    fn check(&self, machine: &Machine, _: &Ahead) -> Result<Option<Finding>, MachineError> {
        let current = machine.link_target(&self.current());
        let short = |hash: &str| hash.chars().take(12).collect::<String>();
        let running = current.as_deref().and_then(Path::file_name).map(|n| short(&n.to_string_lossy()));
        if current.as_deref() == Some(&self.folder()) {
            if !self.is_complete() {
                return Ok(Some(Finding::new(
                    Action::Update,
                    "the released program is missing or was changed",
                )));
            }
            let other = self.running(machine)?.filter(|running| *running != self.binary());
            return Ok(other.map(|other| {
                let lines = vec![format!("-{}", other.display()), format!("+{}", self.binary().display())];
                Finding::with(Action::Restart, "its unit still runs another program", lines)
            }));
        }
        let mut lines: Vec<String> = running.iter().map(|hash| format!("-{hash}")).collect();
        lines.push(format!("+{}", short(&self.sha256)));
        let action = if running.is_some() { Action::Update } else { Action::Create };
        Ok(Some(Finding::with(action, "another release is current", lines)))
    }

    fn apply(&self, machine: &Machine, workstation: &mut dyn Workstation) -> Result<(), ApplyError> {
        if !self.is_complete() {
            self.fetch(machine, workstation)?;
        }
        let program = self.binary().display().to_string();
        let mut trial = vec!["--user", &self.user, "--", &program];
        trial.extend(self.check.iter().map(String::as_str));
        machine.run(&Command::new("runuser", trial))?;
        // The way back: what runs now; where nothing does, what would be started.
        let runs = self.running(machine)?.and_then(|path| path.parent().map(Path::to_owned));
        let ways = [runs, machine.link_target(&self.current())];
        let before = ways.into_iter().flatten().find(|path| *path != self.folder() && path.exists());
        let switched = self
            .switch(machine, &self.folder())
            .map_err(|e| e.to_string())
            .and_then(|()| self.wait_until_healthy());
        let Err(reason) = switched else {
            self.prune(machine);
            return Ok(());
        };
        match before {
            Some(before) => {
                self.switch(machine, &before)?;
                Err(ApplyError::RolledBack(format!(
                    "the new release did not become healthy and the one before runs again: {reason}"
                )))
            }
            None => {
                let journal = ["-q", "-n", "8", "-o", "cat", "--no-pager", "-u", &self.unit];
                let said = machine.try_run(&Command::new("journalctl", journal)).map(|(_, out)| out.stdout);
                machine.run(&Command::new("systemctl", ["stop", &self.unit]))?;
                machine.remove(&self.current())?;
                Err(MachineError::Expectation(format!(
                    "the release did not become healthy, and was the first: {reason}\nits journal ends with:\n{}",
                    said.unwrap_or_default().trim_end()
                ))
                .into())
            }
        }
    }
}
