//! The status over HTTP on a unix socket that only the web server may open.
//!
//! tiny_http has no limits of its own and its accept loop ends for good when file descriptors run out. So a
//! guard asks the server a question every few seconds and builds another one where no answer comes.

mod answer;
mod socket;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, sync_channel};
use std::time::{Duration, Instant};

use tiny_http::Server;

use crate::api::answer::Answers;
use crate::api::socket::Door;
use crate::config::{Api, Config};
use crate::engine::{Event, Link};
use crate::journal::{Entry, Level};
use crate::run::Mail;
use crate::store::STACK;

pub use crate::api::socket::ApiError;

/// How often the guard asks. Also how often the engine hears of the api.
const PROBE: Duration = Duration::from_secs(5);

/// Longer than the slowest answer: the engine's and the database's deadlines together.
const PROBE_ANSWER: Duration = Duration::from_secs(10);

/// Pause before another server is built where building one failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Checks what can be checked without opening the socket: that the group is there.
pub fn check(api: &Api) -> Result<(), ApiError> {
    Door::new(api).map(drop)
}

/// Opens the socket and starts the guard, which starts the server. An address that cannot be used is told at
/// once; whatever goes wrong later is the guard's to mend.
pub fn start(config: &Config, release: &str, mail: Sender<Mail>) -> Result<(), ApiError> {
    let door = Door::new(&config.api)?;
    let first = door.open()?;
    let guard =
        Guard { door, config: config.clone(), release: release.to_owned(), mail, started: Instant::now() };
    std::thread::Builder::new()
        .name("api-guard".to_owned())
        .stack_size(STACK)
        .spawn(move || guard.watch(first))
        .map(drop)
        .map_err(ApiError::Thread)
}

struct Guard {
    door: Door,
    config: Config,
    release: String,
    mail: Sender<Mail>,
    started: Instant,
}

/// One server and the thread that answers for it.
struct Running {
    /// Set when the guard has given up on it.
    retired: Arc<AtomicBool>,
    /// Set when it has ended by itself.
    ended: Arc<AtomicBool>,
}

impl Guard {
    fn watch(self, first: Server) {
        let mut next = Some(first);
        loop {
            let opened = match next.take() {
                Some(server) => Ok(server),
                None => self.door.open(),
            };
            let reason = match opened.and_then(|server| self.serve(server)) {
                Ok(running) => self.probe_until_it_fails(&running),
                Err(error) => error.to_string(),
            };
            let message = format!("the status server is built anew: {reason}");
            let told = self.mail.send(Mail::Log(Entry::new(Level::Warn, "api", message))).is_ok()
                && self.tell(Link::Down(reason));
            if !told {
                return;
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn serve(&self, server: Server) -> Result<Running, ApiError> {
        let running = Running { retired: Arc::default(), ended: Arc::default() };
        let (retired, ended) = (running.retired.clone(), running.ended.clone());
        let mut answers = Answers::new(&self.config, &self.release, self.mail.clone(), self.started);
        std::thread::Builder::new()
            .name("api".to_owned())
            .stack_size(STACK)
            .spawn(move || {
                while !retired.load(Ordering::Relaxed) {
                    match server.recv_timeout(PROBE) {
                        Ok(Some(request)) => answers.answer(request),
                        Ok(None) => {}
                        Err(_) => break,
                    }
                }
                ended.store(true, Ordering::Relaxed);
            })
            .map_err(ApiError::Thread)?;
        Ok(running)
    }

    /// Gives the reason why the server has to be replaced.
    fn probe_until_it_fails(&self, running: &Running) -> String {
        loop {
            let reason = if running.ended.load(Ordering::Relaxed) {
                Some("it does not accept connections any more".to_owned())
            } else {
                probe(&self.config.api.socket).err()
            };
            if let Some(reason) = reason {
                running.retired.store(true, Ordering::Relaxed);
                return reason;
            }
            if !self.tell(Link::Up) {
                return "the engine is gone".to_owned();
            }
            std::thread::sleep(PROBE);
        }
    }

    fn tell(&self, link: Link) -> bool {
        self.mail.send(Mail::Event(Event::Api(link))).is_ok()
    }
}

/// Asks a question that needs no database. In a thread of its own: where nobody accepts and the queue is full,
/// connecting waits for ever.
fn probe(socket: &Path) -> Result<(), String> {
    let (done, answered) = sync_channel(1);
    let socket: PathBuf = socket.to_owned();
    std::thread::Builder::new()
        .name("api-probe".to_owned())
        .stack_size(STACK)
        .spawn(move || drop(done.send(ask(&socket))))
        .map_err(|error| format!("cannot start a thread to ask it: {error}"))?;
    match answered.recv_timeout(PROBE_ANSWER) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("asked for a sign of life: {error}")),
        Err(_) => Err(format!("no sign of life within {} s", PROBE_ANSWER.as_secs())),
    }
}

fn ask(socket: &Path) -> std::io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PROBE_ANSWER))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n")?;
    let mut start = [0; 8];
    stream.read_exact(&mut start)?;
    // The rest is read, too: an answer nobody takes is an error on the other side.
    std::io::copy(&mut stream.take(64 * 1024), &mut std::io::sink())?;
    if &start == b"HTTP/1.1" { Ok(()) } else { Err(std::io::Error::other("the answer is not HTTP")) }
}
