//! One conversation with one host: connect, find or install our binary there, exchange messages.

use std::time::Duration;

use super::agent::{self, Agent};
use super::{ControlError, Talk};
use crate::exchange::{self, Desired, FromHost, Refusal, ToHost};
use crate::facts::Facts;
use crate::plan::Report;
use crate::ssh::{Connection, Exec, Target};

/// A check of everything takes well under a second; a host under load may need more.
const CHECK_PATIENCE: Duration = Duration::from_secs(120);

/// A running host side.
pub struct Session {
    pub connection: Connection,
    exec: Exec,
    buffer: Vec<u8>,
}

impl Session {
    /// Starts the host's side, installing this version there if it is missing.
    ///
    /// `name` is that of the desired state which [`Session::report`] is to be about. It goes along with the start:
    /// a server takes no input for a command before it has started it, so the state itself would come a round
    /// trip later.
    pub async fn open(
        connection: Connection,
        target: &Target,
        agent: &Agent,
        name: Option<&str>,
        talk: &mut dyn Talk,
    ) -> Result<Self, ControlError> {
        let verb = name.map_or("host".to_owned(), |name| format!("host --desired {name}"));
        let command = agent.command(&target.user, &verb);
        let mut exec = connection.exec(&command).await?;
        let mut session = match first_bytes(&mut exec, &target.host).await? {
            First::Frame(buffer) => return Ok(Self { connection, exec, buffer }),
            First::Bootstrap(text) => {
                install(&connection, target, agent, &text, talk).await?;
                let exec = connection.exec(&command).await?;
                Self { connection, exec, buffer: Vec::new() }
            }
        };
        match first_bytes(&mut session.exec, &target.host).await? {
            First::Frame(buffer) => session.buffer = buffer,
            First::Bootstrap(_) => {
                let reason = "it is not found where it was just put".into();
                return Err(ControlError::Install { host: target.host.clone(), reason });
            }
        }
        Ok(session)
    }

    /// The facts, which come first.
    pub async fn facts(&mut self) -> Result<Facts, ControlError> {
        match self.receive("reading its facts", CHECK_PATIENCE).await? {
            FromHost::Facts(facts) => Ok(facts),
            other => Err(self.unexpected("its facts", &other)),
        }
    }

    /// The report about the state of that name; `None`: the host wants to be sent one.
    pub async fn report(&mut self) -> Result<Option<Report>, ControlError> {
        match self.receive("checking its resources", CHECK_PATIENCE).await? {
            FromHost::Report(report) => Ok(Some(report)),
            FromHost::WantsDesired => Ok(None),
            other => Err(self.unexpected("a report", &other)),
        }
    }

    /// Sends the desired state and waits for the report about it.
    pub async fn examine(&mut self, desired: Desired) -> Result<Report, ControlError> {
        self.send(&ToHost::Desired(desired)).await?;
        match self.receive("checking its resources", CHECK_PATIENCE).await? {
            FromHost::Report(report) => Ok(report),
            other => Err(self.unexpected("a report", &other)),
        }
    }

    /// Sends one message.
    pub async fn send(&mut self, message: &ToHost) -> Result<(), ControlError> {
        let bytes = exchange::encode(message).map_err(|source| self.frame(source))?;
        Ok(self.exec.send(&bytes).await?)
    }

    /// The next message; a refusal is an error. `during` says what the host is at.
    pub async fn receive(&mut self, during: &str, patience: Duration) -> Result<FromHost, ControlError> {
        loop {
            let message = exchange::take(&mut self.buffer).map_err(|source| self.frame(source))?;
            match message {
                Some(FromHost::Refused { kind, message }) => {
                    return Err(ControlError::Refused { host: self.host(), kind, message });
                }
                Some(message) => return Ok(message),
                None => {}
            }
            match tokio::time::timeout(patience, self.exec.receive()).await {
                Ok(Some(bytes)) => self.buffer.extend(bytes),
                Ok(None) => {
                    return Err(ControlError::Ended {
                        host: self.host(),
                        status: self.exec.status().map_or("none".into(), |s| s.to_string()),
                        during: during.to_owned(),
                        said: String::from_utf8_lossy(self.exec.stderr()).trim().to_owned(),
                    });
                }
                Err(_) => {
                    return Err(ControlError::Silent {
                        host: self.host(),
                        seconds: patience.as_secs(),
                        during: during.to_owned(),
                    });
                }
            }
        }
    }

    fn host(&self) -> String {
        self.connection.host().to_owned()
    }

    fn frame(&self, source: exchange::FrameError) -> ControlError {
        ControlError::Frame { host: self.host(), source }
    }

    pub(super) fn unexpected(&self, expected: &str, found: &FromHost) -> ControlError {
        let message = format!("expected {expected}, found {found:?}");
        ControlError::Refused { host: self.host(), kind: Refusal::Failed, message }
    }
}

enum First {
    Frame(Vec<u8>),
    Bootstrap(String),
}

/// A frame begins with a zero byte (its length is far below 2^24); a bootstrap report with its mark.
async fn first_bytes(exec: &mut Exec, host: &str) -> Result<First, ControlError> {
    let mut bytes = Vec::new();
    let ended = |exec: &Exec, said: &[u8]| {
        let mut said = String::from_utf8_lossy(said).into_owned();
        said.push_str(&String::from_utf8_lossy(exec.stderr()));
        // Our binary is there, and sudo has refused to start it.
        if said.trim_start().starts_with("sudo: ") {
            return ControlError::NotRoot { host: host.to_owned() };
        }
        ControlError::Ended {
            host: host.to_owned(),
            status: exec.status().map_or("none".into(), |s| s.to_string()),
            during: "starting sepctl on the host".into(),
            said: said.trim().to_owned(),
        }
    };
    loop {
        let silent = || ControlError::Silent {
            host: host.to_owned(),
            seconds: CHECK_PATIENCE.as_secs(),
            during: "starting sepctl on the host".into(),
        };
        let piece = tokio::time::timeout(CHECK_PATIENCE, exec.receive()).await.map_err(|_| silent())?;
        match piece {
            Some(piece) => bytes.extend(piece),
            None if bytes.starts_with(agent::BOOTSTRAP_MARK.as_bytes()) => {
                return Ok(First::Bootstrap(String::from_utf8_lossy(&bytes).into_owned()));
            }
            None => return Err(ended(exec, &bytes)),
        }
        match bytes.first() {
            Some(0) => return Ok(First::Frame(bytes)),
            Some(byte) if *byte != agent::BOOTSTRAP_MARK.as_bytes()[0] => {
                let found = String::from_utf8_lossy(&bytes).into_owned();
                return Err(ControlError::NoShell { host: host.to_owned(), found });
            }
            _ => {}
        }
    }
}

async fn install(
    connection: &Connection,
    target: &Target,
    agent: &Agent,
    text: &str,
    talk: &mut dyn Talk,
) -> Result<(), ControlError> {
    let found = agent::parse_bootstrap(&target.host, text)?;
    let checked = agent.preflight(&target.host, &found);
    if checked.is_err() {
        // Leaves nothing behind on a host that is refused.
        let _ = connection.exec(&format!("rmdir {}", found.upload_dir)).await?.finish().await;
    }
    checked?;
    let upload = format!("{}/sepctl", found.upload_dir);
    let total = agent.bytes.len() as u64;
    let mut progress = |sent: u64| talk.progress("uploading sepctl", sent, total);
    connection.upload(&upload, &agent.bytes, &mut progress).await?;
    let command = agent.install_command(&target.user, &found.upload_dir);
    let finished = connection.exec(&command).await?.finish().await;
    if finished.success() {
        return Ok(());
    }
    let reason = match finished.status {
        Some(9) => "the upload arrived damaged; try again".into(),
        _ => String::from_utf8_lossy(&finished.stderr).trim().to_owned(),
    };
    Err(ControlError::Install { host: target.host.clone(), reason })
}
