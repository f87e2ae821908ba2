//! The engine against the reference: random series, golden rows, every window length.

use std::path::Path;

use proptest::prelude::*;
use sep_contract::{Candle, CandleSet, Ohlc, Provenance, Ticks, Timeframe};
use sep_gpu::bars::Bars;
use sep_gpu::lane::Lane;
use sep_gpu::qfh::{Constants, Features, Window, decide, scores};
use sep_gpu::variant::Variant;

use super::published::oanda;
use super::{Bar, Direction, Reading, Row, Side, Taken, correction_ratio, rows, symmetric_side};
use crate::golden::{self, PIP};
use crate::real_data::real;

/// How far single precision may take the engine from the reference.
const NEAR: f64 = 1e-5;

/// The published model, with the filters of high confidence or without.
fn published_lane(high: bool) -> Lane {
    let published = Variant::published();
    let all = Variant { min_confidence: 0.0, min_coherence: 0.0, ..published };
    if high { published } else { all }.lane()
}

/// The reference's bars: mid prices in half-ticks, which doubles hold exactly.
fn mid_bars(bars: &Bars) -> Vec<Bar> {
    let (bid, ask) = (&bars.bid, &bars.ask);
    let bar = |at: usize| Bar {
        high: f64::from(bid.high[at] + ask.high[at]),
        low: f64::from(bid.low[at] + ask.low[at]),
        close: f64::from(bid.close[at] + ask.close[at]),
        volume: f64::from(bars.volume[at]),
    };
    (0..bars.len()).map(bar).collect()
}

/// What was compared, and how often a side was left open because its score lay at its threshold.
#[derive(Debug, Default)]
struct Tally {
    sides: usize,
    at_threshold: usize,
}

impl Tally {
    /// Holds the engine's sides to the reference's, unless a number lies so near a limit that single
    /// precision may take it to the other side.
    fn side(
        &mut self,
        found: Option<(sep_contract::Side, f32)>,
        expected: Option<Taken>,
        margin: f64,
        place: &str,
    ) {
        self.sides += 1;
        let name = |taken: Taken| match taken.side {
            Side::Buy => sep_contract::Side::Buy,
            Side::Sell => sep_contract::Side::Sell,
        };
        if found.map(|(side, _)| side) == expected.map(name) {
            let confidences = found.zip(expected);
            assert!(
                confidences.is_none_or(|((_, f), e)| near(f, e.confidence)),
                "{place}: {found:?}, {expected:?}"
            );
        } else {
            assert!(margin < NEAR, "{place}: {found:?}, not {expected:?}");
            self.at_threshold += 1;
        }
    }
}

fn near(found: f32, expected: f64) -> bool {
    (f64::from(found) - expected).abs() < NEAR
}

/// Holds the engine's features, scores and sides of a series to the reference's, for one window length.
fn compare(bars: &Bars, window: u32, tally: &mut Tally) {
    let mid = mid_bars(bars);
    let of = |direction| rows(&mid, PIP, usize::try_from(window).unwrap(), direction, Reading::Causal);
    let (rising, falling) = (of(Direction::Rising), of(Direction::Falling));
    let constants = Constants::default();
    let published = Features::new(bars, window, false, &constants);
    let symmetric = Features::new(bars, window, true, &constants);
    assert_eq!(published.up, symmetric.up);
    assert_eq!(rising.len(), bars.len().saturating_sub(2));
    let [all, high] = [false, true].map(published_lane);
    for unevaluated in 0..bars.len().min(2) {
        assert_eq!(decide(&all, &published, unevaluated), None);
        assert_eq!(decide(&all, &symmetric, unevaluated), None);
    }
    for (rising, falling) in rising.iter().zip(&falling) {
        let bar = rising.bar;
        let place = format!("window {window}, bar {bar}");
        let down = symmetric.down.as_ref().unwrap();
        for (row, of) in [(rising, &published.up), (falling, down)] {
            let found =
                [of.stability[bar], of.coherence[bar], of.entropy[bar], of.gain[bar], of.rupture[bar]];
            let expected = [
                row.stability,
                row.scored_coherence,
                row.entropy / 2.0,
                row.volume_factor * row.temporal_factor,
                row.rupture,
            ];
            let same = found.iter().zip(expected).all(|(found, expected)| near(*found, expected));
            assert!(same, "{place}: {found:?}, not {expected:?}");
        }
        assert!(near(published.strictness[bar], rising.volatility), "{place}");
        let (buy, sell) = scores(&all, &published, bar);
        assert!(near(buy, rising.buy) && near(sell, rising.sell), "{place}");
        let (buy, sell) = scores(&all, &symmetric, bar);
        assert!(near(buy, rising.buy) && near(sell, falling.buy), "{place}");

        for (features, margin, expected) in [
            (&published, margin(rising, rising.sell), rising.side()),
            (&symmetric, margin(rising, falling.buy), symmetric_side(rising, falling)),
        ] {
            let side =
                |lane| decide(lane, features, bar).map(|decision| (decision.side, decision.confidence));
            tally.side(side(&all), expected, margin, &place);
            let of_high = expected.map_or(f64::MAX, |taken| {
                let row = if features.down.is_some() && taken.side == Side::Sell { falling } else { rising };
                (taken.confidence - 0.65).abs().min((row.scored_coherence - 0.30).abs())
            });
            tally.side(side(&high), expected.filter(|taken| taken.high), margin.min(of_high), &place);
        }
    }
}

/// How far the scores of a bar are from changing the side.
fn margin(rising: &Row, sell: f64) -> f64 {
    let (buy, strictness) = (rising.buy, rising.volatility);
    let of_thresholds = (buy - 0.50 * strictness).abs().min((sell - 0.52 * strictness).abs());
    of_thresholds.min((buy - sell).abs())
}

fn series(bars: impl IntoIterator<Item = Candle>) -> Bars {
    let provenance = Provenance { synthetic: true, ..Provenance::default() };
    let pair = "EUR_USD".parse().unwrap();
    let candles = bars.into_iter().collect();
    Bars::new(&CandleSet { pair, timeframe: Timeframe::M1, provenance, candles })
}

fn candle(second: i64, [open, high, low, close, spread]: [i32; 5], volume: u32) -> Candle {
    let side = |more: i32| {
        let [open, high, low, close] = [open, high, low, close].map(|price| Ticks::new(price + more));
        Ohlc { open, high, low, close }
    };
    let time = jiff::Timestamp::from_second(second).unwrap();
    Candle { time, bid: side(0), ask: side(spread), volume }
}

/// A stretch of bars of one character.
#[derive(Debug, Clone, Copy)]
enum Stretch {
    /// Steps of up to so many ticks either way.
    Walk(i32),
    /// The price stands still, with ranges or without.
    Flat,
    Dead,
    Rising,
    Falling,
}

fn stretches() -> impl Strategy<Value = Vec<(Stretch, Vec<[u16; 5]>)>> {
    let kind = prop_oneof![
        4 => (1..60).prop_map(Stretch::Walk),
        1 => (200..900).prop_map(Stretch::Walk),
        1 => Just(Stretch::Flat),
        1 => Just(Stretch::Dead),
        1 => Just(Stretch::Rising),
        1 => Just(Stretch::Falling),
    ];
    prop::collection::vec((kind, prop::collection::vec(any::<[u16; 5]>(), 1..50)), 1..9)
}

fn bars_of(stretches: &[(Stretch, Vec<[u16; 5]>)]) -> Bars {
    let (mut open, mut second) = (110_000_i32, 1_753_056_000_i64);
    let mut candles = Vec::new();
    for (kind, draws) in stretches {
        for draw in draws {
            let [step, above, under, spread, volume] = draw.map(i32::from);
            let (step, wild) = match *kind {
                Stretch::Walk(size) => (step % (2 * size + 1) - size, size),
                Stretch::Flat => (0, 20),
                Stretch::Dead => (0, 1),
                Stretch::Rising => (step % 9, 10),
                Stretch::Falling => (-(step % 9), 10),
            };
            let close = (open + step).max(50_000);
            let (high, low) = (open.max(close) + above % wild, open.min(close) - under % wild);
            // Every seventh bar or so is without volume; some come after a hole in time.
            let volume = if volume % 7 == 0 { 0 } else { u32::try_from(volume % 450).unwrap() };
            second += if above % 31 == 0 { 300 } else { 60 };
            candles.push(candle(second, [open, high, low, close, 10 + spread % 3], volume));
            open = close;
        }
    }
    series(candles)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        rng_seed: proptest::test_runner::RngSeed::Fixed(20_250_723),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_engine_is_the_reference_for_every_window(stretches in stretches()) {
        let bars = bars_of(&stretches);
        let mut tally = Tally::default();
        for window in 2..=64 {
            compare(&bars, window, &mut tally);
        }
        prop_assert!(tally.at_threshold * 1_000 <= tally.sides, "{tally:?}");
    }

    /// The newest bars alone decide: a long past changes nothing, to the bit.
    #[test]
    fn the_lookback_is_long_enough(stretches in stretches(), window in 2_u32..=64) {
        let bars = bars_of(&stretches);
        let constants = Constants::default();
        let lookback = Features::lookback(window, &constants);
        prop_assume!(bars.len() > lookback);
        let whole = Features::new(&bars, window, true, &constants);
        let newest = bars.len() - lookback..bars.len();
        let candles = newest.map(|at| candle_of(&bars, at));
        let tail = Features::new(&series(candles), window, true, &constants);
        prop_assert_eq!(last(&tail), last(&whole));
    }

    #[test]
    fn the_correction_ratio_is_the_references(bits in any::<u64>(), length in 2_u32..=64) {
        let window = Window { bits: bits & (u64::MAX >> (64 - length)), length };
        let oldest_first: Vec<u8> = (0..length).rev().map(|at| u8::from(bits >> at & 1 == 1)).collect();
        prop_assert!((window.correction_ratio(&Constants::default()) - correction_ratio(&oldest_first)).abs() < 1e-12);
    }
}

fn candle_of(bars: &Bars, at: usize) -> Candle {
    let (bid, ask) = (&bars.bid, &bars.ask);
    let prices = [bid.open[at], bid.high[at], bid.low[at], bid.close[at], ask.close[at] - bid.close[at]];
    candle(bars.time[at], prices, bars.volume[at])
}

/// The bits of the newest row.
fn last(features: &Features) -> Vec<u32> {
    let directions = [&features.up, features.down.as_ref().unwrap()];
    let of = |d: &sep_gpu::qfh::Direction| {
        [&d.stability, &d.coherence, &d.entropy, &d.gain, &d.rupture].map(|v| v[v.len() - 1])
    };
    let mut numbers: Vec<f32> = directions.into_iter().flat_map(of).collect();
    numbers.extend(features.strictness.last());
    numbers.into_iter().map(f32::to_bits).collect()
}

/// Series that are longer than there are patterns of a window go through a table of them.
#[test]
fn tables_of_patterns_say_what_the_reference_says() {
    let mut state = 7_u64;
    let draw = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        [60, 44, 33, 50, 40].map(|shift| u16::try_from(state >> shift & 0xFFF).unwrap())
    };
    let bars = bars_of(&[(Stretch::Walk(8), (0..70_000).map(draw).collect())]);
    let mut tally = Tally::default();
    for window in [2, 10, 11, 15, 16, 17] {
        compare(&bars, window, &mut tally);
    }
    assert!(tally.at_threshold * 1_000 <= tally.sides, "{tally:?}");
}

/// Holds the engine's features of one direction, and for the rising one its sides too, to a golden file.
fn assert_golden(bars: &Bars, window: u32, direction: Direction, path: &Path) {
    let symmetric = Features::new(bars, window, true, &Constants::default());
    let published = Features { down: None, ..symmetric.clone() };
    let of = match direction {
        Direction::Rising => &symmetric.up,
        Direction::Falling => symmetric.down.as_ref().unwrap(),
    };
    let side = |high, features, bar| {
        let decision = decide(&published_lane(high), features, bar);
        decision.map_or(String::new(), |decision| decision.side.as_str().to_uppercase())
    };
    let mut seen = 0;
    for row in csv::Reader::from_path(path).unwrap().records().map(|row| row.unwrap()) {
        let bar: usize = row[0].parse().unwrap();
        let number = |column: usize| row[column].parse::<f64>().unwrap();
        for (found, expected) in [
            (of.rupture[bar], number(3)),
            (of.entropy[bar], number(4) / 2.0),
            (of.coherence[bar], number(6)),
            (of.stability[bar], number(7)),
            (of.gain[bar], number(8) * number(9)),
            (symmetric.strictness[bar], number(10)),
        ] {
            assert!(near(found, expected), "bar {bar}: {found}, not {expected}: {row:?}");
        }
        if direction == Direction::Rising {
            for (features, column) in [(&published, 13), (&symmetric, 15)] {
                // The files of the earlier system know nothing of the symmetric model.
                let Some(named) = row.get(column) else { continue };
                assert_eq!(side(false, features, bar), named, "bar {bar}");
                let high = if &row[column + 1] == "1" { named } else { "" };
                assert_eq!(side(true, features, bar), high, "bar {bar}");
            }
        }
        seen += 1;
    }
    assert_eq!(seen, bars.len() - 2);
}

#[test]
fn the_engine_gives_the_golden_rows() {
    let candles = golden::bars().into_iter().zip(0..).map(|(bar, at)| {
        candle(1_753_056_000 + at * 60, [bar.open, bar.high, bar.low, bar.close, bar.spread], bar.volume)
    });
    let bars = series(candles);
    for expected in golden::EXPECTED.iter().filter(|expected| expected.reading == Reading::Causal) {
        let window = u32::try_from(expected.window).unwrap();
        assert_golden(&bars, window, expected.direction, &golden::folder().join(expected.name));
    }
}

/// The golden rows were made of the file's mid prices, which are whole ticks: they stand here as bid and ask.
#[test]
fn the_engine_gives_the_golden_rows_of_made_up_bars() {
    let test = "the_engine_gives_the_golden_rows_of_made_up_bars";
    let (Some(data), Some(causal)) =
        (real(test, "o-test-2.json"), real(test, "../facts/qfh-golden-causal.csv"))
    else {
        return;
    };
    #[expect(clippy::cast_possible_truncation, reason = "prices near 1.1 in ticks")]
    let ticks = |price: f64| (price * 1e5).round() as i32;
    let candles = oanda(&data).into_iter().zip(0..).map(|(bar, at)| {
        let [high, low, close] = [bar.high, bar.low, bar.close].map(ticks);
        let volume = u32::try_from(ticks(bar.volume / 1e5)).unwrap();
        candle(1_753_056_000 + at * 60, [close, high, low, close, 0], volume)
    });
    assert_golden(&series(candles), 11, Direction::Rising, &causal);
}
