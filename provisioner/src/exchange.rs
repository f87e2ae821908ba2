//! The messages between the workstation's side and the host's side of `sepctl`, and their framing.
//!
//! A frame is a length (u32, big endian) and that many bytes of JSON. One exchange is: facts up, desired state
//! down, report up; for a deployment then go, events, and answers to what the host asks for. The desired state
//! stays away where the host was started with the name of one that it holds already.

use std::io::{Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::facts::Facts;
use crate::plan::Report;
use crate::resource::Resource;

/// Both sides are the same binary, by its hash; the number guards against a hand-made mix.
pub const PROTOCOL: u32 = 2;
/// A frame larger than this is no frame of ours.
const LARGEST: u32 = 64 * 1024 * 1024;

/// From the workstation to the host.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToHost {
    Desired(Desired),
    /// Apply what the report with this digest says. `holder` is shown to whoever comes meanwhile.
    Go {
        digest: String,
        holder: String,
    },
    /// The answer to an [`Ask`]: done, or the reason why not.
    Answer {
        error: Option<String>,
    },
}

/// What the droplet is to be, top to bottom, and the facts it was made from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Desired {
    pub protocol: u32,
    /// The workstation's name for exactly this; it tells nobody else anything of the content.
    pub name: String,
    pub resources: Vec<Resource>,
    pub assumed: Facts,
}

/// From the host to the workstation.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromHost {
    Facts(Facts),
    /// The host does not hold what it was started with the name of, or it was made from other facts: send one.
    WantsDesired,
    /// What would change.
    Report(Report),
    Event(Event),
    /// Something only the workstation can do; the host waits for the answer.
    Ask(Ask),
    /// The exchange failed before or between resources.
    Refused {
        kind: Refusal,
        message: String,
    },
}

/// Why the host does not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// A resource could not be checked, or the messages made no sense.
    Failed,
    /// Another deployment holds the lock.
    Locked,
    /// The host is no longer as the plan that was shown.
    Changed,
}

/// Progress while applying; `index` counts the desired resources from 0.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Event {
    Started {
        index: usize,
        resource: String,
        what: String,
    },
    Applied {
        index: usize,
        resource: String,
        seconds: f64,
    },
    /// The first failure ends the run; what was applied before it stays.
    Failed {
        index: usize,
        resource: String,
        message: String,
        rolled_back: bool,
    },
    Finished {
        applied: usize,
    },
}

/// What the host needs from the workstation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Ask {
    /// The bytes with this SHA-256, written to `path` over SFTP.
    Blob { sha256: String, path: String },
    /// Run the pending migrations on this database through a forwarded socket.
    Migrate { database: String, socket: String, role: String },
}

/// Errors of reading and writing frames.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("the other side ended the exchange")]
    Ended,
    #[error("a frame of {0} bytes: the other side does not speak this protocol")]
    TooLarge(u32),
    #[error("cannot read or write a message: {0}")]
    Io(#[from] std::io::Error),
    #[error("cannot understand a message: {0}")]
    Json(#[from] serde_json::Error),
}

/// One message as bytes.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let body = serde_json::to_vec(message)?;
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    if length > LARGEST {
        return Err(FrameError::TooLarge(length));
    }
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend(body);
    Ok(frame)
}

/// Takes one message off the front of `buffer`, if it holds a whole one.
pub fn take<T: DeserializeOwned>(buffer: &mut Vec<u8>) -> Result<Option<T>, FrameError> {
    let Some(head) = buffer.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*head);
    if length > LARGEST {
        return Err(FrameError::TooLarge(length));
    }
    let end = 4 + length as usize;
    if buffer.len() < end {
        return Ok(None);
    }
    let message = serde_json::from_slice(&buffer[4..end])?;
    buffer.drain(..end);
    Ok(Some(message))
}

/// Reads one message from a blocking stream.
pub fn read<T: DeserializeOwned>(stream: &mut impl Read) -> Result<T, FrameError> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).map_err(|e| match e.kind() {
        std::io::ErrorKind::UnexpectedEof => FrameError::Ended,
        _ => FrameError::Io(e),
    })?;
    let length = u32::from_be_bytes(head);
    if length > LARGEST {
        return Err(FrameError::TooLarge(length));
    }
    let mut body = vec![0; length as usize];
    stream.read_exact(&mut body)?;
    Ok(serde_json::from_slice(&body)?)
}

/// Writes one message to a blocking stream and flushes it.
pub fn write<T: Serialize>(stream: &mut impl Write, message: &T) -> Result<(), FrameError> {
    stream.write_all(&encode(message)?)?;
    Ok(stream.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_being_cut_anywhere() {
        let messages = [
            ToHost::Answer { error: None },
            ToHost::Answer { error: Some("ä\n".into()) },
            ToHost::Go { digest: "d".into(), holder: "h".into() },
        ];
        let bytes: Vec<u8> = messages.iter().flat_map(|m| encode(m).unwrap()).collect();
        for piece in 1..bytes.len() {
            let (mut buffer, mut seen) = (Vec::new(), 0);
            for chunk in bytes.chunks(piece) {
                buffer.extend(chunk);
                while take::<ToHost>(&mut buffer).unwrap().is_some() {
                    seen += 1;
                }
            }
            assert_eq!((seen, buffer.len()), (3, 0));
        }
    }

    #[test]
    fn something_else_than_a_frame_is_refused() {
        let mut noise = b"bash: sepctl: command not found\n".to_vec();
        assert!(matches!(take::<ToHost>(&mut noise), Err(FrameError::TooLarge(_))));
    }
}
