//! Golden rows of the project's own: 200 made-up bars, and what the reference says of them.
//!
//! The files in `golden/` are held to the reference here, and the engine is held to the files, so that neither
//! drifts along with the other. `SEP_GOLDEN=write` has the test write them anew.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::reference::{Bar, Direction, Reading, Row, Side, Taken, rows, symmetric_side};

/// A pip in half-ticks, the unit of the sum of bid and ask.
pub const PIP: f64 = 20.0;

/// One bar in ticks: bid, and the ask's distance from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoldenBar {
    pub open: i32,
    pub high: i32,
    pub low: i32,
    pub close: i32,
    pub spread: i32,
    pub volume: u32,
}

impl GoldenBar {
    /// The bar of mid prices in half-ticks.
    pub fn mid(&self) -> Bar {
        let mid = |bid: i32| f64::from(2 * bid + self.spread);
        Bar {
            high: mid(self.high),
            low: mid(self.low),
            close: mid(self.close),
            volume: f64::from(self.volume),
        }
    }
}

/// A file of expected rows.
pub struct Expected {
    pub name: &'static str,
    pub window: usize,
    pub direction: Direction,
    pub reading: Reading,
}

pub const EXPECTED: [Expected; 4] = [
    expected("causal-11.csv", 11, Direction::Rising, Reading::Causal),
    expected("falling-11.csv", 11, Direction::Falling, Reading::Causal),
    expected("causal-33.csv", 33, Direction::Rising, Reading::Causal),
    expected("published-11.csv", 11, Direction::Rising, Reading::Published),
];

const fn expected(name: &'static str, window: usize, direction: Direction, reading: Reading) -> Expected {
    Expected { name, window, direction, reading }
}

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden")
}

/// The bars of `bars.csv`.
pub fn bars() -> Vec<GoldenBar> {
    let mut file = csv::Reader::from_path(folder().join("bars.csv")).unwrap();
    let bar = |row: csv::StringRecord| {
        let [open, high, low, close, spread] = [1, 2, 3, 4, 5].map(|column| row[column].parse().unwrap());
        GoldenBar { open, high, low, close, spread, volume: row[6].parse().unwrap() }
    };
    file.records().map(|row| bar(row.unwrap())).collect()
}

/// A walk with what is awkward in it: stretches of ties and of one direction, bars without volume, wild and
/// motionless bars, and a spread that moves the mid by half a tick.
fn made_up() -> Vec<GoldenBar> {
    let mut state: u64 = 11;
    let mut below = move |bound: u32| -> i32 {
        // Knuth's linear congruential generator (MMIX); its upper half is good enough for bars.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i32::try_from((state >> 33) % u64::from(bound)).unwrap()
    };
    let mut open = 110_000;
    let mut bar = |at: u32| {
        let wild = if (120..150).contains(&at) { 400 } else { 12 };
        let step = match at {
            40..52 => 0,
            70..85 => 3 + below(5),
            90..105 => -3 - below(5),
            _ => below(2 * wild + 1) - i32::try_from(wild).unwrap(),
        };
        let close = open + step;
        let motionless = (44..48).contains(&at);
        let (above, under) = if motionless { (0, 0) } else { (below(wild), below(wild)) };
        let volume = match at {
            _ if at % 17 == 5 => 0,
            130..170 => below(30),
            _ => below(400),
        };
        let spread = if (40..52).contains(&at) { 12 } else { 12 + below(3) };
        let made = GoldenBar {
            open,
            high: open.max(close) + above,
            low: open.min(close) - under,
            close,
            spread,
            volume: u32::try_from(volume).unwrap(),
        };
        open = close;
        made
    };
    (0..200).map(&mut bar).collect()
}

fn bars_text(bars: &[GoldenBar]) -> String {
    let mut text = String::from("bar,open,high,low,close,spread,volume\n");
    for (at, bar) in bars.iter().enumerate() {
        let GoldenBar { open, high, low, close, spread, volume } = bar;
        writeln!(text, "{at},{open},{high},{low},{close},{spread},{volume}").unwrap();
    }
    text
}

fn words(taken: Option<Taken>) -> String {
    let Some(taken) = taken else { return ",0".into() };
    let side = if taken.side == Side::Buy { "BUY" } else { "SELL" };
    format!("{side},{}", u8::from(taken.high))
}

fn rows_text(bars: &[GoldenBar], what: &Expected) -> String {
    let bars: Vec<Bar> = bars.iter().map(GoldenBar::mid).collect();
    let of = |direction| rows(&bars, PIP, what.window, direction, what.reading);
    let (rising, falling) = (of(Direction::Rising), of(Direction::Falling));
    let mut text = String::from(
        "bar,bits,flip,rupture,entropy,coherence,scored_coherence,stability,volume_factor,\
         temporal_factor,volatility,buy,sell,side,high,symmetric_side,symmetric_high\n",
    );
    for (rising, falling) in rising.iter().zip(&falling) {
        let row = if what.direction == Direction::Rising { rising } else { falling };
        let bits: String = row.bits.iter().map(ToString::to_string).collect();
        write!(text, "{},{bits}", row.bar).unwrap();
        for number in row.numbers() {
            write!(text, ",{number:.7}").unwrap();
        }
        writeln!(text, ",{},{}", words(rising.side()), words(symmetric_side(rising, falling))).unwrap();
    }
    text
}

#[test]
fn the_reference_still_gives_the_golden_rows() {
    let bars = made_up();
    let mut texts = vec![("bars.csv", bars_text(&bars))];
    texts.extend(EXPECTED.iter().map(|what| (what.name, rows_text(&bars, what))));
    for (name, text) in texts {
        let path = folder().join(name);
        if std::env::var_os("SEP_GOLDEN").is_some_and(|value| value == "write") {
            fs::write(&path, &text).unwrap();
        }
        let written = fs::read_to_string(&path).unwrap();
        for (line, (found, golden)) in text.lines().zip(written.lines()).enumerate() {
            assert_same(name, line, found, golden);
        }
        assert_eq!(text.lines().count(), written.lines().count(), "{name}");
    }
}

/// Words must be the same; numbers may differ by what another C library's logarithm makes of them.
fn assert_same(name: &str, line: usize, found: &str, golden: &str) {
    for (found, golden) in found.split(',').zip(golden.split(',')) {
        let both = found.parse::<f64>().ok().zip(golden.parse::<f64>().ok());
        let same = both.map_or(found == golden, |(found, golden)| (found - golden).abs() < 1e-6);
        assert!(same, "{name}, line {}: {found}, golden {golden}", line + 1);
    }
    assert_eq!(found.split(',').count(), golden.split(',').count());
}

/// The golden rows are worth something only if they hold every case.
#[test]
fn the_golden_rows_hold_every_case() {
    let bars: Vec<Bar> = bars().iter().map(GoldenBar::mid).collect();
    let rising = rows(&bars, PIP, 11, Direction::Rising, Reading::Causal);
    let falling = rows(&bars, PIP, 11, Direction::Falling, Reading::Causal);
    let sides: Vec<Option<Taken>> = rising.iter().map(Row::side).collect();
    let symmetric: Vec<_> = rising.iter().zip(&falling).map(|(r, f)| symmetric_side(r, f)).collect();
    for sides in [sides, symmetric] {
        let count = |side: Option<Side>| sides.iter().filter(|s| s.map(|s| s.side) == side).count();
        for side in [None, Some(Side::Buy), Some(Side::Sell)] {
            assert!(count(side) >= 5, "{side:?}: {}", count(side));
        }
        assert!(sides.iter().flatten().any(|taken| taken.high));
        assert!(sides.iter().flatten().any(|taken| !taken.high));
    }
    let factors = |wanted: f64| rising.iter().filter(|row| row.temporal_factor == wanted).count();
    assert!([1.0, 1.08, 1.15].iter().all(|wanted| factors(*wanted) >= 5));
    assert!(rising.iter().any(|row| row.volatility < 0.85) && rising.iter().any(|row| row.volatility > 1.1));
    assert!(rising.iter().any(|row| row.entropy == 0.05) && rising.iter().any(|row| row.stability == 1.0));
}
