//! What made-up candles promise.

use sep_contract::Month;

use super::*;
use crate::store::faults;

fn spec(pair: &str, bars: usize, seed: u64) -> Spec {
    Spec::new(pair.parse().unwrap(), bars, seed)
}

fn closes(set: &CandleSet) -> Vec<i32> {
    set.candles.iter().map(|candle| candle.bid.close.get()).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Autocorrelation at a lag of one bar.
fn autocorrelation(values: &[f64]) -> f64 {
    let centre = mean(values);
    let product: Vec<f64> = values.windows(2).map(|two| (two[0] - centre) * (two[1] - centre)).collect();
    let square: Vec<f64> = values.iter().map(|value| (value - centre) * (value - centre)).collect();
    mean(&product) / mean(&square)
}

#[test]
fn every_candle_is_sound_and_the_market_open() {
    let sessions = Sessions::new();
    for pair in ["EUR_USD", "USD_JPY"] {
        let set = generate(&spec(pair, 40_000, 7)).unwrap();
        assert!(set.provenance.synthetic && set.candles.len() == 40_000);
        let month: Month = "2024-01".parse().unwrap();
        let mut january = set.clone();
        january.candles.retain(|candle| Month::of(candle.time) == month);
        assert!(january.candles.len() > 25_000);
        assert_eq!(faults(&january, month), []);
        assert!(set.candles.iter().all(|candle| sessions.is_open(candle.time)));
        assert!(set.candles.iter().all(|candle| candle.ask.low.get() - candle.bid.low.get() == 8));
    }
}

#[test]
fn days_are_those_of_the_market() {
    // 1 January is a holiday until 22:00 UTC; the market closes on Friday the 5th at 22:00.
    let set = generate(&spec("EUR_USD", 0, 1).of_days(7).unwrap()).unwrap();
    let time = |at: usize| set.candles[at].time.to_string();
    assert_eq!(set.candles.len(), 4 * 1_440 + 120);
    assert_eq!(
        (time(0), time(set.candles.len() - 1)),
        ("2024-01-01T22:00:00Z".into(), "2024-01-07T23:59:00Z".into())
    );
    let monday = set.candles.iter().position(|candle| candle.time.to_string() == "2024-01-07T22:00:00Z");
    assert_eq!(monday, Some(4 * 1_440));
    let gap = closes(&set)[4 * 1_440 - 1] - set.candles[4 * 1_440].bid.open.get();
    assert_ne!(gap, 0, "the price jumps over the weekend");
}

#[test]
fn a_longer_walk_begins_with_the_shorter_one() {
    let edge = Some(Edge::of_drift(2_000));
    let short = generate(&Spec { edge, ..spec("EUR_USD", 3_000, 9) }).unwrap();
    let long = generate(&Spec { edge, ..spec("EUR_USD", 9_000, 9) }).unwrap();
    assert_eq!(short.candles, long.candles[..3_000]);
    assert_ne!(short.candles, generate(&Spec { edge, ..spec("EUR_USD", 3_000, 10) }).unwrap().candles);
    assert_ne!(closes(&short), closes(&generate(&Spec { edge, ..spec("GBP_USD", 3_000, 9) }).unwrap()));
}

#[test]
fn the_same_candles_on_every_machine() {
    let set = generate(&spec("EUR_USD", 100_000, 42)).unwrap();
    let sum: i64 = closes(&set).into_iter().map(i64::from).sum();
    let volume: u64 = set.candles.iter().map(|candle| u64::from(candle.volume)).sum();
    let last = set.candles[99_999];
    assert_eq!(
        (sum, volume, last.bid.named().map(|(_, price)| price.get())),
        (10_829_956_865, 7_176_250, [109_248, 109_252, 109_234, 109_246])
    );
}

#[test]
fn moves_have_the_stated_size_fat_tails_and_clusters() {
    let set = generate(&spec("EUR_USD", 300_000, 3)).unwrap();
    let relative: Vec<f64> = closes(&set)
        .windows(2)
        .map(|two| f64::from(two[1] - two[0]) / f64::from(two[0]) * 110_000.0)
        .collect();
    // Jumps over weekends are left out.
    let moves: Vec<f64> = relative.into_iter().filter(|size| size.abs() < 100.0).collect();
    let square: Vec<f64> = moves.iter().map(|size| size * size).collect();
    let fourth: Vec<f64> = square.iter().map(|square| square * square).collect();
    let (variance, kurtosis) = (mean(&square), mean(&fourth) / mean(&square) / mean(&square));
    assert!((9.0..11.0).contains(&variance.sqrt()), "a pip a minute: {variance}");
    assert!(kurtosis > 5.0, "a normal distribution has 3: {kurtosis}");
    assert!(autocorrelation(&square) > 0.1, "{}", autocorrelation(&square));
    assert!(autocorrelation(&moves).abs() < 0.01, "a martingale: {}", autocorrelation(&moves));
    let of_hour = |hour: i64| {
        let bars = set.candles.iter().filter(|candle| candle.time.as_second() / 3_600 % 24 == hour);
        let ranges: Vec<f64> = bars.map(|bar| f64::from(bar.bid.high.get() - bar.bid.low.get())).collect();
        mean(&ranges)
    };
    assert!(of_hour(14) > 2.0 * of_hour(4));
}

/// The mean of the moves that follow windows of the kind, in ticks, in the edge's direction, with the next
/// bar's and those of the bars after the edge has ended; worked out apart from the generator.
fn after_windows(set: &CandleSet, lag: usize) -> (f64, usize) {
    let closes = closes(set);
    let mut following = Vec::new();
    for at in 12..closes.len() - lag {
        for sign in [1, -1] {
            let bits: Vec<bool> =
                (at - 10..=at).map(|bar| (closes[bar] - closes[bar - 1]) * sign > 0).collect();
            let ruptures = bits.windows(2).filter(|two| two[0] && two[1]).count();
            if ruptures >= 6 {
                following.push(f64::from((closes[at + lag] - closes[at + lag - 1]) * sign));
            }
        }
    }
    (mean(&following), following.len())
}

#[test]
fn a_planted_edge_is_there_and_none_without_it() {
    let none = generate(&spec("EUR_USD", 400_000, 5)).unwrap();
    let (drift, count) = after_windows(&none, 1);
    assert!(drift.abs() < 0.2 && count > 30_000, "{drift} over {count} windows");
    let planted = Spec { edge: Some(Edge::of_drift(3_000)), ..spec("EUR_USD", 400_000, 5) };
    let planted = generate(&planted).unwrap();
    let (drift, count) = after_windows(&planted, 1);
    assert!((2.8..3.2).contains(&drift), "{drift} over {count} windows");
    let (drift, _) = after_windows(&planted, 10);
    assert!(drift > 2.0, "the tenth bar drifts still: {drift}");
}

#[test]
fn the_watcher_counts_ruptures_and_bars() {
    let edge = Edge { window: 5, rupture_share: 0.5, drift: 700, bars: 2 };
    let mut watcher = Watcher::new(&edge);
    let mut drifts = Vec::new();
    // Rises of 1, falls of 1 and a tie; the fifth bit completes the first window.
    for close in [10, 11, 12, 13, 12, 13, 12, 12, 13, 12, 11, 10, 9] {
        watcher.close(close);
        drifts.push(watcher.drift());
    }
    assert_eq!(drifts, [0, 0, 0, 0, 0, 700, 700, 0, 0, 0, 0, -700, -700]);
}

#[test]
fn nonsense_is_refused() {
    let good = spec("EUR_USD", 10, 1);
    let refused = |spec: Spec| generate(&spec).unwrap_err().to_string();
    assert_eq!(
        refused(Spec { volatility: 0, ..good.clone() }),
        "a volatility of 0 pips a minute: expected 0.0001 to 110"
    );
    assert_eq!(refused(Spec { spread: -1, ..good.clone() }), "a spread of -0.1 pips: expected 0 to 687.5");
    assert!(refused(Spec { price: 0, ..good.clone() }).starts_with("a first price of 0 ticks"));
    let edge = |edge: Edge| refused(Spec { edge: Some(edge), ..good.clone() });
    let fair = Edge::of_drift(1_000);
    assert!(edge(Edge { window: 65, ..fair }).contains("window of 65 bits"));
    assert!(edge(Edge { rupture_share: f64::NAN, ..fair }).contains("NaN"));
    assert!(
        edge(Edge { drift: 10_001, ..fair })
            .contains("an edge of 1.0001 pips a bar: expected 0.0001 to the volatility, 1")
    );
    assert!(edge(Edge { bars: 0, ..fair }).contains("0 bars"));
    for bars in [MOST_BARS + 1, usize::MAX] {
        assert_eq!(generate(&Spec { bars, ..good.clone() }), Err(SynthError::Bars { found: bars }));
    }
    let late = Spec { start: Timestamp::MAX, ..good };
    assert_eq!(generate(&late), Err(SynthError::PastTheEnd));
}
