//! A running command: bytes in, bytes out, its status at the end.

use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};

use super::SshError;

/// Writes larger than this are cut: one SSH packet each.
const CHUNK: usize = 32 * 1024;
/// What is kept of standard error, for messages.
const STDERR_KEPT: usize = 64 * 1024;

/// A command on the host. Output is read until the channel ends, never only until EOF.
pub struct Exec {
    read: ChannelReadHalf,
    write: ChannelWriteHalf<Msg>,
    host: String,
    stderr: Vec<u8>,
    status: Option<u32>,
}

/// Some output of a command.
#[derive(Debug)]
pub enum Piece {
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
}

/// A command that has ended.
#[derive(Debug)]
pub struct Finished {
    /// `None`: killed by a signal, or the connection ended; never success.
    pub status: Option<u32>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Finished {
    /// Whether the command said so itself, by status 0.
    pub fn success(&self) -> bool {
        self.status == Some(0)
    }
}

impl Exec {
    pub(super) fn new(channel: Channel<Msg>, host: &str) -> Self {
        let (read, write) = channel.split();
        Self { read, write, host: host.to_owned(), stderr: Vec::new(), status: None }
    }

    /// Sends bytes to the command's standard input.
    pub async fn send(&self, bytes: &[u8]) -> Result<(), SshError> {
        for chunk in bytes.chunks(CHUNK) {
            self.write
                .data_bytes(chunk.to_vec())
                .await
                .map_err(|source| SshError::broken(&self.host, "sending to a command", source))?;
        }
        Ok(())
    }

    /// Ends the command's standard input.
    pub async fn end_input(&self) {
        // A channel that is closed already has no input to end.
        let _ = self.write.eof().await;
    }

    /// The next piece of standard output; `None` when the command has ended. Standard error is kept for later.
    pub async fn receive(&mut self) -> Option<Vec<u8>> {
        loop {
            match self.receive_any().await? {
                Piece::Stdout(bytes) => return Some(bytes),
                Piece::Stderr(bytes) => {
                    let room = STDERR_KEPT.saturating_sub(self.stderr.len());
                    self.stderr.extend(bytes.iter().take(room));
                }
            }
        }
    }

    /// The next piece of either output, as it comes; `None` when the command has ended. May be cancelled.
    pub async fn receive_any(&mut self) -> Option<Piece> {
        while let Some(message) = self.read.wait().await {
            match message {
                ChannelMsg::Data { data } => return Some(Piece::Stdout(data.to_vec())),
                ChannelMsg::ExtendedData { data, .. } => return Some(Piece::Stderr(data.to_vec())),
                ChannelMsg::ExitStatus { exit_status } => self.status = Some(exit_status),
                _ => {}
            }
        }
        None
    }

    /// What the command has written to standard error so far.
    pub fn stderr(&self) -> &[u8] {
        &self.stderr
    }

    /// The exit status, once [`Exec::receive`] has returned `None`.
    pub fn status(&self) -> Option<u32> {
        self.status
    }

    /// Reads on to the end.
    pub async fn finish(mut self) -> Finished {
        let mut stdout = Vec::new();
        while let Some(piece) = self.receive().await {
            stdout.extend(piece);
        }
        Finished { status: self.status, stdout, stderr: self.stderr }
    }
}
