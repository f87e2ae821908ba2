//! How a connection is made: with a deadline that holds against a server that accepts and then says nothing,
//! and with growing, jittered pauses between attempts.

use std::hash::{BuildHasher, RandomState};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use postgres::NoTls;

use crate::config::Database;
use crate::store::{STACK, Session, StoreError};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Makes connections of one kind, one attempt at a time.
pub struct Dialer {
    target: postgres::Config,
    /// An attempt under way: it may outlive the patience of whoever asked.
    attempt: Option<Receiver<Result<Session, postgres::Error>>>,
    failures: u32,
    next: Instant,
    last: String,
}

impl Dialer {
    /// For connections that the server lists as `sep-executor/PART`.
    pub fn new(database: &Database, part: &str) -> Self {
        let mut target = postgres::Config::new();
        target
            .host_path(&database.socket_dir)
            .port(database.port)
            .dbname(&database.name)
            .user(&database.user)
            .application_name(&format!("sep-executor/{part}"))
            .connect_timeout(Duration::from_secs(3))
            .options("-c statement_timeout=5s -c lock_timeout=2s -c search_path=public -c timezone=UTC");
        Self { target, attempt: None, failures: 0, next: Instant::now(), last: String::new() }
    }

    /// A connection, if one is made within `wait`. An attempt that takes longer goes on and is met again by the
    /// next call; after one that failed nothing is tried before the pause is over.
    pub fn dial(&mut self, wait: Duration) -> Result<Session, StoreError> {
        let attempt = match self.attempt.take() {
            Some(attempt) => attempt,
            None if Instant::now() < self.next => {
                return Err(StoreError::Waiting { last: self.last.clone() });
            }
            None => self.start()?,
        };
        match attempt.recv_timeout(wait) {
            Ok(Ok(session)) => {
                self.failures = 0;
                Ok(session)
            }
            Ok(Err(error)) => Err(self.back_off(StoreError::Connect(error))),
            Err(RecvTimeoutError::Timeout) => {
                self.attempt = Some(attempt);
                Err(StoreError::Hung(wait))
            }
            Err(RecvTimeoutError::Disconnected) => Err(self.back_off(StoreError::Closed)),
        }
    }

    /// Counts `error` against the connection, also one that showed itself after it was made.
    pub fn back_off(&mut self, error: StoreError) -> StoreError {
        let full = FIRST_PAUSE.saturating_mul(1 << self.failures.min(10)).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        self.next = Instant::now() + jittered(full);
        self.last = error.to_string();
        error
    }

    /// How long the next call should wait to be of use.
    pub fn pause(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    fn start(&self) -> Result<Receiver<Result<Session, postgres::Error>>, StoreError> {
        let (done, attempt) = sync_channel(1);
        let target = self.target.clone();
        std::thread::Builder::new()
            .name("dial".to_owned())
            .stack_size(STACK)
            // Nobody waiting any more is no error: the connection is closed again.
            .spawn(move || drop(done.send(target.connect(NoTls).map(Session::new))))
            .map_err(StoreError::Thread)?;
        Ok(attempt)
    }
}

/// Between half of `full` and all of it, so that many clients of a server that comes back do not come as one.
fn jittered(full: Duration) -> Duration {
    // The standard library seeds its hash tables by chance: enough chance for a pause.
    let chance = u32::try_from(RandomState::new().hash_one(0) >> 48).unwrap_or(0);
    full / 2 + full / 2 * chance / (1 << 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    fn database(dir: &std::path::Path) -> Database {
        Database { socket_dir: dir.to_owned(), port: 5432, name: "x".to_owned(), user: "x".to_owned() }
    }

    #[test]
    fn pauses_grow_to_a_cap_and_vary() {
        let mut dialer = Dialer::new(&database("/nowhere".as_ref()), "test");
        for failure in 0..20 {
            let full = LONGEST_PAUSE.min(FIRST_PAUSE * (1 << failure.min(10)));
            dialer.back_off(StoreError::Closed);
            let pause = dialer.pause();
            assert!(pause <= full && pause + Duration::from_millis(20) >= full / 2, "{failure}: {pause:?}");
        }
        let drawn: std::collections::BTreeSet<Duration> = (0..50).map(|_| jittered(LONGEST_PAUSE)).collect();
        assert!(drawn.len() > 10, "{drawn:?}");
    }

    #[test]
    fn no_server_is_told_and_not_tried_again_at_once() {
        let mut dialer = Dialer::new(&database("/nowhere".as_ref()), "test");
        let first = dialer.dial(Duration::from_secs(5)).err().map(|error| error.to_string()).unwrap();
        assert_eq!(first, "cannot connect: No such file or directory (os error 2)");
        let second = dialer.dial(Duration::from_secs(5)).err().unwrap();
        assert!(matches!(second, StoreError::Waiting { .. }), "{second}");
    }

    #[test]
    fn a_server_that_says_nothing_costs_no_more_than_the_wait() {
        let dir = std::env::temp_dir().join(format!("sep-dial-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let socket = dir.join(".s.PGSQL.5432");
        let silent = UnixListener::bind(&socket).unwrap();
        let mut dialer = Dialer::new(&database(&dir), "test");
        for _ in 0..2 {
            let error = dialer.dial(Duration::from_millis(50)).err().unwrap();
            assert!(matches!(error, StoreError::Hung(_)), "{error}");
        }
        // Both calls waited for the same attempt: exactly one connection was made.
        silent.set_nonblocking(true).unwrap();
        assert!(silent.accept().is_ok());
        assert!(silent.accept().is_err());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
