//! `sep-gpu replicate` as its users run it: the published counts, labelled as leaking.

use std::path::Path;

use serde_json::{Value, json};

use crate::golden;
use crate::real_data::real;
use crate::reference::Reading;
use crate::reference::published::{count, evaluated, oanda};
use crate::sandbox::Sandbox;

/// The golden bars as OANDA writes them: mid prices in `mid`, or in the candle itself.
fn oanda_text(nested: bool) -> String {
    // Mid prices are half-ticks there; six digits hold them.
    let price = |half_ticks: f64| format!("{:.6}", half_ticks / 2e5);
    let candle = |bar: &golden::GoldenBar| {
        let mid = bar.mid();
        let [high, low, close] = [mid.high, mid.low, mid.close].map(price);
        if nested {
            let mid = json!({ "o": close, "h": high, "l": low, "c": close });
            json!({ "complete": true, "volume": bar.volume, "mid": mid })
        } else {
            let number = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            let (high, low, close) = (number(&high), number(&low), number(&close));
            json!({ "volume": bar.volume, "open": close, "high": high, "low": low, "close": close })
        }
    };
    let mut candles: Vec<Value> = golden::bars().iter().map(candle).collect();
    if !nested {
        return Value::from(candles).to_string();
    }
    // A bar that is not over must not count.
    candles.push(json!({ "complete": false, "volume": 1, "mid": { "h": "9", "l": "1", "c": "9" } }));
    json!({ "candles": candles }).to_string()
}

fn answer(sandbox: &Sandbox, file: &str) -> Value {
    let answer = sandbox.sep_gpu(&["replicate", file, "--json"]);
    assert_eq!(answer.code, 0, "{}", answer.err);
    serde_json::from_str(&answer.out).unwrap()
}

fn share((right, of): (usize, usize)) -> Value {
    json!({ "right": right, "of": of })
}

#[test]
fn counts_are_those_of_the_reference_in_both_forms_of_the_file() {
    let sandbox = Sandbox::new("replicate-made");
    sandbox.file("nested.json", oanda_text(true)).file("plain.json", oanda_text(false));
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("replicate-made/plain.json");
    let bars = oanda(&path);
    let published = count(&bars, &evaluated(&bars, Reading::Published), 1);
    let causal = count(&bars, &evaluated(&bars, Reading::Causal), 0);
    assert!(published.1 > 50 && causal.1 > 50 && published != causal, "{published:?} {causal:?}");
    for file in ["nested.json", "plain.json"] {
        let found = answer(&sandbox, file);
        assert_eq!(found["bars"], 200);
        assert_eq!(found["published_leaking"], share(published));
        assert_eq!(found["causal"], share(causal));
        assert_eq!(found["always_buy"]["of"], 199);
        assert_eq!(found["leaks"].as_array().unwrap().len(), 5);
    }
}

#[test]
fn every_answer_says_that_it_leaks() {
    let sandbox = Sandbox::new("replicate-words");
    sandbox.file("candles.json", oanda_text(true));
    let text = sandbox.sep_gpu(&["replicate", "candles.json"]);
    assert_eq!((text.code, text.err.as_str()), (0, ""));
    assert!(text.out.starts_with("LEAKING: "), "{}", text.out);
    assert!(text.out.contains("as published (LEAKING)") && text.out.contains("  5. "), "{}", text.out);
    let help = sandbox.sep_gpu(&["replicate", "--help"]).out;
    assert!(help.contains("LEAKING") && help.contains("Examples:"), "{help}");
    assert!(sandbox.sep_gpu(&["--help"]).out.contains("LEAKING"));
    let json = answer(&sandbox, "candles.json");
    let published: Vec<&String> =
        json.as_object().unwrap().keys().filter(|key| key.contains("published")).collect();
    assert!(published.len() >= 3 && published.iter().all(|key| key.contains("leaking")), "{published:?}");
}

#[test]
fn files_that_hold_no_mid_prices_are_refused_by_place() {
    let bar = r#"{"volume": 1, "mid": {"h": "1.1", "l": "1.0", "c": "1.05"}}"#;
    let with = |odd: &str| format!("{{\"candles\": [{}, {odd}]}}", vec![bar; 120].join(", "));
    let cases = [
        (String::new(), "no candles in OANDA's JSON"),
        ("{\"candles\": [".to_owned(), "bad.json:1: no candles in OANDA's JSON: EOF"),
        (format!("[{bar}]"), "1 complete candles: expected at least 100"),
        (with(r#"{"volume": 1, "bid": {"c": "1.1"}}"#), "candle 121 has no high of the mid price"),
        (with(&bar.replace("1.05", "NaN")), "candle 121: close is NaN: expected a price above zero"),
        (with(&bar.replace("1.05", "-1")), "candle 121: close is -1: expected a price above zero"),
        (
            with(&bar.replace("\"volume\": 1", "\"volume\": 1.5")),
            "candle 121: volume is 1.5: expected a whole",
        ),
    ];
    let sandbox = Sandbox::new("replicate-bad");
    for (text, words) in cases {
        sandbox.file("bad.json", text);
        let answer = sandbox.sep_gpu(&["replicate", "bad.json"]);
        assert_eq!((answer.code, answer.out.as_str()), (1, ""), "{words}");
        assert!(answer.err.contains(words), "{}", answer.err);
    }
    let answer = sandbox.sep_gpu(&["replicate", "nowhere.json"]);
    assert!(answer.code == 1 && answer.err.contains("cannot read nowhere.json"), "{}", answer.err);
    assert_eq!(sandbox.sep_gpu(&["replicate"]).code, 2);
}

#[test]
fn the_published_60_73_percent_and_what_is_left_of_it() {
    let test = "the_published_60_73_percent_and_what_is_left_of_it";
    let Some(file) = real(test, "o-test-2.json") else { return };
    let sandbox = Sandbox::new("replicate-real");
    let file = file.to_str().unwrap();
    let out = sandbox.sep_gpu(&["replicate", file]).out;
    for line in [
        "as published (LEAKING)               167    275   60.73 %          19.1 %",
        "causal, no bar of the future seen    120    275   43.64 %          19.1 %",
        "always BUY, every bar                595  1,439   41.35 %",
        "always SELL, every bar               434  1,439   30.16 %",
    ] {
        assert!(out.lines().any(|found| found == line), "{line}\n{out}");
    }
    let found = answer(&sandbox, file);
    assert_eq!(found["published_leaking_score"], 204.94);
}

#[test]
fn the_published_counts_of_two_days() {
    let test = "the_published_counts_of_two_days";
    let Some(file) = real(test, "oanda-eur_usd-m1-2025-07-23.json") else { return };
    let found = answer(&Sandbox::new("replicate-two-days"), file.to_str().unwrap());
    assert_eq!(found["published_leaking"], share((133, 338)));
    assert_eq!(found["causal"], share((109, 373)));
    assert_eq!(found["always_buy"], share((805, 2_879)));
}
