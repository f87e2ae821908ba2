//! `sepctl ssh`: a shell on the droplet, or one command.

use std::io::Write;

use russh::ChannelMsg;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};

use super::Global;
use crate::door::{Door, Failure};
use crate::ssh::{Connection, Piece, Target};

/// Open a shell on the droplet, or run one command there
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sepctl ssh
  sepctl ssh -- systemctl status sep-executor
  sepctl ssh --host lon1 -- journalctl -u sep-backup -n 20

The exit status is the command's.")]
pub struct SshArgs {
    /// The command; its words are joined by spaces for the remote shell, as ssh does
    #[arg(last = true)]
    command: Vec<String>,
}

/// Connects and hands the terminal over.
pub async fn cmd_ssh(global: &Global, args: &SshArgs, door: &mut Door) -> Result<(), Failure> {
    let host = global.host(door)?;
    let connection = Connection::open(&Target::of(&host)).await?;
    let status = if args.command.is_empty() {
        shell(&connection, door).await?
    } else {
        run(&connection, &args.command.join(" "), door).await?
    };
    connection.close().await;
    match status {
        Some(0) => Ok(()),
        Some(code) => Err(Failure::silent(u8::try_from(code).unwrap_or(1))),
        None => Err(Failure::new(format!("{}: the command was ended by a signal", host.name))),
    }
}

async fn run(connection: &Connection, command: &str, door: &mut Door) -> Result<Option<u32>, Failure> {
    let mut exec = connection.exec(command).await?;
    let mut input = tokio::io::stdin();
    let (mut typed, mut open) = (vec![0; 32 * 1024], true);
    loop {
        tokio::select! {
            read = input.read(&mut typed), if open => match read? {
                0 => {
                    open = false;
                    exec.end_input().await;
                }
                // A command that has just ended takes no more; that is noticed below.
                count => drop(exec.send(&typed[..count]).await),
            },
            piece = exec.receive_any() => match piece {
                Some(Piece::Stdout(bytes)) => {
                    door.out.write_all(&bytes)?;
                    door.out.flush()?;
                }
                Some(Piece::Stderr(bytes)) => door.talk.write_all(&bytes)?,
                None => return Ok(exec.status()),
            },
        }
    }
}

async fn shell(connection: &Connection, door: &mut Door) -> Result<Option<u32>, Failure> {
    let term = std::env::var("TERM").unwrap_or_else(|_| "xterm".into());
    let mut channel = connection.exec_terminal(&term, window()).await?;
    let _raw = Raw::enter();
    let mut resized = signal(SignalKind::window_change())?;
    let mut keyboard = tokio::io::stdin();
    let (mut typed, mut open, mut status) = ([0; 4096], true, None);
    loop {
        tokio::select! {
            read = keyboard.read(&mut typed), if open => match read? {
                0 => {
                    open = false;
                    // A closed channel has no input to end.
                    let _ = channel.eof().await;
                }
                count => {
                    // A channel that has just closed is noticed below.
                    let _ = channel.data_bytes(typed[..count].to_vec()).await;
                }
            },
            _ = resized.recv() => {
                let (columns, rows) = window();
                let _ = channel.window_change(columns, rows, 0, 0).await;
            }
            message = channel.wait() => match message {
                Some(ChannelMsg::Data { data } | ChannelMsg::ExtendedData { data, .. }) => {
                    door.out.write_all(&data)?;
                    door.out.flush()?;
                }
                Some(ChannelMsg::ExitStatus { exit_status }) => status = Some(exit_status),
                Some(_) => {}
                None => return Ok(status),
            },
        }
    }
}

/// Columns and rows.
fn window() -> (u32, u32) {
    tcgetwinsize(std::io::stdout()).map_or((80, 24), |size| (size.ws_col.into(), size.ws_row.into()))
}

/// The terminal without echo and line editing, which the far side does; as before when dropped.
struct Raw(Termios);

impl Raw {
    fn enter() -> Option<Self> {
        let before = tcgetattr(std::io::stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}
