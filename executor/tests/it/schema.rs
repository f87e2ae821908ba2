//! What the roles may do, how signals come in, and how settings are kept.

use std::time::Duration;

use postgres::fallible_iterator::FallibleIterator;

use crate::harness::{Database, Sample, ingest, sample, sqlstate};

const DENIED: &str = "42501";

#[test]
fn roles_can_do_their_work_and_nothing_more() {
    let Some(db) = Database::new("roles_can_do_their_work_and_nothing_more") else { return };
    let candle = "insert into market_candles values ('EUR_USD', 'M1', now(), 1, 1, 1, 1, 1, 1, 1, 1, 1)";
    let table: &[(&str, &str, bool)] = &[
        ("sep_executor", "select * from trading_signals, trading_pairs, system_config, accounts", true),
        ("sep_executor", "select version from refinery_schema_history", true),
        ("sep_executor", candle, true),
        (
            "sep_executor",
            "insert into system_logs (level, component, message) values ('info', 'x', 'y')",
            true,
        ),
        ("sep_executor", "select * from newest_candles('EUR_USD', 'M1', 10)", true),
        ("sep_executor", "select * from v_daily_performance, v_database_info, v_active_pairs", true),
        ("sep_executor", "update candle_days set candles = 5", false),
        ("sep_executor", "delete from market_candles", false),
        ("sep_executor", "insert into trading_signals default values", false),
        ("sep_executor", "update trading_signals set stop = 1", false),
        ("sep_executor", "delete from signal_decisions", false),
        ("sep_executor", "update signal_decisions set reason = ''", false),
        ("sep_executor", "update system_config set value = 'false'", false),
        ("sep_executor", "update trading_pairs set enabled = true", false),
        ("sep_executor", "select apply_retention(1, 1)", false),
        ("sep_executor", "create table mine ()", false),
        ("sep_executor", "create schema mine", false),
        ("sep_executor", "drop table trading_signals", false),
        (
            "sep_sync",
            "select * from market_candles, trading_signals, signal_decisions, trade_executions",
            true,
        ),
        ("sep_sync", "select * from candle_coverage, sync_ledger, v_daily_performance, v_candles", true),
        ("sep_sync", "insert into trading_signals default values", false),
        ("sep_sync", "update trading_signals set stop = 1", false),
        ("sep_sync", "delete from trading_signals", false),
        ("sep_sync", "insert into sync_ledger values (sha256('x'), 'signals', 0, 0, 0)", false),
        ("sep_sync", "select * from system_config", false),
        ("sep_sync", "update trading_pairs set enabled = true", false),
        ("sep_sync", candle, false),
        ("sep_sync", "create table mine ()", false),
        (
            "sep_readonly",
            "select * from system_config, system_logs, sync_ledger, refinery_schema_history",
            true,
        ),
        (
            "sep_readonly",
            "select * from v_open_trades, v_recent_signals, v_active_pairs, v_database_info",
            true,
        ),
        ("sep_readonly", "select * from v_candles, newest_candles('EUR_USD', 'M1', 10)", true),
        ("sep_readonly", "delete from system_logs", false),
        ("sep_readonly", "update accounts set currency = 'EUR'", false),
        (
            "sep_readonly",
            "select ingest_signals(null,null,null,null,null,null,null,null,null,null,null,null,null,null,null)",
            false,
        ),
        ("sep_readonly", "create table mine ()", false),
    ];
    for (role, statement, allowed) in table {
        let done = db.connect(role).batch_execute(statement);
        match allowed {
            true => assert!(done.is_ok(), "{role} may: {statement}\n{done:?}"),
            false => assert_eq!(sqlstate(done), DENIED, "{role} may not: {statement}"),
        }
    }
    // What later migrations make is open to readers without another grant.
    db.connect("sep_owner").batch_execute("create table later ()").unwrap();
    db.connect("sep_readonly").batch_execute("select * from later").unwrap();
    assert_eq!(sqlstate(db.connect("sep_executor").batch_execute("select * from later")), DENIED);
}

#[test]
fn a_batch_applies_once_and_whole() {
    let Some(db) = Database::new("a_batch_applies_once_and_whole") else { return };
    let mut sync = db.connect("sep_sync");
    let signals = "select count(*) from trading_signals";
    let applied = |n, d| ("applied".to_owned(), n, d);

    let first: Vec<Sample> = (0..5).map(sample).collect();
    assert_eq!(ingest(&mut sync, "first", &first).unwrap(), applied(5, 0));
    assert_eq!(ingest(&mut sync, "first", &first).unwrap(), ("already_applied".to_owned(), 5, 0));

    // Known ones and one given twice are counted as duplicates; the new one enters.
    let mixed = [sample(4), sample(9), sample(9)];
    assert_eq!(ingest(&mut sync, "mixed", &mixed).unwrap(), applied(1, 2));
    assert_eq!(db.count(signals), 6);

    // A stored signal with other content, and two of one batch: the whole batch is refused, by name.
    let other = |age| Sample { content: "other", ..sample(age) };
    for (name, batch) in [("clash", vec![sample(20), other(4)]), ("within", vec![sample(21), other(21)])] {
        let error = ingest(&mut sync, name, &batch).unwrap_err();
        let db_error = error.as_db_error().unwrap();
        assert_eq!(db_error.code().code(), "SE001");
        let detail: serde_json::Value = serde_json::from_str(db_error.detail().unwrap()).unwrap();
        let keys = detail.as_array().unwrap();
        assert_eq!(
            (keys.len(), &keys[0]["pair"], &keys[0]["account"]),
            (1, &"EUR_USD".into(), &"primary".into())
        );
        assert_ne!(keys[0]["stored"], keys[0]["given"]);
    }
    let stranger = Sample { account: "nobody", ..sample(30) };
    assert_eq!(sqlstate(ingest(&mut sync, "stranger", &[sample(31), stranger])), "SE002");
    assert_eq!(db.count(signals), 6);
    assert_eq!(db.count("select count(*) from sync_ledger"), 2, "a refused batch may be sent again");

    assert_eq!(ingest(&mut sync, "none", &[sample(0)]).unwrap(), applied(0, 1));
}

#[test]
fn batches_sent_at_the_same_time_store_each_signal_once() {
    let Some(db) = Database::new("batches_sent_at_the_same_time_store_each_signal_once") else { return };
    let all: Vec<Sample> = (0..300).map(sample).collect();
    let sum: i32 = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..6_usize)
            .map(|n| {
                let (all, db) = (&all, &db);
                // Three batches, each sent twice, every two of which overlap.
                let part = n % 3;
                scope.spawn(move || {
                    ingest(&mut db.connect("sep_sync"), &part.to_string(), &all[part * 50..part * 50 + 200])
                        .unwrap()
                })
            })
            .collect();
        let done: Vec<_> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
        done.into_iter().filter(|(outcome, ..)| outcome == "applied").map(|(_, inserted, _)| inserted).sum()
    });
    assert_eq!((sum, db.count("select count(*) from trading_signals")), (300, 300));
    assert_eq!(db.count("select count(*) from sync_ledger"), 3);
}

#[test]
fn one_notification_a_batch() {
    let Some(db) = Database::new("one_notification_a_batch") else { return };
    let mut listener = db.connect("sep_executor");
    listener.batch_execute("listen trading_signals").unwrap();
    let mut sync = db.connect("sep_sync");
    let batch: Vec<Sample> = (0..100).map(sample).collect();
    ingest(&mut sync, "a", &batch).unwrap();
    ingest(&mut sync, "a", &batch).unwrap();
    ingest(&mut sync, "all known", &batch).unwrap();
    ingest(&mut sync, "b", &[sample(200)]).unwrap();
    let payloads: Vec<String> = listener
        .notifications()
        .timeout_iter(Duration::from_secs(1))
        .map(|notification| Ok(notification.payload().to_owned()))
        .collect()
        .unwrap();
    assert_eq!(payloads, ["100", "1"]);
}

#[test]
fn settings_are_checked_versioned_and_announced() {
    let Some(db) = Database::new("settings_are_checked_versioned_and_announced") else { return };
    let mut owner = db.connect("sep_owner");
    for (statement, state, constraint) in [
        (
            "update system_config set value = '\"yes\"' where key = 'halted'",
            "23514",
            "system_config_known_and_valid",
        ),
        (
            "update system_config set value = '1.5' where key = 'min_confidence'",
            "23514",
            "system_config_known_and_valid",
        ),
        (
            "insert into system_config values ('primary', 'max_confidence', '1')",
            "23514",
            "system_config_known_and_valid",
        ),
        (
            "insert into system_config values ('nobody', 'halted', 'true')",
            "23503",
            "system_config_account_fkey",
        ),
        (
            "update trading_pairs set digits = 3 where pair = 'EUR_USD'",
            "23514",
            "trading_pairs_pip_within_digits",
        ),
        (
            "insert into trading_pairs (pair, digits, pip_location) values ('eurusd', 5, -4)",
            "23514",
            "trading_pairs_pair_check",
        ),
    ] {
        let error = owner.batch_execute(statement).unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!((error.code().code(), error.constraint()), (state, Some(constraint)), "{statement}");
    }

    let mut listener = db.connect("sep_executor");
    listener.batch_execute("listen system_config").unwrap();
    owner.batch_execute("update system_config set value = 'true' where key = 'halted'").unwrap();
    owner.batch_execute("delete from system_config where key = 'halted'").unwrap();
    owner
        .batch_execute(
            "insert into system_config (account, key, value) values ('primary', 'halted', 'false')",
        )
        .unwrap();
    owner.batch_execute("update trading_pairs set enabled = true where pair = 'GBP_USD'").unwrap();
    let history: String = owner
        .query_one(
            "select string_agg(version || '=' || coalesce(value::text, 'deleted'), ' ' order by version)
             from system_config_history where key = 'halted'",
            &[],
        )
        .unwrap()
        .get(0);
    assert_eq!(history, "1=false 2=true 3=deleted 4=false");
    let versions =
        "select count(*) from trading_pairs_history where pair = 'GBP_USD' and changed_by = 'sep_owner'
                    and (content->>'enabled')::boolean = (version = 2)";
    assert_eq!(db.count(versions), 2);
    let payloads: Vec<String> = listener
        .notifications()
        .timeout_iter(Duration::from_secs(1))
        .map(|notification| Ok(notification.payload().to_owned()))
        .collect()
        .unwrap();
    assert_eq!(payloads, ["system_config", "system_config", "system_config", "trading_pairs"]);
}

#[test]
fn a_seed_of_eighteen_pairs_agrees_with_the_precision_of_their_quotes() {
    let Some(db) = Database::new("a_seed_of_eighteen_pairs_agrees_with_the_precision_of_their_quotes") else {
        return;
    };
    let fitting = "select count(*) from trading_pairs where (digits::integer, pip_location::integer) =
                   case when pair like '%_JPY' then (3, -2) else (5, -4) end";
    assert_eq!(db.count(fitting), 18);
    assert_eq!(db.count("select count(*) from v_active_pairs where pair = 'EUR_USD'"), 1);
    assert_eq!(db.count("select count(*) from v_active_pairs"), 1);
}
