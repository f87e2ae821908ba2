//! Every backend gives the results of the scalar definition.

use std::ops::Range;

use sep_gpu::backend::{Batch, cpu};
use sep_gpu::backtest::{Costs, Run, Stats};
use sep_gpu::lane::{Distance, Lane};
use sep_gpu::qfh::{Constants, Features};
use sep_gpu::variant::{Hours, Space};

use crate::made::{self, Dice};

/// Lanes from all over the space, and wilder ones.
pub fn lanes(count: usize, seed: u64) -> Vec<Lane> {
    let mut dice = Dice(seed);
    let space = Space { confirm: vec![false], ..Space::full() };
    let size = space.size().unwrap();
    (0..count)
        .map(|at| {
            let mut lane = space.at(dice.roll(size)).lane();
            if at % 3 == 0 {
                let distance = |dice: &mut Dice| Distance {
                    ticks: dice.around(40).abs() + 1,
                    ranges: dice.around(512).abs(),
                };
                (lane.stop, lane.target) = (distance(&mut dice), distance(&mut dice));
                lane.hold = dice.around(40).abs() + 1;
                lane.hours = "05-19".parse::<Hours>().unwrap().mask();
            }
            lane
        })
        .collect()
}

/// What the definition says about a batch.
pub fn defined(batch: &Batch) -> Vec<Stats> {
    let Batch { bars, features, costs, lanes, segments } = *batch;
    lanes
        .iter()
        .flat_map(|lane| {
            segments.iter().map(move |segment| Run { bars, features, lane, costs }.stats(segment.clone()))
        })
        .collect()
}

#[test]
fn the_cpu_backend_gives_what_the_definition_gives() {
    let bars = made::bars(9_000, 7);
    let segments: Vec<Range<usize>> = vec![0..700, 700..701, 750..750, 900..5_000, 5_100..9_000];
    let costs = Costs { slippage: 1, commission: 70, swap_buy: 55, swap_sell: -12 };
    let mut trades = 0;
    for (window, symmetric) in [(2, false), (11, false), (11, true), (24, true), (64, false)] {
        let features = Features::new(&bars, window, symmetric, &Constants::default());
        let lanes = lanes(300, u64::from(window));
        let batch =
            Batch { bars: &bars, features: &features, costs: &costs, lanes: &lanes, segments: &segments };
        let expected = defined(&batch);
        assert_eq!(cpu::evaluate(&batch), expected, "window {window}, symmetric {symmetric}");
        trades += expected.iter().map(|stats| stats.trades).sum::<u32>();
    }
    assert!(trades > 50_000, "{trades} trades: too few to compare anything");
}

#[test]
fn features_of_the_newest_bars_need_no_more_than_the_lookback() {
    let constants = Constants::default();
    for (window, symmetric) in [(2, false), (11, true), (33, false), (64, true)] {
        let all = made::candles("USD_JPY", 600, 3);
        let mut newest = all.clone();
        newest.candles.drain(..600 - Features::lookback(window, &constants));
        let long = Features::new(&sep_gpu::bars::Bars::new(&all), window, symmetric, &constants);
        let short = Features::new(&sep_gpu::bars::Bars::new(&newest), window, symmetric, &constants);
        let last = |features: &Features| {
            let of = |direction: &sep_gpu::qfh::Direction| {
                [
                    direction.stability.last().copied(),
                    direction.coherence.last().copied(),
                    direction.entropy.last().copied(),
                    direction.gain.last().copied(),
                    direction.rupture.last().copied(),
                ]
            };
            (of(&features.up), features.down.as_ref().map(of), features.strictness.last().copied())
        };
        assert_eq!(last(&long), last(&short), "window {window}");
    }
}
