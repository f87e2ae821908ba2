//! Backup sets: whole or not there, whatever happens meanwhile; and what is in one comes back.

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::deployed::{command, copy, deployed, done, on, refused, sql};
use crate::droplet::{Droplet, can_boot, said, wait_until};

const SETS: &str = "/mnt/sep_data/backups";
const TRADING: &str = "sep_trading";
const POSTGRES: &str = "postgresql@17-sep.service";
const FAILPOINT: &str = "/run/sepctl-failpoint";
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_backup_is_whole_or_not_there() {
    if !can_boot("a_backup_is_whole_or_not_there") {
        return;
    }
    let base = deployed();
    let droplet = copy(&base, "sets");
    assert_eq!(done(&droplet, &["backup", "list"]), format!("{}: no backup yet", droplet.name));
    assert!(refused(&droplet, &["backup", "verify"], 1).contains("there is no backup yet"));
    taken_listed_verified(&droplet);
    cron_starts_it(&droplet);
    damage_is_found(&droplet);
    killed_on_the_way(&droplet);
    two_at_once(&droplet);
    database_down(&droplet);
    no_room(&droplet);
    only_so_many_are_kept(&droplet);
    volume_gone(&droplet);
}

fn taken_listed_verified(droplet: &Droplet) {
    let text = done(droplet, &["backup", "now"]);
    let name = only(&names(droplet));
    assert!(text.starts_with(&format!("{}: {name}, ", droplet.name)), "{text}");
    let answer: Value = serde_json::from_str(&done(droplet, &["--json", "backup", "list"])).expect("JSON");
    let set = &answer["backups"][0];
    let databases: Vec<&str> =
        set["databases"].as_array().expect("databases").iter().filter_map(|d| d["name"].as_str()).collect();
    assert_eq!(
        (set["name"].as_str(), databases),
        (Some(name.as_str()), vec!["sep_trading", "sep_rehearsal"])
    );
    for args in [&["--json", "backup", "verify"][..], &["--json", "backup", "verify", &name]] {
        let answer: Value = serde_json::from_str(&done(droplet, args)).expect("JSON");
        assert_eq!(
            (&answer["backup"]["name"], &answer["backup"]["verified"]),
            (&name.clone().into(), &true.into())
        );
        assert_eq!(answer["backup"]["bytes"], set["bytes"]);
    }
    let text = refused(droplet, &["backup", "verify", "2001-01-01T000000Z"], 1);
    assert!(text.contains("there is no backup `2001-01-01T000000Z`") && text.contains(&name), "{text}");
    // Roles come along, passwords do not exist; nobody but PostgreSQL's user and root can read any of it.
    let roles = droplet.told(&format!("cat {SETS}/{name}/roles.sql"));
    for role in ["sep_owner", "sep_executor", "sep_sync", "sep_readonly", "root"] {
        assert!(roles.contains(&format!("CREATE ROLE {role};")), "{roles}");
    }
    assert!(roles.contains("statement_timeout") && !roles.contains("PASSWORD"), "{roles}");
    let open = droplet.told(&format!("find {SETS} ! -user postgres -o -perm /027 ! -path {SETS}"));
    assert_eq!(open, "");
    let status = done(droplet, &["--json", "status"]);
    assert!(status.contains(&name), "{status}");
}

/// The line of /etc/cron.d as cron runs it: by its shell, with its bare environment.
fn cron_starts_it(droplet: &Droplet) {
    let before = names(droplet);
    let crontab = droplet.told("cat /etc/cron.d/sep-backup");
    let setting = |line: &&str| line.contains('=') && !line.starts_with(|c: char| c.is_ascii_digit());
    let environment: Vec<&str> =
        crontab.lines().filter(setting).filter(|line| !line.starts_with('#')).collect();
    assert_eq!(environment, ["SHELL=/bin/sh"]);
    let line = crontab.lines().find(|line| line.starts_with("0 2 * * *")).expect("02:00 every day");
    let words: Vec<&str> = line.split_whitespace().skip(5).collect();
    assert_eq!(words[0], "root");
    droplet.told(&format!(
        "env -i HOME=/root LOGNAME=root SHELL=/bin/sh PATH=/usr/bin:/bin /bin/sh -c '{}'",
        words[1..].join(" ")
    ));
    wait_until("the set that cron's line starts", PATIENCE, || names(droplet).len() > before.len());
    wait_until("the end of the unit", PATIENCE, || unit(droplet, "ActiveState") == "inactive");
    done(droplet, &["backup", "verify"]);
    // cron itself reads files that are root's and nobody else's to write, and says so if it does not like one.
    assert_eq!(droplet.told("stat -c '%U %a' /etc/cron.d/sep-backup"), "root 644");
    assert_eq!(droplet.told("journalctl -q -u cron -g 'sep-backup.*(ERROR|WRONG|BAD)' || true"), "");
}

fn damage_is_found(droplet: &Droplet) {
    let set = format!("{SETS}/{}", names(droplet).last().expect("a set"));
    let data = droplet.told(&format!("ls -S {set}/sep_trading/*.dat.zst | head -n 1"));
    let damages = [
        // Whatever the byte is, it is another one then.
        (
            "flipped",
            format!(
                r#"perl -e 'open F, "+<", shift or die; seek F, 20, 0; read F, $b, 1; seek F, 20, 0; print F $b ^ "\xff"' {data}"#
            ),
            data.clone(),
        ),
        ("cut", format!("truncate -s -1 {data}"), data.clone()),
        ("missing", format!("rm {data}"), data.clone()),
        ("foreign", format!("touch {set}/sep_trading/0.dat"), format!("{set}/sep_trading/0.dat")),
        (
            "toc",
            format!("truncate -s 100 {set}/sep_rehearsal/toc.dat"),
            format!("{set}/sep_rehearsal/toc.dat"),
        ),
        ("roles", format!("echo >> {set}/roles.sql"), format!("{set}/roles.sql")),
        ("manifest", format!("sed -i s/17/16/ {set}/manifest.json"), format!("{set}/manifest.json")),
        ("no manifest", format!("rm {set}/manifest.json"), format!("{set}/manifest.json")),
        ("no seal", format!("rm {set}/manifest.sha256"), format!("{set}/manifest.sha256")),
    ];
    for (damage, line, named) in damages {
        droplet.told(&format!("cp -a {set} /root/whole && {line}"));
        let output = on(droplet, &["backup", "verify"]);
        let text = said(&output);
        assert!(output.status.code() == Some(1) && text.contains(&named), "{damage}: {text}");
        if damage.contains("manifest") {
            let text = done(droplet, &["backup", "list"]);
            assert!(text.contains(&named), "{damage}: {text}");
        }
        droplet.told(&format!("rm -r {set} && mv /root/whole {set}"));
    }
    done(droplet, &["backup", "verify"]);
}

fn killed_on_the_way(droplet: &Droplet) {
    let before = names(droplet);
    for place in ["backup-after-dump", "backup-before-verify", "backup-before-publish"] {
        droplet.told(&format!("echo {place} > {FAILPOINT}"));
        let text = refused(droplet, &["backup", "now"], 1);
        droplet.told(&format!("rm {FAILPOINT}"));
        assert!(text.contains(&format!("failpoint {place} hit")), "is sepctl built with failpoints? {text}");
        assert!(text.contains("older sets are untouched"), "{text}");
        assert_eq!(names(droplet), before, "{place}");
        assert_eq!(partials(droplet), 1, "{place} left no trace: was anything begun?");
        let status = on(droplet, &["status"]);
        assert_eq!(status.status.code(), Some(1), "a failed backup is no good condition: {}", said(&status));
    }
    done(droplet, &["backup", "now"]);
    assert_eq!((names(droplet).len(), partials(droplet)), (before.len() + 1, 0));
    done(droplet, &["backup", "verify"]);
}

fn two_at_once(droplet: &Droplet) {
    let before = names(droplet).len();
    // Through the unit: whoever comes second waits for the first one's set, or takes another.
    let both = [0, 1].map(|_| {
        let mut command = command(droplet, &["backup", "now"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("sepctl is built")
    });
    for child in both {
        let output = child.wait_with_output().expect("it was started");
        assert!(output.status.success(), "{}", said(&output));
    }
    let after = names(droplet).len();
    assert!(after == before + 1 || after == before + 2, "{after}");
    assert_eq!(partials(droplet), 0);
    // Past the unit: the lock refuses the second.
    let free = || droplet.exec(&format!("flock -n {SETS}/.lock true")).status.success();
    let holder = format!("setsid flock -F {SETS}/.lock sleep 600 >/dev/null 2>&1 </dev/null & echo $!");
    let holder = droplet.told(&holder);
    wait_until("the lock", PATIENCE, || !free());
    let text = refused(droplet, &["backup", "now"], 1);
    assert!(text.contains("another backup is under way"), "{text}");
    droplet.told(&format!("kill {holder}"));
    wait_until("the free lock", PATIENCE, free);
    assert_eq!(names(droplet).len(), after);
}

fn database_down(droplet: &Droplet) {
    let before = names(droplet);
    droplet.told(&format!("systemctl stop {POSTGRES}"));
    let text = refused(droplet, &["backup", "now"], 1);
    assert!(text.contains("sep_trading") && text.contains("older sets are untouched"), "{text}");
    assert_eq!((names(droplet), partials(droplet)), (before.clone(), 0));
    // What is there is read without the server, too.
    done(droplet, &["backup", "verify"]);
    droplet.told(&format!("systemctl start {POSTGRES}"));

    // It goes away in the midst of the dump: a table that is locked holds the dump until then.
    let holder = "begin; lock table trading_signals; select pg_sleep(600)";
    droplet
        .told(&format!("setsid psql -U postgres -d sep_trading -c '{holder}' >/dev/null 2>&1 </dev/null &"));
    let waits = "select count(*) from pg_stat_activity where application_name = 'pg_dump' and wait_event_type = 'Lock'";
    thread::scope(|scope| {
        let dump = scope.spawn(|| on(droplet, &["backup", "now"]));
        wait_until("a dump that waits", PATIENCE, || sql(droplet, "postgres", waits) != "0");
        assert_eq!(partials(droplet), 1);
        droplet.told(&format!("systemctl restart {POSTGRES}"));
        let output = dump.join().expect("it has ended");
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains("pg_dump"), "{}", said(&output));
    });
    assert_eq!((names(droplet), partials(droplet)), (before, 0));
}

fn no_room(droplet: &Droplet) {
    let before = names(droplet);
    // 300 MB stay free, less than the reserve of half of 2 GB.
    let fill = "fallocate -l $(( $(df --output=avail -B1 /mnt/sep_data | tail -n 1) - 300000000 )) /mnt/sep_data/full";
    droplet.told(fill);
    let text = refused(droplet, &["backup", "now"], 1);
    for figure in ["no room for a backup: found ", " bytes free, expected ", "1000000000 in reserve"] {
        assert!(text.contains(figure), "{text}");
    }
    assert_eq!((names(droplet), partials(droplet)), (before.clone(), 0));
    droplet.told("rm /mnt/sep_data/full");
    // The budget of the sets is another limit.
    let line =
        droplet.told("systemctl show -P ExecStart sep-backup | sed -E 's/.*argv\\[\\]=(.*) ; ignore.*/\\1/'");
    let line = line.replace("--budget 8000000000", "--budget 1000");
    let output = droplet.exec(&format!("runuser -u postgres -- {line}"));
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("the budget is 1000; raise `budgets.backups`"), "{}", said(&output));
    assert_eq!((names(droplet), partials(droplet)), (before, 0));
}

fn only_so_many_are_kept(droplet: &Droplet) {
    let text = std::fs::read_to_string(&droplet.inventory).expect("an inventory");
    std::fs::write(&droplet.inventory, format!("{text}    backup: {{ keep: 2 }}\n")).expect("writable");
    done(droplet, &["deploy", "--yes"]);
    // A damaged set is kept to be looked at, and counts for none of the two.
    let damaged = names(droplet).first().expect("a set").clone();
    droplet.told(&format!("rm {SETS}/{damaged}/manifest.sha256; mkdir {SETS}/mine; touch {SETS}/mine/file"));
    for _ in 0..3 {
        done(droplet, &["backup", "now"]);
        let names = names(droplet);
        assert_eq!(names.len(), 3, "{names:?}");
        assert_eq!(names[0], damaged);
    }
    done(droplet, &["backup", "verify"]);
    assert_eq!(droplet.told(&format!("ls {SETS}/mine")), "file");
}

/// Without its mount unit the volume is not there; the bare mount point on the system disk stays empty.
fn volume_gone(droplet: &Droplet) {
    droplet.told("systemctl stop mnt-sep_data.mount && mv /etc/systemd/system/mnt-sep_data.mount /root/ && systemctl daemon-reload");
    wait_until("the volume's end", PATIENCE, || {
        !droplet.exec("mountpoint -q /mnt/sep_data").status.success()
    });
    let text = refused(droplet, &["backup", "now"], 1);
    assert!(text.contains(SETS), "{text}");
    let output = droplet.exec("systemctl start sep-backup.service");
    assert!(!output.status.success(), "{}", said(&output));
    assert!(said(&output).to_lowercase().contains("assert"), "{}", said(&output));
    assert_eq!(unit(droplet, "AssertResult"), "no");
    assert!(!droplet.exec("touch /mnt/sep_data/file").status.success());
    assert_eq!(droplet.told("ls -A /mnt/sep_data"), "");
    // And it comes back by a deployment.
    droplet.told("mv /root/mnt-sep_data.mount /etc/systemd/system/ && systemctl daemon-reload");
    done(droplet, &["deploy", "--yes"]);
    done(droplet, &["backup", "verify"]);
    done(droplet, &["backup", "now"]);
}

#[test]
fn what_is_in_a_backup_comes_back() {
    if !can_boot("what_is_in_a_backup_comes_back") {
        return;
    }
    let base = deployed();
    let droplet = copy(&base, "restore");
    // Nobody writes between the dump and the comparison.
    droplet.told("systemctl stop sep-executor.service");
    sql(&droplet, TRADING, FILL);
    let (tables, definitions) = (contents(&droplet, TRADING), schema(&droplet, TRADING));
    assert!(tables.lines().count() > 12 && tables.contains("market_candles|17282|"), "{tables}");
    done(&droplet, &["backup", "now"]);
    let set = format!("{SETS}/{}/{TRADING}", only(&names(&droplet)));

    // TimescaleDB's catalog goes in whole before anything that refers to it, and by one worker.
    let restore = "/usr/lib/postgresql/17/bin/pg_restore -U postgres -d scratch --exit-on-error";
    let catalog = ["_timescaledb_catalog", "_timescaledb_config", "_timescaledb_cache"];
    let chosen = |option: &str| catalog.map(|name| format!("{option} {name}")).join(" ");
    sql(&droplet, "postgres", "create database scratch owner sep_owner template template0");
    sql(&droplet, "scratch", "create extension timescaledb; select timescaledb_pre_restore()");
    for part in [
        "--section pre-data".to_owned(),
        format!("--section data {}", chosen("-n")),
        format!("--section data --jobs 2 {}", chosen("-N")),
        "--section post-data --jobs 2".to_owned(),
    ] {
        droplet.told(&format!("{restore} {part} {set}"));
    }
    sql(&droplet, "scratch", "select timescaledb_post_restore()");
    assert_eq!(contents(&droplet, "scratch"), tables);
    assert_eq!(schema(&droplet, "scratch"), definitions);

    // It is a database to go on with: rows go in where they belong, chunks come and go.
    let more = "insert into market_candles values ('EUR_USD', 'M1', '2027-01-05', 1, 1, 1, 1, 2, 2, 2, 2, 1);
        select count(*) from newest_candles('EUR_USD', 'M1', 500);
        select count(*) from drop_chunks('market_candles', older_than => '2026-01-07'::timestamptz);
        select count(*) from market_candles";
    assert_eq!(sql(&droplet, "scratch", more), "500\n2\n11523");
}

/// Something in every table: candles over six days, settings with a history, a signal, its decision, a trade, logs.
const FILL: &str = r#"
insert into market_candles select p, 'M1', t, 100, 110, 90, 105, 101, 111, 91, 106, 7
    from generate_series('2026-01-05Z'::timestamptz, '2026-01-11Z', '1 min') t, unnest(array['EUR_USD', 'USD_JPY']) p;
insert into candle_coverage values ('EUR_USD', 'M1', '{[2026-01-05, 2026-01-11)}');
update system_config set value = '0.7' where key = 'min_confidence';
update trading_pairs set enabled = true where pair = 'USD_JPY';
select * from ingest_signals(sha256('batch'), '{primary}', '{qfh}', '{EUR_USD}', '{M1}', '{2026-01-05T10:00:00Z}',
    '{buy}', '{0.7}', array['{"entropy": 0.5}'::jsonb], '{1.1}', '{1.2}', '{2026-01-05T10:15:00Z}',
    array[sha256('model')], array[sha256('content')], array['with "quotes" – and dashes']);
insert into signal_decisions (signal_id, account, strategy, decision, reason_code, reason, mode, release)
    select id, account, strategy, 'refuse', 'expired', 'too late', 'observe', 'test' from trading_signals;
insert into trade_executions (account, strategy, pair, mode, client_id, side, requested_units, stop, target)
    values ('primary', 'qfh', 'EUR_USD', 'practice', 'x', 'buy', 1000, 1.1, 1.2);
insert into performance_metrics (account, strategy, day, nav) values ('primary', 'qfh', '2026-01-05', 10000.123456);
insert into system_logs (time, level, component, message, fields)
    select t, 'info', 'test', 'line ' || t, '{"a": [1, null]}'
    from generate_series('2026-01-01Z'::timestamptz, '2026-03-01Z', '1 hour') t"#;

/// Every table of the schema with its number of rows and a hash of them all, then every sequence.
fn contents(droplet: &Droplet, database: &str) -> String {
    let each = "select string_agg(format('select %L, count(*), md5(string_agg(t::text, chr(10) order by t::text)) from
        %I t', relname, relname), ' union all ') || ' order by 1'
        from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace";
    let query = sql(droplet, database, each).replace('\n', " ");
    let sequences =
        "select sequencename, last_value from pg_sequences where schemaname = 'public' order by 1";
    format!("{}\n{}", sql(droplet, database, &query), sql(droplet, database, sequences))
}

/// All definitions and grants, as pg_dump writes them.
fn schema(droplet: &Droplet, database: &str) -> String {
    let dump = format!("/usr/lib/postgresql/17/bin/pg_dump -U postgres --schema-only {database} 2>/dev/null");
    droplet.told(&format!("{dump} | grep -vE '^.(un)?restrict '"))
}

fn unit(droplet: &Droplet, property: &str) -> String {
    droplet.told(&format!("systemctl show -P {property} sep-backup.service"))
}

/// The published sets, oldest first.
fn names(droplet: &Droplet) -> Vec<String> {
    let names = droplet.told(&format!("ls {SETS} | grep -E '^20[0-9-]+T[0-9]+Z$' || true"));
    names.lines().map(str::to_owned).collect()
}

fn partials(droplet: &Droplet) -> usize {
    droplet.told(&format!("ls -A {SETS} | grep partial || true")).lines().count()
}

fn only(names: &[String]) -> String {
    assert_eq!(names.len(), 1, "{names:?}");
    names[0].clone()
}
