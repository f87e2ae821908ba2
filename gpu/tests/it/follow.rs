//! A store is followed: of every bar something is said once, whatever happens in between.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use jiff::Timestamp;
use sep_contract::{CandleSet, Pair, Timeframe};
use sep_gpu::model::Model;
use sep_gpu::signals::follow::Follower;
use sep_gpu::signals::outbox::Outbox;
use serde_json::{Value, json};

use crate::sandbox::{Sandbox, minutes};
use crate::signals::{address, files, only_file, overridden};
use crate::trained::{buying, kept, models, outbox, passing, real, trained};

/// Longer than any machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_store_that_is_filled_ahead_is_followed_into_the_next_month() {
    let sandbox = Sandbox::new("signals-ahead");
    // Nothing trades from 20:00 on the last day of July to midnight.
    sandbox.put("2025-07", &minutes("2025-07-31T10:00:00Z", 600));
    sandbox.put("2025-08", &minutes("2025-08-01T00:00:00Z", 600));
    let stored = kept(&sandbox, &buying(real(trained())));
    models(&sandbox).promote(&stored, Some("a test".into())).unwrap();
    let (store, models, outbox) = (sandbox.store(), models(&sandbox), Outbox::at(outbox(&sandbox)));
    let mut follower = Follower::new(store, models, outbox, address(), Vec::new());
    let mut said = |at: &str| -> Vec<String> {
        let look = follower.look(at.parse().unwrap()).unwrap();
        assert!(look.failed.is_empty());
        look.said.iter().filter_map(|said| Some(said.bar_close?.to_string())).collect()
    };
    assert_eq!(said("2025-07-31T20:00:05Z"), ["2025-07-31T20:00:00Z"]);
    assert!(said("2025-07-31T21:00:05Z").is_empty());
    assert!(said("2025-08-01T00:00:05Z").is_empty());
    assert_eq!(said("2025-08-01T00:01:05Z"), ["2025-08-01T00:01:00Z"]);
    assert!(said("2025-08-01T00:01:35Z").is_empty());
    assert_eq!(said("2025-08-01T00:02:00Z"), ["2025-08-01T00:02:00Z"]);
    // A file that is written again with the same bars says nothing new.
    publish(&sandbox, "2025-08", &minutes("2025-08-01T00:00:00Z", 600));
    assert!(said("2025-08-01T00:02:30Z").is_empty());
}

#[test]
fn what_went_wrong_is_said_once_and_tried_again() {
    let sandbox = overridden("signals-again");
    let (store, models) = (sandbox.store(), models(&sandbox));
    let mut follower = Follower::new(store, models, Outbox::at(outbox(&sandbox)), address(), Vec::new());
    let at: Timestamp = "2025-07-01T12:00:00Z".parse().unwrap();
    let month = sandbox.store().path("EUR_USD".parse().unwrap(), Timeframe::M1, "2025-07".parse().unwrap());
    let whole = fs::read(&month).unwrap();
    fs::write(&month, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(follower.look(at).unwrap().failed.len(), 1);
    assert_eq!(follower.look(at).unwrap().failed.len(), 0);
    fs::write(&month, &whole).unwrap();
    // Nothing can be written where a file stands in the folder's place: the bar is not lost by that.
    fs::write(outbox(&sandbox), "").unwrap();
    assert!(follower.look(at).unwrap_err().to_string().starts_with("cannot make "));
    fs::remove_file(outbox(&sandbox)).unwrap();
    assert_eq!(follower.look(at).unwrap().written.len(), 1);
    assert!(follower.look(at).unwrap().said.is_empty());
    only_file(&sandbox);
}

/// A `signals --watch` beside the test, and what it says, a JSON document a line.
struct Watcher {
    child: Child,
    lines: Receiver<Value>,
}

impl Watcher {
    fn start(sandbox: &Sandbox) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sep-gpu"))
            .args(["signals", "--watch", "--json"])
            .current_dir(sandbox.store().root().ancestors().nth(2).unwrap())
            .env_remove("SEP_CANDLES")
            .env_remove("SEP_MODELS")
            .env_remove("SEP_SIGNALS")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines() {
                let value = serde_json::from_str(&line.unwrap()).unwrap();
                if sender.send(value).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    fn next(&self) -> Value {
        self.lines.recv_timeout(PATIENCE).expect("a line in time")
    }

    fn stop(mut self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        assert!(self.lines.recv_timeout(PATIENCE).is_err(), "it said more than was asked");
    }
}

/// Puts a month in the place of another, as the store's writers do.
fn publish(sandbox: &Sandbox, month: &str, set: &CandleSet) {
    let store = sandbox.store();
    let lock = store.lock().unwrap();
    store.publish(&lock, &[(month.parse().unwrap(), set.clone())]).unwrap();
}

#[test]
fn a_watch_speaks_once_of_every_bar_also_after_a_restart() {
    let sandbox = overridden("signals-watch");
    let close = |value: &Value| value["pairs"][0]["bar_close"].as_str().unwrap().to_owned();
    let watcher = Watcher::start(&sandbox);
    let first = watcher.next();
    assert_eq!(close(&first), "2025-07-01T10:00:00Z");
    assert!(first["written"][0].is_string(), "{first}");
    publish(&sandbox, "2025-07", &minutes("2025-07-01T00:00:00Z", 601));
    let second = watcher.next();
    assert_eq!(close(&second), "2025-07-01T10:01:00Z");
    assert!(second["written"][0].is_string(), "{second}");
    publish(&sandbox, "2025-07", &minutes("2025-07-01T00:00:00Z", 602));
    assert_eq!(close(&watcher.next()), "2025-07-01T10:02:00Z");
    watcher.stop("-TERM");
    assert_eq!(files(&sandbox).len(), 3);

    let watcher = Watcher::start(&sandbox);
    let again = watcher.next();
    assert_eq!(close(&again), "2025-07-01T10:02:00Z");
    assert_eq!((&again["written"], &again["pairs"][0]["written_before"]), (&json!([]), &true.into()));
    // A pair that is promoted while it watches is heard from then on.
    let pair: Pair = "GBP_USD".parse().unwrap();
    let candles = CandleSet { pair, ..minutes("2025-07-01T00:00:00Z", 300) };
    publish(&sandbox, "2025-07", &candles);
    let stored = kept(&sandbox, &Model { pair, ..buying(real(passing())) });
    models(&sandbox).promote(&stored, None).unwrap();
    let found = watcher.next();
    assert_eq!(
        (&found["pairs"][0]["pair"], close(&found)),
        (&"GBP_USD".into(), "2025-07-01T05:00:00Z".into())
    );
    watcher.stop("-INT");
    assert_eq!(files(&sandbox).len(), 4);
}
