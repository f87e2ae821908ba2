//! Training: reproducible to the byte, resumable after a kill, honest about what is too short.

use std::fs;
use std::process::{Command, Stdio};

use sep_contract::Timeframe;
use sep_gpu::backend::Backend;
use sep_gpu::backtest::Costs;
use sep_gpu::history::History;
use sep_gpu::qfh::Constants;
use sep_gpu::train::{Request, Training};
use sep_gpu::variant::{Search, Space};
use sep_gpu::verdict::Subject;
use sep_gpu::verdict::matrix::Cell;

use crate::made;
use crate::sandbox::Sandbox;

fn request(space: Space) -> Request {
    let costs = Costs { slippage: 1, commission: 30, swap_buy: 100, swap_sell: 100 };
    let search = Search::Random { variants: 300, seed: 5 };
    Request { space, search, constants: Constants::default(), costs, slices: 16, embargo: 10 }
}

/// A model's file, by the pair's pointer to it.
fn model(sandbox: &Sandbox, pair: &str) -> Vec<u8> {
    let folder = sandbox.path("data/models").join(pair);
    let pointer: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("trained.json")).unwrap()).unwrap();
    fs::read(folder.join(format!("{}.json", pointer["model"].as_str().unwrap()))).unwrap()
}

#[test]
fn the_same_words_give_the_same_model_to_the_byte() {
    let train = |name: &str, threads: &str| {
        let sandbox = Sandbox::new(name);
        sandbox.ok("synth EUR_USD --bars 30000 --seed 11");
        let answer = sandbox.sep_gpu_with(
            &["train", "EUR_USD", "--variants", "400", "--seed", "3", "--backend", "cpu"],
            &[("RAYON_NUM_THREADS", threads)],
        );
        assert_eq!(answer.code, 0, "{}", answer.err);
        assert!(answer.out.contains("EUR_USD: no edge"), "{}", answer.out);
        model(&sandbox, "EUR_USD")
    };
    assert_eq!(train("train-same-one", "1"), train("train-same-two", "3"));
}

#[test]
fn a_training_that_was_killed_goes_on_where_it_was() {
    let words = ["train", "EUR_USD", "--variants", "6000", "--timeframes", "M1", "--backend", "cpu"];
    let synth = "synth EUR_USD --bars 60000 --seed 11";
    let sandbox = Sandbox::new("train-killed");
    sandbox.ok(synth);
    let checkpoint = sandbox.path("data/models/EUR_USD/search.checkpoint");
    let mut child = Command::new(env!("CARGO_BIN_EXE_sep-gpu"))
        .args(words)
        .current_dir(sandbox.path(""))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The name of the search takes 32 bytes; more than that is finished work.
    while fs::metadata(&checkpoint).map_or(0, |file| file.len()) <= 32 {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it could be killed");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let left = fs::metadata(&checkpoint).unwrap().len();
    assert!(left > 32);
    let answer = sandbox.sep_gpu(&words);
    assert_eq!(answer.code, 0, "{}", answer.err);
    assert!(!checkpoint.exists(), "a finished search leaves no checkpoint");
    let whole = Sandbox::new("train-whole");
    whole.ok(synth);
    assert_eq!(whole.sep_gpu(&words).code, 0);
    assert_eq!(model(&sandbox, "EUR_USD"), model(&whole, "EUR_USD"));
}

#[test]
fn slices_lie_at_the_same_moments_in_every_timeframe_and_trades_in_the_base_too() {
    let space = Space {
        timeframes: vec![Timeframe::M1, Timeframe::M5],
        windows: vec![5, 11],
        holds: vec![15],
        ..Space::full()
    };
    let request = request(space.clone());
    let history = History::of(made::bars(20_000, 4), &space.timeframes).unwrap();
    let backend = Backend::cpu();
    let training = Training::new(&request, &history, &backend, |_| {}).unwrap();
    let matrix = training.search(None).unwrap();
    let mut traded = 0;
    for place in 0..training.variants() {
        let timeframe = training.variant(place).timeframe;
        let bars = history.bars(timeframe).unwrap();
        for slice in 0..16 {
            let (own, in_base) = (training.own_trades(place, slice), training.trades(place, slice));
            let cell = matrix.row(place)[slice];
            let net: i64 = own.iter().map(|trade| i64::from(trade.net)).sum();
            assert_eq!((cell.net, cell.trades as usize), (net, own.len()));
            let range = &training.slices.base[slice];
            for (own, base) in own.iter().zip(&in_base) {
                assert_eq!(history.base().bid.open[base.entry_bar], bars.bid.open[own.entry_bar]);
                assert!(history.base().close_time(base.signal_bar) <= history.base().time[base.entry_bar]);
                assert!(base.signal_bar < base.entry_bar && base.entry_bar <= base.exit_bar);
                assert!(range.contains(&base.entry_bar), "{range:?} {base:?}");
            }
            traded += own.len();
        }
    }
    assert!(traded > 1_000, "{traded} trades: too few to compare anything");
}

#[test]
fn the_same_search_on_the_same_bars_gives_the_same_and_on_others_something_else() {
    let space = Space { timeframes: vec![Timeframe::M5], holds: vec![15], ..Space::full() };
    let request = request(space.clone());
    let history = History::of(made::bars(30_000, 4), &space.timeframes).unwrap();
    let backend = Backend::cpu();
    let mut told = Vec::new();
    let training =
        Training::new(&request, &history, &backend, |progress| told.push(progress.variants_done)).unwrap();
    let matrix = training.search(None).unwrap();
    assert_eq!(training.outcomes(&made::bars(30_000, 4)).unwrap(), matrix);
    assert_ne!(training.outcomes(&made::bars(30_000, 5)).unwrap(), matrix);
    let cells: u32 = matrix.rows().flatten().map(|cell: &Cell| cell.trades).sum();
    assert!(cells > 1_000, "{cells} trades: too few to compare anything");
    drop(training);
    assert_eq!(told.last(), Some(&300));
}

#[test]
fn what_cannot_be_searched_is_refused_by_name() {
    let sandbox = Sandbox::new("train-refused");
    let error = |words: &str, code: i32| {
        let answer = sandbox.sep_gpu(&words.split_whitespace().collect::<Vec<_>>());
        assert_eq!(answer.code, code, "{words}: {}", answer.err);
        answer.err
    };
    assert!(error("train EUR_USD", 1).contains("no EUR_USD candles in data/candles"));
    assert!(error("train --all", 1).contains("no candles in data/candles"));
    assert!(error("train", 2).contains("<PAIRS>"));
    assert!(error("train EUR_USD --backend cuda", 1).contains("--backend cpu"));
    sandbox.ok("synth EUR_USD --bars 2000 --seed 1");
    let short = error("train EUR_USD", 1);
    assert!(short.contains("M1: 2000 bars make no 16 slices"), "{short}");
    sandbox.file("space.json", r#"{"timeframes": ["M1"], "windows": [1]}"#);
    let space = error("train EUR_USD --space space.json", 2);
    assert!(space.contains("missing field") && space.contains("--show-space"), "{space}");
    let mut space: serde_json::Value =
        serde_json::from_str(&sandbox.sep_gpu(&["train", "--show-space"]).out).unwrap();
    space["windows"] = serde_json::json!([11, 65]);
    sandbox.file("space.json", space.to_string());
    let space = error("train EUR_USD --space space.json", 2);
    assert!(space.contains("windows holds 65: expected 2 to 64 bits"), "{space}");
    assert!(!sandbox.path("data/models").exists(), "a refused training keeps nothing");
}
