//! What each database role can do and cannot, tried through the ways in that it really has.

use std::fmt::Write;
use std::process::Output;

use crate::deployed::{command, deployed, on};
use crate::droplet::{Droplet, can_boot, said};

const DATABASES: [&str; 2] = ["sep_trading", "sep_rehearsal"];
/// insufficient_privilege
const DENIED: &str = "42501";
/// read_only_sql_transaction
const READ_ONLY: &str = "25006";

/// One signal through the one door for signals.
const INGEST: &str = "select * from ingest_signals(sha256('batch'), '{primary}', '{qfh}', '{EUR_USD}', '{M1}',
    '{2026-01-05T10:00:00Z}', '{buy}', '{0.7}', array['{}'::jsonb], '{1.1}', '{1.2}', '{2026-01-05T10:15:00Z}',
    array[sha256('model')], array[sha256('content')], array[null]::text[])";

/// What nobody but a superuser may do.
const NOBODYS: &[&str] = &[
    "create role intruder",
    "create database intruder",
    "alter role sep_owner superuser",
    "alter role postgres password 'x'",
    "alter system set work_mem = '1MB'",
    "set role postgres",
    "set session authorization postgres",
    "set session_replication_role = replica",
    "grant pg_read_server_files to sep_sync",
    "select * from pg_authid",
    "select * from pg_shadow",
    "select pg_read_file('/etc/hostname')",
    "select pg_ls_dir('/')",
    "select lo_import('/etc/hostname')",
    "select pg_reload_conf()",
    "copy (select 1) to program 'true'",
    "copy (select 1) to '/tmp/copied'",
    "copy accounts from program 'true'",
    "create function c() returns int language c as '$libdir/dblink', 'dblink_connect'",
    "create extension dblink",
    "create publication p for all tables",
    "create subscription s connection 'dbname=postgres' publication p",
    "select pg_create_physical_replication_slot('s')",
    "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'postgres' limit 1",
    "load 'auto_explain'",
    "checkpoint",
];

/// What the owner of the schema may do, and no other role.
const OWNERS: &[&str] = &[
    "create table x (a int)",
    "create temp table x (a int)",
    "create view x as select 1",
    "create function x() returns int language sql as 'select 1'",
    "create schema x",
    "create index on trading_signals (side)",
    "alter table trading_signals add column x int",
    "alter table trading_signals disable trigger user",
    "drop table trade_executions cascade",
    "drop view v_open_trades",
    "truncate system_logs",
    "lock table trading_signals in access exclusive mode",
    "grant execute on function apply_retention(integer, integer) to sep_sync",
    "update system_config set value = 'false' where key = 'halted'",
    "insert into system_config (account, key, value) values ('primary', 'halted', 'false') on conflict do nothing",
    "delete from system_config where false",
    "update trading_pairs set enabled = true where false",
    "insert into accounts (account, broker) values ('other', 'oanda')",
    "update trading_signals set side = 'buy' where false",
    "delete from trading_signals where false",
    "insert into trading_signals (account) select 'primary' where false",
    "delete from signal_decisions where false",
    "update signal_decisions set reason = '' where false",
    "delete from sync_ledger where false",
    "delete from trade_executions where false",
    "delete from market_candles where false",
    "update market_candles set volume = 0 where false",
    "delete from system_logs where false",
    "delete from system_config_history where false",
    "select drop_chunks('market_candles', older_than => now())",
    "select set_chunk_time_interval('market_candles', interval '1 hour')",
    "select * from apply_retention(0, 0)",
    "set role sep_owner",
];

/// What trading needs.
const EXECUTORS: &[&str] = &[
    "insert into signal_decisions (signal_id, account, strategy, decision, reason_code, reason, mode, release)
     select 1, 'primary', 'qfh', 'refuse', 'x', 'x', 'observe', 'x' where false",
    "insert into system_logs (level, component, message) values ('info', 'executor/test', 'tried')",
    "insert into market_candles values ('EUR_USD', 'M1', '2026-01-05T10:00:00Z', 1, 1, 1, 1, 2, 2, 2, 2, 1)",
    "insert into candle_coverage as c values ('EUR_USD', 'M1', tstzmultirange(tstzrange(now(), now() + '1 h')))
     on conflict (pair, timeframe) do update set covered = c.covered + excluded.covered",
    "insert into trade_executions (account, strategy, pair, mode, client_id, side, requested_units, stop, target)
     values ('primary', 'qfh', 'EUR_USD', 'practice', 'x', 'buy', 1, 1, 2)",
    "update trade_executions set state = 'sent' where false",
    "insert into performance_metrics (account, strategy, day) values ('primary', 'qfh', '2026-01-05')
     on conflict (account, strategy, day) do update set nav = 1",
];

/// What every role may read, and what only some.
const READ_BY_ALL: &[&str] = &[
    "select * from trading_signals",
    "select * from signal_decisions",
    "select * from trade_executions",
    "select * from market_candles",
    "select * from trading_pairs",
    "select * from accounts",
    "select * from performance_metrics",
    "select * from newest_candles('EUR_USD', 'M1', 500)",
    "select * from v_open_trades",
    "select * from v_recent_signals",
    "select * from v_active_pairs",
    "select * from v_daily_performance",
    "select * from v_candles",
];
const SETTINGS: &[&str] =
    &["select * from system_config", "select * from system_logs", "select * from v_database_info"];
const LEDGER: &[&str] = &["select * from sync_ledger"];
const HISTORY: &[&str] = &["select * from system_config_history", "select * from trading_pairs_history"];

/// A way in that is a role's own.
struct Way {
    role: &'static str,
    /// Runs a script of psql in a database.
    enter: fn(&Droplet, &str, &str) -> Output,
    may: &'static [&'static [&'static str]],
    /// Refused, with this SQLSTATE.
    not: &'static [(&'static [&'static str], &'static str)],
}

const WAYS: &[Way] = &[
    Way {
        role: "sep_executor",
        enter: |droplet, database, script| as_user(droplet, "sep", "sep_executor", database, script),
        may: &[READ_BY_ALL, SETTINGS, EXECUTORS, &["listen trading_signals"]],
        not: &[(NOBODYS, DENIED), (OWNERS, DENIED), (LEDGER, DENIED), (HISTORY, DENIED), (&[INGEST], DENIED)],
    },
    Way {
        role: "sep_sync",
        enter: |droplet, database, script| through_psql(droplet, "sep_sync", database, script),
        may: &[READ_BY_ALL, LEDGER, &[INGEST]],
        not: &[
            (NOBODYS, DENIED),
            (OWNERS, DENIED),
            (SETTINGS, DENIED),
            (HISTORY, DENIED),
            (EXECUTORS, DENIED),
        ],
    },
    Way {
        role: "sep_readonly",
        enter: |droplet, database, script| through_psql(droplet, "sep_readonly", database, script),
        may: &[READ_BY_ALL, SETTINGS, LEDGER, HISTORY],
        // Even where the session says that it wants to write.
        not: &[(NOBODYS, DENIED), (OWNERS, DENIED), (EXECUTORS, DENIED), (&[INGEST], DENIED)],
    },
    Way {
        role: "root",
        enter: |droplet, database, script| {
            droplet.ssh(&format!("psql -X -q -d {database} <<'END'\n{script}\nEND"))
        },
        may: &[READ_BY_ALL, SETTINGS, LEDGER, HISTORY],
        not: &[(NOBODYS, DENIED), (OWNERS, DENIED), (EXECUTORS, DENIED), (&[INGEST], DENIED)],
    },
    Way {
        role: "sep_owner",
        enter: |droplet, database, script| through_psql(droplet, "sep_owner", database, script),
        may: &[READ_BY_ALL, SETTINGS, LEDGER, HISTORY, OWNERS, EXECUTORS, &[INGEST]],
        not: &[(NOBODYS, DENIED)],
    },
];

#[test]
fn every_role_can_do_its_work_and_nothing_more() {
    if !can_boot("every_role_can_do_its_work_and_nothing_more") {
        return;
    }
    let droplet = deployed();
    let mut wrong = String::new();
    for way in WAYS {
        let may = way.may.iter().flat_map(|list| list.iter().map(|line| (*line, "00000")));
        let not = way.not.iter().flat_map(|(list, state)| list.iter().map(move |line| (*line, *state)));
        let all: Vec<(&str, &str)> = may.chain(not).collect();
        for database in DATABASES {
            for ((statement, wanted), found) in all.iter().zip(states(&droplet, way, database, &all)) {
                if found != *wanted {
                    let _ = writeln!(wrong, "{} in {database}: {found}, not {wanted}: {statement}", way.role);
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn read_only_roles_write_nothing_by_mistake_either() {
    if !can_boot("read_only_roles_write_nothing_by_mistake_either") {
        return;
    }
    let droplet = deployed();
    let line = "show default_transaction_read_only; delete from trading_signals";
    for role in ["sep_readonly", "root"] {
        let output = match role {
            "root" => droplet.ssh(&format!("psql -XAt -v VERBOSITY=sqlstate -d sep_trading -c '{line}'")),
            _ => on(&droplet, &["psql", "--", "-XAt", "-v", "VERBOSITY=sqlstate", "-c", line]),
        };
        let text = said(&output);
        assert!(text.contains("stdout: on\n") && text.contains(READ_ONLY), "{role}: {text}");
    }
    // The line that people have in their fingers.
    let output = droplet.ssh("psql -d sep_trading -c 'SELECT * FROM v_open_trades;'");
    assert!(output.status.success() && said(&output).contains("(0 rows)"), "{}", said(&output));
}

#[test]
fn who_one_is_on_the_host_decides_who_one_may_be() {
    if !can_boot("who_one_is_on_the_host_decides_who_one_may_be") {
        return;
    }
    let droplet = deployed();
    let roles = ["postgres", "sep_owner", "sep_executor", "sep_sync", "sep_readonly", "root"];
    let may: &[(&str, &[&str])] = &[
        ("postgres", &["postgres", "sep_owner"]),
        ("root", &["postgres", "sep_owner", "sep_sync", "sep_readonly", "root"]),
        ("sep", &["sep_executor"]),
        ("nobody", &[]),
        ("www-data", &[]),
        ("admin", &[]),
    ];
    let mut wrong = String::new();
    for (user, allowed) in may {
        for database in ["sep_trading", "sep_rehearsal", "postgres", "template1"] {
            let line = format!(
                "for role in {}; do runuser -u {user} -- psql -XAt -h /var/run/postgresql -U $role -d {database} \
                 -c 'select 1' >/dev/null 2>&1 && echo $role; done; true",
                roles.join(" ")
            );
            let found = droplet.told(&line);
            let own = |role: &&&str| **role == "postgres" || database.starts_with("sep_");
            let wanted: Vec<&str> = allowed.iter().filter(own).copied().collect();
            if found.lines().collect::<Vec<_>>() != wanted {
                let _ = writeln!(wrong, "{user} in {database}: may be {found:?}, should be {wanted:?}");
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");

    // Why, in the server's words; and there is no way in over the network.
    let output =
        droplet.exec("runuser -u nobody -- psql -h /var/run/postgresql -U sep_readonly sep_trading -c ''");
    assert!(said(&output).contains("Peer authentication failed"), "{}", said(&output));
    let output = on(&droplet, &["psql", "--role", "sep_sync", "--", "-d", "postgres", "-c", "select 1"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("no pg_hba.conf entry"), "{}", said(&output));
    assert_eq!(droplet.told("ss -Htln 'sport = 5432'"), "");
}

/// The SQLSTATE of each statement. Each runs in a transaction of its own, which is rolled back.
fn states(droplet: &Droplet, way: &Way, database: &str, statements: &[(&str, &str)]) -> Vec<String> {
    let mut script =
        String::from("\\set VERBOSITY sqlstate\n\\o /dev/null\nset default_transaction_read_only = off;\n");
    for (statement, _) in statements {
        let alone = ["create database", "alter system", "create subscription"];
        let (begin, end) = if alone.iter().any(|start| statement.starts_with(start)) {
            ("", "")
        } else {
            ("begin;\n", "rollback;\n")
        };
        let _ = write!(script, "{begin}{statement};\n\\set state :SQLSTATE\n{end}\\echo state :state\n");
    }
    script.push_str("\\o\n");
    let output = (way.enter)(droplet, database, &script);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let found: Vec<String> =
        text.lines().filter_map(|line| line.strip_prefix("state ")).map(str::to_owned).collect();
    assert_eq!(found.len(), statements.len(), "{}: {}", way.role, said(&output));
    found
}

fn as_user(droplet: &Droplet, user: &str, role: &str, database: &str, script: &str) -> Output {
    let psql = format!("psql -X -q -h /var/run/postgresql -U {role} -d {database}");
    droplet.exec(&format!("runuser -u {user} -- {psql} <<'END'\n{script}\nEND"))
}

fn through_psql(droplet: &Droplet, role: &str, database: &str, script: &str) -> Output {
    let file = std::env::temp_dir().join(format!("sepctl-roles-{}-{role}.sql", std::process::id()));
    std::fs::write(&file, script).expect("the temporary folder is writable");
    let mut args = vec!["psql", "--role", role];
    args.extend((database == "sep_rehearsal").then_some("--rehearsal"));
    args.extend(["--", "-X", "-q", "-f"]);
    let output = command(droplet, &args).arg(&file).output().expect("sepctl is built");
    std::fs::remove_file(&file).expect("it was written just now");
    output
}
