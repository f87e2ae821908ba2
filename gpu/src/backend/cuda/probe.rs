//! Whether there is a CUDA device that can be used: asked of the driver in a process of its own.
//!
//! A driver that is broken, or a toolkit's stub in its place, may panic, abort or hang in its first call.
//! So this program runs itself with the hidden verb [`VERB`], under a deadline, and reads one line of JSON.
//! Owns that exchange. Must not call the driver in the process that asks.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::panic;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::CudaError;
use super::{driver, proof};

/// The hidden verb that answers the question. Every program that calls [`ask`] with its own path must
/// print [`answer`] and end when this is its only argument.
pub const VERB: &str = "cuda-probe";

/// How long the driver may take. Without persistence mode it wakes every card of the machine first, which
/// takes seconds for each; the first load of the kernel compiles it.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A CUDA device and the driver that serves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    pub name: String,
    /// Memory in bytes, and how much of it was free when the driver was asked.
    pub memory: u64,
    pub free: u64,
    /// Compute capability, such as 9.0 for Hopper.
    pub capability: (u8, u8),
    /// Streaming multiprocessors, and their highest clock in kilohertz.
    pub processors: u32,
    pub clock_khz: u32,
    /// The CUDA version of the driver: 1000 times the major one, plus 10 times the minor one.
    pub driver: u32,
}

impl Device {
    /// The device in a line: its name, memory, capability and driver.
    pub fn line(&self) -> String {
        format!(
            "{}, {} MiB ({} MiB free), compute capability {}.{}, driver for CUDA {}.{}",
            self.name,
            self.memory >> 20,
            self.free >> 20,
            self.capability.0,
            self.capability.1,
            self.driver / 1000,
            self.driver % 1000 / 10
        )
    }
}

/// The device that would be used, or why there is none; the driver is called in another process.
pub fn detect() -> Result<Device, CudaError> {
    if !driver::is_present() {
        return Err(CudaError::NoDriver);
    }
    let failed =
        |error: std::io::Error| CudaError::Probe { program: "itself".into(), reason: error.to_string() };
    ask(&mut command(&std::env::current_exe().map_err(failed)?), DEADLINE)
}

/// The command that asks, for a program that knows [`VERB`].
pub fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg(VERB);
    command
}

/// Runs such a command and reads its answer. What runs longer than `deadline` is killed.
pub fn ask(command: &mut Command, deadline: Duration) -> Result<Device, CudaError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |reason: String| CudaError::Probe { program: program.clone(), reason };
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let (answered, answer) = mpsc::channel();
    if let Some(mut out) = child.stdout.take() {
        thread::spawn(move || {
            let mut text = String::new();
            let read = out.read_to_string(&mut text).map(|_| text);
            // Nobody listens any more once the deadline is over.
            let _ = answered.send(read);
        });
    }
    let Ok(text) = answer.recv_timeout(deadline) else {
        // It may just have ended by itself; then there is nothing to kill. A process that is stuck in the
        // kernel dies when the kernel lets it, so nobody waits for that but a thread that may be left behind.
        let _ = child.kill();
        thread::spawn(move || child.wait());
        return Err(CudaError::Silent(deadline.as_secs()));
    };
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    let text = text.map_err(|error| failed(error.to_string()))?;
    match serde_json::from_str::<Answer>(text.lines().last().unwrap_or_default()) {
        Ok(Answer::Device(device)) => Ok(device),
        Ok(Answer::Error(error)) => Err(error),
        Err(_) => Err(CudaError::Crashed(ending(status))),
    }
}

fn ending(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("signal {signal}"),
        (_, Some(code)) => format!("exit code {code}, no answer"),
        _ => "no answer".to_owned(),
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Device(Device),
    Error(CudaError),
}

/// The answer to [`VERB`], one line: asks the driver in this very process, which may not survive it.
pub fn answer() -> String {
    // A symbol that is missing makes the binding panic; that is an answer too, not a trace on stderr.
    panic::set_hook(Box::new(|_| {}));
    let answer = match panic::catch_unwind(proof::look) {
        Ok(Ok(device)) => Answer::Device(device),
        Ok(Err(error)) => Answer::Error(error),
        Err(payload) => {
            let text = payload.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("it panicked");
            Answer::Error(CudaError::Broken(text.lines().next().unwrap_or_default().to_owned()))
        }
    };
    serde_json::to_string(&answer).unwrap_or_default()
}
