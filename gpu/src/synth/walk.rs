//! The walk of the mid price, one bar at a time.
//!
//! Owns GARCH(1,1) volatility with logistic shocks, the daily rhythm and the highs and lows. Uses only
//! IEEE arithmetic and libm's logarithm, so that every machine walks the same way. Must not know of time
//! beyond the hour, nor of bid and ask.

use sep_contract::{Ohlc, Ticks};

use super::MILLI;

/// The price stays between the first price divided by this and multiplied by it.
pub const SPAN: i32 = 16;

/// GARCH(1,1), Bollerslev 1986: variance of the next bar = rest + ALPHA * shock^2 + BETA * variance. Typical
/// of minutes of a currency pair; with logistic shocks (kurtosis 4.2) the moves' own kurtosis stays finite.
const ALPHA: f64 = 0.05;
const BETA: f64 = 0.94;

/// The standard deviation of the logistic distribution of scale 1 is pi / sqrt(3); this is its inverse.
const LOGISTIC: f64 = 0.551_328_895_421_792;

/// The jump over a weekend or holiday, in standard deviations of a minute.
const BREAK: f64 = 12.0;

/// Price changes in an average minute.
const VOLUME: f64 = 80.0;

/// How lively each hour of the day (UTC) is: Asia quiet, London and New York busy, their overlap most.
const RHYTHM: [f64; 24] = [
    0.70, 0.75, 0.70, 0.60, 0.55, 0.60, 0.85, 1.20, 1.35, 1.20, 1.05, 0.95, 1.25, 1.50, 1.55, 1.40, 1.10,
    0.90, 0.80, 0.75, 0.65, 0.50, 0.50, 0.60,
];

/// The chance in one bar: five numbers between, but without, 0 and 1.
pub struct Draws {
    shock: f64,
    high: f64,
    low: f64,
    volume: f64,
    jump: f64,
}

impl Draws {
    /// From three random words.
    pub fn new([shock, range, rest]: [u64; 3]) -> Self {
        let (high, low) = halves(range);
        let (volume, jump) = halves(rest);
        // 53 bits are all that an f64 holds; the half keeps 0 and 1 out.
        let shock = ((shock >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        Self { shock, high, low, volume, jump }
    }
}

fn halves(word: u64) -> (f64, f64) {
    let unit = |half: u64| (half as f64 + 0.5) / (1_u64 << 32) as f64;
    (unit(word >> 32), unit(word & 0xffff_ffff))
}

/// Where the walk stands.
pub struct Walk {
    /// First price, thousandths of a tick.
    first: i64,
    /// The last close, thousandths of a tick.
    price: i64,
    /// Standard deviation of an average minute as a share of the price.
    volatility: f64,
    /// Variance of the next minute relative to the average one.
    variance: f64,
    /// Each hour's factor, made to a mean square of one.
    rhythm: [f64; 24],
}

impl Walk {
    /// Begins at a price (ticks) with a volatility (thousandths of a tick a minute).
    pub fn new(price: i32, volatility: i32) -> Self {
        let first = i64::from(price) * MILLI;
        let mean_square = RHYTHM.iter().map(|factor| factor * factor).sum::<f64>() / 24.0;
        let scale = mean_square.sqrt();
        Self {
            first,
            price: first,
            volatility: f64::from(volatility) / first as f64,
            variance: 1.0,
            rhythm: RHYTHM.map(|factor| factor / scale),
        }
    }

    /// One minute: its mid prices and its price changes. `drift` is added to the move (thousandths of a
    /// tick); after a break of the market the bar opens with a jump.
    pub fn bar(&mut self, second: i64, after_break: bool, drift: i64, draws: &Draws) -> (Ohlc, u32) {
        let hour = usize::try_from(second.rem_euclid(86_400) / 3_600).unwrap_or(0);
        let lively = self.rhythm[hour] * self.variance.sqrt();
        let deviation = self.volatility * self.price as f64 * lively;
        if after_break {
            self.go(whole(BREAK * self.volatility * self.price as f64 * logistic(draws.jump)));
        }
        let open = self.price;
        let shock = logistic(draws.shock);
        self.go(whole(deviation * shock) + drift);
        let close = self.price;
        // The extremes of a Brownian bridge: the maximum of one from 0 to d with deviation s is
        // (d + sqrt(d^2 - 2 s^2 ln U)) / 2 for a uniform U (Karatzas and Shreve 1991, 4.3.40).
        let step = (close - open) as f64;
        let reach = |u: f64| (step * step - 2.0 * deviation * deviation * libm::log(u)).sqrt();
        let high = open + whole((step + reach(draws.high)) / 2.0);
        let low = open + whole((step - reach(draws.low)) / 2.0);
        // Rounding may put an extreme a thousandth of a tick inside the bar's ends.
        let (high, low) = (self.bounded(high.max(open).max(close)), self.bounded(low.min(open).min(close)));
        let relative = shock * shock * self.variance;
        self.variance = (1.0 - ALPHA - BETA) + ALPHA * relative + BETA * self.variance;
        let volume = whole(VOLUME * lively * (0.5 + draws.volume)).max(1);
        let prices = Ohlc { open: tick(open), high: tick(high), low: tick(low), close: tick(close) };
        (prices, u32::try_from(volume).unwrap_or(u32::MAX))
    }

    fn go(&mut self, by: i64) {
        self.price = self.bounded(self.price + by);
    }

    fn bounded(&self, price: i64) -> i64 {
        price.clamp(self.first / i64::from(SPAN), self.first * i64::from(SPAN))
    }
}

/// A number of the logistic distribution with mean 0 and standard deviation 1.
fn logistic(u: f64) -> f64 {
    LOGISTIC * libm::log(u / (1.0 - u))
}

/// The nearest tick.
fn tick(milli: i64) -> Ticks {
    // The price is bounded by SPAN times a first price of at most Ticks::MAX / SPAN.
    Ticks::new(i32::try_from((milli + MILLI / 2).div_euclid(MILLI)).unwrap_or(Ticks::MAX))
}

#[expect(clippy::cast_possible_truncation, reason = "moves are a small part of a price; the cast saturates")]
fn whole(x: f64) -> i64 {
    libm::round(x) as i64
}
