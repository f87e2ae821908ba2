//! QFH variants as a process: candles from a store, trades by name on stdout. Measured by bench/gpu.py beside
//! programs that run one strategy bar by bar.
//!
//!     qfh_run STORE PAIR VARIANTS
//!
//! One variant is the published one, played by the scalar definition on one thread; more are drawn from the space
//! of its model and played by the CPU backend on all cores. Says how many seconds that took, the features
//! included, reading left out, and how many trades were made.

use std::error::Error;
use std::io::Write;
use std::time::Instant;

use jiff::Timestamp;
use sep_contract::{Pair, Timeframe};
use sep_gpu::backend::{Batch, cpu};
use sep_gpu::backtest::{Costs, Run, Stats};
use sep_gpu::bars::Bars;
use sep_gpu::lane::Lane;
use sep_gpu::qfh::{Constants, Features};
use sep_gpu::store::Store;
use sep_gpu::variant::{Search, Space, Variant};

const COSTS: Costs = Costs { slippage: 2, commission: 600, swap_buy: 80, swap_sell: 20 };

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [store, pair, variants] = words.as_slice() else {
        return Err("expected STORE PAIR VARIANTS".into());
    };
    let pair: Pair = pair.parse()?;
    let bars = Bars::new(&Store::at(store).load(pair, Timeframe::M1, Timestamp::MIN, Timestamp::MAX)?);
    let lanes = lanes(variants.parse()?)?;
    let whole = 0..bars.len();
    let start = Instant::now();
    let published = Variant::published();
    let features = Features::new(&bars, published.window, published.symmetric, &Constants::default());
    let stats: Vec<Stats> = match lanes.as_slice() {
        [lane] => vec![Run { bars: &bars, features: &features, lane, costs: &COSTS }.stats(0..bars.len())],
        lanes => cpu::evaluate(&Batch {
            bars: &bars,
            features: &features,
            costs: &COSTS,
            lanes,
            segments: std::slice::from_ref(&whole),
        }),
    };
    let seconds = start.elapsed().as_secs_f64();
    let trades: u64 = stats.iter().map(|stats| u64::from(stats.trades)).sum();
    writeln!(std::io::stdout(), "{seconds} {trades}")?;
    Ok(())
}

fn lanes(variants: u64) -> Result<Vec<Lane>, Box<dyn Error>> {
    let published = Variant::published();
    if variants == 1 {
        return Ok(vec![published.lane()]);
    }
    let (timeframes, windows) = (vec![published.timeframe], vec![published.window]);
    let space = Space { timeframes, windows, symmetric: vec![published.symmetric], ..Space::full() };
    let numbers = Search::Random { variants, seed: 1 }.numbers(&space)?;
    Ok(numbers.iter().map(|number| space.at(*number).lane()).collect())
}
