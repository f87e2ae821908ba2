//! The verb `backtest`: what it prints, what it writes, what it refuses.

use std::fs;

use parquet::file::reader::{FileReader, SerializedFileReader};
use sep_gpu::model::Model;
use serde_json::{Value, json};

use crate::sandbox::{Answer, Sandbox};
use crate::trained::{kept, trained};

fn made_up(name: &str) -> Sandbox {
    let sandbox = Sandbox::new(name);
    sandbox.ok("synth EUR_USD USD_JPY GBP_USD --days 12 --seed 3");
    sandbox
}

fn run(sandbox: &Sandbox, words: &str) -> Answer {
    let mut args = vec!["backtest"];
    args.extend(words.split_whitespace());
    sandbox.sep_gpu(&args)
}

fn json_of(sandbox: &Sandbox, words: &str) -> Value {
    let answer = run(sandbox, &format!("{words} --json"));
    assert_eq!((answer.code, answer.err.as_str()), (0, ""));
    serde_json::from_str(&answer.out).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_str().unwrap().parse().unwrap()
}

#[test]
fn the_summary_shows_each_pair_the_account_and_what_a_backtest_is_not() {
    let sandbox = made_up("backtest-summary");
    let answer = run(&sandbox, "EUR_USD USD_JPY --risk 0.2");
    assert_eq!(answer.code, 0, "{}", answer.err);
    let lines: Vec<&str> = answer.out.lines().collect();
    assert!(lines[0].starts_with("PAIR     TIMEFRAME  TRADES     WON  NET PIPS"), "{}", lines[0]);
    assert!(lines[1].starts_with("EUR_USD  M1") && lines[2].starts_with("USD_JPY  M1"), "{}", answer.out);
    assert!(lines[3].starts_with("all"), "{}", answer.out);
    for expected in [
        "equity    █",
        "account   10,000.00 -> ",
        "EUR_USD, USD_JPY: slippage 0.2 pips a fill, commission 0 pips a trade, swap 1 (BUY) and 1 (SELL)",
        "EUR_USD, USD_JPY: made-up candles: no market was ever like this",
        "A backtest is no forecast.",
    ] {
        assert!(answer.out.contains(expected), "{expected}: {}", answer.out);
    }
    assert!(!answer.out.contains('\x1b'), "no colours where there is no terminal");
    assert!(answer.err.contains("EUR_USD: ") && answer.err.contains("no model, the published rules"));
    // The same words give the same answer.
    assert_eq!(run(&sandbox, "EUR_USD USD_JPY --risk 0.2").out, answer.out);
}

#[test]
fn json_adds_up_and_all_pairs_are_played_where_none_is_named() {
    let sandbox = made_up("backtest-json");
    let found = json_of(&sandbox, "--nav 5000 --currency EUR --risk 0.1");
    let summary = &found["summary"];
    assert_eq!((&summary["currency"], &summary["start"]), (&json!("EUR"), &json!("5000.00")));
    let legs = summary["legs"].as_array().unwrap();
    let pairs: Vec<&str> = legs.iter().map(|leg| leg["pair"].as_str().unwrap()).collect();
    assert_eq!(pairs, ["EUR_USD", "GBP_USD", "USD_JPY"]);
    let net: f64 = legs.iter().map(|leg| number(&leg["net"])).sum();
    let gained = number(&summary["end"]) - number(&summary["start"]);
    assert!((net - gained).abs() < 0.005, "{net} {gained}");
    assert!(legs.iter().all(|leg| leg["trades"].as_u64().unwrap() > 10), "{legs:?}");
    let last = found["equity"].as_array().unwrap().last().unwrap();
    // Everything is closed at the end.
    assert_eq!((&last[1], &last[2], &last[3]), (&summary["end"], &summary["end"], &json!("0.00")));
    assert_eq!(found["runs"][0]["costs"]["swap_buy_pips"], json!("1"));
}

#[test]
fn costs_and_rules_of_ones_own() {
    let sandbox = made_up("backtest-own");
    let variant = run(&sandbox, "--show-variant").out;
    let looser = variant.replace("\"min_confidence\": 0.65", "\"min_confidence\": 0.5");
    assert_ne!(looser, variant);
    sandbox
        .file("mine.json", &looser)
        .file("costs.yaml", "pairs:\n  EUR_USD: { slippage: 1, swap_buy: 3 }\n");
    let trades = |found: &Value| found["summary"]["totals"]["trades"].as_u64().unwrap();
    let published = json_of(&sandbox, "EUR_USD --risk 0.1");
    let mine = json_of(&sandbox, "EUR_USD --risk 0.1 --variant mine.json");
    assert!(trades(&mine) > trades(&published));
    let dearer = json_of(&sandbox, "EUR_USD --risk 0.1 --costs costs.yaml");
    let slippage = |found: &Value| number(&found["summary"]["totals"]["slippage"]);
    assert!(slippage(&dearer) > 3.0 * slippage(&published));
    assert_eq!(dearer["runs"][0]["costs"]["slippage_pips"], json!("1"));
}

/// The bars before the first one that is played make its features: a later beginning changes no signal.
#[test]
fn a_later_beginning_changes_no_trade_after_it() {
    let sandbox = made_up("backtest-from");
    let trades = |from: &str| {
        let answer = run(&sandbox, &format!("EUR_USD --risk 0.1 --from {from} --parquet {from}"));
        assert_eq!(answer.code, 0, "{}", answer.err);
        rows(&sandbox, &format!("{from}/trades.parquet"), &["opened", "closed", "entry", "exit", "net_pips"])
    };
    // A weekend lies between, so that nothing is open at the later beginning.
    let (early, late) = (trades("2024-01-03T00:00:00Z"), trades("2024-01-07T12:00:00Z"));
    assert!(late.len() > 10 && early.len() > late.len());
    assert_eq!(early[early.len() - late.len()..], late);
}

/// Some columns of a table, as text.
fn rows(sandbox: &Sandbox, name: &str, columns: &[&str]) -> Vec<Vec<String>> {
    let reader = SerializedFileReader::new(fs::File::open(sandbox.path(name)).unwrap()).unwrap();
    let rows = reader.get_row_iter(None).unwrap();
    rows.map(|row| {
        let row = row.unwrap();
        let cell = |wanted: &&str| {
            row.get_column_iter()
                .find(|(name, _)| name == wanted)
                .map(|(_, field)| field.to_string())
                .unwrap()
        };
        columns.iter().map(cell).collect()
    })
    .collect()
}

#[test]
fn tables_hold_every_trade_and_the_equity() {
    let sandbox = made_up("backtest-tables");
    let found = json_of(&sandbox, "EUR_USD USD_JPY --risk 0.1 --parquet out");
    let trades = rows(&sandbox, "out/trades.parquet", &["net", "units", "balance"]);
    assert_eq!(trades.len() as u64, found["summary"]["totals"]["trades"].as_u64().unwrap());
    assert_eq!(json!(trades.last().unwrap()[2]), found["summary"]["end"]);
    let equity = rows(&sandbox, "out/equity.parquet", &["equity"]);
    assert_eq!(equity.len(), found["equity"].as_array().unwrap().len());
    assert_eq!(equity[0], ["10000.00"]);
    let mut left: Vec<String> = fs::read_dir(sandbox.path("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["equity.parquet", "trades.parquet"]);
}

#[test]
fn a_trained_model_is_played_and_known_to_have_seen_its_candles() {
    let sandbox = made_up("backtest-model");
    let train = ["train", "EUR_USD", "--variants", "60", "--timeframes", "M1", "--backend", "cpu"];
    let answer = sandbox.sep_gpu(&train);
    assert_eq!(answer.code, 0, "{}", answer.err);
    let answer = run(&sandbox, "EUR_USD");
    assert_eq!(answer.code, 0, "{}", answer.err);
    assert!(answer.err.contains("bars, model "), "{}", answer.err);
    assert!(answer.err.contains("which failed its verdict"), "{}", answer.err);
    assert!(answer.out.contains("chosen by candles of the same time: no evidence"), "{}", answer.out);
    let file = fs::read_dir(sandbox.path("data/models/EUR_USD"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .find(|name| name.len() == "trained.json".len() + 57)
        .unwrap();
    let by_file = run(&sandbox, &format!("data/models/EUR_USD/{file}"));
    assert_eq!(by_file.out, answer.out);
    sandbox.file("mine.json", run(&sandbox, "--show-variant").out);
    let both = run(&sandbox, &format!("data/models/EUR_USD/{file} --variant mine.json"));
    assert_eq!(both.code, 2, "{}", both.err);
    // Rules of one's own need no model, whatever is wrong with it.
    let path = format!("data/models/EUR_USD/{file}");
    sandbox.file(&path, "{");
    assert_eq!(run(&sandbox, "EUR_USD").code, 1);
    assert_eq!(run(&sandbox, "EUR_USD --variant mine.json").code, 0);
    // Nothing to play is no backtest, and no empty answer.
    kept(&sandbox, &Model { variant: None, ..trained() });
    let nothing = run(&sandbox, "EUR_USD --json");
    assert_eq!((nothing.code, nothing.out.as_str()), (1, ""));
    assert!(nothing.err.contains("no variant that trades often enough"), "{}", nothing.err);
}

#[test]
fn mistakes_are_named() {
    let sandbox = made_up("backtest-mistakes");
    sandbox
        .file("costs.yaml", "default:\n  slipage: 1\n")
        .file("mine.json", run(&sandbox, "--show-variant").out.replace("\"window\": 11", "\"window\": 99"));
    for (words, code, expected) in [
        ("EURUSD", 2, "'EURUSD' is no pair"),
        ("EUR_USD EUR_USD", 2, "EUR_USD is there twice"),
        ("EUR_CHF", 1, "no EUR_CHF candles in data/candles"),
        ("EUR_USD --currency DOLLARS", 2, "the account's currency is 'DOLLARS'"),
        ("EUR_USD --nav 0", 2, "the account begins with 0"),
        ("EUR_USD --risk 200", 2, "the risk is 200 percent"),
        ("USD_JPY --currency CHF", 1, "USD_JPY is booked in CHF, but no candles lead from JPY to CHF"),
        ("EUR_USD --costs costs.yaml", 1, "costs.yaml: default: unknown field `slipage`"),
        ("EUR_USD --costs nowhere.yaml", 1, "cannot read nowhere.yaml"),
        ("EUR_USD --variant mine.json", 2, "mine.json: windows holds 99: expected 2 to 64 bits"),
        ("EUR_USD --variant costs.yaml", 2, "this is no variant"),
        ("nowhere.json", 1, "cannot read nowhere.json"),
        ("EUR_USD --from 2030-01-01T00:00:00Z", 1, "no EUR_USD candles"),
    ] {
        let answer = run(&sandbox, words);
        assert_eq!(answer.code, code, "{words}: {}", answer.err);
        assert!(
            answer.err.contains(expected) && answer.out.is_empty(),
            "{words}: {}{}",
            answer.err,
            answer.out
        );
    }
    let empty = Sandbox::new("backtest-empty");
    let answer = run(&empty, "");
    assert_eq!((answer.code, answer.out.as_str()), (1, ""), "{}", answer.err);
    assert!(run(&empty, "--help").out.contains("A costs file (YAML or JSON) says what trading costs"));
}
