//! Signals are what the backtest trades: bar by bar, in the contract's files, once.

use std::collections::BTreeMap;
use std::fs;

use jiff::{SignedDuration, Timestamp};
use sep_contract::signals::read_parquet;
use sep_contract::{CandleSet, Pair, Side, Signal, SignalBatch, Timeframe};
use sep_gpu::backtest::{levels, signal};
use sep_gpu::bars::Bars;
use sep_gpu::history::History;
use sep_gpu::history::confirmed::prepare;
use sep_gpu::lane::Distance;
use sep_gpu::model::{Model, Promotion};
use sep_gpu::qfh::{Features, decide, scores};
use sep_gpu::signals::recent::recent;
use sep_gpu::signals::{Address, Speaker, Word};
use sep_gpu::variant::{Space, Variant, Weights};
use serde_json::{Value, json};

use crate::made;
use crate::sandbox::{Sandbox, minutes};
use crate::trained::{buyer, buying, kept, models, outbox, passing, real, trained};

/// Whom the tests' signals are for.
pub fn address() -> Address {
    Address { account: "primary".into(), strategy: "qfh".into() }
}

fn speaker(model: Model, variant: Variant, base: Timeframe) -> Speaker {
    let mut model = model;
    model.variant = Some(variant);
    model.data.timeframe = base;
    let sandbox =
        Sandbox::new(&format!("speaker-{}-{}-{}", variant.timeframe, variant.window, variant.confirm));
    let stored = kept(&sandbox, &model);
    Speaker::of(&stored, &Promotion { model: stored.hash, override_reason: Some("a test".into()) }).unwrap()
}

/// Variants that signal often, each in another way.
fn variants() -> [Variant; 6] {
    let often = Variant { min_confidence: 0.0, min_coherence: 0.0, ..Variant::published() };
    let symmetric = Variant { symmetric: true, buy_above: 0.7, sell_above: 0.7, ..often };
    let stop = Distance { ticks: 7, ranges: 300 };
    [
        often,
        Variant { window: 33, collapse: Some(0.6), hours: "07-16".parse().unwrap(), stop, ..symmetric },
        Variant { window: 5, confirm: true, buy_above: 0.2, sell_above: 0.2, ..symmetric },
        Variant { timeframe: Timeframe::M5, window: 8, ..symmetric },
        Variant { timeframe: Timeframe::M15, ..often },
        Variant {
            timeframe: Timeframe::H1,
            window: 4,
            weights: Weights { stability: 0.2, coherence: 0.2, entropy: 0.6 },
            ..symmetric
        },
    ]
}

/// The whole history as a backtest has it.
fn history(candles: &CandleSet, variant: &Variant, model: &Model) -> (Bars, Features) {
    let mut history = History::of(Bars::new(candles), &[variant.timeframe]).unwrap();
    let space = Space { confirm: vec![variant.confirm], ..Space::quick() };
    prepare(&mut history, &space, &model.constants).unwrap();
    let bars = history.bars(variant.timeframe).unwrap().clone();
    let features = Features::new(&bars, variant.window, variant.symmetric, &model.constants);
    (bars, features)
}

#[test]
fn what_is_said_of_a_bar_is_what_the_backtest_takes_there() {
    let candles = made::candles("EUR_USD", 3_000, 11);
    for variant in variants() {
        let mut model = trained();
        // M5 and M15 confirm seldom as published.
        model.constants.confirm_above = 0.65;
        let (bars, features) = history(&candles, &variant, &model);
        let lane = variant.lane();
        let speaker = speaker(model, variant, Timeframe::M1);
        let (mut heard, mut signals) = (0, 0);
        for candle in &candles.candles {
            let now = candle.time + SignedDuration::from_secs(60);
            // The candles after this one are there, and must not be looked at.
            let word = speaker.say(&candles, now, &address()).unwrap();
            let over =
                bars.time.partition_point(|open| open + variant.timeframe.seconds() <= now.as_second());
            let Some(bar) = over.checked_sub(1) else {
                assert_eq!(word, Word::Nothing);
                continue;
            };
            let first_word = over > heard;
            heard = over;
            let expected = signal(&bars, &features, &lane, bar);
            let bar_close = Timestamp::from_second(bars.close_time(bar)).unwrap();
            assert_eq!(word.bar_close(), Some(bar_close), "{variant:?}");
            let Word::Signal(said) = word else {
                assert_eq!(expected, None, "{variant:?}, bar {bar}");
                continue;
            };
            signals += usize::from(first_word);
            assert_eq!(Some(said.side), expected, "{variant:?}, bar {bar}");
            same_as_played(&said, &bars, &features, &variant, bar);
        }
        assert_eq!(heard, bars.len(), "{variant:?}: some bars were never spoken of");
        assert!(signals > 10, "{variant:?}: {signals} signals in {} bars", bars.len());
        assert!(signals < heard, "{variant:?}: a signal at every bar");
    }
}

fn same_as_played(said: &Signal, bars: &Bars, features: &Features, variant: &Variant, bar: usize) {
    let lane = variant.lane();
    let ticks =
        |price: rust_decimal::Decimal| sep_contract::Ticks::from_decimal(price, bars.pair).unwrap().get();
    let (stop, target) = levels(bars, &lane, said.side, bar);
    assert_eq!((ticks(said.stop), ticks(said.target)), (stop, target));
    assert_eq!(
        said.expires_at - said.bar_close,
        jiff::Span::new().seconds(variant.timeframe.seconds()).fieldwise()
    );
    let decision = decide(&lane, features, bar).unwrap();
    let millionths = f64::from(said.confidence.millionths()) / 1e6;
    assert!((millionths - f64::from(decision.confidence.min(1.0))).abs() <= 5.1e-7);
    // The metrics are those of the window behind the side taken.
    let direction = match (&features.down, said.side) {
        (Some(down), Side::Sell) => down,
        _ => &features.up,
    };
    let close = |found: f64, expected: f32| (found - f64::from(expected)).abs() < 1e-6;
    let metrics = &said.metrics;
    assert!(close(metrics.rupture_ratio, direction.rupture[bar]), "{metrics:?}");
    assert!(close(0.7 * metrics.coherence + 0.15, direction.coherence[bar]), "{metrics:?}");
    assert!(close(0.5 * metrics.entropy, direction.entropy[bar]), "{metrics:?}");
    assert!(close(metrics.stability, direction.stability[bar]), "{metrics:?}");
    let (buy, sell) = scores(&lane, features, bar);
    assert!(close(metrics.buy_score, buy) && close(metrics.sell_score, sell), "{metrics:?}");
}

#[test]
fn later_candles_change_nothing_and_unfinished_ones_are_not_heard() {
    let candles = made::candles("USD_JPY", 400, 5);
    let model = Model { pair: candles.pair, ..trained() };
    let speaker = speaker(model, Variant { window: 7, ..buyer() }, Timeframe::M1);
    for count in [150, 151, 299, 400] {
        let past = CandleSet { candles: candles.candles[..count].to_vec(), ..candles.clone() };
        let close = past.candles[count - 1].time + SignedDuration::from_secs(60);
        let said = |candles: &CandleSet, at| speaker.say(candles, at, &address()).unwrap();
        assert_eq!(said(&candles, close), said(&past, Timestamp::MAX));
        // A moment before its close the last bar is not there.
        let before = said(&past, close - SignedDuration::from_millis(1));
        assert!(before.bar_close() < said(&past, close).bar_close());
    }
}

#[test]
fn a_long_hole_or_a_short_history_is_no_other_backtest() {
    // Ten bars, then three days of nothing: the newest bars reach over the hole.
    let mut candles = made::candles("EUR_USD", 260, 3);
    for candle in &mut candles.candles[130..] {
        candle.time += SignedDuration::from_hours(72);
    }
    let model = trained();
    for variant in
        [Variant { window: 20, ..buyer() }, Variant { timeframe: Timeframe::M15, window: 3, ..buyer() }]
    {
        let (bars, features) = history(&candles, &variant, &model);
        let speaker = speaker(model.clone(), variant, Timeframe::M1);
        for candle in &candles.candles {
            let now = candle.time + SignedDuration::from_secs(60);
            let over =
                bars.time.partition_point(|open| open + variant.timeframe.seconds() <= now.as_second());
            let expected = over.checked_sub(1).and_then(|bar| signal(&bars, &features, &variant.lane(), bar));
            let word = speaker.say(&candles, now, &address()).unwrap();
            let said = if let Word::Signal(said) = word { Some(said.side) } else { None };
            assert_eq!(said, expected, "at {now}");
        }
    }
}

#[test]
fn no_more_months_are_read_than_are_needed() {
    let sandbox = Sandbox::new("signals-months");
    for (month, start) in [("2025-05", "2025-05-30T00:00:00Z"), ("2025-06", "2025-06-29T00:00:00Z")] {
        sandbox.put(month, &minutes(start, 1_440));
    }
    sandbox.put("2025-07", &minutes("2025-07-01T00:00:00Z", 600));
    let speaker = speaker(real(trained()), buyer(), Timeframe::M1);
    let first = |at: &str| {
        let candles = recent(&sandbox.store(), &speaker, at.parse().unwrap()).unwrap().candles;
        candles.first().map(|candle| candle.time.to_string())
    };
    assert_eq!(first("2025-07-01T05:00:00Z").as_deref(), Some("2025-07-01T00:00:00Z"));
    assert_eq!(first("2025-07-01T01:00:00Z").as_deref(), Some("2025-06-29T00:00:00Z"));
    assert_eq!(first("2025-07-01T00:00:00Z").as_deref(), Some("2025-06-29T00:00:00Z"));
    assert_eq!(first("2025-05-30T01:00:00Z").as_deref(), Some("2025-05-30T00:00:00Z"));
    assert_eq!(first("2025-04-30T01:00:00Z"), None);
    let all = sandbox.load("EUR_USD", Timeframe::M1);
    for at in ["2025-07-01T00:30:00Z", "2025-07-01T09:59:00Z"] {
        let at = at.parse().unwrap();
        let few = recent(&sandbox.store(), &speaker, at).unwrap();
        assert_eq!(speaker.say(&few, at, &address()).unwrap(), speaker.say(&all, at, &address()).unwrap());
    }
}

#[test]
fn no_more_rows_are_read_than_are_needed() {
    let sandbox = Sandbox::new("signals-rows");
    sandbox.put("2025-07", &minutes("2025-07-01T00:00:00Z", 20_000));
    let hourly = Variant { timeframe: Timeframe::H1, ..buyer() };
    let all = sandbox.load("EUR_USD", Timeframe::M1);
    let say = |speaker: &Speaker, candles: &CandleSet, at| speaker.say(candles, at, &address()).unwrap();
    // A moment at the end, some in the midst of the month, and some before there is enough for the model.
    for (variant, least) in [(buyer(), 4), (hourly, 2)] {
        let speaker = speaker(real(trained()), variant, Timeframe::M1);
        let mut parts = 0;
        for minute in [20_000, 16_000, 12_289, 12_288, 8_000, 4_000, 100, 1] {
            let at = all.candles[0].time + SignedDuration::from_mins(minute);
            let few = recent(&sandbox.store(), &speaker, at).unwrap();
            assert!(all.candles.ends_with(&few.candles), "{minute}");
            parts += usize::from(few.candles.len() < all.candles.len());
            assert_eq!(say(&speaker, &few, at), say(&speaker, &all, at), "{minute}");
        }
        assert!(parts >= least, "{parts} times a part of the month was enough");
    }
}

/// The files of signals in a sandbox by name, read by the contract.
pub fn files(sandbox: &Sandbox) -> BTreeMap<String, SignalBatch> {
    let names = fs::read_dir(outbox(sandbox)).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap()).filter(|name| name != ".lock");
    names
        .map(|name| {
            let bytes = fs::read(outbox(sandbox).join(&name)).unwrap();
            let batch = read_parquet(&bytes, &name).unwrap();
            (name, batch)
        })
        .collect()
}

/// The one file there is.
pub fn only_file(sandbox: &Sandbox) -> (String, Vec<Signal>) {
    let files = files(sandbox);
    assert_eq!(files.len(), 1, "{:?}", files.keys());
    let (name, batch) = files.into_iter().next().unwrap();
    (name, batch.into_signals())
}

/// A sandbox with ten hours of real candles and a model that buys at every close, promoted by an override.
pub fn overridden(name: &str) -> Sandbox {
    let sandbox = Sandbox::new(name);
    sandbox.put("2025-07", &minutes("2025-07-01T00:00:00Z", 600));
    let stored = kept(&sandbox, &buying(real(trained())));
    models(&sandbox).promote(&stored, Some("to see the way of a signal".into())).unwrap();
    sandbox
}

#[test]
fn a_file_reads_back_and_carries_the_reason_and_is_written_once() {
    let sandbox = overridden("signals-file");
    let answer = sandbox.sep_gpu(&["signals", "--account", "practice", "--strategy", "mine"]);
    assert_eq!(answer.code, 0, "{}", answer.err);
    assert!(answer.out.contains("OVERRIDDEN: to see the way of a signal"), "{}", answer.out);
    assert!(answer.out.contains("expired: the executor will refuse it"), "{}", answer.out);
    let (name, signals) = only_file(&sandbox);
    assert!(name.starts_with("20250701T100000Z-"), "{name}");
    assert!(answer.out.contains(&format!("1 signal written to data/signals/{name}\n")), "{}", answer.out);
    let said = &signals[0];
    assert_eq!((said.account.as_str(), said.strategy.as_str()), ("practice", "mine"));
    assert_eq!(said.override_reason.as_deref(), Some("to see the way of a signal"));
    assert_eq!(said.expires_at.to_string(), "2025-07-01T10:01:00Z");
    assert_eq!((said.side, said.stop.scale(), signals.len()), (Side::Buy, 5, 1));

    let again = sandbox.sep_gpu(&["signals", "--account", "practice", "--strategy", "mine", "--json"]);
    let found: Value = serde_json::from_str(&again.out).unwrap();
    let first = found["pairs"][0]["model"].clone();
    assert_eq!((&found["written"], &found["pairs"][0]["written_before"]), (&json!([]), &true.into()));
    assert_eq!(found["files"][0], format!("data/signals/{name}"));
    only_file(&sandbox);

    // Another model says something else of the same bar: what was said first stands, and is what is shown.
    let mut other = buying(real(trained()));
    other.variant = Some(Variant { buy_above: 10.0, sell_above: f32::MIN_POSITIVE, ..buyer() });
    let stored = kept(&sandbox, &other);
    models(&sandbox).promote(&stored, Some("another".into())).unwrap();
    let answer = sandbox.sep_gpu(&["signals", "--account", "practice", "--strategy", "mine", "--json"]);
    assert_eq!(answer.code, 0);
    let found: Value = serde_json::from_str(&answer.out).unwrap();
    let pair = &found["pairs"][0];
    assert_eq!((&pair["signal"]["side"], &pair["differs_from_model"]), (&"buy".into(), &true.into()));
    assert_eq!((&pair["override_reason"], &pair["model"]), (&"to see the way of a signal".into(), &first));
    let answer = sandbox.sep_gpu(&["signals", "--account", "practice", "--strategy", "mine"]);
    assert!(answer.err.contains("was written before, and stands"), "{}", answer.err);
    assert_eq!(only_file(&sandbox).1, signals);
    // Of an earlier moment there is another signal.
    let answer = sandbox.sep_gpu(&["signals", "EUR_USD", "--at", "2025-07-01T08:00:30Z"]);
    assert!(answer.out.contains("20250701T080000Z-"), "{}", answer.out);
}

#[test]
fn what_is_made_up_or_expired_stands_in_files_of_its_own() {
    let sandbox = overridden("signals-apart");
    let pair = |name: &str| name.parse::<Pair>().unwrap();
    let add = |name, count, synthetic| {
        let mut candles = CandleSet { pair: pair(name), ..minutes("2025-07-01T00:00:00Z", count) };
        candles.provenance.synthetic = synthetic;
        sandbox.put("2025-07", &candles);
        let model = Model { pair: pair(name), ..buying(trained()) };
        let stored = kept(&sandbox, &if synthetic { model } else { real(model) });
        models(&sandbox).promote(&stored, Some("a test".into())).unwrap();
    };
    add("AUD_USD", 600, false);
    add("GBP_USD", 300, false);
    add("USD_JPY", 600, true);
    let answer = sandbox.sep_gpu(&["signals", "--at", "2025-07-01T10:00:30Z", "--json"]);
    assert_eq!(answer.code, 0, "{}", answer.err);
    let files = files(&sandbox);
    let of = |batch: &SignalBatch| -> (Vec<String>, bool) {
        let pairs = batch.signals().iter().map(|signal| signal.pair.to_string());
        (pairs.collect(), batch.is_synthetic())
    };
    let mut together: Vec<_> = files.values().map(of).collect();
    together.sort();
    let expected = [("AUD_USD EUR_USD", false), ("GBP_USD", false), ("USD_JPY", true)];
    assert_eq!(together, expected.map(|(of, made_up)| (of.split(' ').map(str::to_owned).collect(), made_up)));
    let found: Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!(found["written"].as_array().map(Vec::len), Some(3));
    for spoken in found["pairs"].as_array().unwrap() {
        let file = spoken["file"].as_str().unwrap().rsplit('/').next().unwrap();
        assert!(
            files[file].signals().iter().any(|signal| signal.pair.as_str() == spoken["pair"]),
            "{spoken}"
        );
        // It is long past that moment now.
        assert_eq!(spoken["expired"], true);
    }
}

#[test]
fn no_signal_and_no_model_are_no_failures() {
    let sandbox = Sandbox::new("signals-silence");
    let answer = sandbox.sep_gpu(&["signals"]);
    assert_eq!((answer.code, answer.out.as_str()), (0, ""));
    assert!(answer.err.contains("no model is promoted in data/models"), "{}", answer.err);
    let answer = sandbox.sep_gpu(&["signals", "EUR_USD"]);
    assert_eq!(answer.code, 1);
    assert!(answer.err.contains("EUR_USD has no promoted model"), "{}", answer.err);

    sandbox.put("2025-07", &minutes("2025-07-01T00:00:00Z", 600));
    let mut model = real(passing());
    model.variant = Some(Variant { buy_above: 9.0, sell_above: 9.0, ..buyer() });
    let stored = kept(&sandbox, &model);
    models(&sandbox).promote(&stored, None).unwrap();
    let answer = sandbox.sep_gpu(&["signals"]);
    assert_eq!(answer.code, 0);
    assert!(answer.out.ends_with("no signal: no file was written\n"), "{}", answer.out);
    assert!(!outbox(&sandbox).exists());
    for (option, value) in [("--account", "Primary"), ("--strategy", "")] {
        assert_eq!(sandbox.sep_gpu(&["signals", option, value]).code, 2);
    }
}

#[test]
fn made_up_and_real_never_meet_and_nobody_slips_past_the_gate() {
    let sandbox = Sandbox::new("signals-mixed");
    let mut made_up = minutes("2025-07-01T00:00:00Z", 600);
    made_up.provenance.synthetic = true;
    let pair = made_up.pair;
    let say = |model: &Model, reason: Option<&str>| {
        let stored = kept(&sandbox, model);
        models(&sandbox).promote(&stored, reason.map(str::to_owned)).unwrap();
        let answer = sandbox.sep_gpu(&["signals"]);
        assert!(!outbox(&sandbox).exists());
        assert_eq!(answer.code, 1, "{}", answer.out);
        answer.err
    };
    sandbox.put("2025-07", &made_up);
    let err = say(&buying(real(passing())), None);
    assert!(err.contains("trained on real candles, the store holds made-up ones"), "{err}");
    // A pointer written by hand is no promotion.
    let err = say(&buying(passing()), None);
    assert!(err.contains("it was trained on made-up candles"), "{err}");
    assert!(err.contains(&format!("promote a model again with 'sep-gpu promote {pair}'")), "{err}");
    sandbox.put("2025-07", &minutes("2025-07-01T00:00:00Z", 600));
    let err = say(&buying(real(trained())), None);
    assert!(err.contains(&trained().verdict.failed().next().unwrap().sentence), "{err}");
    let err = say(&buying(trained()), Some("a rehearsal"));
    assert!(err.contains("trained on made-up candles, the store holds real ones"), "{err}");
}
