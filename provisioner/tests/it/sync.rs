//! Signals arrive exactly once and are decided exactly once, whoever is killed meanwhile.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use sep_contract::signals::{write_csv, write_parquet};
use sep_contract::{Confidence, Digest, QfhMetrics, Side, Signal, SignalBatch, Timeframe};
use serde_json::Value;

use crate::deployed::{command, copy, deployed, done, refused, sql};
use crate::droplet::{Droplet, can_boot, said, unique_name, wait_until};

const TRADING: &str = "sep_trading";
/// Restarts of the executor and of the server take seconds, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(90);

#[test]
fn a_file_of_signals_is_stored_whole_or_not_at_all() {
    if !can_boot("a_file_of_signals_is_stored_whole_or_not_at_all") {
        return;
    }
    let base = deployed();
    let (droplet, files) = (copy(&base, "files"), Files::new());
    same_and_overlapping_files(&droplet, &files);
    conflicts_and_unknown_accounts(&droplet, &files);
    files_that_cannot_be_read(&droplet, &files);
    two_at_once(&droplet, &files);
}

fn same_and_overlapping_files(droplet: &Droplet, files: &Files) {
    let parquet = files.parquet("a.parquet", &batch("files", 0..300));
    assert_eq!(pushed(droplet, &[&parquet]), [(300, 0, false)]);
    assert_eq!(pushed(droplet, &[&parquet]), [(300, 0, true)]);
    // The same signals in another order and form are the same batch.
    let mut text = write_csv(&batch("files", 0..300));
    let mut lines: Vec<&str> = text.lines().collect();
    lines[1..].reverse();
    text = lines.join("\r\n");
    let csv = files.put("a.csv", text.as_bytes());
    assert_eq!(pushed(droplet, &[&csv]), [(300, 0, true)]);
    // Other files that share some of them, several in one command.
    let (more, all) = (batch("files", 200..400), batch("files", 0..400));
    let (more, all) = (files.parquet("b.parquet", &more), files.parquet("c.parquet", &all));
    assert_eq!(pushed(droplet, &[&more, &all, &csv]), [(100, 100, false), (0, 400, false), (300, 0, true)]);
    stored_and_decided(droplet, "files", 400);

    // A made-up world of its own.
    let output = done(droplet, &["--json", "sync", "--rehearsal", &parquet]);
    assert_eq!(results(&output), [(300, 0, false)]);
    assert_eq!(sql(droplet, "sep_rehearsal", "select count(*) from trading_signals"), "300");
}

fn conflicts_and_unknown_accounts(droplet: &Droplet, files: &Files) {
    let before = ledger(droplet);
    let mut changed = signals("files", 398..402);
    changed[0].stop = Decimal::new(110_399, 5);
    let path = files.parquet("conflict.parquet", &SignalBatch::new(changed).expect("the signals are sound"));
    let text = refused(droplet, &["sync", &path], 1);
    let key = "primary/files EUR_USD M1 2025-07-24T03:18:00";
    assert!(text.contains("1 of 4 signals have the key of a stored signal and other content"), "{text}");
    assert!(text.contains(key) && text.contains("conflict.parquet"), "{text}");
    assert_eq!(text.matches("stored with content").count(), 1, "{text}");
    assert!(text.contains("nothing of this file was stored"), "{text}");

    let mut strange = signals("files", 410..412);
    strange[1].account = "nobodys".into();
    let path = files.parquet("strange.parquet", &SignalBatch::new(strange).expect("the signals are sound"));
    let text = refused(droplet, &["sync", &path], 1);
    assert!(text.contains("signals for unknown account: nobodys"), "{text}");
    assert_eq!(ledger(droplet), before);
}

fn files_that_cannot_be_read(droplet: &Droplet, files: &Files) {
    let before = ledger(droplet);
    let good = batch("bad", 0..50);
    let parquet = write_parquet(&good).expect("a batch has a Parquet form");
    let text = write_csv(&good);
    let mut flipped = parquet.clone();
    let middle = flipped.len() / 3;
    flipped[middle] ^= 0x10;
    let bad = [
        ("cut.parquet", parquet[..parquet.len() - 100].to_vec(), "cut.parquet"),
        ("half.parquet", parquet[..parquet.len() / 2].to_vec(), "half.parquet"),
        ("flipped.parquet", flipped, "flipped.parquet"),
        ("none.parquet", Vec::new(), "none.parquet"),
        ("none.csv", Vec::new(), "the file is empty"),
        (
            "header.csv",
            text.replacen("stop", "stoploss", 1).into(),
            "header.csv:1: column 'stoploss' is unknown",
        ),
        ("short.csv", text.replacen("account,", "", 1).into(), "short.csv:"),
        ("price.csv", text.replacen("1.10610", "1.1O610", 1).into(), "price.csv:2: column target"),
        ("pair.csv", text.replacen("EUR_USD", "EURUSD", 1).into(), "pair.csv:2: column pair"),
        ("cut.csv", text[..text.len() - 30].into(), "cut.csv:51"),
        ("latin.csv", b"\xff\xfe,stop\n".to_vec(), "no UTF-8"),
    ];
    for (name, content, expected) in bad {
        let path = files.put(name, &content);
        // A good file beside it does not go through either.
        let whole = files.parquet("good.parquet", &good);
        let said = refused(droplet, &["sync", &whole, &path], 1);
        assert!(said.contains(expected) && said.contains("nothing was sent"), "{name}: {said}");
    }
    let said = refused(droplet, &["sync", "signals.xlsx"], 1);
    assert!(said.contains("signals.xlsx"), "{said}");
    let path = files.put("signals.xlsx", b"PK");
    let said = refused(droplet, &["sync", &path], 2);
    assert!(said.contains("ends in .parquet or .csv"), "{said}");
    assert_eq!(ledger(droplet), before);
}

fn two_at_once(droplet: &Droplet, files: &Files) {
    let path = files.parquet("twice.parquet", &batch("twice", 0..2000));
    let both: Vec<Child> = (0..2).map(|_| start(droplet, &path, None)).collect();
    let mut outcomes: Vec<_> = both
        .into_iter()
        .map(|child| {
            let output = child.wait_with_output().expect("it was started");
            assert!(output.status.success(), "{}", said(&output));
            results(&String::from_utf8_lossy(&output.stdout))[0]
        })
        .collect();
    outcomes.sort();
    assert_eq!(outcomes, [(2000, 0, false), (2000, 0, true)]);
    stored_and_decided(droplet, "twice", 2000);
}

#[test]
fn a_killed_sync_or_executor_or_server_loses_and_doubles_nothing() {
    if !can_boot("a_killed_sync_or_executor_or_server_loses_and_doubles_nothing") {
        return;
    }
    let base = deployed();
    let (droplet, files) = (copy(&base, "kills"), Files::new());
    killed_at_named_places(&droplet, &files);
    killed_before_the_answer(&droplet, &files);
    cut_off_before_the_answer(&droplet, &files);
    killed_at_many_moments(&droplet, &files);
    executor_and_server_killed_while_deciding(&droplet, &files);
}

fn killed_at_named_places(droplet: &Droplet, files: &Files) {
    for (place, stored) in [("sync-before-push", 0), ("sync-after-push", 500)] {
        let path = files.parquet("place.parquet", &batch(place, 0..500));
        let output = start(droplet, &path, Some(place)).wait_with_output().expect("it was started");
        let text = said(&output);
        assert!(text.contains(&format!("failpoint {place} hit")), "is sepctl built with failpoints? {text}");
        assert_eq!(count(droplet, place), stored, "{place}");
        assert_eq!(pushed(droplet, &[&path]), [(500, 0, stored > 0)], "{place}");
        stored_and_decided(droplet, place, 500);
    }
}

/// The batch is in the server's hands, which cannot commit yet; then the sender is gone.
fn killed_before_the_answer(droplet: &Droplet, files: &Files) {
    let path = files.parquet("sent.parquet", &batch("sent", 0..500));
    let door = Held::new(droplet);
    let mut child = start(droplet, &path, None);
    door.wait_for_a_caller();
    child.kill().expect("it was started");
    child.wait().expect("it was started");
    assert_eq!(count(droplet, "sent"), 0);
    drop(door);
    wait_until("the end of the orphaned statement", PATIENCE, || callers(droplet) == "0");
    let stored = count(droplet, "sent");
    assert!([0, 500].contains(&stored), "{stored} of 500 were stored");
    pushed(droplet, &[&path]);
    stored_and_decided(droplet, "sent", 500);
}

/// As before, but the connection breaks and the sender lives: it must not say what it cannot know.
fn cut_off_before_the_answer(droplet: &Droplet, files: &Files) {
    let path = files.parquet("cut.parquet", &batch("cut", 0..500));
    let door = Held::new(droplet);
    let child = start(droplet, &path, None);
    door.wait_for_a_caller();
    droplet.told("kill -KILL $(pgrep sshd-session)");
    let output = child.wait_with_output().expect("it was started");
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("cut.parquet") && text.contains("before an answer came"), "{text}");
    assert!(
        !text.contains("nothing of this file was stored") && text.contains("run the same command again"),
        "{text}"
    );
    drop(door);
    wait_until("the end of the orphaned statement", PATIENCE, || callers(droplet) == "0");
    pushed(droplet, &[&path]);
    stored_and_decided(droplet, "cut", 500);
}

/// SIGKILL at moments spread over the whole run, so that each step is hit by some.
fn killed_at_many_moments(droplet: &Droplet, files: &Files) {
    const ROUNDS: u32 = 16;
    let measure = files.parquet("whole.parquet", &batch("whole", 0..2000));
    let begun = Instant::now();
    pushed(droplet, &[&measure]);
    let whole = begun.elapsed();
    let mut seen = [0; 3];
    for round in 0..ROUNDS {
        let strategy = format!("moment-{round}");
        let path = files.parquet("moment.parquet", &batch(&strategy, 0..2000));
        let mut child = start(droplet, &path, None);
        // The moment is the test's input, not something that is waited for.
        thread::sleep(whole * round / ROUNDS);
        child.kill().expect("it was started");
        let finished = child.wait().expect("it was started").success();
        wait_until("the end of the orphaned statement", PATIENCE, || callers(droplet) == "0");
        let stored = count(droplet, &strategy);
        assert!(
            [0, 2000].contains(&stored),
            "{stored} of 2000 were stored after {:?}",
            whole * round / ROUNDS
        );
        seen[if finished { 2 } else { usize::from(stored > 0) }] += 1;
        assert_eq!(pushed(droplet, &[&path]), [(2000, 0, stored > 0)]);
        stored_and_decided(droplet, &strategy, 2000);
    }
    let mut talk = std::io::stderr();
    let _ = writeln!(
        talk,
        "killed before the commit {}, after it {}, too late {} times",
        seen[0], seen[1], seen[2]
    );
    assert!(seen[0] > 0, "no kill came before the commit");
}

fn executor_and_server_killed_while_deciding(droplet: &Droplet, files: &Files) {
    let after_some = "until [ \"$(psql -XAtq -U postgres -d sep_trading -c \
        \"select count(*) > 0 from signal_decisions where strategy = 'STRATEGY'\" 2>/dev/null)\" = t ]; do :; done;";
    let kills = [
        ("executor", "systemctl kill -s KILL sep-executor.service"),
        ("server", "systemctl restart postgresql@17-sep.service"),
        ("crash", "kill -KILL $(head -n 1 /mnt/sep_data/postgresql/17/sep/postmaster.pid)"),
    ];
    for (strategy, kill) in kills {
        let path = files.parquet("deciding.parquet", &batch(strategy, 0..6000));
        let restarts = droplet.told("systemctl show -P NRestarts sep-executor.service");
        let line = format!("{} {kill}", after_some.replace("STRATEGY", strategy));
        thread::scope(|scope| {
            let killer = scope.spawn(|| droplet.told(&line));
            pushed(droplet, &[&path]);
            killer.join().expect("the kill went well");
        });
        if strategy == "executor" {
            wait_until("the executor's restart", PATIENCE, || {
                droplet.told("systemctl show -P NRestarts sep-executor.service") != restarts
            });
        }
        wait_until("an answer of the server", PATIENCE, || droplet.exec("pg_isready -q").status.success());
        stored_and_decided(droplet, strategy, 6000);
    }
}

/// Signals of one strategy: those are what a part of a test counts.
fn signals(strategy: &str, minutes: std::ops::Range<i64>) -> Vec<Signal> {
    let start: Timestamp = "2025-07-23T20:40:00Z".parse().expect("a time");
    let made = |minute: i64| {
        let bar_close = start + SignedDuration::from_mins(minute);
        Signal {
            account: "primary".into(),
            strategy: strategy.into(),
            pair: "EUR_USD".parse().expect("a pair"),
            timeframe: Timeframe::M1,
            bar_close,
            side: Side::Buy,
            confidence: Confidence::from_millionths(712_345).expect("below 1"),
            metrics: QfhMetrics::from_values([0.5, 0.25, 0.75, 0.25, 0.5, 0.25, 1.0, 0.0]),
            stop: Decimal::new(110_400, 5),
            target: Decimal::new(110_610, 5),
            expires_at: bar_close + SignedDuration::from_mins(10),
            model_hash: Digest::of(b"model"),
            override_reason: None,
        }
    };
    minutes.map(made).collect()
}

fn batch(strategy: &str, minutes: std::ops::Range<i64>) -> SignalBatch {
    SignalBatch::new(signals(strategy, minutes)).expect("the signals are sound")
}

/// A folder for the files of one test, removed at the end.
struct Files(PathBuf);

impl Files {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(unique_name("signals"));
        fs::create_dir(&folder).expect("the temporary folder is writable");
        Self(folder)
    }

    fn put(&self, name: &str, content: &[u8]) -> String {
        let path = self.0.join(name);
        fs::write(&path, content).expect("the temporary folder is writable");
        path.display().to_string()
    }

    fn parquet(&self, name: &str, batch: &SignalBatch) -> String {
        self.put(name, &write_parquet(batch).expect("a batch has a Parquet form"))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(Path::new(&self.0));
    }
}

/// Of each file: inserted, duplicates, applied before.
fn pushed(droplet: &Droplet, files: &[&str]) -> Vec<(i64, i64, bool)> {
    let args: Vec<&str> = ["--json", "sync"].iter().chain(files).copied().collect();
    results(&done(droplet, &args))
}

fn results(text: &str) -> Vec<(i64, i64, bool)> {
    let answer: Value = serde_json::from_str(text).expect("the answer is JSON");
    let of = |file: &Value| {
        let number = |name: &str| file[name].as_i64().expect("a number");
        (number("inserted"), number("duplicates"), file["already_applied"].as_bool().expect("a boolean"))
    };
    answer["files"].as_array().expect("files").iter().map(of).collect()
}

fn start(droplet: &Droplet, file: &str, failpoint: Option<&str>) -> Child {
    let mut command = command(droplet, &["--json", "sync", file]);
    command.envs(failpoint.map(|name| ("SEPCTL_FAILPOINT", name)));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("sepctl is built")
}

fn count(droplet: &Droplet, strategy: &str) -> i64 {
    let query = format!("select count(*) from trading_signals where strategy = '{strategy}'");
    sql(droplet, TRADING, &query).parse().expect("a count")
}

/// All that a sync changes.
fn ledger(droplet: &Droplet) -> String {
    sql(droplet, TRADING, "select (select count(*) from sync_ledger), (select count(*) from trading_signals)")
}

/// Demands that exactly `expected` signals of the strategy are there, and soon as many decisions.
fn stored_and_decided(droplet: &Droplet, strategy: &str, expected: i64) {
    let query = format!(
        "select count(*), count(d.signal_id), count(s.decided_at), count(distinct s.bar_close)
         from trading_signals s left join signal_decisions d on d.signal_id = s.id where s.strategy = '{strategy}'"
    );
    let wanted = format!("{expected}|{expected}|{expected}|{expected}");
    let mut found = String::new();
    let end = Instant::now() + PATIENCE;
    while found != wanted {
        assert!(Instant::now() < end, "{strategy}: {found} signals and decisions, not {wanted}");
        found = sql(droplet, TRADING, &query);
        assert!(found.starts_with(&format!("{expected}|")), "{strategy}: {found}, not {expected} signals");
    }
}

/// Sessions of sep_sync.
fn callers(droplet: &Droplet) -> String {
    sql(droplet, TRADING, "select count(*) from pg_stat_activity where usename = 'sep_sync'")
}

/// The lock under which signals come in, held by the test: whoever comes waits, until this is dropped.
struct Held<'a>(&'a Droplet);

impl<'a> Held<'a> {
    fn new(droplet: &'a Droplet) -> Self {
        let hold = "select pg_advisory_lock(hashtext('sep.ingest_signals')), pg_sleep(600)";
        droplet.told(&format!(
            "PGAPPNAME=holder setsid psql -U postgres -d {TRADING} -c \"{hold}\" >/dev/null 2>&1 </dev/null &"
        ));
        let held = Self(droplet);
        wait_until("the test's lock", PATIENCE, || held.waiting(true) == "1");
        held
    }

    fn waiting(&self, granted: bool) -> String {
        let query = format!(
            "select count(*) from pg_locks l join pg_stat_activity a using (pid) where l.locktype = 'advisory'
             and l.granted = {granted} and a.usename = '{}'",
            if granted { "postgres" } else { "sep_sync" }
        );
        sql(self.0, TRADING, &query)
    }

    fn wait_for_a_caller(&self) {
        wait_until("a sync that waits in the server", PATIENCE, || self.waiting(false) == "1");
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let end = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'holder'";
        let output = self.0.exec(&format!("psql -XAtq -U postgres -d {TRADING} -c \"{end}\""));
        if !output.status.success() && !thread::panicking() {
            panic!("{}", said(&output));
        }
    }
}
