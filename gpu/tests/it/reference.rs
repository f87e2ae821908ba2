//! The reference: every formula of QFH as it is written, in doubles, slowly, one bar at a time.
//!
//! Written from the formulas alone, apart from the engine, so that the two can be held against each other. It
//! must not call the engine, and the engine must not call it.

mod engine;
pub mod published;

/// One bar. Prices may be in any unit as long as the pip is given in the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bar {
    pub high: f64,
    pub low: f64,
    pub close: f64,
    pub volume: f64,
}

/// What the evaluation of a bar knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// The bar itself and those before it.
    Causal,
    /// As published: the window also holds the bit of the bar to be predicted, and the volatility multiplier
    /// is that of the end of the data.
    Published,
}

/// Which moves a one stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Rising,
    Falling,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Buy,
    Sell,
}

/// Everything that is said of one bar.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub bar: usize,
    /// The window, oldest bit first.
    pub bits: Vec<u8>,
    pub flip: f64,
    pub rupture: f64,
    pub entropy: f64,
    pub coherence: f64,
    pub scored_coherence: f64,
    pub stability: f64,
    pub volume_factor: f64,
    pub temporal_factor: f64,
    pub volatility: f64,
    pub buy: f64,
    pub sell: f64,
}

/// A side that is taken, with its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Taken {
    pub side: Side,
    pub confidence: f64,
    pub high: bool,
}

const BUY_THRESHOLD: f64 = 0.50;
const SELL_THRESHOLD: f64 = 0.52;

/// Bit k is 1 if close(k+1) lies above close(k) (below it, for the falling ones); a tie is 0 in both.
pub fn bits(bars: &[Bar], direction: Direction) -> Vec<u8> {
    let bit = |pair: &[Bar]| match direction {
        Direction::Rising => u8::from(pair[1].close > pair[0].close),
        Direction::Falling => u8::from(pair[1].close < pair[0].close),
    };
    bars.windows(2).map(bit).collect()
}

/// The shares of NULL (00), FLIP (01, 10) and RUPTURE (11) among the window's transitions.
fn shares(window: &[u8]) -> [f64; 3] {
    let mut counts = [0.0; 3];
    for pair in window.windows(2) {
        let kind = match (pair[0], pair[1]) {
            (0, 0) => 0,
            (1, 1) => 2,
            _ => 1,
        };
        counts[kind] += 1.0;
    }
    let transitions = (window.len() - 1) as f64;
    counts.map(|count| count / transitions)
}

fn entropy(window: &[u8]) -> f64 {
    let term = |share: f64| if share == 0.0 { 0.0 } else { share * share.log2() };
    let sum: f64 = shares(window).into_iter().map(term).sum();
    (-sum / 1.585).clamp(0.05, 1.0)
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    let length = (dot(a, a) * dot(b, b)).sqrt();
    if length == 0.0 { 0.0 } else { dot(a, b) / length }
}

/// The damped path of the window: p_0 = b_0, p_j = sum over m = 1..j of (b_m - b_0) exp(-lambda m).
fn path(window: &[u8]) -> Vec<f64> {
    let h = entropy(&window[..window.len().min(20)]);
    let lambda = (0.3 * h + 0.2 * h).clamp(0.01, 1.0);
    let first = f64::from(window[0]);
    let mut path = vec![first];
    let mut sum = 0.0;
    for (m, bit) in window.iter().enumerate().skip(1) {
        sum += (f64::from(*bit) - first) * (-lambda * m as f64).exp();
        path.push(sum);
    }
    path
}

fn trajectory_match(path: &[f64]) -> f64 {
    if path.len() < 3 {
        return 0.5;
    }
    let n = path.len() as f64;
    let (first, last) = (path[0], path[path.len() - 1]);
    let model = |f: &dyn Fn(f64) -> f64| (0..path.len()).map(|i| f(i as f64)).collect::<Vec<f64>>();
    let decay = model(&|i| first * (-0.1 * i).exp());
    let line = model(&|i| first + (last - first) * i / (n - 1.0));
    let (middle, amplitude) = ((last + first) / 2.0, (last - first) / 2.0);
    let wave = model(&|i| middle + amplitude * (2.0 * std::f64::consts::PI * i / n).sin());
    let best = [decay, line, wave].iter().map(|model| cosine(path, model)).fold(f64::MIN, f64::max);
    best.clamp(0.0, 1.0)
}

/// Coherence C of a window.
fn coherence(window: &[u8]) -> f64 {
    let [_, flip, rupture] = shares(window);
    let h = entropy(window);
    let base = 0.6 * (1.0 - h) + 0.33 * (1.0 - rupture) + 0.21 * (1.0 - flip);
    let c0 = (1.1 * base * base).clamp(0.0, 1.0);
    if window.len() <= 10 {
        return c0;
    }
    let path = path(window);
    let value = path[path.len() - 1];
    let mut c = 0.7 * c0 + 0.3 * trajectory_match(&path);
    if value.abs() < 2.0 {
        c *= 1.0 / (1.0 + 0.1 * value.abs());
    }
    c.clamp(0.0, 1.0)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// All bars that can be evaluated (those whose window has at least two bits), with windows of `longest` bits
/// where there are so many.
pub fn rows(bars: &[Bar], pip: f64, longest: usize, direction: Direction, reading: Reading) -> Vec<Row> {
    let bits = bits(bars, direction);
    let ranges: Vec<f64> = bars.iter().map(|bar| (bar.high - bar.low) / pip).collect();
    // C' of the bars evaluated so far.
    let mut history: Vec<f64> = Vec::new();
    let mut rows = Vec::new();
    for bar in 0..bars.len() {
        // The bits of the window are those from `start` to before `end`.
        let end = match reading {
            Reading::Causal => bar,
            Reading::Published => bar + 1,
        };
        let start = end.saturating_sub(longest);
        let window = &bits[start..end.min(bits.len())];
        if window.len() < 2 {
            continue;
        }
        let [_, flip, rupture] = shares(window);
        let entropy = entropy(window);
        let coherence = coherence(window);

        let range_20 = if bar < 20 { 0.5 } else { mean(&ranges[bar - 20..bar]) };
        let stability = (1.0 - rupture + 0.01 * range_20).min(1.0);
        let scored_coherence = 0.7 * coherence + 0.15;
        let e = entropy / 2.0;

        let volume = bars[bar].volume;
        let volume_factor = if volume == 0.0 { 1.0 } else { (0.85 + 0.3 * volume / 150.0).clamp(0.7, 1.4) };
        let mut temporal_factor = 1.0;
        if history.len() >= 15 {
            let m5 = mean(&history[history.len() - 5..]);
            let m15 = mean(&history[history.len() - 15..]);
            if (scored_coherence - m5).abs() < 0.1 && (m5 - m15).abs() < 0.1 {
                temporal_factor = 1.15;
            } else if (scored_coherence - m5).abs() < 0.2 {
                temporal_factor = 1.08;
            }
        }
        history.push(scored_coherence);

        let newest = match reading {
            Reading::Causal => &ranges[(bar + 1).saturating_sub(100)..=bar],
            Reading::Published => &ranges[ranges.len().saturating_sub(100)..],
        };
        let volatility = (1.0 + 0.02 * (mean(newest) - 10.0)).clamp(0.8, 1.5);

        let c = scored_coherence;
        let factors = volume_factor * temporal_factor;
        rows.push(Row {
            bar,
            bits: window.to_vec(),
            flip,
            rupture,
            entropy,
            coherence,
            scored_coherence,
            stability,
            volume_factor,
            temporal_factor,
            volatility,
            buy: (0.4 * (1.0 - stability) + 0.1 * c + 0.5 * (1.0 - e)) * factors,
            sell: (0.4 * stability + 0.1 * (1.0 - c) + 0.5 * e) * factors,
        });
    }
    rows
}

impl Row {
    /// The numbers of the row, in the order of the golden files.
    pub fn numbers(&self) -> [f64; 11] {
        [
            self.flip,
            self.rupture,
            self.entropy,
            self.coherence,
            self.scored_coherence,
            self.stability,
            self.volume_factor,
            self.temporal_factor,
            self.volatility,
            self.buy,
            self.sell,
        ]
    }

    fn taken(&self, side: Side, confidence: f64) -> Taken {
        let high = confidence >= 0.65 && self.scored_coherence >= 0.30 && self.stability >= 0.0;
        Taken { side, confidence, high }
    }

    /// The side of the one-sided model: BUY is asked first.
    pub fn side(&self) -> Option<Taken> {
        if self.buy > BUY_THRESHOLD * self.volatility {
            Some(self.taken(Side::Buy, self.buy))
        } else if self.sell > SELL_THRESHOLD * self.volatility {
            Some(self.taken(Side::Sell, self.sell))
        } else {
            None
        }
    }
}

/// The side of the symmetric model, from the same bar's rows of the rising and of the falling bits: both are
/// scored by the formula of BUY, and the larger score wins.
pub fn symmetric_side(rising: &Row, falling: &Row) -> Option<Taken> {
    let buy = Some(rising.taken(Side::Buy, rising.buy))
        .filter(|t| t.confidence > BUY_THRESHOLD * rising.volatility);
    let sell = Some(falling.taken(Side::Sell, falling.buy))
        .filter(|t| t.confidence > SELL_THRESHOLD * falling.volatility);
    match (buy, sell) {
        (Some(buy), Some(sell)) if buy.confidence == sell.confidence => None,
        (Some(buy), Some(sell)) => Some(if buy.confidence > sell.confidence { buy } else { sell }),
        (one, other) => one.or(other),
    }
}

/// QBSA's correction ratio: mismatches over probes, probes being the indices 0, 4, 8, .. below 64. The first
/// four always mismatch, a later one where the eight bits before it are at least 70 % or at most 30 % ones.
pub fn correction_ratio(bits: &[u8]) -> f64 {
    let probes: Vec<usize> = (0..bits.len().min(64)).step_by(4).collect();
    let mismatch = |at: usize| {
        let ones = bits[at - 8..at].iter().map(|bit| f64::from(*bit)).sum::<f64>() / 8.0;
        !(0.3 < ones && ones < 0.7)
    };
    let mismatches = probes.iter().enumerate().filter(|(nth, at)| *nth < 4 || mismatch(**at)).count();
    if probes.is_empty() { 0.0 } else { mismatches as f64 / probes.len() as f64 }
}
