//! The CUDA backend gives the results of the scalar definition: on a card where there is one, and on the
//! emulated driver, whose kernel is the shipped source compiled for the CPU, everywhere.
//!
//! What runs in a process of its own, because a driver is looked for once in a process, is marked ignored.

use std::ops::Range;

use sep_gpu::backend::Batch;
use sep_gpu::backend::cuda::{Cuda, CudaError, probe};
use sep_gpu::backtest::{Costs, Stats};
use sep_gpu::lane::Lane;
use sep_gpu::qfh::{Constants, Features};

use crate::backend::{bars, beyond_counting, defined, wild};
use crate::fake_cuda::{emulated, inside, run, say, skip};

const COSTS: [Costs; 2] = [
    Costs { slippage: 1, commission: 70, swap_buy: 55, swap_sell: -12 },
    // Whole ticks, so that some trades come to nothing at all.
    Costs { slippage: 0, commission: 100, swap_buy: 0, swap_sell: 0 },
];

/// Random grids on random bars, several batches at once; `scale` bars in the longest series.
fn grids_agree(scale: usize) {
    let series = [bars(scale, 7), bars(scale / 3, 8)];
    let segments: [Vec<Range<usize>>; 2] = [
        vec![0..scale / 13, scale / 13..scale / 13 + 1, 50..50, scale / 10..scale / 2, scale / 2..scale],
        vec![0..scale / 3, scale / 6..scale / 5],
    ];
    let constants = Constants::default();
    let grids: Vec<(usize, Features, Vec<Lane>)> =
        [(2, false), (11, false), (11, true), (24, true), (64, false)]
            .into_iter()
            .enumerate()
            .map(|(at, (window, symmetric))| {
                let which = usize::from(at % 4 == 3);
                let features = Features::new(&series[which], window, symmetric, &constants);
                let lanes = wild(1 + 75 * at, &features, u64::from(window));
                (which, features, lanes)
            })
            .collect();
    let batches: Vec<Batch> = grids
        .iter()
        .enumerate()
        .map(|(at, (which, features, lanes))| Batch {
            bars: &series[*which],
            features,
            costs: &COSTS[at % 2],
            lanes,
            segments: &segments[*which],
        })
        .collect();
    let cuda = Cuda::open().unwrap();
    let results = cuda.evaluate(&batches).unwrap();
    let mut trades = 0;
    for (batch, stats) in batches.iter().zip(&results) {
        let expected = defined(batch);
        assert!(*stats == expected, "{}", difference(stats, &expected));
        trades += expected.iter().map(|stats| stats.trades).sum::<u32>();
    }
    assert!(trades > 10_000, "{trades} trades: too few to compare anything");
    beyond_counting(|batch| cuda.evaluate(std::slice::from_ref(batch)).unwrap().concat());
}

fn difference(found: &[Stats], expected: &[Stats]) -> String {
    let at = found.iter().zip(expected).position(|(found, expected)| found != expected);
    at.map_or_else(
        || format!("{} stats for {}", found.len(), expected.len()),
        |at| format!("{at}: {:?} instead of {:?}", found[at], expected[at]),
    )
}

#[test]
fn a_card_gives_what_the_definition_gives() {
    let mut command = probe::command(env!("CARGO_BIN_EXE_sep-gpu").as_ref());
    match probe::ask(&mut command, probe::DEADLINE) {
        Ok(_) => grids_agree(20_000),
        // No card is no fault of the program, not even where nothing else may be skipped.
        Err(error) if error.is_absence() => say(&format!("a_card_gives_what_the_definition_gives: {error}")),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_card_that_is_there_and_fails_is_not_skipped() {
    let test = "a_card_that_is_there_and_fails_is_not_skipped";
    let Some(folder) = emulated() else { return skip(test, "there is no C++ compiler (c++)") };
    for (faults, passes) in [("count=0", true), ("capability=6", true), ("wrong=1", false), ("abort", false)]
    {
        let (passed, said) = run(folder, "cuda::a_card_gives_what_the_definition_gives", faults);
        assert_eq!(passed, passes, "{faults}: {said}");
        assert_eq!(said.contains("skipped: "), passes, "{faults}: {said}");
    }
}

/// The fastest device there can be, and the slowest.
const PACES: [&str; 2] = ["", "deferred=1"];

#[test]
fn the_kernels_source_gives_what_the_definition_gives() {
    for pace in PACES {
        inside("the_kernels_source_gives_what_the_definition_gives", "cuda::emulated_grids", pace);
    }
}

#[test]
fn work_larger_than_the_memory_is_cut_into_pieces() {
    // 85 % of 4 MB in four pieces: the series of 3,000 bars alone takes 200 kB of each.
    for pace in PACES {
        let faults = format!("memory=4000000 {pace}");
        inside("work_larger_than_the_memory_is_cut_into_pieces", "cuda::emulated_grids", &faults);
    }
}

#[test]
#[ignore = "needs the emulated driver; other tests run it"]
fn emulated_grids() {
    grids_agree(3_000);
}

#[test]
fn less_memory_than_was_said_is_enough() {
    // Bars and features take 0.2 MB and each batch 2.1 MB of its own: three are on their way when the fourth
    // finds no room.
    for pace in PACES {
        let faults = format!("memory=1000000000 real=8000000 {pace}");
        let said = inside("less_memory_than_was_said_is_enough", "cuda::emulated_sharing", &faults);
        assert!(said.is_none_or(|said| said.contains("no room for ")), "there was enough memory");
    }
}

/// Batches that read the same bars and features at the same time, each by a stream of its own.
#[test]
#[ignore = "needs the emulated driver; other tests run it"]
fn emulated_sharing() {
    let bars = bars(3_000, 5);
    let features = Features::new(&bars, 11, false, &Constants::default());
    let segments: Vec<Range<usize>> = (0..50).map(|at| at * 60..(at + 1) * 60).collect();
    let lanes: Vec<Vec<Lane>> = (0..6).map(|seed| wild(1_024, &features, seed)).collect();
    let batches: Vec<Batch> = lanes
        .iter()
        .map(|lanes| Batch { bars: &bars, features: &features, costs: &COSTS[0], lanes, segments: &segments })
        .collect();
    let results = Cuda::open().unwrap().evaluate(&batches).unwrap();
    for (batch, stats) in batches.iter().zip(&results) {
        let expected = defined(batch);
        assert!(*stats == expected, "{}", difference(stats, &expected));
    }
}

#[test]
fn a_card_that_fails_is_named() {
    let test = "a_card_that_fails_is_named";
    for pace in PACES {
        inside(test, "cuda::emulated_death", &format!("dies=2 memory=4000000 {pace}"));
    }
    inside(test, "cuda::emulated_shortage", "memory=10000000");
}

/// What a card says that cannot do a grid.
fn complaint(count: usize, segments: &[Range<usize>]) -> String {
    let bars = bars(count, 1);
    let features = Features::new(&bars, 11, false, &Constants::default());
    let lanes = wild(20_000, &features, 1);
    let batch = Batch { bars: &bars, features: &features, costs: &COSTS[0], lanes: &lanes, segments };
    let evaluate = || -> Result<(), CudaError> { Cuda::open()?.evaluate(&[batch]).map(drop) };
    evaluate().unwrap_err().to_string()
}

#[test]
#[ignore = "needs the emulated driver; other tests run it"]
fn emulated_death() {
    let line = complaint(3_000, &[0..1_000, 1_000..2_000, 2_000..3_000]);
    assert!(line.starts_with("the CUDA device failed while "), "{line}");
    assert!(line.contains("(CUDA_ERROR_ILLEGAL_ADDRESS, 700)"), "{line}");
}

#[test]
#[ignore = "needs the emulated driver; other tests run it"]
fn emulated_shortage() {
    // A quarter of 85 % of the memory: 2,125,000 bytes. To halve that would not help.
    let line = complaint(40_000, std::slice::from_ref(&(0..40_000)));
    let expected = "out of memory on the CUDA device (the smallest piece takes 2733320 bytes of 2125000)";
    assert!(line.starts_with(expected), "{line}");
}
