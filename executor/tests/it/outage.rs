//! The real daemon while something is missing: a database that is gone or says nothing, no file descriptors.
//!
//! The daemon reaches the database through a relay of the test's, which can be cut and can hold its breath.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::harness::{Database, ingest, sample, wait_until};

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Open,
    /// Connections are taken, nothing goes through.
    Silent,
    /// Connections are refused, those that were are broken.
    Cut,
}

#[derive(Default)]
struct Inside {
    way: Option<Way>,
    streams: Vec<UnixStream>,
}

/// A server's socket that is another server's behind it.
struct Relay {
    dir: PathBuf,
    state: Arc<(Mutex<Inside>, Condvar)>,
}

impl Relay {
    fn new(db: &Database) -> Self {
        let dir = db.dir.join("relay");
        std::fs::create_dir_all(&dir).unwrap();
        let relay = Self { dir, state: Arc::default() };
        let listener = UnixListener::bind(relay.dir.join(".s.PGSQL.5432")).unwrap();
        let (state, behind) = (relay.state.clone(), db.socket_dir.join(".s.PGSQL.5432"));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                accept(&state, &stream.unwrap(), &behind);
            }
        });
        relay.set(Way::Open);
        relay
    }

    fn set(&self, way: Way) {
        let mut inside = self.state.0.lock().unwrap();
        inside.way = Some(way);
        if way == Way::Cut {
            for stream in inside.streams.drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        self.state.1.notify_all();
    }
}

fn accept(state: &Arc<(Mutex<Inside>, Condvar)>, front: &UnixStream, behind: &Path) {
    let mut inside = state.0.lock().unwrap();
    if inside.way == Some(Way::Cut) {
        return;
    }
    let back = UnixStream::connect(behind).unwrap();
    for (from, to) in [(front, &back), (&back, front)] {
        inside.streams.push(from.try_clone().unwrap());
        let (from, to, state) = (from.try_clone().unwrap(), to.try_clone().unwrap(), state.clone());
        std::thread::spawn(move || pump(&state, from, to));
    }
}

fn pump(state: &(Mutex<Inside>, Condvar), mut from: UnixStream, mut to: UnixStream) {
    let mut buffer = [0; 4096];
    while let Ok(length) = from.read(&mut buffer)
        && length > 0
    {
        let inside = state.0.lock().unwrap();
        drop(state.1.wait_while(inside, |inside| inside.way == Some(Way::Silent)).unwrap());
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

const DECISIONS: &str = "select count(*) from signal_decisions";

/// What holds for every way in which the database is away.
fn survives(db: &Database, way: Way, expected: &str) {
    let relay = Relay::new(db);
    let mut daemon = db.start("one", &relay.dir);
    daemon.wait_told("READY=1");
    daemon.wait_status(200, "ok");
    let mut sync = db.connect("sep_sync");
    ingest(&mut sync, "before", &[sample(0)]).unwrap();
    db.wait_for(DECISIONS, 1);

    relay.set(way);
    let mut status = daemon.wait_status(503, "degraded");
    wait_until("the engine's word on it", || {
        status = daemon.wait_status(503, "degraded");
        status["problems"].to_string().contains(expected)
    });
    assert_eq!(
        (&status["database"]["state"], &status["signals"]),
        (&"unreachable".into(), &serde_json::Value::Null)
    );
    let asked = Instant::now();
    assert_eq!(daemon.status().unwrap().0, 503);
    assert!(asked.elapsed() < Duration::from_secs(5), "the status takes {:?}", asked.elapsed());
    ingest(&mut sync, "meanwhile", &[sample(1), sample(2)]).unwrap();
    // It goes on being alive for systemd, as a restart would mend nothing.
    daemon.wait_told("WATCHDOG=1");
    daemon.wait_told("WATCHDOG=1");

    relay.set(Way::Open);
    daemon.wait_status(200, "ok");
    db.wait_for(DECISIONS, 3);
    db.wait_for("select least(count(*), 1) from system_logs where message like 'degraded: %'", 1);
    daemon.signal("TERM");
    assert!(daemon.wait());
}

#[test]
fn a_database_that_goes_away_is_told_and_met_again() {
    let Some(db) = Database::new("a_database_that_goes_away_is_told_and_met_again") else { return };
    survives(&db, Way::Cut, "database: cannot connect: ");
}

#[test]
fn a_database_that_says_nothing_is_told_and_met_again() {
    let Some(db) = Database::new("a_database_that_says_nothing_is_told_and_met_again") else { return };
    survives(&db, Way::Silent, "database: no answer to a connection");
}

#[test]
fn it_stops_at_once_while_the_database_says_nothing() {
    let Some(db) = Database::new("it_stops_at_once_while_the_database_says_nothing") else { return };
    let relay = Relay::new(&db);
    let mut daemon = db.start("one", &relay.dir);
    daemon.wait_status(200, "ok");
    relay.set(Way::Silent);
    daemon.wait_status(503, "degraded");
    let started = Instant::now();
    daemon.signal("TERM");
    assert!(daemon.wait());
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[test]
fn check_fails_in_time_where_the_database_says_nothing() {
    let Some(db) = Database::new("check_fails_in_time_where_the_database_says_nothing") else { return };
    let relay = Relay::new(&db);
    relay.set(Way::Silent);
    let config = db.write_config("check", &relay.dir, "primary");
    let started = Instant::now();
    let output =
        Command::new(env!("CARGO_BIN_EXE_sep-executor")).args(["check", "--config"]).arg(config).output();
    let output = output.unwrap();
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    let talk = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        (output.status.code(), talk.contains("no answer to a connection within 5 s")),
        (Some(1), true),
        "{talk}"
    );
}

#[test]
fn started_before_its_database_it_is_ready_once_that_is_there() {
    let Some(db) = Database::new("started_before_its_database_it_is_ready_once_that_is_there") else {
        return;
    };
    let relay = Relay::new(&db);
    relay.set(Way::Cut);
    let daemon = db.start("one", &relay.dir);
    let status = daemon.wait_status(503, "degraded");
    assert_eq!(status["database"]["state"], "unreachable");
    relay.set(Way::Open);
    daemon.wait_told("READY=1");
    daemon.wait_status(200, "ok");
}

#[test]
fn a_flood_of_connections_ends_the_server_and_it_is_built_anew() {
    let Some(db) = Database::new("a_flood_of_connections_ends_the_server_and_it_is_built_anew") else {
        return;
    };
    let mut limited = Command::new("sh");
    limited.args(["-c", r#"ulimit -n 64 && exec "$0" "$@""#, env!("CARGO_BIN_EXE_sep-executor")]);
    let daemon = db.start_with("one", &db.socket_dir, &mut limited);
    daemon.wait_status(200, "ok");
    let flood: Vec<UnixStream> = (0..100).filter_map(|_| UnixStream::connect(&daemon.socket).ok()).collect();
    // With every descriptor taken the server has stopped to accept: that is what has to be survived.
    db.wait_for(
        "select least(count(*), 1) from system_logs where message like 'the status server is built anew: %'",
        1,
    );
    drop(flood);
    daemon.wait_status(200, "ok");
}
