//! The CUDA backend gives the results of the scalar definition: on a card where there is one, and on the
//! emulated driver, whose kernel is the shipped source compiled for the CPU, everywhere.
//!
//! What runs in a process of its own, because a driver is looked for once in a process, is marked ignored.

use std::ops::Range;

use sep_gpu::backend::Batch;
use sep_gpu::backend::cuda::{Cuda, CudaError, probe};
use sep_gpu::backtest::{Costs, Stats};
use sep_gpu::bars::{Bars, GATE_BUY_CONFIRMED, GATE_SELL_CONFIRMED};
use sep_gpu::lane::{Distance, Lane, MAX_HOLD};
use sep_gpu::qfh::{Constants, Features, scores};

use crate::backend::{defined, lanes};
use crate::fake_cuda::{inside, say};
use crate::made::{self, Dice};

const COSTS: [Costs; 2] = [
    Costs { slippage: 1, commission: 70, swap_buy: 55, swap_sell: -12 },
    // Whole ticks, so that some trades come to nothing at all.
    Costs { slippage: 0, commission: 100, swap_buy: 0, swap_sell: 0 },
];

/// Lanes of the space, most of them with something at the edge: values that a bar meets exactly, scores of
/// nothing, distances below a tick, needs that few bars fulfil, the longest and the shortest holding time.
fn wild(count: usize, features: &Features, seed: u64) -> Vec<Lane> {
    let mut lanes = lanes(count, seed);
    let mut dice = Dice(seed);
    for (at, lane) in lanes.iter_mut().enumerate() {
        let bar = usize::try_from(dice.roll(features.strictness.len() as u64)).unwrap();
        match at % 9 {
            0 => (lane.buy_needs, lane.sell_needs) = (GATE_BUY_CONFIRMED, GATE_SELL_CONFIRMED),
            1 => lane.hold = MAX_HOLD,
            2 => lane.hold = 1,
            3 => (lane.min_coherence, lane.min_confidence) = (features.up.coherence[bar], 0.0),
            4 => lane.collapse = features.up.rupture[bar],
            5 => lane.min_confidence = scores(lane, features, bar).0,
            6 => {
                (lane.stability, lane.coherence, lane.entropy) = (0.0, 0.0, 0.0);
                (lane.buy_above, lane.sell_above) = (0.0, 0.0);
            }
            7 => lane.target = Distance { ticks: 0, ranges: 1 },
            _ => {}
        }
    }
    lanes
}

/// Bars of which some lack a confirmation.
fn bars(count: usize, seed: u64) -> Bars {
    let mut bars = made::bars(count, seed);
    let mut dice = Dice(seed ^ 1);
    for gate in &mut bars.gate {
        let confirmed = [GATE_BUY_CONFIRMED, GATE_SELL_CONFIRMED];
        for bit in confirmed.into_iter().filter(|_| dice.roll(3) == 0) {
            *gate &= !bit;
        }
    }
    bars
}

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
        Err(error) => say(&format!("a_card_gives_what_the_definition_gives: {error}")),
    }
}

#[test]
fn the_kernels_source_gives_what_the_definition_gives() {
    inside("the_kernels_source_gives_what_the_definition_gives", "cuda::emulated_grids", "");
}

#[test]
fn work_larger_than_the_memory_is_cut_into_pieces() {
    // 85 % of 4 MB in four pieces: the series of 3,000 bars alone takes 200 kB of each.
    inside("work_larger_than_the_memory_is_cut_into_pieces", "cuda::emulated_grids", "memory=4000000");
}

#[test]
fn less_memory_than_was_said_is_enough() {
    inside("less_memory_than_was_said_is_enough", "cuda::emulated_grids", "memory=1000000000 real=5000000");
}

#[test]
#[ignore = "needs the emulated driver; other tests run it"]
fn emulated_grids() {
    grids_agree(3_000);
}

#[test]
fn a_card_that_fails_is_named() {
    let test = "a_card_that_fails_is_named";
    inside(test, "cuda::emulated_death", "dies=2 memory=4000000");
    inside(test, "cuda::emulated_shortage", "memory=100000");
}

/// What a card says that cannot do a grid.
fn complaint() -> String {
    let bars = bars(3_000, 1);
    let features = Features::new(&bars, 11, false, &Constants::default());
    let segments: Vec<Range<usize>> = (0..3).map(|at| at * 1_000..(at + 1) * 1_000).collect();
    let lanes = wild(20_000, &features, 1);
    let batch =
        Batch { bars: &bars, features: &features, costs: &COSTS[0], lanes: &lanes, segments: &segments };
    let evaluate = || -> Result<(), CudaError> { Cuda::open()?.evaluate(&[batch]).map(drop) };
    evaluate().unwrap_err().to_string()
}

#[test]
#[ignore = "needs the emulated driver; other tests run it"]
fn emulated_death() {
    let line = complaint();
    assert!(line.starts_with("the CUDA device failed while "), "{line}");
    assert!(line.contains("(CUDA_ERROR_ILLEGAL_ADDRESS, 700)"), "{line}");
}

#[test]
#[ignore = "needs the emulated driver; other tests run it"]
fn emulated_shortage() {
    let line = complaint();
    assert!(line.starts_with("out of memory on the CUDA device (the smallest piece takes "), "{line}");
}
