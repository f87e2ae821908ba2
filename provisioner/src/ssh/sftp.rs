//! Files over SFTP.

use std::time::Duration;

use openssh_sftp_client::file::TokioCompatFile;
use openssh_sftp_client::{Sftp, SftpOptions};
use russh::Channel;
use russh::client::Msg;
use tokio::io::AsyncWriteExt;

use super::SshError;

/// Bytes under way before a write waits for its acknowledgement: a distant link needs many.
const UNDER_WAY: usize = 16 * 1024 * 1024;
/// How long the server may take for its first answer, or for one more megabyte.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn upload(
    channel: Channel<Msg>,
    host: &str,
    path: &str,
    bytes: &[u8],
    progress: &mut dyn FnMut(u64),
) -> Result<(), SshError> {
    let failed = |reason: String| SshError::Upload { host: host.to_owned(), to: path.to_owned(), reason };
    let late = |what: &str| SshError::Deadline {
        host: host.to_owned(),
        waiting_for: format!("{what} of {path}"),
        limit: PATIENCE,
    };
    let limit = std::num::NonZeroUsize::new(UNDER_WAY).unwrap_or(std::num::NonZeroUsize::MIN);
    let options = SftpOptions::new().tokio_compat_file_write_limit(limit);
    let (reader, writer) = tokio::io::split(channel.into_stream());
    // `Sftp::new` can wait for ever when the server ends early.
    let sftp = tokio::time::timeout(PATIENCE, Sftp::new(writer, reader, options))
        .await
        .map_err(|_| late("SFTP's start for the upload"))?
        .map_err(|e| failed(e.to_string()))?;
    let file = sftp
        .options()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .await
        .map_err(|e| failed(e.to_string()))?;
    let mut file = Box::pin(TokioCompatFile::new(file));
    let mut sent = 0_u64;
    for piece in bytes.chunks(1024 * 1024) {
        tokio::time::timeout(PATIENCE, file.write_all(piece))
            .await
            .map_err(|_| late("the upload"))?
            .map_err(|e| failed(e.to_string()))?;
        sent += piece.len() as u64;
        progress(sent);
    }
    // Errors of pipelined writes surface here.
    tokio::time::timeout(PATIENCE, file.flush())
        .await
        .map_err(|_| late("the end of the upload"))?
        .map_err(|e| failed(e.to_string()))?;
    let _ = file.shutdown().await;
    drop(file);
    // Everything is acknowledged; a server that does not answer the good-bye has lost nothing.
    let _ = tokio::time::timeout(PATIENCE, sftp.close()).await;
    Ok(())
}
