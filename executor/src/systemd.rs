//! Talks to systemd: ready, stopping, status line, watchdog (sd_notify(3)).
//!
//! Owns the one datagram socket. Silent where the program was not started by systemd.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The way to the service manager.
pub struct Systemd(Option<(UnixDatagram, SocketAddr)>);

impl Systemd {
    /// Takes the socket's name from `NOTIFY_SOCKET`: a path, or `@` and a name in the abstract namespace.
    pub fn from_environment() -> Self {
        Self::to(std::env::var("NOTIFY_SOCKET").ok().as_deref())
    }

    fn to(name: Option<&str>) -> Self {
        let address = name.and_then(|name| match name.strip_prefix('@') {
            Some(hidden) => SocketAddr::from_abstract_name(hidden).ok(),
            None => SocketAddr::from_pathname(name).ok(),
        });
        Self(UnixDatagram::unbound().ok().zip(address))
    }

    /// Sends lines such as `READY=1`. A manager that does not listen is no reason to stop working.
    pub fn notify(&self, lines: &str) {
        if let Some((socket, address)) = &self.0 {
            let _ = socket.send_to_addr(lines.as_bytes(), address);
        }
    }

    /// Sets the line that `systemctl status` shows.
    pub fn status(&self, text: &str) {
        self.notify(&format!("STATUS={}", text.replace('\n', " ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_arrive_at_the_named_socket() {
        let name = format!("sep-executor-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        Systemd::to(Some(&format!("@{name}"))).status("two\nlines");
        let mut buffer = [0; 64];
        let length = manager.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"STATUS=two lines");
    }

    #[test]
    fn no_manager_is_no_error() {
        Systemd::to(None).notify("READY=1");
        Systemd::to(Some("/nowhere/notify")).notify("READY=1");
    }
}
