//! Made-up candles: M1 bid and ask bars of a random walk with the habits of a market.
//!
//! Owns the walk (fat tails, clustered volatility, daily rhythm, the market's hours) and the edge that can be
//! planted in it. The same [`Spec`] gives the same candles on every machine, and a longer one begins with the
//! shorter one's candles. Must not know of the store, and never marks its candles as real ones.

use jiff::Timestamp;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rust_decimal::Decimal;
use sep_contract::{Candle, CandleSet, Ohlc, Pair, Provenance, Ticks, Timeframe};

use crate::session::Sessions;

mod edge;
mod walk;

pub use edge::Edge;
use edge::Watcher;
use walk::{Draws, Walk};

/// Thousandths of a tick in one tick: the unit in which the walk is kept.
pub const MILLI: i64 = 1_000;

/// 2024-01-01T00:00:00Z: where made-up candles begin unless told otherwise. No clock is asked, so that the
/// same command gives the same candles on every day.
const START: i64 = 1_704_067_200;

/// The most bars that are made up at a time: half a century of minutes, a gigabyte in memory.
pub const MOST_BARS: usize = 20_000_000;

/// What is to be made up.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    pub pair: Pair,
    /// The first bar opens here, or when the market next opens.
    pub start: Timestamp,
    /// Bars, all of them in the market's hours.
    pub bars: usize,
    pub seed: u64,
    /// Mid price before the first bar, in ticks.
    pub price: i32,
    /// Standard deviation of a minute's move, averaged over the day, in thousandths of a tick at the first
    /// price; it grows and shrinks with the price.
    pub volatility: i32,
    /// Ask less bid, in ticks, the same in every bar.
    pub spread: i32,
    /// What a strategy could find; `None`: nothing, the price is a martingale.
    pub edge: Option<Edge>,
}

impl Spec {
    /// A walk without an edge: a pip of volatility a minute, 0.8 pips of spread.
    pub fn new(pair: Pair, bars: usize, seed: u64) -> Self {
        Self {
            pair,
            start: Timestamp::from_second(START).unwrap_or(Timestamp::UNIX_EPOCH),
            bars,
            seed,
            price: if pair.quote() == "JPY" { 150_000 } else { 110_000 },
            volatility: 10_000,
            spread: 8,
            edge: None,
        }
    }

    /// The bars that the market's hours hold in so many days from the start on.
    pub fn of_days(self, days: u32) -> Result<Self, SynthError> {
        let end = self.start.as_second() + i64::from(days) * 86_400;
        let end = Timestamp::from_second(end).map_err(|_| SynthError::PastTheEnd)?;
        let minutes = Sessions::new().open_seconds(self.start, end) / 60;
        Ok(Self { bars: usize::try_from(minutes).unwrap_or(0), ..self })
    }

    fn check(&self) -> Result<(), SynthError> {
        if self.bars > MOST_BARS {
            return Err(SynthError::Bars { found: self.bars });
        }
        let highest = Ticks::MAX / (2 * walk::SPAN);
        if !(1..=highest).contains(&self.price) {
            return Err(SynthError::Price { found: self.price, highest });
        }
        // A hundredth of the price a minute is far beyond any market, and keeps the price far from zero.
        let highest = i32::try_from(i64::from(self.price) * MILLI / 100).unwrap_or(i32::MAX);
        if !(1..=highest).contains(&self.volatility) {
            return Err(SynthError::Volatility { found: self.volatility, highest });
        }
        let highest = self.price / walk::SPAN;
        if !(0..=highest).contains(&self.spread) {
            return Err(SynthError::Spread { found: self.spread, highest });
        }
        if let Some(edge) = &self.edge {
            edge.check(self.volatility)?;
        }
        Ok(())
    }
}

/// What cannot be made up.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SynthError {
    #[error("a first price of {found} ticks: expected 1 to {highest}")]
    Price { found: i32, highest: i32 },
    #[error(
        "a volatility of {} pips a minute: expected {} to {}", milli_pips(*found), milli_pips(1), milli_pips(*highest)
    )]
    Volatility { found: i32, highest: i32 },
    #[error("a spread of {} pips: expected 0 to {}", pips(*found), pips(*highest))]
    Spread { found: i32, highest: i32 },
    #[error("{found} bars: expected 1 to {MOST_BARS}, which are some fifty years of minutes")]
    Bars { found: usize },
    #[error("an edge on a window of {found} bits: expected 3 to 64")]
    Window { found: u32 },
    #[error("an edge at a rupture share of {found}: expected more than 0, at most 1")]
    RuptureShare { found: f64 },
    #[error(
        "an edge of {} pips a bar: expected {} to the volatility, {}",
        milli_pips(*found), milli_pips(1), milli_pips(*volatility)
    )]
    Drift { found: i32, volatility: i32 },
    #[error("an edge that lasts 0 bars: expected at least 1")]
    NoBars,
    #[error("the bars would reach past the end of time: ask for fewer, or begin earlier")]
    PastTheEnd,
}

/// Ticks in pips, which people write: a pip is ten ticks in every pair.
fn pips(ticks: i32) -> Decimal {
    Decimal::new(i64::from(ticks), 1).normalize()
}

/// Thousandths of a tick in pips.
fn milli_pips(milli: i32) -> Decimal {
    Decimal::new(i64::from(milli), 4).normalize()
}

/// Makes the candles up. Bar number n depends on the seed, the pair and what came before it, nothing else.
pub fn generate(spec: &Spec) -> Result<CandleSet, SynthError> {
    spec.check()?;
    let mut draws = generator(spec);
    let mut walk = Walk::new(spec.price, spec.volatility);
    let mut edge = spec.edge.as_ref().map(Watcher::new);
    let mut minutes = Minutes::new(spec.start);
    let mut candles = Vec::with_capacity(spec.bars);
    for _ in 0..spec.bars {
        let (time, after_break) = minutes.next().ok_or(SynthError::PastTheEnd)?;
        let drift = edge.as_ref().map_or(0, Watcher::drift);
        let draws = Draws::new([draws.next_u64(), draws.next_u64(), draws.next_u64()]);
        let (mid, volume) = walk.bar(time.as_second(), after_break, drift, &draws);
        if let Some(edge) = &mut edge {
            edge.close(mid.close.get());
        }
        let below = spec.spread / 2;
        candles.push(Candle {
            time,
            bid: shifted(mid, -below),
            ask: shifted(mid, spec.spread - below),
            volume,
        });
    }
    let name = match spec.edge {
        Some(_) => format!("synth-seed{}-edge", spec.seed),
        None => format!("synth-seed{}", spec.seed),
    };
    let provenance = Provenance { sources: [name].into(), synthetic: true, ..Provenance::default() };
    Ok(CandleSet { pair: spec.pair, timeframe: Timeframe::M1, provenance, candles })
}

/// ChaCha counts blocks from (seed, stream): no state that a machine could hold differently. Each pair is a
/// stream of its own, so that one seed gives pairs that do not move together.
fn generator(spec: &Spec) -> ChaCha8Rng {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&spec.seed.to_le_bytes());
    let mut generator = ChaCha8Rng::from_seed(seed);
    let mut stream = [0; 8];
    stream[..7].copy_from_slice(spec.pair.as_str().as_bytes());
    generator.set_stream(u64::from_le_bytes(stream));
    generator
}

fn shifted(prices: Ohlc, by: i32) -> Ohlc {
    let shift = |price: Ticks| Ticks::new(price.get() + by);
    Ohlc {
        open: shift(prices.open),
        high: shift(prices.high),
        low: shift(prices.low),
        close: shift(prices.close),
    }
}

/// The minutes in which the market is open.
struct Minutes {
    sessions: Sessions,
    /// Unix seconds of the next minute to look at.
    next: i64,
    /// Whether the hour of `next` is open. The market opens and closes on full hours only.
    open: bool,
    first: bool,
}

impl Minutes {
    fn new(start: Timestamp) -> Self {
        let sessions = Sessions::new();
        let next = -(-start.as_second()).div_euclid(60) * 60;
        let open = Timestamp::from_second(next).is_ok_and(|time| sessions.is_open(time));
        Self { sessions, next, open, first: true }
    }

    /// The next minute of open market, and whether it was closed before it.
    fn next(&mut self) -> Option<(Timestamp, bool)> {
        let mut after_break = false;
        loop {
            let time = Timestamp::from_second(self.next).ok()?;
            if self.next.rem_euclid(3_600) == 0 {
                self.open = self.sessions.is_open(time);
            }
            if self.open {
                self.next += 60;
                let after_break = after_break && !self.first;
                self.first = false;
                return Some((time, after_break));
            }
            after_break = true;
            self.next = (self.next.div_euclid(3_600) + 1) * 3_600;
        }
    }
}

#[cfg(test)]
mod tests;
