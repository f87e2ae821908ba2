//! `sepctl psql`: the local psql, connected through SSH.

use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;

use tokio::net::UnixListener;

use super::Global;
use crate::desired::{REHEARSAL, TRADING};
use crate::door::{Door, Failure};
use crate::machine::socket;
use crate::ssh::{Connection, Target};

/// Open psql on the droplet's database, through a forwarded socket
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sepctl psql                                        look around; nothing can be changed
  sepctl psql -- -c 'select * from v_open_trades'
  sepctl psql --role sep_owner                       with the rights of the schema's owner
  sepctl psql --rehearsal")]
pub struct PsqlArgs {
    /// The database role to be
    #[arg(long, default_value = "sep_readonly", value_parser = ["sep_readonly", "sep_sync", "sep_owner"])]
    role: String,
    /// The simulator's database
    #[arg(long)]
    rehearsal: bool,
    /// Options for psql itself
    #[arg(last = true)]
    args: Vec<String>,
}

/// Forwards a private local socket and runs psql on it.
pub async fn cmd_psql(global: &Global, args: &PsqlArgs, door: &mut Door) -> Result<(), Failure> {
    let host = global.host(door)?;
    let connection = Connection::open(&Target::of(&host)).await?;
    let folder = Folder::new()?;
    let port = host.postgres.port;
    let local = folder.0.join(format!(".s.PGSQL.{port}"));
    let listener = UnixListener::bind(&local)
        .map_err(|e| Failure::new(format!("cannot listen on {}: {e}", local.display())))?;
    let mut psql = tokio::process::Command::new("psql")
        .arg("--host")
        .arg(&folder.0)
        .args(["--port", &port.to_string(), "--username", &args.role])
        .args(["--dbname", if args.rehearsal { REHEARSAL } else { TRADING }])
        .args(&args.args)
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| {
            Failure::new(format!("cannot start psql: {e}"))
                .hint("install it (postgresql-client on Debian and Ubuntu, postgresql on Fedora)")
        })?;
    let status = loop {
        tokio::select! {
            status = psql.wait() => break status,
            accepted = listener.accept() => {
                let (mut near, _) = accepted.map_err(|e| Failure::new(format!("cannot accept psql: {e}")))?;
                let mut far = connection.unix_stream(&socket(port)).await?;
                tokio::spawn(async move {
                    // Either side may end it; psql itself says so to its user.
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        }
    };
    let code = status.ok().and_then(|status| status.code()).and_then(|code| u8::try_from(code).ok());
    match code {
        Some(0) => Ok(()),
        code => Err(Failure::silent(code.unwrap_or(1))),
    }
}

/// A folder that only this user may enter, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, Failure> {
        let base = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let path = base.join(format!("sepctl-psql-{}", std::process::id()));
        let failed = |e: std::io::Error| Failure::new(format!("cannot make {}: {e}", path.display()));
        // Somebody else's folder of that name is not used: `create` fails on it.
        std::fs::DirBuilder::new().mode(0o700).create(&path).map_err(failed)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).map_err(failed)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Left behind it would be an empty folder in the runtime directory.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
