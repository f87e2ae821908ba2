//! Imports that succeed: every format, merging, replacing, made-up candles.

use jiff::Timestamp;
use sep_contract::{Candle, Ohlc, Timeframe};

use crate::sandbox::Sandbox;

const EUR: &str = "--pair EUR_USD --timeframe M1";

fn ticks(prices: &Ohlc) -> [i32; 4] {
    prices.named().map(|(_, price)| price.get())
}

fn times(candles: &[Candle]) -> Vec<String> {
    candles.iter().map(|candle| candle.time.to_string()).collect()
}

#[test]
fn histdata_is_eastern_standard_time_all_year_and_bids_get_the_spread() {
    let sandbox = Sandbox::new("histdata");
    sandbox.file(
        "DAT_ASCII_EURUSD_M1.csv",
        "20120201 000000;1.306600;1.306630;1.306560;1.306610;0\r\n\
         20120702 000000;1.26660;1.26663;1.26656;1.26661;0\r\n",
    );
    let out = sandbox.ok(&format!("import {EUR} --bid DAT_ASCII_EURUSD_M1.csv --spread 0.8"));
    assert!(out.ends_with("EUR_USD M1: 2 bars stored\n"), "{out}");
    let set = sandbox.load("EUR_USD", Timeframe::M1);
    assert_eq!(times(&set.candles), ["2012-02-01T05:00:00Z", "2012-07-02T05:00:00Z"]);
    assert_eq!(ticks(&set.candles[0].bid), [130_660, 130_663, 130_656, 130_661]);
    assert_eq!(ticks(&set.candles[0].ask), [130_668, 130_671, 130_664, 130_669]);
    assert!(set.provenance.assumed_spread && !set.provenance.synthetic);
    assert!(set.provenance.sources.contains("histdata"));
}

#[test]
fn fxcm_in_two_files_or_in_one() {
    let sandbox = Sandbox::new("fxcm");
    let header = "timestamp,open,high,low,close\n";
    sandbox
        .file("bid.csv", format!("{header}2012-02-01 00:00:00+00:00,155.100,155.120,155.090,155.110\n"))
        .file("ask.csv", format!("{header}2012-02-01 00:00:00+00:00,155.104,155.125,155.094,155.114\n"))
        .file(
            "both.csv",
            "DateTime,BidOpen,BidHigh,BidLow,BidClose,AskOpen,AskHigh,AskLow,AskClose\n\
             02/01/2012 00:00:00.000,155.1,155.12,155.09,155.11,155.104,155.125,155.094,155.114\n",
        );
    sandbox.ok("import --pair USD_JPY --timeframe M1 --bid bid.csv --ask ask.csv");
    let out = sandbox.ok("import --pair USD_JPY --timeframe M1 both.csv");
    assert!(out.contains("all of them were stored before"), "{out}");
    let set = sandbox.load("USD_JPY", Timeframe::M1);
    assert_eq!(ticks(&set.candles[0].bid), [155_100, 155_120, 155_090, 155_110]);
    assert_eq!(ticks(&set.candles[0].ask), [155_104, 155_125, 155_094, 155_114]);
    assert_eq!((set.candles.len(), set.candles[0].volume), (1, 0));
}

#[test]
fn oanda_answers_with_bid_and_ask_leave_the_running_bar_out() {
    let sandbox = Sandbox::new("oanda");
    sandbox.file(
        "answer.json",
        r#"{"instrument":"EUR_USD","granularity":"M5","candles":[
          {"complete":true,"volume":140,"time":"2025-07-23T20:05:00.000000000Z",
           "bid":{"o":"1.10444","h":"1.10453","l":"1.10442","c":"1.10444"},
           "ask":{"o":"1.10459","h":"1.10468","l":"1.10457","c":"1.10459"}},
          {"complete":true,"volume":7,"time":"1753301400.000000000",
           "bid":{"o":"1.10444","h":"1.10453","l":"1.10442","c":"1.10444"},
           "ask":{"o":"1.10459","h":"1.10468","l":"1.10457","c":"1.10459"}},
          {"complete":false,"volume":2,"time":"2025-07-23T20:15:00.000000000Z",
           "bid":{"o":"1.10444","h":"1.10444","l":"1.10444","c":"1.10444"},
           "ask":{"o":"1.10459","h":"1.10459","l":"1.10459","c":"1.10459"}}]}"#,
    );
    let out = sandbox.ok("import --pair EUR_USD --timeframe M5 answer.json");
    assert!(out.contains("1 bar left out: not complete"), "{out}");
    let set = sandbox.load("EUR_USD", Timeframe::M5);
    assert_eq!(times(&set.candles), ["2025-07-23T20:05:00Z", "2025-07-23T20:10:00Z"]);
    assert_eq!(ticks(&set.candles[0].ask), [110_459, 110_468, 110_457, 110_459]);
    assert_eq!(set.candles[0].volume, 140);
}

#[test]
fn plain_json_of_mid_prices_shares_the_spread_and_sheds_float_noise() {
    let sandbox = Sandbox::new("mid");
    sandbox.file(
        "mid.json",
        r#"[{"time":"2025-07-23T20:40:00Z","open":1.1771,"high":1.1776199999999999,"low":1.17709,"close":1.17717,"volume":43}]"#,
    );
    sandbox.ok(&format!("import {EUR} --mid mid.json --spread 1.3"));
    let set = sandbox.load("EUR_USD", Timeframe::M1);
    assert_eq!(ticks(&set.candles[0].bid), [117_704, 117_756, 117_703, 117_711]);
    assert_eq!(ticks(&set.candles[0].ask), [117_717, 117_769, 117_716, 117_724]);
}

#[test]
fn columns_of_ones_own_by_name_and_by_number() {
    let sandbox = Sandbox::new("columns");
    sandbox
        .file(
            "own.csv",
            "Zeit;Tief;Hoch;Auf;Zu;Menge;Bemerkung\n01.02.2012 14:00;1.30;1.32;1.31;1.315;12.0;x\n",
        )
        .file("bare.csv", "1328101200000,1.31,1.32,1.30,1.315,9\n");
    let own = [
        "import",
        "--pair",
        "EUR_USD",
        "--timeframe",
        "H1",
        "--mid",
        "own.csv",
        "--spread",
        "2",
        "--columns",
        "time=Zeit,open=Auf,high=Hoch,low=Tief,close=Zu,volume=Menge",
        "--time-format",
        "%d.%m.%Y %H:%M",
        "--utc-offset",
        "+02:00",
        "--source",
        "my-broker",
    ];
    let answer = sandbox.run_args(&own);
    assert_eq!(answer.code, 0, "{}", answer.err);
    sandbox.ok("import --pair EUR_USD --timeframe H1 --ask bare.csv --spread 2 --time-format unix-ms \
         --columns time=#1,open=#2,high=#3,low=#4,close=#5,volume=#6");
    let set = sandbox.load("EUR_USD", Timeframe::H1);
    assert_eq!(times(&set.candles), ["2012-02-01T12:00:00Z", "2012-02-01T13:00:00Z"]);
    assert_eq!(ticks(&set.candles[0].bid), [130_990, 131_990, 129_990, 131_490]);
    assert_eq!(ticks(&set.candles[1].bid), [130_980, 131_980, 129_980, 131_480]);
    assert_eq!((set.candles[0].volume, set.candles[1].volume), (12, 9));
    assert_eq!(set.provenance.sources, ["csv".to_owned(), "my-broker".to_owned()].into());
}

const HEADER: &str = "time,bid_open,bid_high,bid_low,bid_close,ask_open,ask_high,ask_low,ask_close,volume\n";

/// Rows of bid and ask, one a minute.
fn rows(times: &[&str], close: &str) -> String {
    let row =
        |time: &&str| format!("{time},1.10000,1.10020,1.09980,{close},1.10012,1.10032,1.09992,1.10025,5\n");
    format!("{HEADER}{}", times.iter().map(row).collect::<String>())
}

#[test]
fn importing_again_changes_no_byte_and_overlaps_merge() {
    let sandbox = Sandbox::new("again");
    let (one, two, three) = ("2025-07-31T23:58:00Z", "2025-07-31T23:59:00Z", "2025-08-01T00:00:00Z");
    sandbox.file("a.csv", rows(&[one, two], "1.10010")).file("b.csv", rows(&[two, three], "1.10010"));
    sandbox.ok(&format!("import {EUR} a.csv"));
    let before = sandbox.stored();
    let out = sandbox.ok(&format!("import {EUR} a.csv"));
    assert!(out.contains("2 bars read; all of them were stored before"), "{out}");
    assert_eq!(sandbox.stored(), before);
    let report: serde_json::Value =
        serde_json::from_str(&sandbox.ok(&format!("import {EUR} b.csv --json"))).unwrap();
    assert_eq!(
        report["months"][0],
        serde_json::json!({"month": "2025-07", "new": 0, "same": 1, "replaced": 0})
    );
    assert_eq!(
        report["months"][1],
        serde_json::json!({"month": "2025-08", "new": 1, "same": 0, "replaced": 0})
    );
    assert_eq!(report["written"], true);
    assert_eq!(times(&sandbox.load("EUR_USD", Timeframe::M1).candles), [one, two, three]);
    assert!(sandbox.stored().iter().all(|(path, bytes)| before.get(path).is_none_or(|old| old == bytes)));
}

#[test]
fn several_files_in_any_order_that_overlap_alike() {
    let sandbox = Sandbox::new("several");
    let (one, two, three) = ("2025-07-31T23:58:00Z", "2025-07-31T23:59:00Z", "2025-08-01T00:00:00Z");
    sandbox.file("a.csv", rows(&[one, two], "1.10010")).file("b.csv", rows(&[two, three], "1.10010"));
    sandbox.ok(&format!("import {EUR} b.csv a.csv"));
    assert_eq!(times(&sandbox.load("EUR_USD", Timeframe::M1).candles), [one, two, three]);
}

#[test]
fn other_content_is_a_conflict_until_it_is_to_be_replaced() {
    let sandbox = Sandbox::new("conflict");
    let time = "2025-07-31T23:58:00Z";
    sandbox.file("a.csv", rows(&[time], "1.10010")).file("b.csv", rows(&[time], "1.10011"));
    sandbox.ok(&format!("import {EUR} a.csv"));
    let before = sandbox.stored();
    let answer = sandbox.run(&format!("import {EUR} b.csv"));
    assert_eq!((answer.code, answer.out.as_str()), (1, ""));
    assert_eq!(
        answer.err,
        "error: data/candles/EUR_USD/M1/2025-07.parquet: conflict: 1 bar is stored with other content; the \
         first, of 2025-07-31T23:58:00Z: bid close 110010 stored, 110011 new (prices in ticks), from b.csv:2. \
         Replace what is stored with --replace.\nNothing was written.\n"
    );
    assert_eq!(sandbox.stored(), before);
    let dry = sandbox.ok(&format!("import {EUR} b.csv --replace --dry-run"));
    let other = sandbox.ok(&format!("import {EUR} b.csv --dry-run --store other/candles"));
    assert!(other.contains("nothing written") && !sandbox.path("other").exists(), "{other}");
    assert!(dry.contains("nothing written (--dry-run)"), "{dry}");
    assert_eq!(sandbox.stored(), before);
    sandbox.ok(&format!("import {EUR} b.csv --replace"));
    let set = sandbox.load("EUR_USD", Timeframe::M1);
    assert_eq!((set.candles.len(), set.candles[0].bid.close.get()), (1, 110_011));
}

#[test]
fn marks_go_with_the_last_bar_that_they_speak_of() {
    let sandbox = Sandbox::new("marks");
    let (one, two) = ("2025-07-31T23:58:00Z", "2025-07-31T23:59:00Z");
    let mid = "time,open,high,low,close\n2025-07-31T23:58:00Z,1.1,1.1,1.1,1.1\n2025-07-31T23:59:00Z,1.1,1.1,1.1,1.1\n";
    sandbox.file("mid.csv", mid).file("one.csv", rows(&[one], "1.10010"));
    sandbox.file("two.csv", rows(&[one, two], "1.10010"));
    let found = |file: &str| {
        sandbox.ok(&format!("import {EUR} {file} --replace"));
        let provenance = sandbox.load("EUR_USD", Timeframe::M1).provenance;
        (provenance.assumed_spread, provenance.sources.into_iter().collect::<Vec<_>>().join(","))
    };
    assert_eq!(found("--mid mid.csv --spread 1 --source broker"), (true, "broker".into()));
    assert_eq!(found("one.csv"), (true, "broker,csv".into()), "the second bar is the broker's still");
    assert_eq!(found("two.csv"), (false, "csv".into()), "of the broker's bars none is left");
}

#[test]
fn date_and_time_may_lie_in_columns_of_their_own() {
    for (name, text, more) in [
        (
            "metatrader",
            "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\n\
             2012.02.01\t02:00:00\t1.31\t1.32\t1.30\t1.315\t12\t0\t8\n",
            "--utc-offset +02:00",
        ),
        ("date-time", "Date,Time,Open,High,Low,Close,Volume\n2012-02-01,00:00,1.31,1.32,1.30,1.315,12\n", ""),
        (
            "headless",
            "2012.02.01,00:00,1.31,1.32,1.30,1.315,12\n",
            "--columns date=#1,time=#2,open=#3,high=#4,low=#5,close=#6,volume=#7",
        ),
        // A whole moment needs no date beside it, and a date alone is a whole moment.
        ("both", "date,timestamp,open,high,low,close,v\nx,2012-02-01T00:00Z,1.31,1.32,1.30,1.315,12\n", ""),
        (
            "named",
            "Date,Zeit,o,h,l,c,v\nx,2012-02-01T00:00Z,1.31,1.32,1.30,1.315,12\n",
            "--columns time=Zeit",
        ),
        ("date", "date,open,high,low,close,v\n2012-02-01 00:00,1.31,1.32,1.30,1.315,12\n", ""),
    ] {
        let sandbox = Sandbox::new(&format!("apart-{name}"));
        sandbox.file("a.csv", text);
        sandbox.ok(&format!("import {EUR} --bid a.csv --spread 1 {more}"));
        let set = sandbox.load("EUR_USD", Timeframe::M1);
        assert_eq!(times(&set.candles), ["2012-02-01T00:00:00Z"], "{name}");
        assert_eq!(
            (ticks(&set.candles[0].bid), set.candles[0].volume),
            ([131_000, 132_000, 130_000, 131_500], 12)
        );
    }
}

#[test]
fn a_volume_that_counts_something_else_is_left_out_when_told_to() {
    let sandbox = Sandbox::new("volume");
    sandbox.file(
        "dukascopy.csv",
        "Gmt time,Open,High,Low,Close,Volume\n01.02.2012 00:00:00.000,1.31,1.32,1.30,1.315,123.4500\n",
    );
    let import = |columns: &[&str]| {
        let args =
            ["import", "--pair", "EUR_USD", "--timeframe", "M1", "--bid", "dukascopy.csv", "--spread", "1"];
        sandbox.run_args(&[&args[..], &["--time-format", "%d.%m.%Y %H:%M:%S%.f"], columns].concat())
    };
    let refused = import(&[]);
    assert!(
        refused.err.contains("dukascopy.csv:2: column volume: '123.4500' is no volume"),
        "{}",
        refused.err
    );
    assert!(refused.err.contains("--columns volume=-"), "{}", refused.err);
    assert_eq!(import(&["--columns", "volume=-"]).code, 0);
    let set = sandbox.load("EUR_USD", Timeframe::M1);
    assert_eq!((times(&set.candles), set.candles[0].volume), (vec!["2012-02-01T00:00:00Z".to_owned()], 0));
}

#[test]
fn years_apart_a_price_may_be_another() {
    let sandbox = Sandbox::new("years");
    let header = "time,open,high,low,close\n";
    let row = |time: &str, price: &str| format!("{time},{price},{price},{price},{price}\n");
    sandbox
        .file(
            "a.csv",
            format!("{header}{}{}", row("2012-02-01T00:00Z", "1.30"), row("2015-02-02T00:00Z", "1.00")),
        )
        .file("b.csv", format!("{header}{}", row("2022-09-27T00:00Z", "0.7")))
        .file("c.csv", format!("{header}{}", row("2022-09-30T00:00Z", "1.2")));
    let import = format!("import {EUR} --spread 1 --mid");
    sandbox.ok(&format!("{import} a.csv"));
    sandbox.ok(&format!("{import} b.csv"));
    let answer = sandbox.run(&format!("{import} c.csv"));
    assert!(answer.err.contains("is this another pair?"), "days apart it may not: {}", answer.err);
}

#[test]
fn made_up_candles_never_meet_real_ones() {
    for (name, first, second) in [("real-first", "", "--synthetic"), ("made-first", "--synthetic", "")] {
        let sandbox = Sandbox::new(name);
        sandbox.file("a.csv", rows(&["2025-07-31T23:58:00Z"], "1.10010"));
        sandbox.ok(&format!("import {EUR} a.csv {first}"));
        let before = sandbox.stored();
        let answer = sandbox.run(&format!("import --pair GBP_USD --timeframe H1 a.csv --align {second}"));
        assert_eq!(answer.code, 1);
        assert!(answer.err.contains("they never mix"), "{}", answer.err);
        assert_eq!(sandbox.stored(), before);
        sandbox.ok(&format!("import {EUR} a.csv --store other {second}"));
    }
}

#[test]
fn crossed_and_unmatched_bars_are_taken_over_or_left_out_only_when_told_to() {
    let sandbox = Sandbox::new("crossed");
    let header = "time,open,high,low,close\n";
    let row =
        |minute: u8, price: &str| format!("2025-07-23T20:4{minute}:00Z,{price},{price},{price},{price}\n");
    sandbox
        .file("bid.csv", format!("{header}{}{}", row(0, "1.10010"), row(1, "1.10010")))
        .file("ask.csv", format!("{header}{}{}", row(0, "1.10005"), row(2, "1.10020")));
    let files = format!("import {EUR} --bid bid.csv --ask ask.csv");
    let answer = sandbox.run(&files);
    assert!(
        answer.err.contains(
            "2 bars have only one of bid and ask; the first, of 2025-07-23T20:41:00Z, is only in bid.csv:3."
        ),
        "{}",
        answer.err
    );
    let answer = sandbox.run(&format!("{files} --skip-unmatched"));
    assert!(answer.err.contains("1 of 1 bars have a bid above the ask; the first: bid.csv:2: bid open 110010 is above ask open 110005"), "{}", answer.err);
    assert!(sandbox.stored().is_empty());
    let out = sandbox.ok(&format!("{files} --skip-unmatched --keep-crossed"));
    assert!(
        out.contains("2 bars left out: only bid or only ask\n1 bar kept with a bid above the ask"),
        "{out}"
    );
    assert!(sandbox.load("EUR_USD", Timeframe::M1).provenance.crossed_kept);
    sandbox.ok("check");
}

#[test]
fn times_off_the_grid_are_moved_down_to_it_when_told_to() {
    let sandbox = Sandbox::new("align");
    sandbox.file("a.csv", rows(&["2025-07-23T20:04:33Z", "2025-07-23T20:05:33Z"], "1.10010"));
    sandbox.ok(&format!("import {EUR} a.csv --align"));
    let found = sandbox.load("EUR_USD", Timeframe::M1);
    assert_eq!(times(&found.candles), ["2025-07-23T20:04:00Z", "2025-07-23T20:05:00Z"]);
}

#[test]
fn one_writer_at_a_time_and_what_an_interrupted_one_left_is_cleared_away() {
    let sandbox = Sandbox::new("lock");
    sandbox.file("a.csv", rows(&["2025-07-31T23:58:00Z"], "1.10010"));
    let lock = sandbox.store().lock().unwrap();
    let answer = sandbox.run(&format!("import {EUR} a.csv"));
    assert_eq!(answer.code, 1);
    assert!(answer.err.contains("another sep-gpu is writing to data/candles"), "{}", answer.err);
    drop(lock);
    sandbox.ok(&format!("import {EUR} a.csv"));
    let left = sandbox.store().root().join("USD_JPY/M1/2025-08.parquet.part");
    std::fs::create_dir_all(left.parent().unwrap()).unwrap();
    std::fs::write(&left, "half").unwrap();
    sandbox.ok(&format!("import {EUR} a.csv"));
    assert!(!left.exists());
}

#[test]
fn a_month_that_cannot_be_written_leaves_all_months_as_they_were() {
    let sandbox = Sandbox::new("unwritable");
    sandbox.file("a.csv", rows(&["2025-07-31T23:58:00Z"], "1.10010"));
    sandbox.ok(&format!("import {EUR} a.csv"));
    let before = sandbox.stored();
    // Where August's file is to be written first there is a folder.
    let part = sandbox.store().root().join("EUR_USD/M1/2025-08.parquet.part");
    let store = sandbox.store();
    let lock = store.lock().unwrap();
    std::fs::create_dir(&part).unwrap();
    let mut set = sandbox.load("EUR_USD", Timeframe::M1);
    set.candles[0].volume += 1;
    let months = ["2025-07", "2025-08"].map(|month| (month.parse().unwrap(), set.clone()));
    let error = store.publish(&lock, &months).unwrap_err().to_string();
    assert!(error.contains("2025-08.parquet.part"), "{error}");
    assert_eq!(sandbox.stored(), before);
}

#[test]
fn loading_gives_the_bars_of_a_span() {
    let sandbox = Sandbox::new("span");
    let times = ["2025-07-31T23:58:00Z", "2025-07-31T23:59:00Z", "2025-08-01T00:00:00Z"];
    sandbox.file("a.csv", rows(&times, "1.10010"));
    sandbox.ok(&format!("import {EUR} a.csv"));
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let set =
        sandbox.store().load("EUR_USD".parse().unwrap(), Timeframe::M1, at(times[1]), at(times[2])).unwrap();
    assert_eq!(set.candles.len(), 1);
    assert_eq!(set.candles[0].time, at(times[1]));
}
