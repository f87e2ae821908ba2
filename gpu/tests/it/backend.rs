//! Every backend gives the results of the scalar definition.

use std::ops::Range;

use sep_gpu::backend::{Batch, cpu};
use sep_gpu::backtest::{Costs, Run, Stats};
use sep_gpu::bars::{Bars, GATE_BUY_CONFIRMED, GATE_SELL_CONFIRMED};
use sep_gpu::lane::{Distance, Lane, MAX_HOLD};
use sep_gpu::qfh::{Constants, Features, scores};
use sep_gpu::variant::{Hours, Space, Variant};

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

/// Lanes of the space, most of them with something at the edge: values that a bar meets exactly, scores of
/// nothing, distances below a tick, needs that few bars fulfil, the longest and the shortest
/// holding time, levels out of reach.
pub fn wild(count: usize, features: &Features, seed: u64) -> Vec<Lane> {
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
            // Open as long as may be: nothing that a bar does touches them.
            8 => {
                let far = Distance { ticks: 100_000, ranges: 0 };
                (lane.stop, lane.target, lane.hold) = (far, far, MAX_HOLD);
            }
            _ => {}
        }
    }
    lanes
}

/// Bars of which some lack a confirmation.
pub fn bars(count: usize, seed: u64) -> Bars {
    let mut bars = made::bars(count, seed);
    let mut dice = Dice(seed ^ 1);
    for gate in &mut bars.gate {
        let confirmed = [GATE_BUY_CONFIRMED, GATE_SELL_CONFIRMED];
        for bit in confirmed.into_iter().filter(|_| dice.roll(3) != 0) {
            *gate |= bit;
        }
    }
    bars
}

/// Trades so large that their squares are more than can be counted: then all backends stop at the same number.
pub fn beyond_counting(evaluate: impl Fn(&Batch) -> Vec<Stats>) {
    let mut bars = bars(9_000, 3);
    for prices in [&mut bars.bid, &mut bars.ask] {
        for column in [&mut prices.open, &mut prices.high, &mut prices.low, &mut prices.close] {
            column.iter_mut().for_each(|price| *price = 500_000_000 + (*price - 110_000) * 100_000);
        }
    }
    let features = Features::new(&bars, 11, false, &Constants::default());
    let far = Distance { ticks: 1_000_000, ranges: 0 };
    let (buy_above, sell_above) = (f32::MIN_POSITIVE, 10.0);
    let lane = Lane { stop: far, target: far, buy_above, sell_above, ..Variant::published().lane() };
    let lanes = [Lane { min_confidence: 0.0, min_coherence: 0.0, hold: 1, ..lane }];
    let (costs, segments) = (Costs::default(), [0..300, 0..bars.len()]);
    let batch = Batch { bars: &bars, features: &features, costs: &costs, lanes: &lanes, segments: &segments };
    let expected = defined(&batch);
    assert!(expected[0].squares < u64::MAX && expected[1].squares == u64::MAX, "{expected:?}");
    assert_eq!(evaluate(&batch), expected);
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
    let bars = bars(10_000, 7);
    // Variants pass 4,096 bars at a time; the first segment and the last two go beyond, and end within.
    let segments: Vec<Range<usize>> = vec![0..9_000, 700..701, 750..750, 900..5_000, 1_800..10_000];
    let costs = Costs { slippage: 1, commission: 70, swap_buy: 55, swap_sell: -12 };
    let mut trades = 0;
    for (window, symmetric) in [(2, false), (11, false), (11, true), (24, true), (64, false)] {
        let features = Features::new(&bars, window, symmetric, &Constants::default());
        let lanes = wild(300, &features, u64::from(window));
        let batch =
            Batch { bars: &bars, features: &features, costs: &costs, lanes: &lanes, segments: &segments };
        let expected = defined(&batch);
        assert_eq!(cpu::evaluate(&batch), expected, "window {window}, symmetric {symmetric}");
        trades += expected.iter().map(|stats| stats.trades).sum::<u32>();
    }
    assert!(trades > 50_000, "{trades} trades: too few to compare anything");
    beyond_counting(cpu::evaluate);
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
