//! Random walks made of the user's own bars.
//!
//! Owns the making of them. Must not search them.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::bars::{Bars, Prices};

/// The same bars, each turned upside down or not by the toss of a coin, and joined end to end.
///
/// Each bar keeps its range, body, spread, volume, time, and the jump that led to it; only whether it went up
/// or down is thrown anew, apart for each bar. So volatility with its clusters and daily rhythm, fat tails,
/// sessions and costs are the market's own, and nothing in the past tells the direction of what follows: a
/// martingale, on which no search can find what is there to be found. (Shuffling blocks of bars instead would
/// leave whole what happens within a block, which is just what a window of bits feeds on.)
///
/// Gates that were confirmed by longer timeframes are not made anew.
pub fn random_walk(bars: &Bars, seed: u64) -> Bars {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut made = bars.clone();
    made.synthetic = true;
    let mut coins = 0;
    // Twice the mid closes before: the market's and the walk's. Their difference is always even.
    let mut before: Option<(i32, i32)> = None;
    for bar in 0..bars.len() {
        if bar % 64 == 0 {
            coins = random.next_u64();
        }
        let coin = coins >> (bar % 64) & 1 == 1;
        let open = bars.bid.open[bar] + bars.ask.open[bar];
        let close = bars.mid2_close(bar);
        let (market, walk) = before.unwrap_or((open, open));
        // A walk that has lost half of its first price is only let up: no price comes near zero.
        let low = walk < (bars.bid.open[0] + bars.ask.open[0]) / 2;
        let mirrored = if low { close < market } else { coin };
        if mirrored {
            // Prices become `about` less the other side's: the ask's low becomes the bid's high.
            let about = i32::midpoint(walk, market);
            mirror(&mut made.bid, &bars.ask, bar, about);
            mirror(&mut made.ask, &bars.bid, bar, about);
        } else {
            let by = (walk - market) / 2;
            shift(&mut made.bid, bar, by);
            shift(&mut made.ask, bar, by);
        }
        before = Some((close, made.mid2_close(bar)));
    }
    made
}

fn mirror(to: &mut Prices, from: &Prices, bar: usize, about: i32) {
    to.open[bar] = about - from.open[bar];
    to.high[bar] = about - from.low[bar];
    to.low[bar] = about - from.high[bar];
    to.close[bar] = about - from.close[bar];
}

fn shift(prices: &mut Prices, bar: usize, by: i32) {
    for values in [&mut prices.open, &mut prices.high, &mut prices.low, &mut prices.close] {
        values[bar] += by;
    }
}

#[cfg(test)]
mod tests {
    use sep_contract::{Candle, CandleSet, Ohlc, Provenance, Ticks, Timeframe};

    use super::random_walk;
    use crate::bars::Bars;

    /// Bars of a market that only rises, with gaps, wicks and a spread that changes.
    fn rising(count: i32) -> Bars {
        let candle = |at: i32| {
            let side = |more: i32| Ohlc {
                open: Ticks::new(1000 + 13 * at + more),
                high: Ticks::new(1009 + 13 * at + more),
                low: Ticks::new(998 + 13 * at + more),
                close: Ticks::new(1007 + 13 * at + more + at % 2),
            };
            let time = jiff::Timestamp::from_second(1_700_000_000 + 60 * i64::from(at)).unwrap();
            Candle { time, bid: side(0), ask: side(3 + at % 4), volume: 7 }
        };
        let candles = (0..count).map(candle).collect();
        let pair = "EUR_USD".parse().unwrap();
        let provenance = Provenance::default();
        Bars::new(&CandleSet { pair, timeframe: Timeframe::M1, provenance, candles })
    }

    #[test]
    fn only_the_direction_is_thrown_anew() {
        let bars = rising(3000);
        let made = random_walk(&bars, 5);
        assert!(made.synthetic && !bars.synthetic);
        assert_eq!((&made.time, &made.volume, &made.gate), (&bars.time, &bars.volume, &bars.gate));
        let mut ups = 0;
        for bar in 1..bars.len() {
            assert_eq!(made.range2(bar), bars.range2(bar));
            let moved = |bars: &Bars| bars.mid2_close(bar) - bars.mid2_close(bar - 1);
            let jumped = |bars: &Bars| bars.bid.open[bar] + bars.ask.open[bar] - bars.mid2_close(bar - 1);
            let sign = moved(&made).signum();
            assert_eq!((moved(&made), jumped(&made)), (sign * moved(&bars), sign * jumped(&bars)));
            ups += usize::from(sign > 0);
            for (bid, ask) in [
                (&made.bid.open, &made.ask.open),
                (&made.bid.high, &made.ask.high),
                (&made.bid.low, &made.ask.low),
            ] {
                assert!(bid[bar] < ask[bar]);
            }
            for side in [&made.bid, &made.ask] {
                assert!(side.low[bar] > 0);
                assert!(side.low[bar] <= side.open[bar].min(side.close[bar]));
                assert!(side.high[bar] >= side.open[bar].max(side.close[bar]));
            }
            assert_eq!(made.ask.open[bar] - made.bid.open[bar], bars.ask.open[bar] - bars.bid.open[bar]);
        }
        assert!((1400..1700).contains(&ups), "{ups}");
        assert_eq!(random_walk(&bars, 5), made);
        assert_ne!(random_walk(&bars, 6).bid, made.bid);
    }
}
