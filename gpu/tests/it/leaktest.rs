//! The leak test: the engine passes it, and each leak of the earlier system, put in here on purpose, is caught.

use std::convert::Infallible;

use sep_contract::{Candle, CandleSet, Timeframe};
use sep_gpu::aggregate::aggregate;
use sep_gpu::bars::Bars;
use sep_gpu::lane::Lane;
use sep_gpu::leaktest::{Column, Report, Settings, examine, watch, watch_variant};
use sep_gpu::qfh::{Constants, Features, decide};
use sep_gpu::variant::Variant;
use serde_json::Value;

use crate::made::candles;
use crate::real_data::real;
use crate::sandbox::Sandbox;

fn settings(seed: u64) -> Settings {
    Settings { cuts: 10, seed }
}

#[test]
fn the_engine_passes() {
    let minutes = candles("EUR_USD", 2_000, 1);
    let report = examine(&minutes, settings(1), watch).unwrap().unwrap();
    assert_eq!(report.leaks, []);
    assert_eq!(report.checks, 10 * 6);
    let has = |name: &str| watch(&minutes).unwrap().iter().any(|column| column.name == name);
    for name in [
        "window 11, rising coherence",
        "window 33, falling gain",
        "window 11, strictness",
        "window 11, symmetric: signal",
        "window 11, published: account",
        "M15: window 11, rising stability",
        "H1: window 11, rising stability",
        "confirmed by M5 and M15: signal",
        "entry gate",
    ] {
        assert!(has(name), "{name} is not watched");
    }
    // What says nothing cannot leak: every column must say more than one thing.
    for column in watch(&minutes).unwrap() {
        let says = column.values.iter().any(|value| *value != column.values[0]);
        assert!(says, "{} is always the same", column.name);
    }
    let fives = aggregate(&minutes.candles, Timeframe::M5, jiff::Timestamp::MAX).unwrap();
    let fives = CandleSet { timeframe: Timeframe::M5, candles: fives, ..minutes };
    let report = examine(&fives, settings(1), watch).unwrap().unwrap();
    assert_eq!((report.leaks, report.timeframe), (vec![], Timeframe::M5));
}

#[test]
fn trained_models_are_watched_and_pass() {
    let minutes = candles("EUR_USD", 6_000, 2);
    let constants = Constants::default();
    let plain = Variant { min_confidence: 0.0, min_coherence: 0.0, ..Variant::published() };
    for variant in [
        Variant { symmetric: true, window: 24, ..plain },
        Variant { confirm: true, ..plain },
        Variant { timeframe: Timeframe::M5, ..plain },
        Variant { timeframe: Timeframe::H1, window: 5, ..plain },
    ] {
        let watched = |candles: &CandleSet| watch_variant(candles, &variant, &constants);
        let report = examine(&minutes, settings(3), watched).unwrap().unwrap();
        assert_eq!(report.leaks, [], "{variant:?}");
        let says = watched(&minutes).unwrap()[0].values.iter().filter(|value| **value != 0).count();
        assert!(says > 100, "{says} bars signal: too few to tell anything of {variant:?}");
    }
    // Through the command: three columns more where a model was trained.
    let sandbox = Sandbox::new("leaktest-trained");
    sandbox.ok("synth EUR_USD --bars 12000 --seed 2");
    let columns = || {
        let answer = sandbox.sep_gpu(&["leaktest", "--bars", "1000", "--cuts", "3", "--json"]);
        assert_eq!(answer.code, 0, "{}", answer.err);
        serde_json::from_str::<Value>(&answer.out).unwrap()["series"][0]["columns"].as_u64().unwrap()
    };
    let before = columns();
    assert_eq!(sandbox.sep_gpu(&["train", "EUR_USD", "--quick"]).code, 0);
    assert_eq!(columns(), before + 3);
}

/// The published model with another threshold.
fn lane(buy_above: f32) -> Lane {
    Variant { buy_above, min_confidence: 0.0, min_coherence: 0.0, ..Variant::published() }.lane()
}

fn features(candles: &CandleSet) -> (Bars, Features) {
    let bars = Bars::new(candles);
    let features = Features::new(&bars, 11, false, &Constants::default());
    (bars, features)
}

/// The side of every bar: 0, 1 for BUY, 2 for SELL.
fn sides(features: &Features, lane: &Lane) -> Vec<u32> {
    let side = |bar| match decide(lane, features, bar).map(|decision| decision.side) {
        None => 0,
        Some(sep_contract::Side::Buy) => 1,
        Some(sep_contract::Side::Sell) => 2,
    };
    (0..features.strictness.len()).map(side).collect()
}

/// Leak 1: the window of bar i ends with the bit of the move to bar i + 1.
fn window_of_the_next_bar(candles: &CandleSet) -> Vec<u32> {
    features(candles).1.up.coherence[1..].iter().map(|value| value.to_bits()).collect()
}

/// Leak 2: bars without a signal are dropped, and signal k is taken for that of bar k.
fn dropped_without_counting_anew(candles: &CandleSet) -> Vec<u32> {
    sides(&features(candles).1, &lane(0.50)).into_iter().skip(1).collect()
}

/// Leak 3: the thresholds of every bar follow the volatility at the end of the data.
fn volatility_of_the_end(candles: &CandleSet) -> Vec<u32> {
    let (_, mut features) = features(candles);
    let end = *features.strictness.last().unwrap();
    features.strictness.fill(end);
    sides(&features, &lane(0.50))
}

/// Leak 4: a longer bar, as it will be once it is over, is used from its first minute on.
fn longer_bars_from_their_first_minute(candles: &CandleSet, timeframe: Timeframe) -> Vec<u32> {
    let longer = aggregate(&candles.candles, timeframe, jiff::Timestamp::MAX).unwrap();
    let (longer, features) = features(&CandleSet { timeframe, candles: longer, ..candles.clone() });
    let begun = |candle: &Candle| longer.time.partition_point(|open| *open <= candle.time.as_second());
    candles.candles.iter().map(|candle| features.up.coherence[begun(candle) - 1].to_bits()).collect()
}

/// Leak 5: the threshold is the one that would have been right most often on the very bars it then scores.
fn threshold_chosen_on_the_scored_bars(candles: &CandleSet) -> Vec<u32> {
    let (bars, features) = features(candles);
    let gain = |sides: &[u32]| -> i32 {
        let rise = |bar: usize| bars.mid2_close(bar + 1) - bars.mid2_close(bar);
        let of = |(bar, side): (usize, &u32)| [0, rise(bar), -rise(bar)][usize::try_from(*side).unwrap()];
        sides[..sides.len() - 1].iter().enumerate().map(of).sum()
    };
    let choices = (40_u8..70).map(|above| sides(&features, &lane(f32::from(above) / 100.0)));
    choices.max_by_key(|sides| gain(sides)).unwrap()
}

/// What the test finds of a maker, beside which an honest one is watched.
fn examined(seed: u64, maker: impl Fn(&CandleSet) -> Vec<u32>) -> Report {
    let watch = |candles: &CandleSet| {
        let honest = sides(&features(candles).1, &lane(0.50));
        let columns = [("honest", honest), ("leaking", maker(candles))];
        Ok::<_, Infallible>(columns.map(|(name, values)| Column { name: name.into(), values }).to_vec())
    };
    examine(&candles("EUR_USD", 1_500, seed), settings(seed), watch).unwrap().unwrap()
}

#[test]
fn each_leak_put_in_on_purpose_is_caught() {
    type Maker = fn(&CandleSet) -> Vec<u32>;
    let makers: [(&str, Maker); 6] = [
        ("1: window", window_of_the_next_bar),
        ("2: index", dropped_without_counting_anew),
        ("3: volatility", volatility_of_the_end),
        ("4: M5", |candles| longer_bars_from_their_first_minute(candles, Timeframe::M5)),
        ("4: M15", |candles| longer_bars_from_their_first_minute(candles, Timeframe::M15)),
        ("5: threshold", threshold_chosen_on_the_scored_bars),
    ];
    for (name, maker) in makers {
        for seed in 1..=2 {
            let report = examined(seed, maker);
            let caught: Vec<&str> = report.leaks.iter().map(|leak| leak.column.as_str()).collect();
            assert_eq!(caught, ["leaking"], "leak {name}, seed {seed}");
            let leak = &report.leaks[0];
            assert!(leak.changed <= leak.cut, "{leak:?}");
            // A leak that shows by luck only would not be caught in another series.
            assert!(leak.changes >= 3, "leak {name}, seed {seed}: {leak:?}");
        }
    }
}

#[test]
fn the_command_tests_every_series_of_the_store() {
    let sandbox = Sandbox::new("leaktest");
    let minutes = candles("EUR_USD", 1_000, 5);
    sandbox.put("2025-07", &minutes);
    let few =
        CandleSet { pair: "GBP_USD".parse().unwrap(), candles: minutes.candles[..150].to_vec(), ..minutes };
    sandbox.put("2025-07", &few);
    let answer = sandbox.sep_gpu(&["leaktest", "--cuts", "5"]);
    assert_eq!(answer.code, 0, "{}{}", answer.out, answer.err);
    assert_eq!(answer.err, "GBP_USD M1: 150 bars, not tested: expected at least 200\n");
    let lines: Vec<&str> = answer.out.lines().collect();
    assert_eq!(lines.len(), 2, "{}", answer.out);
    assert!(
        lines[0].starts_with("EUR_USD M1  1,000 bars, ") && lines[0].ends_with(", 0 columns leak"),
        "{}",
        lines[0]
    );
    assert_eq!(lines[1], "nothing leaks");

    let json = ["leaktest", "EUR_USD", "M1", "--cuts", "5", "--seed", "9", "--bars", "400", "--json"];
    let answers = [sandbox.sep_gpu(&json), sandbox.sep_gpu(&json)];
    assert_eq!(answers[0].out, answers[1].out, "the same seed tests the same");
    let found: Value = serde_json::from_str(&answers[0].out).unwrap();
    assert_eq!((&found["passed"], &found["seed"]), (&true.into(), &9.into()));
    let series = &found["series"][0];
    assert_eq!(
        (&series["bars"], &series["checks"], &series["leaks"]),
        (&400.into(), &30.into(), &Value::Array(vec![]))
    );
}

#[test]
fn the_engine_passes_on_a_month_of_fxcm() {
    let test = "the_engine_passes_on_a_month_of_fxcm";
    let (Some(bid), Some(ask)) =
        (real(test, "fxcm-gbpusd-m1-bid-2012.csv"), real(test, "fxcm-gbpusd-m1-ask-2012.csv"))
    else {
        return;
    };
    let sandbox = Sandbox::new("leaktest-fxcm");
    let (bid, ask) = (bid.display(), ask.display());
    sandbox.ok(&format!("import --pair GBP_USD --timeframe M1 --bid {bid} --ask {ask} --keep-crossed"));
    let answer = sandbox.sep_gpu(&["leaktest", "GBP_USD", "M1", "--bars", "4000", "--cuts", "5"]);
    assert_eq!(answer.code, 0, "{}{}", answer.out, answer.err);
    assert!(answer.out.starts_with("GBP_USD M1  4,000 bars, "), "{}", answer.out);
}

#[test]
fn nothing_to_test_is_a_failure() {
    let sandbox = Sandbox::new("leaktest-nothing");
    let answer = sandbox.sep_gpu(&["leaktest", "EUR_USD"]);
    assert_eq!((answer.code, answer.out.as_str()), (1, ""));
    assert_eq!(
        answer.err,
        "error: no series of EUR_USD with at least 200 bars in data/candles: import candles first\n"
    );
    assert_eq!(sandbox.sep_gpu(&["leaktest", "--cuts", "0"]).code, 2);
    let few = sandbox.sep_gpu(&["leaktest", "--bars", "100"]);
    assert!(few.code == 2 && few.err.contains("expected a number of at least 200"), "{}", few.err);
}
