//! Made-up candles through the binary into the store.

use sep_contract::Timeframe;

use crate::sandbox::{Sandbox, minutes};

#[test]
fn made_up_candles_pass_the_check_and_say_what_they_are() {
    let sandbox = Sandbox::new("synth");
    let out = sandbox.ok("synth EUR_USD USD_JPY --days 40 --seed 5 --edge 0.3");
    assert_eq!(
        out,
        "EUR_USD M1: 41,760 bars made up, 41,760 new, 0 replaced\n\
         USD_JPY M1: 41,760 bars made up, 41,760 new, 0 replaced\n"
    );
    assert!(sandbox.ok("show").contains("synth-seed5-edge  made up"), "{}", sandbox.ok("show"));
    let out = sandbox.ok("check");
    assert!(out.ends_with("0 errors, 0 warnings\n"), "{out}");
    let set = sandbox.load("USD_JPY", Timeframe::M1);
    assert!(set.provenance.synthetic && set.candles.len() == 41_760);
}

#[test]
fn more_days_add_and_another_seed_is_a_conflict() {
    let sandbox = Sandbox::new("synth-more");
    sandbox.ok("synth EUR_USD --bars 600 --seed 5 --spread 1.1");
    let before = sandbox.stored();
    sandbox.ok("synth EUR_USD --bars 600 --seed 5 --spread 1.1");
    assert_eq!(sandbox.stored(), before);
    let out = sandbox.ok("synth EUR_USD --bars 1000 --seed 5 --spread 1.1 --json");
    let made: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((made[0]["new"].as_u64(), made[0]["same"].as_u64()), (Some(400), Some(600)));
    let before = sandbox.stored();
    let answer = sandbox.run("synth EUR_USD --bars 1000 --seed 6");
    assert_eq!(answer.code, 1);
    assert!(answer.err.contains("1000 bars are stored with other content"), "{}", answer.err);
    assert!(answer.err.contains("with --replace, or give another folder with --store"), "{}", answer.err);
    assert_eq!(sandbox.stored(), before);
    sandbox.ok("synth EUR_USD --bars 1000 --seed 6 --replace");
    assert_ne!(sandbox.stored(), before);
}

#[test]
fn made_up_candles_stay_out_of_a_store_of_real_ones() {
    let sandbox = Sandbox::new("synth-mixed");
    sandbox.put("2025-07", &minutes("2025-07-31T23:00:00Z", 60));
    let answer = sandbox.run("synth GBP_USD --bars 10 --seed 1");
    assert_eq!(answer.code, 1);
    assert!(answer.err.contains("the store holds real candles (EUR_USD M1)"), "{}", answer.err);
    assert_eq!(sandbox.stored().len(), 1);
}

#[test]
fn arguments_that_make_no_sense() {
    let sandbox = Sandbox::new("synth-usage");
    for (words, expected) in [
        ("synth EUR_USD --seed 1", "--days"),
        ("synth EUR_USD --bars 5 --days 1 --seed 1", "cannot be used with"),
        ("synth EUR_USD --bars 5 --seed 1 --spread 0.85", "expected a moderate number of steps of 0.1 pips"),
        (
            "synth EUR_USD --bars 5 --seed 1 --edge 2",
            "an edge of 2 pips a bar: expected 0.0001 to the volatility, 1",
        ),
        ("synth EUR_USD --bars 5 --seed 1 --volatility 0", "a volatility of 0 pips"),
        ("synth EUR_USD --bars 5 --seed 1 --start 9999-12-31", "expected a year from 1970 to 9998"),
        ("synth EUR_USD --bars 5 --seed 1 --start 1969-12-31", "expected a year from 1970 to 9998"),
        ("synth EUR_USD --bars 99999999999 --seed 1", "99999999999 bars: expected 1 to 20000000"),
        ("synth EUR_USD --days 4294967295 --seed 1", "past the end of time"),
        ("synth EUR_USD --days 0 --seed 1", "0 bars: expected 1"),
    ] {
        let answer = sandbox.run(words);
        assert_eq!(answer.code, 2, "{words}: {}", answer.err);
        assert!(answer.err.contains(expected), "{words}: {}", answer.err);
    }
    assert!(sandbox.stored().is_empty());
}
