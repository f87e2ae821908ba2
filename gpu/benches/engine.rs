//! The engine's inner loops by themselves: `cargo bench -p sep-gpu`. bench/gpu.py reads the figures and
//! writes them beside those of whole processes.

use std::hint::black_box;
use std::process::Command;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jiff::{SignedDuration, Timestamp};
use sep_contract::{CandleSet, Pair, Timeframe};
use sep_gpu::backend::{Batch, cpu};
use sep_gpu::backtest::{Costs, levels};
use sep_gpu::bars::Bars;
use sep_gpu::lane::Lane;
use sep_gpu::model::Models;
use sep_gpu::qfh::{Constants, Features, decide};
use sep_gpu::signals::Address;
use sep_gpu::signals::follow::Follower;
use sep_gpu::signals::outbox::Outbox;
use sep_gpu::sma::{Crossing, Series, grid};
use sep_gpu::store::Store;
use sep_gpu::synth::{Spec, generate};
use sep_gpu::variant::{Search, Space, Variant};
use sep_gpu::windows::census;

const BARS: usize = 100_000;
/// Variants of one batch: enough to keep all cores busy to the end.
const VARIANTS: usize = 512;
/// When a look comes after its bar has opened: a moment after the minute is over.
const LATE: SignedDuration = SignedDuration::from_secs(65);
/// The pairs of the goal on signals.
const PAIRS: [&str; 18] = [
    "EUR_USD", "GBP_USD", "USD_JPY", "USD_CHF", "AUD_USD", "USD_CAD", "NZD_USD", "EUR_GBP", "EUR_JPY",
    "GBP_JPY", "EUR_CHF", "AUD_JPY", "CHF_JPY", "EUR_AUD", "EUR_CAD", "GBP_AUD", "GBP_CAD", "GBP_CHF",
];

fn candles(pair: &str, bars: usize) -> CandleSet {
    let pair: Pair = pair.parse().expect("a pair by its usual name");
    generate(&Spec::new(pair, bars, 1)).expect("the default walk is sound")
}

fn sma(criterion: &mut Criterion) {
    let series = Series::ticks(&Bars::new(&candles("EUR_USD", BARS)));
    // 45 lengths make 990 pairs.
    let lengths: Vec<u32> = (1..=45).map(|step| step * 5).collect();
    let crossings = Crossing::of_lengths(&lengths);
    let mut group = criterion.benchmark_group("sma");
    group.throughput(Throughput::Elements(BARS as u64 * crossings.len() as u64));
    group.bench_function("grid", |bencher| bencher.iter(|| grid(black_box(&series), &crossings)));
    group.finish();
}

/// The features of every bar, all of them, as a search makes them once for each window.
fn features(criterion: &mut Criterion) {
    let bars = Bars::new(&candles("EUR_USD", BARS));
    let constants = Constants::default();
    let mut group = criterion.benchmark_group("features");
    group.throughput(Throughput::Elements(BARS as u64)).sample_size(20);
    for window in [11, 32] {
        group.bench_function(format!("window-{window}"), |bencher| {
            bencher.iter(|| Features::new(black_box(&bars), window, false, &constants));
        });
    }
    group.finish();
}

/// Flips, ruptures and nulls of the windows of every length at every bar, held against a threshold.
fn windows(criterion: &mut Criterion) {
    let bars = Bars::new(&candles("EUR_USD", BARS));
    let counted: usize = census(&bars, 0.6).iter().map(|census| census.windows).sum();
    let mut group = criterion.benchmark_group("windows");
    group.throughput(Throughput::Elements(counted as u64));
    group.bench_function("census", |bencher| bencher.iter(|| census(black_box(&bars), 0.6)));
    group.finish();
}

/// Full variants: scores, filters, stop, target, holding time and costs.
fn variants(criterion: &mut Criterion) {
    let bars = Bars::new(&candles("EUR_USD", BARS));
    let costs = Costs { slippage: 2, commission: 600, swap_buy: 80, swap_sell: 20 };
    let mut group = criterion.benchmark_group("variants");
    group.throughput(Throughput::Elements(BARS as u64 * VARIANTS as u64)).sample_size(20);
    group.measurement_time(Duration::from_secs(10));
    for (name, symmetric) in [("published", false), ("symmetric", true)] {
        let space = Space {
            timeframes: vec![Timeframe::M1],
            windows: vec![11],
            symmetric: vec![symmetric],
            ..Space::full()
        };
        let search = Search::Random { variants: VARIANTS as u64, seed: 1 };
        let numbers = search.numbers(&space).expect("the space is sound");
        let lanes: Vec<Lane> = numbers.iter().map(|number| space.at(*number).lane()).collect();
        let features = Features::new(&bars, 11, symmetric, &Constants::default());
        let whole = std::slice::from_ref(&(0..BARS));
        let batch = Batch { bars: &bars, features: &features, costs: &costs, lanes: &lanes, segments: whole };
        group.bench_function(name, |bencher| bencher.iter(|| cpu::evaluate(black_box(&batch))));
    }
    group.finish();
}

/// What a new bar of every pair asks for: the features of its newest bars, the decision, stop and target.
fn decisions(criterion: &mut Criterion) {
    let constants = Constants::default();
    let lane = Variant::published().lane();
    let newest: Vec<CandleSet> =
        PAIRS.iter().map(|pair| candles(pair, Features::lookback(11, &constants))).collect();
    let mut group = criterion.benchmark_group("signals");
    group.bench_function("18-pairs", |bencher| {
        bencher.iter(|| {
            let signal = |set: &CandleSet| {
                let bars = Bars::new(set);
                let features = Features::new(&bars, 11, false, &constants);
                let last = bars.len() - 1;
                let decision = decide(&lane, &features, last)?;
                Some((decision, levels(&bars, &lane, decision.side, last)))
            };
            black_box(&newest).iter().map(signal).collect::<Vec<_>>()
        });
    });
    group.finish();
}

/// The same from a store of a month of M1 for each pair, as `sep-gpu signals --watch` looks at it: a minute later,
/// each file is read again, the models speak, and what they say is written and on the disk.
fn look(criterion: &mut Criterion) {
    let folder = std::env::temp_dir().join(format!("sep-bench-look-{}", std::process::id()));
    let (store, models) = (folder.join("candles"), folder.join("models"));
    let run = |words: &str| {
        let done = Command::new(env!("CARGO_BIN_EXE_sep-gpu"))
            .args(words.split_whitespace())
            .env("SEP_CANDLES", &store)
            .env("SEP_MODELS", &models)
            .output()
            .expect("sep-gpu is built for benchmarks");
        assert!(done.status.success(), "{words}: {}", String::from_utf8_lossy(&done.stderr));
    };
    let pairs = PAIRS.join(" ");
    run(&format!("candles synth {pairs} --days 30 --seed 1"));
    run(&format!("train {pairs} --quick --timeframes M1 --backend cpu"));
    PAIRS.iter().for_each(|pair| run(&format!("promote {pair} --override benchmark")));
    let pair: Pair = PAIRS[0].parse().expect("a pair by its usual name");
    let address = Address { account: "primary".into(), strategy: "qfh".into() };
    let outbox = Outbox::at(folder.join("signals"));
    let mut follower = Follower::new(Store::at(&store), Models::at(&models), outbox, address, Vec::new());
    // The newest bars, as always, and enough of them for a minute a look.
    let stored = Store::at(&store).load(pair, Timeframe::M1, Timestamp::MIN, Timestamp::MAX);
    let candles = stored.expect("the store is sound").candles;
    let mut closes = candles[candles.len() - 3_000..].iter().map(|candle| candle.time + LATE);
    let (mut looks, mut written) = (0, 0);
    let mut group = criterion.benchmark_group("signals");
    group.sample_size(20).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(4));
    group.bench_function("18-pairs-look", |bencher| {
        bencher.iter(|| {
            let look = follower.look(closes.next().expect("enough bars")).expect("the store is sound");
            assert!(look.failed.is_empty() && look.said.len() == PAIRS.len());
            (looks, written) = (looks + 1, written + look.written.len());
        });
    });
    group.finish();
    // Else the figure would not be what it is called.
    assert!(written * 2 >= looks, "{written} files written in {looks} looks");
    // Best effort: it is a temporary folder.
    let _ = std::fs::remove_dir_all(folder);
}

criterion_group!(benches, sma, windows, features, variants, decisions, look);
criterion_main!(benches);
