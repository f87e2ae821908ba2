//! The executor as a unit of a droplet: what the world sees of it, and that it comes back from whatever befalls it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::deployed::{copy, deployed, done, on, sql};
use crate::droplet::{Droplet, can_boot, said, wait_until};

const UNIT: &str = "sep-executor.service";
const POSTGRES: &str = "postgresql@17-sep.service";
/// Pauses between attempts grow, and the machine is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(90);

#[test]
fn the_world_sees_the_status_and_nothing_else() {
    if !can_boot("the_world_sees_the_status_and_nothing_else") {
        return;
    }
    let droplet = deployed();
    let (code, headers, body) = get(&droplet, "GET", "/api/status").expect("an answer");
    assert_eq!(code, 200, "{body}");
    for line in ["content-type: application/json", "cache-control: no-store"] {
        assert!(headers.contains(line), "{headers}");
    }
    assert!(!headers.contains("tiny-http") && headers.contains("server: nginx\r\n"), "{headers}");
    let status: Value = serde_json::from_str(&body).expect("JSON");
    let keys = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    let documented =
        "account database mode pairs problems release signals status time uptime_seconds version";
    assert_eq!(keys(&status).join(" "), documented);
    assert_eq!(keys(&status["database"]).join(" "), "schema_version state");
    assert_eq!(keys(&status["signals"]).join(" "), "decided_today last_decision pending");
    for (pointer, expected) in [
        ("/status", Value::from("ok")),
        ("/mode", "observe".into()),
        ("/account", "primary".into()),
        ("/database/state", "ok".into()),
        ("/pairs/enabled", vec!["EUR_USD"].into()),
        ("/problems", Value::Array(Vec::new())),
    ] {
        assert_eq!(status.pointer(pointer), Some(&expected), "{pointer} of {body}");
    }
    // The release is the one that is switched to, by its content.
    let release = status["release"].as_str().expect("a release");
    assert_eq!(droplet.told("basename $(readlink /opt/sep/current)"), release);
    assert_eq!(droplet.told("sha256sum /opt/sep/current/sep-executor | cut -c 1-64"), release);

    let (code, _, body) = get(&droplet, "GET", "/api/performance/daily").expect("an answer");
    let daily: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((code, &daily["account"], daily["days"].is_array()), (200, &"primary".into(), true), "{body}");
    for (method, path, expected) in [
        ("GET", "/api/nothing", 404),
        ("GET", "/api/../etc/passwd", 301),
        ("GET", "/", 301),
        ("POST", "/api/status", 403),
        ("DELETE", "/api/status", 403),
    ] {
        let (code, _, body) = get(&droplet, method, path).expect("an answer");
        assert_eq!(code, expected, "{method} {path}: {body}");
    }
    // Past nginx the socket is for nginx alone.
    let line = "runuser -u nobody -- curl -sS --unix-socket /run/sep-executor/api.sock http://x/api/status";
    let output = droplet.exec(line);
    assert!(!output.status.success(), "{}", said(&output));
}

#[test]
fn our_units_have_few_rights() {
    if !can_boot("our_units_have_few_rights") {
        return;
    }
    let droplet = deployed();
    let ours = droplet.told("cd /etc/systemd/system && ls sep-*.service");
    assert!(ours.lines().count() >= 4, "{ours}");
    for unit in ours.lines() {
        let line = format!(
            "systemd-analyze security --no-pager {unit} | sed -n 's/.*exposure level for .*: \\([0-9.]*\\) .*/\\1/p'"
        );
        let level: f64 = droplet.told(&line).parse().expect("a level");
        assert!(level <= 2.0, "{unit}: {level}");
    }
    // And they are enough: nothing was ever refused to them.
    let pid = droplet.told(&format!("systemctl show -P MainPID {UNIT}"));
    let status =
        droplet.told(&format!("grep -E '^(Uid|NoNewPrivs|Seccomp|CapEff|CapBnd):' /proc/{pid}/status"));
    let words: Vec<&str> = status.split_whitespace().collect();
    let uid = droplet.told("id -u sep");
    assert_eq!(words[1], uid, "{status}");
    for expected in
        ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"]
    {
        assert!(status.contains(expected), "{status}");
    }
}

#[test]
fn the_executor_comes_back() {
    if !can_boot("the_executor_comes_back") {
        return;
    }
    let base = deployed();
    let droplet = copy(&base, "executor");
    without_a_database(&droplet);
    with_a_second_one(&droplet);
    hanging(&droplet);
}

/// It says that the database is gone, and is well again without anybody's help.
fn without_a_database(droplet: &Droplet) {
    let pid = main_pid(droplet);
    droplet.told(&format!("systemctl stop {POSTGRES}"));
    wait_until("a status that says so", PATIENCE, || {
        let Some((503, _, body)) = get(droplet, "GET", "/api/status") else { return false };
        let status: Value = serde_json::from_str(&body).expect("JSON");
        status["status"] == "degraded"
            && status["database"]["state"] == "unreachable"
            && status["problems"] != Value::Array(Vec::new())
    });
    let output = on(droplet, &["status"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("degraded"), "{}", said(&output));
    droplet.told(&format!("systemctl start {POSTGRES}"));
    well(droplet);
    assert_eq!(main_pid(droplet), pid, "it was restarted, which it need not be");
    done(droplet, &["status"]);
}

/// Two on one database: one decides, the other waits, and takes over when the first is gone.
fn with_a_second_one(droplet: &Droplet) {
    let other = "sed s,/run/sep-executor/api.sock,/run/sep-second/api.sock, /etc/sep/executor.yaml > /etc/sep/second.yaml && \
        systemd-run --quiet --unit sep-second --uid sep --property SupplementaryGroups=www-data \
        --property RuntimeDirectory=sep-second /opt/sep/current/sep-executor run --config /etc/sep/second.yaml";
    droplet.told(other);
    let second = || {
        let output = droplet.exec("curl -s --unix-socket /run/sep-second/api.sock http://x/api/status");
        serde_json::from_slice::<Value>(&output.stdout)
            .map(|status| status["status"].clone())
            .unwrap_or_default()
    };
    wait_until("a second one that stands by", PATIENCE, || second() == "standby");
    assert_eq!(sql(droplet, "sep_trading", HOLDERS), "1");
    well(droplet);
    droplet.told(&format!("systemctl stop {UNIT}"));
    wait_until("the second one's turn", PATIENCE, || second() == "ok");
    assert_eq!(sql(droplet, "sep_trading", HOLDERS), "1");
    droplet.told(&format!("systemctl start {UNIT}"));
    wait_until("the first one, standing by", PATIENCE, || said_status(droplet) == "standby");
    droplet.told("systemctl stop sep-second && rm /etc/sep/second.yaml");
    well(droplet);
}

const HOLDERS: &str = "select count(*) from pg_locks l join pg_stat_activity a using (pid)
    where l.locktype = 'advisory' and l.granted and a.usename = 'sep_executor'";

/// A process that does not move any more is found by systemd's watchdog, ended and started again.
fn hanging(droplet: &Droplet) {
    let (pid, restarts) = (main_pid(droplet), restarts(droplet));
    droplet.told(&format!("kill -STOP {pid}"));
    wait_until("the watchdog", PATIENCE, || self::restarts(droplet) > restarts);
    well(droplet);
    assert_ne!(main_pid(droplet), pid);
    assert!(droplet.told(&format!("journalctl -q -u {UNIT} -o cat")).contains("Watchdog timeout"));
}

fn main_pid(droplet: &Droplet) -> String {
    droplet.told(&format!("systemctl show -P MainPID {UNIT}"))
}

fn restarts(droplet: &Droplet) -> u32 {
    droplet.told(&format!("systemctl show -P NRestarts {UNIT}")).parse().expect("a count")
}

fn well(droplet: &Droplet) {
    wait_until("a status without problems", PATIENCE, || said_status(droplet) == "ok");
}

fn said_status(droplet: &Droplet) -> String {
    let answer = get(droplet, "GET", "/api/status");
    let status: Value = answer.and_then(|(_, _, body)| serde_json::from_str(&body).ok()).unwrap_or_default();
    status["status"].as_str().unwrap_or_default().to_owned()
}

/// Asks nginx on port 80 from outside: status code, headers in small letters, body. `None`: no answer came.
fn get(droplet: &Droplet, method: &str, path: &str) -> Option<(u16, String, String)> {
    let mut stream = TcpStream::connect((droplet.address.as_str(), 80)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: {}\r\n\r\n", droplet.address).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let code = head.split_whitespace().nth(1)?.parse().ok()?;
    Some((code, head.to_lowercase() + "\r\n", body.to_owned()))
}
