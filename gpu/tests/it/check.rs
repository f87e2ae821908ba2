//! What `check` finds, on months that are written here with one fault each.

use sep_contract::{Candle, CandleSet, Ticks};
use serde_json::Value;

use crate::sandbox::{Sandbox, minutes};

/// A Wednesday.
const START: &str = "2025-07-23T10:00:00Z";

fn findings(sandbox: &Sandbox, code: i32) -> Vec<Value> {
    let answer = sandbox.run("check --json");
    assert_eq!(answer.code, code, "{}{}", answer.out, answer.err);
    let report: Value = serde_json::from_str(&answer.out).unwrap();
    let series = report["series"].as_array().unwrap();
    series.iter().flat_map(|series| series["findings"].as_array().unwrap().clone()).collect()
}

#[test]
fn a_sound_store_has_nothing_to_report() {
    let sandbox = Sandbox::new("check-sound");
    sandbox.put("2025-07", &minutes(START, 300));
    assert!(findings(&sandbox, 0).is_empty());
    let out = sandbox.ok("check");
    assert_eq!(
        out,
        "EUR_USD M1  1 month, 300 bars, 2025-07-23T10:00:00Z to 2025-07-23T14:59:00Z\n0 errors, 0 warnings\n"
    );
}

#[test]
fn every_error_is_found_by_name_with_its_row() {
    type Damage = fn(&mut Vec<Candle>);
    let cases: [(&str, Damage, &str); 8] = [
        ("order", |c| c.swap(10, 11), "stands after that of"),
        ("duplicate", |c| c.insert(10, c[10]), "is there twice"),
        ("month", |c| c[299].time = "2025-08-01T00:00:00Z".parse().unwrap(), "does not belong to 2025-07"),
        ("grid", |c| c[10].time += jiff::SignedDuration::from_secs(7), "off the M1 grid"),
        ("price", |c| c[10].bid.low = Ticks::new(0), "bid low is 0 ticks"),
        ("price", |c| c[10].bid.low = Ticks::new(-5), "bid low is -5 ticks"),
        ("ohlc", |c| c[10].ask.high = Ticks::new(c[10].ask.close.get() - 1), "ask high"),
        ("crossed", |c| c[10].bid.high = Ticks::new(c[10].ask.high.get() + 1), "is above ask high"),
    ];
    for (kind, damage, words) in cases {
        let sandbox = Sandbox::new(&format!("check-{kind}"));
        let mut set = minutes(START, 300);
        damage(&mut set.candles);
        sandbox.put("2025-07", &set);
        let found = findings(&sandbox, 1);
        let error = found.iter().find(|finding| finding["severity"] == "error").unwrap();
        assert_eq!((&error["kind"], &error["file"]), (&kind.into(), &"EUR_USD/M1/2025-07.parquet".into()));
        assert!(error["message"].as_str().unwrap().contains(words), "{error}");
        let row = error["row"].as_u64().unwrap();
        assert!(matches!(row, 11 | 12 | 300), "{error}");
        let all = (jiff::Timestamp::MIN, jiff::Timestamp::MAX);
        let refused = sandbox.store().load(set.pair, set.timeframe, all.0, all.1).unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
    }
}

#[test]
fn crossed_bars_that_were_kept_knowingly_are_no_error() {
    let sandbox = Sandbox::new("check-crossed-kept");
    let mut set = minutes(START, 300);
    set.candles[10].bid.high = Ticks::new(set.candles[10].ask.high.get() + 1);
    set.provenance.crossed_kept = true;
    sandbox.put("2025-07", &set);
    assert!(findings(&sandbox, 0).is_empty());
}

#[test]
fn damaged_and_misplaced_files_are_errors() {
    let sandbox = Sandbox::new("check-files");
    sandbox.put("2025-07", &minutes(START, 300));
    let folder = sandbox.store().root().join("EUR_USD/M1");
    let bytes = std::fs::read(folder.join("2025-07.parquet")).unwrap();
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 16;
    std::fs::write(folder.join("2025-05.parquet"), flipped).unwrap();
    std::fs::write(folder.join("2025-06.parquet"), b"no parquet at all").unwrap();
    let other = sandbox.store().root().join("GBP_USD/M1");
    std::fs::create_dir_all(&other).unwrap();
    std::fs::write(other.join("2025-07.parquet"), &bytes).unwrap();
    let found = findings(&sandbox, 1);
    let messages: Vec<&str> = found.iter().map(|finding| finding["message"].as_str().unwrap()).collect();
    assert_eq!(messages.len(), 3, "{messages:?}");
    assert!(messages[0].starts_with("truncated or damaged"), "{messages:?}");
    assert!(messages[1].starts_with("not a Parquet file: it begins with 'no p'"), "{messages:?}");
    assert!(messages[2].contains("holds EUR_USD M1, but lies in the place of GBP_USD M1"), "{messages:?}");
}

#[test]
fn made_up_candles_beside_real_ones_are_an_error() {
    let sandbox = Sandbox::new("check-mixed");
    sandbox.put("2025-07", &minutes(START, 300));
    let mut set = minutes("2025-08-06T10:00:00Z", 300);
    set.provenance.synthetic = true;
    sandbox.put("2025-08", &set);
    let found = findings(&sandbox, 1);
    assert!(found.iter().any(|finding| finding["kind"] == "mixed"), "{found:?}");
    let all = (jiff::Timestamp::MIN, jiff::Timestamp::MAX);
    assert!(sandbox.store().load(set.pair, set.timeframe, all.0, all.1).is_err());
}

fn joined(mut one: CandleSet, other: CandleSet) -> CandleSet {
    one.candles.extend(other.candles);
    one
}

#[test]
fn weekends_are_no_gaps_and_holes_in_the_week_are() {
    let sandbox = Sandbox::new("check-gaps");
    // Friday's last two hours, Sunday's first two, then a hole of two hours and one of ten minutes.
    let mut set = joined(minutes("2025-07-25T19:00:00Z", 120), minutes("2025-07-27T21:00:00Z", 120));
    set = joined(set, minutes("2025-07-28T01:00:00Z", 60));
    set = joined(set, minutes("2025-07-28T02:10:00Z", 60));
    sandbox.put("2025-07", &set);
    let found = findings(&sandbox, 0);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&found[0]["kind"], &found[0]["time"]), (&"gap".into(), &"2025-07-28T01:00:00Z".into()));
    assert_eq!(found[0]["message"], "120 bars of open market are missing before this one");
    let out = sandbox.ok("check");
    assert!(out.contains("130 bars of open market missing in 2 holes"), "{out}");
    let found = sandbox.ok("check --gap 10 --json");
    assert_eq!(found.matches("\"gap\"").count(), 2, "{found}");
}

#[test]
fn bars_of_the_weekend_and_spikes_are_warnings() {
    let sandbox = Sandbox::new("check-odd");
    let mut set = joined(minutes(START, 100), minutes("2025-07-26T10:00:00Z", 100));
    let odd = &mut set.candles[50];
    for prices in [&mut odd.bid, &mut odd.ask] {
        prices.high = Ticks::new(prices.high.get() + 1_000);
    }
    sandbox.put("2025-07", &set);
    let found = findings(&sandbox, 0);
    let kinds: Vec<&str> = found.iter().map(|finding| finding["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"closed") && kinds.contains(&"spike"), "{kinds:?}");
    let spike = found.iter().find(|finding| finding["kind"] == "spike").unwrap();
    assert_eq!(
        (&spike["row"], &spike["message"]),
        (&51.into(), &"moves 1017 ticks, 59 times the median bar of 17".into())
    );
    let closed = found.iter().find(|finding| finding["kind"] == "closed").unwrap();
    assert!(
        closed["message"].as_str().unwrap().starts_with("100 of 200 bars lie where the market is closed")
    );
}

#[test]
fn spikes_are_seen_on_either_side_and_after_a_hole_of_open_market() {
    type Change = fn(&mut Vec<Candle>);
    let moved = |candle: &mut Candle, by: i32| {
        for side in [&mut candle.bid, &mut candle.ask] {
            for price in [&mut side.open, &mut side.high, &mut side.low, &mut side.close] {
                *price = Ticks::new(price.get() + by);
            }
        }
    };
    let cases: [(&str, Change, &str); 2] = [
        (
            "ask",
            |candles| candles[50].ask.high = Ticks::new(candles[50].ask.high.get() + 1_000),
            "moves 1017 ticks, 59 times the median bar of 17",
        ),
        (
            "hole",
            |candles| {
                candles.remove(49);
            },
            "moves 998 ticks, 58 times the median bar of 17",
        ),
    ];
    for (name, change, words) in cases {
        let sandbox = Sandbox::new(&format!("check-spike-{name}"));
        let mut set = minutes(START, 100);
        if name == "hole" {
            set.candles[50..].iter_mut().for_each(|candle| moved(candle, 1_000));
        }
        change(&mut set.candles);
        sandbox.put("2025-07", &set);
        let found = findings(&sandbox, 0);
        let spikes: Vec<&Value> = found.iter().filter(|finding| finding["kind"] == "spike").collect();
        assert!(!spikes.is_empty(), "{name}: {found:?}");
        assert!(spikes[0]["message"].as_str().unwrap().starts_with(words), "{name}: {spikes:?}");
    }
    // Over a weekend the price may go anywhere.
    let sandbox = Sandbox::new("check-spike-weekend");
    let mut sunday = minutes("2025-07-27T21:00:00Z", 60);
    sunday.candles.iter_mut().for_each(|candle| moved(candle, 1_000));
    sandbox.put("2025-07", &joined(minutes("2025-07-25T20:00:00Z", 60), sunday));
    assert!(findings(&sandbox, 0).is_empty());
}

#[test]
fn a_single_bar_is_called_one() {
    let sandbox = Sandbox::new("check-one");
    let mut set = minutes(START, 30);
    set.candles.remove(7);
    sandbox.put("2025-07", &set);
    let out = sandbox.ok("check");
    assert!(out.contains("  1 bar of open market missing in 1 hole\n"), "{out}");
}

#[test]
fn only_what_is_asked_for_is_reported() {
    let sandbox = Sandbox::new("check-only");
    let mut set = minutes(START, 30);
    sandbox.put("2025-07", &set);
    set.pair = "GBP_USD".parse().unwrap();
    set.candles.swap(3, 4);
    sandbox.put("2025-07", &set);
    assert_eq!(sandbox.run("check EUR_USD").code, 0);
    let nothing = sandbox.run("check GBP_USD --timeframe M5");
    assert_eq!((nothing.code, nothing.out.as_str()), (1, ""));
    assert!(nothing.err.contains("no candles of GBP_USD M5 in data/candles"), "{}", nothing.err);
    assert_eq!(sandbox.run("check GBP_USD").code, 1);
    assert_eq!(sandbox.run("check").code, 1);
}

#[test]
fn long_lists_are_cut_unless_all_is_asked_for() {
    let sandbox = Sandbox::new("check-long");
    let mut set = minutes(START, 30);
    for candle in &mut set.candles {
        candle.bid.low = Ticks::new(0);
    }
    sandbox.put("2025-07", &set);
    let short = sandbox.run("check").out;
    assert!(short.contains("... and 25 more like it (--all)"), "{short}");
    assert_eq!(sandbox.run("check --all").out.matches("bid low is 0 ticks").count(), 30);
}
