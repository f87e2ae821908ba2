//! The unix socket: who may open it, and how one server takes the place of another without a gap.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use tiny_http::Server;

use crate::config::Api;

/// Why the status cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("api.group is {group:?}, which /etc/group does not name")]
    Group { group: String },
    #[error("cannot read /etc/group: {0}")]
    Groups(#[source] std::io::Error),
    #[error("cannot listen on {path}: {source}")]
    Listen { path: PathBuf, source: std::io::Error },
    #[error("cannot give {path} to the group {group} (is this user a member?): {source}")]
    Permit { path: PathBuf, group: String, source: std::io::Error },
    #[error("cannot serve on {path}: {message}")]
    Serve { path: PathBuf, message: String },
    #[error("cannot start the api's thread: {0}")]
    Thread(#[source] std::io::Error),
}

/// Makes servers for one address.
pub struct Door {
    path: PathBuf,
    group: String,
    gid: u32,
    opened: AtomicU32,
}

impl Door {
    /// Looks the group up.
    pub fn new(api: &Api) -> Result<Self, ApiError> {
        let groups = std::fs::read_to_string("/etc/group").map_err(ApiError::Groups)?;
        let gid = gid(&groups, &api.group).ok_or_else(|| ApiError::Group { group: api.group.clone() })?;
        Ok(Self { path: api.socket.clone(), group: api.group.clone(), gid, opened: AtomicU32::new(0) })
    }

    /// A server on the address, in the place of whatever listened there before.
    ///
    /// It is bound beside the address, and its name is then moved over: callers meet the old server or the new
    /// one, never none. The name beside it stays, because tiny_http wakes its accept loop through it and
    /// removes it when it ends; were that the address itself, the old server's end would unplug the new one.
    pub fn open(&self) -> Result<Server, ApiError> {
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        let own = with_suffix(&self.path, &format!(".{number}"));
        let moved = with_suffix(&self.path, ".new");
        for leftover in [&own, &moved] {
            // Usually there is none.
            let _ = std::fs::remove_file(leftover);
        }
        let listen = |source| ApiError::Listen { path: self.path.clone(), source };
        let listener = UnixListener::bind(&own).map_err(listen)?;
        chown(&own, None, Some(self.gid))
            .and_then(|()| std::fs::set_permissions(&own, std::fs::Permissions::from_mode(0o660)))
            .map_err(|source| ApiError::Permit { path: own.clone(), group: self.group.clone(), source })?;
        std::fs::hard_link(&own, &moved)
            .and_then(|()| std::fs::rename(&moved, &self.path))
            .map_err(listen)?;
        Server::from_listener(listener, None)
            .map_err(|error| ApiError::Serve { path: self.path.clone(), message: error.to_string() })
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The group's number in the text of /etc/group. System groups live there; directories such as LDAP are not
/// asked, as a daemon's own group has no place in them.
fn gid(groups: &str, name: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn groups_are_found_by_their_whole_name() {
        let groups = "root:x:0:\nwww-data:x:33:sep\nwww:x:99:\n";
        assert_eq!(
            (gid(groups, "www-data"), gid(groups, "www"), gid(groups, "ww")),
            (Some(33), Some(99), None)
        );
    }

    #[test]
    fn a_new_server_takes_the_address_and_the_old_ones_end_leaves_it_alone() {
        let dir = std::env::temp_dir().join(format!("sep-door-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let group = std::fs::read_to_string("/etc/group").unwrap();
        let own = std::os::unix::fs::MetadataExt::gid(&std::fs::metadata(&dir).unwrap());
        let name = group.lines().find(|line| line.split(':').nth(2) == Some(&own.to_string())).unwrap();
        let group = name.split(':').next().unwrap().to_owned();
        let door = Door::new(&Api { socket: dir.join("api.sock"), group }).unwrap();

        let first = door.open().unwrap();
        let second = door.open().unwrap();
        drop(first);
        let mode = std::fs::metadata(dir.join("api.sock")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        let caller = UnixStream::connect(dir.join("api.sock")).unwrap();
        std::io::Write::write_all(&mut &caller, b"GET /x HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!(second.recv().unwrap().url(), "/x");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
