//! Training: reproducible to the byte, resumable after a kill, honest about what is too short.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use sep_contract::candles::encode;
use sep_contract::{CandleSet, Digest, Month, Ticks, Timeframe};
use sep_gpu::aggregate::aggregate;
use sep_gpu::backend::Backend;
use sep_gpu::backtest::Costs;
use sep_gpu::history::History;
use sep_gpu::qfh::Constants;
use sep_gpu::train::{Checkpoint, Request, Training};
use sep_gpu::variant::{Search, Space};
use sep_gpu::verdict::matrix::Cell;
use sep_gpu::verdict::{Demands, Plan, Subject, examine};

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
    let mut child = begun(&sandbox, &words);
    // Behind the name of the search stand pieces of finished work: a count of cells, 20 bytes for each, a digest.
    let whole_piece = |path: &PathBuf| {
        let found = fs::read(path).unwrap_or_default();
        let count = found.get(32..40).map(|count| u64::from_le_bytes(count.try_into().unwrap()));
        count.is_some_and(|count| found.len() as u64 >= 32 + 8 + count * 20 + 32)
    };
    while !unfinished(&sandbox).iter().any(whole_piece) {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it could be killed");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // Another search in between leaves it alone.
    let other =
        sandbox.sep_gpu(&["train", "EUR_USD", "--variants", "10", "--timeframes", "M1", "--backend", "cpu"]);
    assert_eq!(other.code, 0, "{}", other.err);
    assert!(!other.err.contains("goes on after"), "{}", other.err);
    let answer = sandbox.sep_gpu(&words);
    assert_eq!(answer.code, 0, "{}", answer.err);
    let (_, had) = answer.err.split_once("EUR_USD: goes on after ").expect("it did not go on");
    assert!(had.contains(" of 6,000 variants") && !had.starts_with("0 "), "{had}");
    assert!(unfinished(&sandbox).is_empty(), "a finished search leaves no checkpoint");
    let whole = Sandbox::new("train-whole");
    whole.ok(synth);
    for variants in ["10", "6000"] {
        let words = words.map(|word| if word == "6000" { variants } else { word });
        assert_eq!(whole.sep_gpu(&words).code, 0);
    }
    assert_eq!(model(&sandbox, "EUR_USD"), model(&whole, "EUR_USD"));
}

/// A training that goes on beside the test, to be killed.
fn begun(sandbox: &Sandbox, words: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_sep-gpu"))
        .args(words)
        .current_dir(sandbox.path(""))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// What a pair's searches have left behind.
fn unfinished(sandbox: &Sandbox) -> Vec<PathBuf> {
    let folder = fs::read_dir(sandbox.path("data/models/EUR_USD")).into_iter().flatten();
    let paths = folder.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("search-")).collect()
}

/// A training that is killed within its random walks repeats none that was finished: what the first came to is
/// taken as it stands, even where it is written over. (The edge of these candles passes, and no walk does as well.)
#[test]
fn a_training_that_was_killed_in_its_walks_goes_on_after_them() {
    let words = ["train", "EUR_USD", "--quick", "--backend", "cpu"];
    let sandbox = Sandbox::new("train-killed-walking");
    sandbox.ok("synth EUR_USD --days 60 --seed 3 --edge 0.5");
    let mut child = begun(&sandbox, &words);
    let finished = || {
        let mut left = unfinished(&sandbox).into_iter();
        left.find(|path| path.extension().is_some_and(|extension| extension == "walks"))
    };
    let walks = loop {
        if let Some(path) = finished() {
            break path;
        }
        assert!(child.try_wait().unwrap().is_none(), "it ended before it could be killed");
        std::thread::yield_now();
    };
    child.kill().unwrap();
    child.wait().unwrap();
    let content = fs::read(&walks).unwrap();
    let mut content = content[..content.len() - 32].to_vec();
    content[32..40].copy_from_slice(&f64::MAX.to_le_bytes());
    let digest = Digest::of(&content);
    fs::write(&walks, [&content[..], digest.as_bytes()].concat()).unwrap();
    let answer = sandbox.sep_gpu(&words);
    assert_eq!(answer.code, 0, "{}", answer.err);
    assert!(answer.err.contains("EUR_USD: goes on after 768 of 768 variants"), "{}", answer.err);
    assert!(answer.err.contains(" of 19 random walks"), "{}", answer.err);
    assert!(unfinished(&sandbox).is_empty());
    let model: serde_json::Value = serde_json::from_slice(&model(&sandbox, "EUR_USD")).unwrap();
    let null = &model["evidence"]["null"];
    assert_eq!((&null["others"], &null["as_good"]), (&19.into(), &1.into()));
}

/// What a checkpoint has is taken as it is, and everything else is played.
#[test]
fn what_a_checkpoint_has_is_not_played_again() {
    let space = Space { timeframes: vec![Timeframe::M1], holds: vec![15], ..Space::full() };
    let request = request(space.clone());
    let history = History::of(made::bars(6_000, 4), &space.timeframes).unwrap();
    let backend = Backend::cpu();
    let training = Training::new(&request, &history, &backend, |_| {}).unwrap();
    let fresh = training.search(None).unwrap();
    let sandbox = Sandbox::new("train-sentinel");
    let (path, name) = (sandbox.path("checkpoint"), Digest::of(b"a search"));
    let mark = Cell { trades: 77, net: -7_777, squares: 777_777 };
    Checkpoint::open(&path, &name).unwrap().add(&[mark; 5 * 16]).unwrap();
    let found = training.search(Some(&mut Checkpoint::open(&path, &name).unwrap())).unwrap();
    for place in 0..training.variants() {
        let expected = if place < 5 { &[mark; 16][..] } else { fresh.row(place) };
        assert_eq!(found.row(place), expected, "variant {place}");
    }
    // And what it played was written down behind that.
    assert_eq!(Checkpoint::open(&path, &name).unwrap().rows(16), training.variants());
}

/// Whichever timeframes are searched, though minutes are missing from the base, so that a longer bar may be made of
/// fewer than it has: what is played lies within the base's slices, and can be examined.
#[test]
fn slices_lie_at_the_same_moments_in_every_timeframe_and_trades_in_the_base_too() {
    use Timeframe::{M1, M5, M15};
    for (timeframes, bars) in [(vec![M1, M5], 24_000), (vec![M5], 24_000), (vec![M5, M15], 70_000)] {
        let space = Space { timeframes, windows: vec![5, 11], holds: vec![15], ..Space::full() };
        let request = request(space.clone());
        let history = History::of(made::bars(bars, 4), &space.timeframes).unwrap();
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
                    assert!(
                        history.base().close_time(base.signal_bar) <= history.base().time[base.entry_bar]
                    );
                    assert!(base.signal_bar < base.entry_bar && base.entry_bar <= base.exit_bar);
                    assert!(range.contains(&base.entry_bar), "{range:?} {base:?}");
                }
                traded += own.len();
            }
        }
        assert!(traded > 1_000, "{traded} trades: too few to compare anything");
        for pair in training.slices.base.windows(2) {
            assert!(pair[0].end < pair[1].start);
        }
        // A trade of the longest timeframe reaches as far as its purge: a window of 11 bars, and 15 held.
        let longest = usize::try_from(space.timeframes.iter().max().unwrap().seconds() / 60).unwrap();
        assert_eq!(training.slices.apart, 26 * longest);
        let plan = Plan::new(training.slices.base.clone(), training.slices.apart, 1);
        let (evidence, _) =
            examine(&training, &matrix, &plan, &Demands::default(), |_, search| search()).unwrap();
        assert!(evidence.timing.others > 0, "{:?}", evidence.timing);
    }
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
    let many = error("train EUR_USD --variants 1000000000", 2);
    assert!(many.contains("1000000000 is not in 2..=16777216"), "{many}");
    let twice = error("train EUR_USD --timeframes M1,M5,M1", 2);
    assert!(twice.contains("timeframes holds M1 twice"), "{twice}");
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
    let mut gold = made::candles("XAU_USD", 2_000, 1);
    for candle in &mut gold.candles {
        for side in [&mut candle.bid, &mut candle.ask] {
            for price in [&mut side.open, &mut side.high, &mut side.low, &mut side.close] {
                *price = Ticks::new(price.get() + 400_000_000);
            }
        }
    }
    put(&sandbox, &gold);
    let dear = error("train XAU_USD --quick", 1);
    assert!(dear.contains("XAU_USD was at 4001.") && dear.contains("pairs above 1000.00000"), "{dear}");
    assert!(!sandbox.path("data/models").exists(), "a refused training keeps nothing");
}

/// Stores a series as an import would.
fn put(sandbox: &Sandbox, set: &CandleSet) {
    let mut months: Vec<Month> = set.candles.iter().map(|candle| Month::of(candle.time)).collect();
    months.dedup();
    for month in months {
        let mut part = set.clone();
        part.candles.retain(|candle| Month::of(candle.time) == month);
        let path = sandbox.store().path(set.pair, set.timeframe, month);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, encode(&part).unwrap()).unwrap();
    }
}

/// A walk in bars of a timeframe that is made from M1, or that are called so.
fn bars_of(timeframe: Timeframe, minutes: usize) -> CandleSet {
    let set = made::candles("EUR_USD", minutes, 3);
    let candles = aggregate(&set.candles, timeframe, jiff::Timestamp::MAX).unwrap();
    CandleSet { timeframe, candles, ..set }
}

/// Bars of the broker's day, a few of them.
fn four_hours(count: i64) -> CandleSet {
    let mut set = made::candles("EUR_USD", usize::try_from(count).unwrap(), 3);
    set.timeframe = Timeframe::H4;
    for (at, candle) in (0..).zip(&mut set.candles) {
        candle.time = jiff::Timestamp::from_second(1_735_689_600 + at * 14_400).unwrap();
    }
    set
}

#[test]
fn the_shortest_series_that_is_stored_is_the_base_and_the_brokers_bars_are_their_own() {
    let all = (jiff::Timestamp::MIN, jiff::Timestamp::MAX);
    let sandbox = Sandbox::new("train-bases");
    put(&sandbox, &bars_of(Timeframe::M5, 3_000));
    put(&sandbox, &four_hours(50));
    let pair = "EUR_USD".parse().unwrap();
    let load = |timeframes: &[Timeframe]| History::load(&sandbox.store(), pair, timeframes, all);
    let history = load(&[Timeframe::M5, Timeframe::M15]).unwrap();
    assert_eq!(history.base().timeframe, Timeframe::M5);
    let from_minutes = History::of(made::bars(3_000, 3), &[Timeframe::M15]).unwrap();
    let (found, expected) =
        (history.bars(Timeframe::M15).unwrap(), from_minutes.bars(Timeframe::M15).unwrap());
    assert_eq!((&found.time, &found.bid, &found.ask), (&expected.time, &expected.bid, &expected.ask));
    let history = load(&[Timeframe::H4]).unwrap();
    assert_eq!((history.base().timeframe, history.base().len()), (Timeframe::H4, 50));
    let error = |timeframes: &[Timeframe]| load(timeframes).unwrap_err().to_string();
    let missing = error(&[Timeframe::M15, Timeframe::M1]);
    assert!(missing.contains("no M1 candles in") && missing.contains("not made from M5, H4:"), "{missing}");
    assert!(error(&[Timeframe::D1]).contains("no D1 candles in"), "{}", error(&[Timeframe::D1]));
    assert!(error(&[Timeframe::M5, Timeframe::H4]).contains("ask for H4 alone"));
    // Beside M1 they are still their own.
    put(&sandbox, &made::candles("EUR_USD", 3_000, 3));
    assert_eq!(load(&[Timeframe::H4]).unwrap().base().timeframe, Timeframe::H4);
    assert_eq!(load(&[Timeframe::M5]).unwrap().base().timeframe, Timeframe::M1);
}

#[test]
fn the_usual_search_takes_what_is_stored() {
    let train = |sandbox: &Sandbox, words: &[&str]| {
        sandbox.sep_gpu(&[&["train", "EUR_USD", "--backend", "cpu"], words].concat())
    };
    let fives = Sandbox::new("train-fives");
    put(&fives, &bars_of(Timeframe::M5, 40_000));
    let answer = train(&fives, &["--quick", "--json"]);
    assert_eq!(answer.code, 0, "{}", answer.err);
    assert!(
        answer.err.contains("EUR_USD: M1 is left out: no candles that it is made from"),
        "{}",
        answer.err
    );
    let found: serde_json::Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!((&found[0]["left_out"], &found[0]["variants"]), (&serde_json::json!(["M1"]), &384.into()));
    let model: serde_json::Value = serde_json::from_slice(&model(&fives, "EUR_USD")).unwrap();
    assert_eq!(model["data"]["timeframe"], "M5");
    assert_eq!(fives.sep_gpu(&["report", "EUR_USD", "--out", "page.html"]).code, 0);
    let answer = train(&fives, &["--timeframes", "M1,M5"]);
    assert!(answer.code == 1 && answer.err.contains("there are no M1 candles in"), "{}", answer.err);
    let none = train(&fives, &["--to", "2001-01-01T00:00:00Z"]);
    assert!(none.err.contains("no EUR_USD candles in data/candles to 2001-01-01T00:00:00Z:"), "{}", none.err);

    let days = Sandbox::new("train-days");
    put(&days, &four_hours(50));
    let answer = train(&days, &[]);
    assert!(answer.code == 1 && answer.err.contains("--timeframes H4"), "{}", answer.err);
    let answer = train(&days, &["--timeframes", "H4"]);
    assert!(answer.code == 1 && answer.err.contains("H4: 50 bars make no 16 slices"), "{}", answer.err);
}

#[test]
fn a_pair_that_cannot_be_trained_stops_no_other() {
    let sandbox = Sandbox::new("train-all");
    sandbox.ok("synth AUD_USD --bars 2000 --seed 1");
    sandbox.ok("synth EUR_USD --bars 12000 --seed 1");
    let words = ["train", "--all", "--variants", "50", "--backend", "cpu"];
    let answer = sandbox.sep_gpu(&[&words[..], &["--json"]].concat());
    assert_eq!(answer.code, 1);
    assert!(answer.err.contains("error: AUD_USD: M1: 2000 bars make no 16 slices"), "{}", answer.err);
    let found: serde_json::Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!((&found[0]["pair"], &found[1]["pair"]), (&"AUD_USD".into(), &"EUR_USD".into()));
    assert!(found[0]["error"].as_str().unwrap().starts_with("M1: 2000 bars"), "{found}");
    assert_eq!((&found[1]["variants"], &found[1]["error"]), (&50.into(), &serde_json::Value::Null));
    let answer = sandbox.sep_gpu(&words);
    assert!(answer.code == 1 && answer.out.contains("EUR_USD: no edge"), "{}", answer.out);
    // Alone it is the command's failure, and no answer: nobody takes what was trained before for the outcome.
    let answer = sandbox.sep_gpu(&["train", "AUD_USD", "--json"]);
    assert_eq!((answer.code, answer.out.as_str()), (1, ""));
}

/// The draws of the examination follow from the search, and what was tried counts, whatever becomes of the files.
#[test]
fn chance_cannot_be_asked_again_without_counting() {
    let sandbox = Sandbox::new("train-again");
    sandbox.ok("synth EUR_USD --bars 12000 --seed 1");
    let train = |words: &[&str]| {
        let answer = sandbox.sep_gpu(&[&["train", "EUR_USD", "--backend", "cpu"], words].concat());
        assert_eq!(answer.code, 0, "{words:?}: {}", answer.err);
        model(&sandbox, "EUR_USD")
    };
    let before = |model: &[u8]| {
        serde_json::from_slice::<serde_json::Value>(model).unwrap()["searched"]["variants_before"].clone()
    };
    let first = train(&["--quick"]);
    assert_eq!(train(&["--quick", "--seed", "2"]), first, "a grid draws nothing by a seed");
    assert_eq!(before(&first), 0);
    // M5 is too short for these candles: half of the quick space is left.
    assert_eq!(before(&train(&["--variants", "20"])), 384);
    assert_eq!(before(&train(&["--quick", "--embargo", "3"])), 404);
    for entry in fs::read_dir(sandbox.path("data/models/EUR_USD")).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap() != "searches.json" && path.file_name().unwrap() != "trained.json" {
            fs::write(path, "{").unwrap();
        }
    }
    assert_eq!(before(&train(&["--variants", "20", "--seed", "2"])), 384 + 20 + 384);
    fs::write(sandbox.path("data/models/EUR_USD/searches.json"), "{").unwrap();
    let answer = sandbox.sep_gpu(&["train", "EUR_USD", "--quick"]);
    assert!(answer.code == 1 && answer.err.contains("bring it back from a backup"), "{}", answer.err);
}
