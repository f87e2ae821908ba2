//! Series written by hand: every price stands in the test, and so does what each close says.

use jiff::Timestamp;
use sep_contract::{Candle, Ohlc, Side, Ticks, Timeframe};
use sep_gpu::bars::Bars;
use sep_gpu::lane::{Distance, Lane, NO_COLLAPSE};
use sep_gpu::qfh::{Direction, Features};

/// A bar: when it opens, its bid prices (open, high, low, close), and the side that its close speaks for.
#[derive(Debug, Clone, Copy)]
pub struct Row(pub &'static str, pub [i32; 4], pub Option<Side>);

/// A series with the same spread everywhere.
pub struct Script {
    pub bars: Bars,
    pub features: Features,
}

impl Script {
    pub fn new(pair: &str, timeframe: Timeframe, spread: i32, rows: &[Row]) -> Self {
        let candles: Vec<Candle> = rows
            .iter()
            .map(|Row(time, [open, high, low, close], _)| {
                let side = |more: i32| {
                    let tick = |price: &i32| Ticks::new(price + more);
                    Ohlc { open: tick(open), high: tick(high), low: tick(low), close: tick(close) }
                };
                let time: Timestamp = time.parse().unwrap();
                Candle { time, bid: side(0), ask: side(spread), volume: 1 }
            })
            .collect();
        // With the lane below, BUY scores 1 less stability, SELL the stability itself.
        let stability = rows.iter().map(|Row(.., says)| match says {
            None => 0.5,
            Some(Side::Buy) => 0.0,
            Some(Side::Sell) => 1.0,
        });
        let all = |value: f32| vec![value; rows.len()];
        let up = Direction {
            stability: stability.collect(),
            coherence: all(0.0),
            entropy: all(0.0),
            gain: all(1.0),
            rupture: all(0.0),
        };
        Self {
            bars: Bars::of(pair.parse().unwrap(), timeframe, true, &candles),
            features: Features { window: 2, up, down: None, strictness: all(1.0) },
        }
    }
}

/// A lane that hears the script, with stop and target in ticks.
pub fn lane(stop: i32, target: i32, hold: i32) -> Lane {
    let distance = |ticks| Distance { ticks, ranges: 0 };
    Lane {
        stability: 1.0,
        coherence: 0.0,
        entropy: 0.0,
        buy_above: 0.75,
        sell_above: 0.75,
        min_confidence: 0.0,
        min_coherence: 0.0,
        collapse: NO_COLLAPSE,
        hours: u32::MAX,
        buy_needs: 0,
        sell_needs: 0,
        stop: distance(stop),
        target: distance(target),
        hold,
    }
}
