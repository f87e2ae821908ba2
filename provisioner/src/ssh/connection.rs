//! One authenticated connection to one host.

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, Handle};
use russh::keys::{Algorithm, PublicKeyOrCertificate};
use russh::{Channel, Disconnect, Preferred};

use super::error::AGREEING;
use super::exec::Exec;
use super::{SshError, Target};

/// Longest wait for the TCP connection, the key exchange or the authentication, each.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);
/// Longest wait for the server to open a channel.
const CHANNEL_LIMIT: Duration = Duration::from_secs(15);
/// Upload and download speed is bound by window / round trip.
const WINDOW: u32 = 16 * 1024 * 1024;

/// An open SSH connection; channels are opened from it.
pub struct Connection {
    handle: Handle<Client>,
    target: Target,
}

/// russh's callbacks: only the host key matters to us.
pub(super) struct Client {
    target: Target,
}

impl client::Handler for Client {
    type Error = SshError;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, SshError> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else {
            return Ok(false); // no certificate type is offered in `preferred`
        };
        let t = &self.target;
        t.host_key.check(&t.host, &t.address, t.port, key).map(|()| true)
    }
}

impl Connection {
    /// Connects, checks the host key, authenticates. Each step has its own deadline.
    pub async fn open(target: &Target) -> Result<Self, SshError> {
        let address = format!("{}:{}", target.address, target.port);
        let tcp = deadline(target, "the TCP connection", CONNECT_LIMIT, async {
            tokio::net::TcpStream::connect((target.address.as_str(), target.port))
                .await
                .map_err(|source| SshError::Connect { address: address.clone(), source })
        })
        .await?;
        // A failure costs latency only.
        let _ = tcp.set_nodelay(true);
        let config = Arc::new(client_config(target));
        let mut handle = deadline(target, "the SSH handshake", CONNECT_LIMIT, async {
            client::connect_stream(config, tcp, Client { target: target.clone() }).await.map_err(
                |e| match e {
                    SshError::Protocol(source) => SshError::broken(&target.host, AGREEING, source),
                    other => other,
                },
            )
        })
        .await?;
        deadline(target, "the authentication", CONNECT_LIMIT, super::auth::authenticate(&mut handle, target))
            .await?;
        Ok(Self { handle, target: target.clone() })
    }

    /// The host's name in the inventory.
    pub fn host(&self) -> &str {
        &self.target.host
    }

    /// Starts a command. Secrets never stand in it: they travel on its standard input.
    pub async fn exec(&self, command: &str) -> Result<Exec, SshError> {
        let channel = self.session_channel().await?;
        self.broken("starting a command", channel.exec(false, command).await)?;
        Ok(Exec::new(channel, &self.target.host))
    }

    /// A shell on a terminal of its own, for a person.
    pub async fn exec_terminal(
        &self,
        term: &str,
        (columns, rows): (u32, u32),
    ) -> Result<Channel<client::Msg>, SshError> {
        let channel = self.session_channel().await?;
        let pty = channel.request_pty(false, term, columns, rows, 0, 0, &[]).await;
        self.broken("asking for a terminal", pty)?;
        self.broken("starting a shell", channel.request_shell(true).await)?;
        Ok(channel)
    }

    /// A stream to a unix socket on the host, such as PostgreSQL's: the host sees the SSH user as its peer.
    pub async fn unix_stream(
        &self,
        path: &str,
    ) -> Result<impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + use<>, SshError> {
        let what = format!("a stream to {path}");
        let open = async {
            self.handle.channel_open_direct_streamlocal(path).await.map_err(|e| match e {
                russh::Error::ChannelOpenFailure(_) => {
                    SshError::Refused { host: self.target.host.clone(), what: what.clone() }
                }
                source => SshError::broken(&self.target.host, &what, source),
            })
        };
        Ok(deadline(&self.target, &what, CHANNEL_LIMIT, open).await?.into_stream())
    }

    /// Writes `bytes` to a new file `path` (mode 0600) over SFTP; not atomic: move it into place after checking it.
    pub async fn upload(
        &self,
        path: &str,
        bytes: &[u8],
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), SshError> {
        let channel = self.session_channel().await?;
        self.broken("asking for SFTP", channel.request_subsystem(true, "sftp").await)?;
        super::sftp::upload(channel, &self.target.host, path, bytes, progress).await
    }

    /// Says good-bye; the process may end without it.
    pub async fn close(self) {
        let _ = self.handle.disconnect(Disconnect::ByApplication, "done", "en").await;
    }

    async fn session_channel(&self) -> Result<Channel<client::Msg>, SshError> {
        deadline(&self.target, "a session channel", CHANNEL_LIMIT, async {
            self.broken("opening a channel", self.handle.channel_open_session().await)
        })
        .await
    }

    fn broken<T>(&self, during: &str, result: Result<T, russh::Error>) -> Result<T, SshError> {
        result.map_err(|source| SshError::broken(&self.target.host, during, source))
    }
}

/// Runs a step under its deadline; the error says what was waited for.
pub async fn deadline<T>(
    target: &Target,
    waiting_for: &str,
    limit: Duration,
    step: impl Future<Output = Result<T, SshError>>,
) -> Result<T, SshError> {
    match tokio::time::timeout(limit, step).await {
        Ok(result) => result,
        Err(_) => Err(SshError::Deadline {
            host: target.host.clone(),
            waiting_for: format!("{waiting_for} ({}:{})", target.address, target.port),
            limit,
        }),
    }
}

fn client_config(target: &Target) -> client::Config {
    let mut preferred = Preferred::default();
    let known = target.host_key.known_algorithms(&target.address, target.port);
    if !known.is_empty() {
        // An RSA key stands in known_hosts as `ssh-rsa` whatever the hash of its signatures.
        let same = |a: &Algorithm| known.iter().any(|k| k == a || (k.clone().is_rsa() && a.clone().is_rsa()));
        let keys: Vec<_> = preferred.key.iter().filter(|a| same(a)).cloned().collect();
        preferred.key = Cow::Owned(keys);
    }
    client::Config {
        window_size: WINDOW,
        preferred,
        nodelay: true,
        inactivity_timeout: None,
        keepalive_interval: Some(Duration::from_secs(15)),
        keepalive_max: 3,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::HostKeyPolicy;
    use super::*;

    #[test]
    fn a_known_host_is_asked_for_its_known_key_type() {
        let target = Target {
            host: "h".into(),
            address: "10.0.0.1".into(),
            port: 22,
            user: "root".into(),
            identity: None,
            host_key: HostKeyPolicy::Key(
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ".into(),
            ),
        };
        assert_eq!(client_config(&target).preferred.key.as_ref(), &[russh::keys::Algorithm::Ed25519]);
    }
}
