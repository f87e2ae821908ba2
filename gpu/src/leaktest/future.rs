//! Other futures: what may stand after a bar in place of what did.
//!
//! Every future is a series that a market could have shown: bars in order, prices above zero, highs above
//! lows.

use std::fmt;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use sep_contract::{Candle, CandleSet, Ohlc, Ticks};
use serde::Serialize;

/// What takes the place of the future.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Future {
    /// Nothing: the series ends.
    Cut,
    /// Every move the other way.
    Mirrored,
    /// The real bars' moves in another order.
    Shuffled,
    /// Jumps many times the usual range, and wild volumes.
    Wild,
    /// The price stands still; nobody trades.
    Still,
    /// Only some of the real bars.
    Holed,
}

/// How far a wild bar may jump or reach, in ticks.
const WILD: usize = 2_000;

impl Future {
    pub const ALL: [Self; 6] =
        [Self::Cut, Self::Mirrored, Self::Shuffled, Self::Wild, Self::Still, Self::Holed];

    /// The candles up to and with bar `cut`, then this future.
    pub(super) fn after(self, candles: &CandleSet, cut: usize, rng: &mut ChaCha8Rng) -> CandleSet {
        let (past, future) = candles.candles.split_at(cut + 1);
        let mut changed =
            CandleSet { candles: past.to_vec(), provenance: candles.provenance.clone(), ..*candles };
        let Some(last) = past.last() else { return changed };
        match self {
            Self::Cut => {}
            Self::Mirrored => changed.candles.extend(future.iter().map(|candle| mirrored(candle, last))),
            Self::Shuffled => changed.candles.extend(shuffled(future, last, rng)),
            Self::Wild => {
                let mut bid = last.bid.close.get();
                changed.candles.extend(future.iter().map(|candle| {
                    let open = bid;
                    bid = limit(bid + reach(rng) - reach(rng));
                    let (top, bottom) = (open.max(bid) + reach(rng), open.min(bid) - reach(rng));
                    let volume = u32::try_from(reach(rng)).unwrap_or(0);
                    quote(candle, [open, top, bottom, bid], reach(rng) / 50, volume)
                }));
            }
            Self::Still => {
                let (bid, spread) = (last.bid.close.get(), last.ask.close.get() - last.bid.close.get());
                changed.candles.extend(future.iter().map(|candle| quote(candle, [bid; 4], spread, 0)));
            }
            Self::Holed => changed.candles.extend(future.iter().filter(|_| below(rng, 3) == 0)),
        }
        changed
    }
}

impl fmt::Display for Future {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cut => "was cut off",
            Self::Mirrored => "was mirrored",
            Self::Shuffled => "was shuffled",
            Self::Wild => "went wild",
            Self::Still => "stood still",
            Self::Holed => "had holes",
        })
    }
}

/// A number from 0 up to, but without, `bound`, which must not be 0. Its bias, of one in 2^64 / bound, is of no
/// matter here.
pub(super) fn below(rng: &mut ChaCha8Rng, bound: usize) -> usize {
    let bound = u64::try_from(bound).unwrap_or(u64::MAX);
    usize::try_from(rng.next_u64() % bound).unwrap_or(0)
}

fn reach(rng: &mut ChaCha8Rng) -> i32 {
    i32::try_from(below(rng, WILD)).unwrap_or(0)
}

/// A price that a candle can have.
fn limit(price: i32) -> i32 {
    price.clamp(1, Ticks::MAX / 2)
}

/// A bar in the place of another: open, high, low and close of the bid, the ask a spread above.
fn quote(place: &Candle, bid: [i32; 4], spread: i32, volume: u32) -> Candle {
    let side = |more: i32| {
        let [open, high, low, close] = bid.map(|price| Ticks::new(limit(limit(price) + more)));
        Ohlc { open, high, low, close }
    };
    Candle { time: place.time, bid: side(0), ask: side(spread), volume }
}

/// A bar with every price as far below the last mid price as it was above. Bid and ask change places.
fn mirrored(candle: &Candle, last: &Candle) -> Candle {
    let twice = last.bid.close.get() + last.ask.close.get();
    let mirror = |side: &Ohlc| {
        let [open, low, high, close] = side.named().map(|(_, price)| Ticks::new(limit(twice - price.get())));
        Ohlc { open, high, low, close }
    };
    Candle { bid: mirror(&candle.ask), ask: mirror(&candle.bid), ..*candle }
}

/// The bars in another order, each set down where the one before it closed; times stay in order.
fn shuffled(future: &[Candle], last: &Candle, rng: &mut ChaCha8Rng) -> Vec<Candle> {
    let mut order: Vec<usize> = (0..future.len()).collect();
    for at in (1..order.len()).rev() {
        order.swap(at, below(rng, at + 1));
    }
    let mut close = last.bid.close.get();
    let set_down = |(place, from): (&Candle, usize)| {
        let bar = &future[from];
        let before = from.checked_sub(1).map_or(last, |before| &future[before]);
        let shift = close - before.bid.close.get();
        let bid = bar.bid.named().map(|(_, price)| price.get() + shift);
        close = limit(bid[3]);
        quote(place, bid, (bar.ask.close.get() - bar.bid.close.get()).max(0), bar.volume)
    };
    future.iter().zip(order).map(set_down).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;
    use sep_contract::{Provenance, Timeframe};

    fn series() -> CandleSet {
        let candle = |at: i32| {
            let open = 110_000 + at * at % 37;
            let side = |more: i32| {
                let [open, high, low, close] = [0, 9, -7, at % 5].map(|o| Ticks::new(open + more + o));
                Ohlc { open, high, low, close }
            };
            let time = jiff::Timestamp::from_second(1_753_056_000 + i64::from(at) * 60).unwrap();
            Candle { time, bid: side(0), ask: side(12), volume: 7 }
        };
        CandleSet {
            pair: "EUR_USD".parse().unwrap(),
            timeframe: Timeframe::M1,
            provenance: Provenance::default(),
            candles: (0..300).map(candle).collect(),
        }
    }

    #[test]
    fn every_future_keeps_the_past_and_is_sound() {
        let candles = series();
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for future in Future::ALL {
            let changed = future.after(&candles, 120, &mut rng);
            assert_eq!(changed.candles[..=120], candles.candles[..=120], "{future:?}");
            assert_ne!(changed.candles[121..], candles.candles[121..], "{future:?}");
            for candle in &changed.candles {
                assert!(candle.faults(Timeframe::M1).is_empty(), "{future:?}: {candle:?}");
            }
            assert!(changed.candles.is_sorted_by_key(|candle| candle.time), "{future:?}");
        }
    }

    #[test]
    fn the_mirror_turns_every_move() {
        let candles = series();
        let changed = Future::Mirrored.after(&candles, 120, &mut ChaCha8Rng::seed_from_u64(3));
        let mid = |candle: &Candle| candle.bid.close.get() + candle.ask.close.get();
        for at in 121..300 {
            let moved = |set: &CandleSet| mid(&set.candles[at]) - mid(&set.candles[at - 1]);
            assert_eq!(moved(&changed), -moved(&candles));
        }
    }
}
