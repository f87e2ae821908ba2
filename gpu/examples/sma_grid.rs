//! The dual moving average's grid as a process: candles from a store, one line a crossing into a file.
//! Measured by bench/gpu.py beside other programs that do the same.
//!
//!     sma_grid STORE PAIR FEE LENGTHS RESULTS.csv
//!
//! LENGTHS is a comma-separated list of windows; every pair of them is a crossing. Says on stdout how many
//! seconds the grid itself took on all cores, from the bars to each variant's total returns; reading and writing left
//! out.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::time::Instant;

use jiff::Timestamp;
use sep_contract::{Pair, Timeframe};
use sep_gpu::bars::Bars;
use sep_gpu::sma::{Crossing, Outcome, Series, grid};
use sep_gpu::store::Store;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [store, pair, fee, lengths, results] = words.as_slice() else {
        return Err("expected STORE PAIR FEE LENGTHS RESULTS.csv".into());
    };
    let pair: Pair = pair.parse()?;
    let set = Store::at(store).load(pair, Timeframe::M1, Timestamp::MIN, Timestamp::MAX)?;
    let bars = Bars::new(&set);
    let lengths = lengths.split(',').map(str::parse).collect::<Result<Vec<u32>, _>>()?;
    let crossings = Crossing::of_lengths(&lengths);
    let start = Instant::now();
    let outcomes = grid(&Series::returns(&bars, fee.parse()?)?, &crossings)?;
    let returns: Vec<(f64, f64)> = outcomes.iter().map(Outcome::total_return).collect();
    writeln!(std::io::stdout(), "{}", start.elapsed().as_secs_f64())?;
    let mut out = BufWriter::new(File::create(results)?);
    writeln!(out, "fast,slow,entries,gross,net")?;
    for ((crossing, outcome), (gross, net)) in crossings.iter().zip(outcomes).zip(returns) {
        let Crossing { fast, slow } = crossing;
        writeln!(out, "{fast},{slow},{},{gross:.12},{net:.12}", outcome.entries)?;
    }
    Ok(out.flush()?)
}
