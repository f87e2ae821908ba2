//! Candles: the newest of a series, the days that hold any, coverage, retention.

use postgres::Client;

use crate::harness::{Database, sqlstate};

/// Makes M1 candles for every minute of `spans`, given in minutes before `end`.
fn fill(client: &mut Client, pair: &str, timeframe: &str, end: &str, spans: &[(i32, i32)]) {
    for (from, to) in spans {
        client
            .execute(
                "insert into market_candles
                 select $1, $2, $3::text::timestamptz - timeframe_length($2) * i, 10, 10, 10, 10, 12, 12, 12, 12, 1
                 from generate_series($4::integer, $5::integer) i on conflict do nothing",
                &[&pair, &timeframe, &end, from, to],
            )
            .unwrap();
    }
}

/// What newest_candles() gives, against a plain reading of the whole table.
fn compare(client: &mut Client, pair: &str, timeframe: &str, n: i32) -> i64 {
    let row = client
        .query_one(
            "with plain as (select time from market_candles where pair = $1 and timeframe = $2
                            order by time desc limit $3),
                  found as (select time, row_number() over () as place from newest_candles($1, $2, $3::bigint::integer))
             select (select array_agg(time order by time desc) from plain)
                    is not distinct from (select array_agg(time order by place) from found),
                    (select count(*) from found)",
            &[&pair, &timeframe, &i64::from(n)],
        )
        .unwrap();
    assert!(row.get::<_, bool>(0), "{pair} {timeframe}: the newest {n}");
    row.get(1)
}

#[test]
fn the_newest_candles_are_found_across_every_kind_of_hole() {
    let Some(db) = Database::new("the_newest_candles_are_found_across_every_kind_of_hole") else { return };
    let mut client = db.connect("sep_executor");
    let end = "2026-03-02 00:30+00";
    // Ten days without a hole; a weekend; a hole of two months; the beginning; a minute here and there.
    fill(&mut client, "EUR_USD", "M1", end, &[(0, 14_400)]);
    fill(&mut client, "GBP_USD", "M1", end, &[(0, 150), (3_030, 8_000)]);
    fill(&mut client, "USD_JPY", "M1", end, &[(0, 99), (90_000, 95_000)]);
    fill(&mut client, "USD_CHF", "M1", end, &[(0, 119)]);
    fill(
        &mut client,
        "USD_CAD",
        "M1",
        end,
        &[(0, 0), (500, 500), (2_000, 2_000), (9_000, 9_000), (200_000, 200_000)],
    );
    fill(&mut client, "EUR_USD", "H4", end, &[(0, 700)]);
    let mut reader = db.connect("sep_readonly");
    for n in [1, 2, 99, 100, 101, 500, 1_439, 1_440, 1_441, 5_000, 20_000] {
        for pair in ["EUR_USD", "GBP_USD", "USD_JPY", "USD_CHF", "USD_CAD", "NZD_USD"] {
            compare(&mut reader, pair, "M1", n);
        }
        compare(&mut reader, "EUR_USD", "H4", n);
    }
    for (pair, n, expected) in
        [("EUR_USD", 500, 500), ("USD_JPY", 500, 500), ("USD_CHF", 500, 120), ("EUR_USD", 0, 0)]
    {
        assert_eq!(compare(&mut reader, pair, "M1", n), expected, "{pair} {n}");
    }

    // Rows deleted by hand make the counts too high; candles that arrive late and out of order count, too.
    db.connect("sep_owner")
        .execute("delete from market_candles where pair = 'EUR_USD' and time > '2026-03-01' and extract(minute from time) > 1", &[])
        .unwrap();
    assert_eq!(compare(&mut reader, "EUR_USD", "M1", 500), 500);
    fill(&mut client, "NZD_USD", "M1", end, &[(5_000, 5_010)]);
    fill(&mut client, "NZD_USD", "M1", end, &[(100_000, 100_010)]);
    fill(&mut client, "NZD_USD", "M1", end, &[(0, 10), (5_000, 5_010)]);
    assert_eq!(compare(&mut reader, "NZD_USD", "M1", 30), 30);
    let wrong =
        "select count(*) from (select pair, timeframe, (time at time zone 'UTC')::date, count(*)::integer
                 from market_candles where pair <> 'EUR_USD' group by 1, 2, 3
                 except select * from candle_days) q";
    assert_eq!(db.count(wrong), 0, "candle_days counts what is there");
}

#[test]
fn prices_are_shown_in_the_pairs_own_precision() {
    let Some(db) = Database::new("prices_are_shown_in_the_pairs_own_precision") else { return };
    db.connect("sep_executor")
        .batch_execute(
            "insert into market_candles values
             ('EUR_USD', 'M1', '2026-03-02', 110000, 110012, 109990, 110001, 110010, 110020, 110000, 110011, 3),
             ('USD_JPY', 'M1', '2026-03-02', 150000, 150012, 149990, 150001, 150010, 150020, 150000, 150011, 3)",
        )
        .unwrap();
    let shown: String = db
        .connect("sep_readonly")
        .query_one("select string_agg(bid_low || ' ' || ask_close, ', ' order by pair) from v_candles", &[])
        .unwrap()
        .get(0);
    assert_eq!(shown, "1.09990 1.10011, 149.990 150.011");
    let upside_down =
        "insert into market_candles values ('EUR_USD', 'M1', '2026-03-03', 10, 9, 9, 9, 9, 9, 9, 9, 1)";
    assert_eq!(sqlstate(db.connect("sep_executor").batch_execute(upside_down)), "23514");
}

#[test]
fn retention_drops_whole_days_and_forgets_them() {
    let Some(db) = Database::new("retention_drops_whole_days_and_forgets_them") else { return };
    let mut client = db.connect("sep_executor");
    let now: String = client.query_one("select date_trunc('minute', now())::text", &[]).unwrap().get(0);
    // Thirty days of hours, and log entries of forty.
    fill(&mut client, "EUR_USD", "H1", &now, &[(0, 720)]);
    client
        .batch_execute(
            "insert into candle_coverage values ('EUR_USD', 'H1', tstzmultirange(tstzrange(now() - interval '30 days', now())));
             insert into system_logs (time, level, component, message)
             select now() - make_interval(days => i), 'info', 'x', 'y' from generate_series(0, 40) i",
        )
        .unwrap();
    let mut owner = db.connect("sep_owner");
    let count = |query: &str| db.count(query);
    let candles = "select count(*) from market_candles";

    assert_eq!(owner.query("select * from apply_retention(0, 0)", &[]).unwrap().len(), 0);
    assert_eq!(count(candles), 721);
    assert_eq!(sqlstate(owner.query("select * from apply_retention(-1, 0)", &[])), "22023");
    assert_eq!(sqlstate(owner.query("select * from apply_retention(null, 0)", &[])), "22023");

    let rows = owner.query("select hypertable, dropped_chunks from apply_retention(10, 20)", &[]).unwrap();
    let dropped: Vec<(String, i32)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!((dropped[0].0.as_str(), dropped[1].0.as_str()), ("market_candles", "system_logs"));
    assert!((19..=21).contains(&dropped[0].1) && (2..=4).contains(&dropped[1].1), "{dropped:?}");
    assert_eq!(count("select count(*) from market_candles where time < now() - interval '11 days'"), 0);
    assert!(count(candles) >= 240);
    assert_eq!(compare(&mut db.connect("sep_readonly"), "EUR_USD", "H1", 1_000), count(candles));
    assert_eq!(count("select sum(candles) from candle_days"), count(candles));
    assert_eq!(
        count("select count(*) from candle_coverage where lower(covered) < now() - interval '11 days'"),
        0
    );

    // A reader in the way, such as a dump, is waited for briefly; then the work is left to the next run, whole.
    let mut dump = db.connect("sep_readonly");
    dump.batch_execute("begin; select count(*) from market_candles").unwrap();
    let before = count(candles);
    assert_eq!(sqlstate(owner.query("select * from apply_retention(1, 1)", &[])), "55P03");
    assert_eq!(count(candles), before);
    dump.batch_execute("commit").unwrap();

    owner.query("select * from apply_retention(1, 1)", &[]).unwrap();
    assert!(count(candles) >= 24 && count(candles) <= 49);
}

#[test]
fn coverage_merges_by_itself() {
    let Some(db) = Database::new("coverage_merges_by_itself") else { return };
    let mut client = db.connect("sep_executor");
    for (from, to) in [(0, 10), (20, 30), (8, 20), (40, 50)] {
        client
            .execute(
                "insert into candle_coverage as c
                 select 'EUR_USD', 'M1', tstzmultirange(tstzrange('2026-03-02'::timestamptz + make_interval(mins => $1),
                                                                  '2026-03-02'::timestamptz + make_interval(mins => $2)))
                 on conflict (pair, timeframe) do update set covered = c.covered + excluded.covered",
                &[&from, &to],
            )
            .unwrap();
    }
    assert_eq!(db.count("select count(*) from candle_coverage, unnest(covered)"), 2);
}
