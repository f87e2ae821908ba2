//! What is remembered of a droplet between two commands: state.json in its folder.
//!
//! It is written before what it names is made, so that a crash leaves nothing unknown.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::SandboxError;
use super::place::{Name, Place};
use super::program::Process;
use super::subnet::Subnet;

/// Form of the file; another one is refused.
const VERSION: u32 = 1;

/// One droplet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    version: u32,
    pub subnet: Subnet,
    /// Name of the volume at DigitalOcean's, as in /dev/disk/by-id/scsi-0DO_Volume_NAME.
    pub volume: String,
    /// Bytes.
    pub volume_size: u64,
    /// Key of the image that is its lower layer.
    pub image: String,
    /// Whether its layers, keys and volume are complete.
    pub made: bool,
    /// The last boot; its processes may have ended since.
    pub boot: Option<Boot>,
}

/// What one boot occupies on the outer machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boot {
    /// systemd-nspawn.
    pub supervisor: Process,
    /// The droplet's PID 1, numbered as outside.
    pub inner: Process,
    /// The loop device under the volume, such as /dev/loop3.
    pub loop_device: String,
    /// When it had finished booting; `None` until then, and for good if the command that booted it was killed.
    pub up_since: Option<Timestamp>,
}

impl State {
    /// A droplet that is about to be made.
    pub fn new(subnet: Subnet, volume: String, volume_size: u64, image: String) -> Self {
        Self { version: VERSION, subnet, volume, volume_size, image, made: false, boot: None }
    }

    /// Reads a droplet's state; `None` where there is none.
    pub fn load(name: &Name) -> Result<Option<Self>, SandboxError> {
        let path = Place::of(name).state();
        match fs::read(&path) {
            Ok(bytes) => Self::parse(&bytes).map(Some).map_err(|reason| SandboxError::BadState {
                path,
                name: name.to_string(),
                reason,
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(SandboxError::io("read", &path)(error)),
        }
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let Versioned { version } = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if version != VERSION {
            return Err(format!("found version {version}, expected {VERSION}"));
        }
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }

    /// Replaces the file in one step.
    pub fn save(&self, place: &Place) -> Result<(), SandboxError> {
        let path = place.state();
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| SandboxError::io("write", &path)(error.into()))?;
        replace(&path, &text)
    }

    /// Whether it runs and has finished booting.
    pub fn is_up(&self) -> bool {
        self.running().is_some() && self.boot.as_ref().is_some_and(|boot| boot.up_since.is_some())
    }

    /// The droplet's PID 1, if it runs.
    pub fn running(&self) -> Option<Process> {
        self.boot.as_ref().map(|boot| boot.inner).filter(|inner| inner.is_alive())
    }
}

/// Writes a file whole under another name and renames it over the old one.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), SandboxError> {
    let new = path.with_extension("new");
    fs::write(&new, bytes).map_err(SandboxError::io("write", &new))?;
    fs::rename(&new, path).map_err(SandboxError::io("replace", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut state = State::new(Subnet::FIRST, "sep-data".into(), 50 << 30, "abc".into());
        let process = Process { pid: 7, start: 8 };
        let loop_device = "/dev/loop0".to_owned();
        state.boot = Some(Boot { supervisor: process, inner: process, loop_device, up_since: None });
        assert_eq!(State::parse(&serde_json::to_vec(&state).unwrap()), Ok(state));
    }

    #[test]
    fn another_version_and_a_torn_file_are_refused() {
        assert_eq!(State::parse(br#"{"version": 9}"#), Err("found version 9, expected 1".into()));
        assert!(State::parse(br#"{"version": 1, "subn"#).unwrap_err().contains("EOF"));
    }
}
