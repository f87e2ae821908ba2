//! Bars made up for tests: a plain random walk, with holes, ties and volumes of zero.

use sep_contract::{Candle, CandleSet, Ohlc, Pair, Provenance, Ticks, Timeframe};
use sep_gpu::bars::Bars;

/// A small generator of numbers, the same everywhere.
pub struct Dice(pub u64);

impl Dice {
    /// The next number from 0 to, but without, `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014).
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ mixed >> 31) % sides
    }

    /// A number from -`most` to `most`.
    pub fn around(&mut self, most: i32) -> i32 {
        i32::try_from(self.roll(2 * most.unsigned_abs() as u64 + 1)).unwrap() - most
    }
}

/// A walk of `count` M1 bars.
pub fn candles(pair: &str, count: usize, seed: u64) -> CandleSet {
    let pair: Pair = pair.parse().unwrap();
    let mut dice = Dice(seed);
    let mut time = 1_753_303_200;
    let mut price = if pair.digits() == 3 { 155_000 } else { 110_000 };
    let mut rows = Vec::with_capacity(count);
    for _ in 0..count {
        time += if dice.roll(50) == 0 { 60 * 7 } else { 60 };
        let gap = if dice.roll(20) == 0 { dice.around(60) } else { 0 };
        let open = price + gap;
        let close = open + if dice.roll(8) == 0 { 0 } else { dice.around(12) };
        let high = open.max(close) + dice.around(8).max(0);
        let low = open.min(close) - dice.around(8).max(0);
        price = close;
        let spread = 8 + dice.around(4);
        let side = |more: i32| Ohlc {
            open: Ticks::new(open + more),
            high: Ticks::new(high + more),
            low: Ticks::new(low + more),
            close: Ticks::new(close + more),
        };
        let volume = u32::try_from(if dice.roll(10) == 0 { 0 } else { dice.roll(400) }).unwrap();
        let time = jiff::Timestamp::from_second(time).unwrap();
        rows.push(Candle { time, bid: side(0), ask: side(spread), volume });
    }
    let provenance = Provenance { synthetic: true, ..Provenance::default() };
    CandleSet { pair, timeframe: Timeframe::M1, provenance, candles: rows }
}

/// The walk as bars.
pub fn bars(count: usize, seed: u64) -> Bars {
    Bars::new(&candles("EUR_USD", count, seed))
}
