//! The reference against what is known of the earlier system: the golden rows and the published counts.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Bar, Direction, Reading, Row, Side, rows};
use crate::real_data::real;

/// A pip of the pairs with five digits.
const PIP: f64 = 1e-4;
/// A move that counts as right: more than half a pip.
const MOVE: f64 = 0.5e-4;

fn number(value: &Value) -> f64 {
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).unwrap()
}

/// The mid prices that an OANDA file holds.
pub fn oanda(path: &Path) -> Vec<Bar> {
    let file: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let bar = |candle: &Value| {
        let price = |long: &str, short: &str| number(candle.get(long).unwrap_or(&candle["mid"][short]));
        Bar {
            high: price("high", "h"),
            low: price("low", "l"),
            close: price("close", "c"),
            volume: number(&candle["volume"]),
        }
    };
    file.get("candles").unwrap_or(&file).as_array().unwrap().iter().map(bar).collect()
}

/// FXCM's bars as they were read for the counts: the mid is half the sum of bid and ask in doubles, not
/// rounded (rounding it to a tick, or to half of one, gives other counts), and the volume is 150.
fn fxcm(bid: &Path, ask: &Path) -> Vec<Bar> {
    let read = |path: &Path| -> Vec<[f64; 3]> {
        let mut file = csv::Reader::from_path(path).unwrap();
        let prices = |row: csv::StringRecord| [2, 3, 4].map(|column| row[column].parse().unwrap());
        file.records().map(|row| prices(row.unwrap())).collect()
    };
    let bar = |(bid, ask): ([f64; 3], [f64; 3])| {
        let mid = |at: usize| (bid[at] + ask[at]) / 2.0;
        Bar { high: mid(0), low: mid(1), close: mid(2), volume: 150.0 }
    };
    read(bid).into_iter().zip(read(ask)).map(bar).collect()
}

pub fn evaluated(bars: &[Bar], reading: Reading) -> Vec<Row> {
    rows(bars, PIP, 11, Direction::Rising, reading)
}

/// Holds the rows to a golden file: every column within 1e-5, every side and flag.
fn assert_golden(rows: &[Row], path: &Path) {
    let mut file = csv::Reader::from_path(path).unwrap();
    let golden: Vec<csv::StringRecord> = file.records().map(|row| row.unwrap()).collect();
    assert_eq!(golden.len(), rows.len());
    for (golden, row) in golden.iter().zip(rows) {
        assert_eq!(golden[0], row.bar.to_string());
        let bits: String = row.bits.iter().map(ToString::to_string).collect();
        assert_eq!(golden[1], bits, "bar {}", row.bar);
        for (column, found) in (2..).zip(row.numbers()) {
            let expected: f64 = golden[column].parse().unwrap();
            assert!(
                (found - expected).abs() < 1e-5,
                "bar {} column {column}: {found}, not {expected}",
                row.bar
            );
        }
        let taken = row.side();
        let side = taken.map_or("", |taken| if taken.side == Side::Buy { "BUY" } else { "SELL" });
        assert_eq!(&golden[13], side, "bar {}", row.bar);
        assert_eq!(&golden[14] == "1", taken.is_some_and(|taken| taken.high), "bar {}", row.bar);
    }
}

/// Right calls and calls of high confidence, the call of bar `i` judged by the move from close `i - back` to
/// the next. The differences are those of doubles, as they were when the counts were published: among moves
/// of exactly half a pip the doubles' noise decides.
pub fn count(bars: &[Bar], rows: &[Row], back: usize) -> (usize, usize) {
    let (mut right, mut all) = (0, 0);
    for row in rows {
        let Some(taken) = row.side().filter(|taken| taken.high) else { continue };
        let from = row.bar - back;
        let Some(next) = bars.get(from + 1) else { continue };
        let rise = next.close - bars[from].close;
        all += 1;
        right += usize::from(if taken.side == Side::Buy { rise } else { -rise } > MOVE);
    }
    (right, all)
}

/// Percent of the bars after which the price rose, and after which it fell, by more than half a pip.
pub fn base_rates(bars: &[Bar]) -> [String; 2] {
    let moves: Vec<f64> = bars.windows(2).map(|pair| pair[1].close - pair[0].close).collect();
    let share = |count: usize| format!("{:.2}", 100.0 * count as f64 / moves.len() as f64);
    [share(moves.iter().filter(|m| **m > MOVE).count()), share(moves.iter().filter(|m| -**m > MOVE).count())]
}

fn assert_counts(bars: &[Bar], published: (usize, usize), causal: (usize, usize), always_buy: &str) {
    assert_eq!(count(bars, &evaluated(bars, Reading::Published), 1), published);
    assert_eq!(count(bars, &evaluated(bars, Reading::Causal), 0), causal);
    assert_eq!(base_rates(bars)[0], always_buy);
}

/// A file of facts beside the project.
fn golden(test: &str, name: &str) -> Option<PathBuf> {
    real(test, &format!("../facts/{name}"))
}

#[test]
fn golden_rows_of_made_up_bars() {
    let test = "golden_rows_of_made_up_bars";
    let (Some(data), Some(published), Some(causal)) = (
        real(test, "o-test-2.json"),
        golden(test, "qfh-golden-published.csv"),
        golden(test, "qfh-golden-causal.csv"),
    ) else {
        return;
    };
    let bars = oanda(&data);
    assert_golden(&evaluated(&bars, Reading::Published), &published);
    assert_golden(&evaluated(&bars, Reading::Causal), &causal);
}

#[test]
fn published_counts_of_made_up_bars() {
    let Some(data) = real("published_counts_of_made_up_bars", "o-test-2.json") else { return };
    let bars = oanda(&data);
    assert_counts(&bars, (167, 275), (120, 275), "41.35");
    // The published score is made of the rounded figures; the rate is of all signals, one a bar but bar 0.
    let accuracy = format!("{:.2}", 100.0 * 167.0 / 275.0);
    let rate = format!("{:.1}", 100.0 * 275.0 / evaluated(&bars, Reading::Published).len() as f64);
    assert_eq!((accuracy.as_str(), rate.as_str()), ("60.73", "19.1"));
    let score = (accuracy.parse::<f64>().unwrap() - 50.0) * rate.parse::<f64>().unwrap();
    assert_eq!(format!("{score:.2}"), "204.94");
}

#[test]
fn published_counts_of_two_days_of_oanda() {
    let Some(data) = real("published_counts_of_two_days_of_oanda", "oanda-eur_usd-m1-2025-07-23.json") else {
        return;
    };
    assert_counts(&oanda(&data), (133, 338), (109, 373), "27.96");
}

#[test]
fn published_counts_of_a_month_of_fxcm() {
    let test = "published_counts_of_a_month_of_fxcm";
    let (Some(bid), Some(ask)) =
        (real(test, "fxcm-gbpusd-m1-bid-2012.csv"), real(test, "fxcm-gbpusd-m1-ask-2012.csv"))
    else {
        return;
    };
    assert_counts(&fxcm(&bid, &ask), (1889, 3929), (1275, 4013), "32.56");
}
