//! The real daemon on a database that works: decisions, lock, status, start and stop.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::{Database, Sample, ingest, sample};

const PENDING: &str = "select count(*) from trading_signals where decided_at is null";
const DECISIONS: &str = "select count(*) from signal_decisions";

#[test]
fn every_signal_gets_one_decision_with_its_reason() {
    let Some(db) = Database::new("every_signal_gets_one_decision_with_its_reason") else { return };
    let mut sync = db.connect("sep_sync");
    ingest(&mut sync, "before the start", &[sample(0), Sample { pair: "GBP_USD", ..sample(0) }]).unwrap();
    let daemon = db.start("one", &db.socket_dir);
    db.wait_for(PENDING, 0);

    ingest(&mut sync, "while it runs", &[sample(1), Sample { pair: "XAU_USD", ..sample(1) }]).unwrap();
    db.wait_for(PENDING, 0);
    let mut reader = db.connect("sep_readonly");
    let rows =
        reader.query("select decision || ' ' || reason_code from v_recent_signals order by id", &[]).unwrap();
    let decided: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(
        decided,
        ["would_enter would_enter", "refuse pair_disabled", "would_enter would_enter", "refuse pair_unknown"]
    );
    assert_eq!(
        db.count("select count(*) from signal_decisions where mode = 'observe' and release = 'dev'"),
        4
    );

    let status = daemon.wait_status(200, "ok");
    assert_eq!(
        (&status["mode"], &status["account"], &status["release"]),
        (&"observe".into(), &"primary".into(), &"dev".into())
    );
    assert_eq!(status["database"], serde_json::json!({"state": "ok", "schema_version": 6}));
    assert_eq!((&status["signals"]["pending"], &status["signals"]["decided_today"]), (&0.into(), &4.into()));
    assert_eq!(status["pairs"]["enabled"], serde_json::json!(["EUR_USD"]));
    db.wait_for(
        "select count(*) from system_logs where strategy = 'qfh' and component = 'executor/engine'",
        4,
    );
}

#[test]
fn a_signal_is_decided_by_its_candle_the_settings_of_the_moment_and_the_databases_clock() {
    let name = "a_signal_is_decided_by_its_candle_the_settings_of_the_moment_and_the_databases_clock";
    let Some(db) = Database::new(name) else { return };
    let mut owner = db.connect("sep_owner");
    let daemon = db.start("one", &db.socket_dir);
    daemon.wait_status(200, "ok");
    let last = |code: &str| {
        db.wait_for(PENDING, 0);
        let found: String = db
            .connect("sep_readonly")
            .query_one("select reason_code from signal_decisions order by signal_id desc limit 1", &[])
            .unwrap()
            .get(0);
        assert_eq!(found, code);
    };
    let mut sync = db.connect("sep_sync");
    // The candle of the signal's bar has already fallen below the stop.
    db.connect("sep_executor")
        .batch_execute(
            "insert into market_candles values ('EUR_USD', 'M1', date_trunc('minute', now()) - interval '1 minute',
             108000, 108000, 108000, 108000, 108010, 108010, 108010, 108010, 1)",
        )
        .unwrap();
    ingest(&mut sync, "touched", &[sample(0)]).unwrap();
    last("stop_wrong_side");
    owner.batch_execute("delete from market_candles").unwrap();

    owner.batch_execute("update system_config set value = 'true' where key = 'halted'").unwrap();
    let status = daemon.wait_status(200, "halted");
    assert_eq!(status["problems"], serde_json::json!([]));
    ingest(&mut sync, "halted", &[sample(3)]).unwrap();
    last("halted");

    owner
        .batch_execute(
            "update system_config set value = 'false' where key = 'halted';
             update system_config set value = '0.71' where key = 'min_confidence';
             update trading_pairs set enabled = true where pair = 'GBP_USD'",
        )
        .unwrap();
    let status = daemon.wait_status(200, "ok");
    ingest(&mut sync, "low", &[Sample { pair: "GBP_USD", ..sample(0) }]).unwrap();
    last("confidence_too_low");
    assert!(status["uptime_seconds"].is_u64());
    assert_eq!(daemon.wait_status(200, "ok")["pairs"]["enabled"], serde_json::json!(["EUR_USD", "GBP_USD"]));
}

#[test]
fn killed_at_any_moment_it_leaves_no_signal_twice_and_none_out() {
    let Some(db) = Database::new("killed_at_any_moment_it_leaves_no_signal_twice_and_none_out") else {
        return;
    };
    let mut sync = db.connect("sep_sync");
    let mut partly = 0;
    for round in 0..8 {
        // More than one reading takes, so that a kill can fall between two recorded parts.
        let batch: Vec<Sample> = (0..1_500).map(|n| sample(round * 1_500 + n)).collect();
        ingest(&mut sync, &round.to_string(), &batch).unwrap();
        let daemon = db.start(&format!("round-{round}"), &db.socket_dir);
        let before = db.count(DECISIONS);
        let limit = Duration::from_millis(u64::from(round.unsigned_abs()) * 15);
        crate::harness::wait_until("the first decisions", || db.count(DECISIONS) > before);
        let started = Instant::now();
        while started.elapsed() < limit {
            std::hint::spin_loop();
        }
        drop(daemon);
        partly += i32::from(db.count(PENDING) > 0);
    }
    assert!(partly > 0, "no kill fell into the work");
    let _last = db.start("last", &db.socket_dir);
    db.wait_for(PENDING, 0);
    assert_eq!(
        (db.count(DECISIONS), db.count("select count(distinct signal_id) from signal_decisions")),
        (12_000, 12_000)
    );
}

#[test]
fn of_two_executors_one_decides_and_the_other_takes_over() {
    let Some(db) = Database::new("of_two_executors_one_decides_and_the_other_takes_over") else { return };
    let first = db.start("first", &db.socket_dir);
    first.wait_told("READY=1");
    first.wait_status(200, "ok");
    let second = db.start("second", &db.socket_dir);
    second.wait_told("READY=1");
    second.wait_status(200, "standby");
    let mut sync = db.connect("sep_sync");
    ingest(&mut sync, "a", &[sample(0)]).unwrap();
    db.wait_for(DECISIONS, 1);
    drop(first);
    second.wait_status(200, "ok");
    ingest(&mut sync, "b", &[sample(1)]).unwrap();
    db.wait_for(DECISIONS, 2);
}

#[test]
fn it_tells_systemd_and_stops_within_two_seconds() {
    let Some(db) = Database::new("it_tells_systemd_and_stops_within_two_seconds") else { return };
    let mut daemon = db.start("one", &db.socket_dir);
    daemon.wait_told("READY=1");
    assert_eq!(daemon.wait_told("STATUS="), "STATUS=ok");
    daemon.wait_told("WATCHDOG=1");
    assert_eq!(std::fs::metadata(&daemon.socket).unwrap().permissions().mode() & 0o777, 0o660);
    let started = Instant::now();
    daemon.signal("TERM");
    daemon.wait_told("STOPPING=1");
    assert!(daemon.wait(), "exit status of success");
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(!daemon.socket.exists(), "no socket is left behind");
    assert_eq!(db.count("select count(*) from system_logs where message = 'stopping on SIGTERM'"), 1);
    db.wait_for("select count(*) from pg_stat_activity where datname = current_database() and application_name like 'sep-executor/%'", 0);
}

#[test]
fn other_paths_and_methods_are_refused_as_json() {
    let Some(db) = Database::new("other_paths_and_methods_are_refused_as_json") else { return };
    let daemon = db.start("one", &db.socket_dir);
    daemon.wait_status(200, "ok");
    for (method, path, code, body) in [
        ("GET", "/", 404, r#"{"error":"no such resource: /"}"#),
        ("GET", "/api", 404, r#"{"error":"no such resource: /api"}"#),
        ("POST", "/api/status", 405, r#"{"error":"POST is not allowed here, only GET"}"#),
        ("DELETE", "/api/performance/daily", 405, r#"{"error":"DELETE is not allowed here, only GET"}"#),
    ] {
        let (found, head, text) = daemon.request(method, path).unwrap();
        assert_eq!((found, text.as_str()), (code, body), "{method} {path}");
        assert!(head.contains("Content-Type: application/json"), "{head}");
        assert_eq!(head.contains("Allow: GET"), code == 405, "{head}");
    }
}

#[test]
fn daily_figures_are_counts_and_decimal_strings() {
    let Some(db) = Database::new("daily_figures_are_counts_and_decimal_strings") else { return };
    let daemon = db.start("one", &db.socket_dir);
    ingest(
        &mut db.connect("sep_sync"),
        "a",
        &[sample(0), sample(1), Sample { pair: "GBP_USD", ..sample(0) }],
    )
    .unwrap();
    db.wait_for(PENDING, 0);
    db.connect("sep_executor")
        .batch_execute(
            "insert into trade_executions (account, strategy, pair, mode, client_id, side, state, requested_units, filled_units,
                 stop, target, entry_price, exit_price, realized_pl, financing, broker_trade_id, opened_at, closed_at)
             select 'primary', 'qfh', 'EUR_USD', 'simulator', n::text, 'buy', 'closed', 100, 100, 1.09, 1.11, 1.1, 1.101,
                    pl, -0.01, n, now(), now() from (values (1, 12.50), (2, -5.00), (3, 0.10)) t(n, pl);
             insert into performance_metrics (account, strategy, day, balance, nav, max_drawdown)
             values ('primary', 'qfh', (now() at time zone 'UTC')::date, 10007.57, 10007.57, 5)",
        )
        .unwrap();
    daemon.wait_status(200, "ok");
    let (code, _, body) = daemon.request("GET", "/api/performance/daily?days=1").unwrap();
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((code, &body["account"], body["days"].as_array().unwrap().len()), (200, &"primary".into(), 1));
    let day = &body["days"][0];
    for (key, expected) in [
        ("signals", serde_json::json!(3)),
        ("entries", serde_json::json!(2)),
        ("refusals", serde_json::json!(1)),
        ("trades", serde_json::json!(3)),
        ("wins", serde_json::json!(2)),
        ("gross_profit", serde_json::json!("12.60")),
        ("gross_loss", serde_json::json!("5.00")),
        ("net_profit", serde_json::json!("7.60")),
        ("financing", serde_json::json!("-0.03")),
        ("win_rate_percent", serde_json::json!("66.67")),
        ("profit_factor", serde_json::json!("2.5200")),
        ("balance", serde_json::json!("10007.57")),
    ] {
        assert_eq!(day[key], expected, "{key}");
    }
}

#[test]
fn check_says_in_one_line_whether_it_could_work() {
    let Some(db) = Database::new("check_says_in_one_line_whether_it_could_work") else { return };
    let check = |account: &str| {
        let config = db.write_config("check", &db.socket_dir, account);
        let output = Command::new(env!("CARGO_BIN_EXE_sep-executor"))
            .args(["check", "--config"])
            .arg(config)
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let (code, out, talk) = check("primary");
    assert_eq!((code, talk.as_str()), (0, ""));
    assert!(
        out.ends_with("configuration and database are fine (mode observe, account primary, schema 6)\n"),
        "{out}"
    );
    let refused = |account: &str, expected: &str| {
        let (code, out, talk) = check(account);
        assert_eq!((code, out.as_str(), talk.lines().count()), (1, "", 1), "{talk}");
        assert!(talk.contains(expected), "{talk}");
    };
    refused("secondary", "account secondary is unknown; found in the table accounts: primary");
    let config = db.write_config("group", &db.socket_dir, "primary");
    let text = std::fs::read_to_string(&config).unwrap();
    let group = text.rfind("group: ").unwrap();
    std::fs::write(&config, format!("{}group: no-such-group }}\n", &text[..group])).unwrap();
    let output =
        Command::new(env!("CARGO_BIN_EXE_sep-executor")).args(["check", "--config"]).arg(config).output();
    let talk = String::from_utf8(output.unwrap().stderr).unwrap();
    assert_eq!(talk, "sep-executor: api.group is \"no-such-group\", which /etc/group does not name\n");
    let mut owner = db.connect("sep_owner");
    owner.batch_execute("delete from system_config where key = 'halted'").unwrap();
    refused("primary", "settings: system_config has no row for account primary and key halted");
    owner.batch_execute("delete from refinery_schema_history where version > 5").unwrap();
    refused("primary", "the schema is at version 5, this release needs 6");
    owner.batch_execute("drop table refinery_schema_history").unwrap();
    refused("primary", "the database holds no migrations");
    let gone = format!("alter database {} with allow_connections false", db.name);
    db.connect_elsewhere().batch_execute(&gone).unwrap();
    refused("primary", "is not currently accepting connections (SQLSTATE 55000)");
    db.connect_elsewhere().batch_execute(&gone.replace("false", "true")).unwrap();
}
