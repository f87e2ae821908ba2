//! What the gate is worth: how often it lets a search on walks without an edge pass, and how often it finds and
//! promotes a planted edge. Prints the tables of docs/benchmarks.md; takes some minutes.

// In a test an unwrap that fails is the test failing, and these are the tests' own functions.
#![allow(clippy::unwrap_used)]

#[path = "../tests/it/gate.rs"]
mod gate;

use std::io::{self, Write};

use gate::{all_judged, found, planted, promoted, request, spec};
use sep_contract::Timeframe;
use sep_gpu::synth::Spec;
use sep_gpu::train::Request;
use sep_gpu::variant::{Search, Space};

/// A hundred days of minutes.
const LONG: usize = 140_000;

/// The usual search of so many variants, but for H1, which a hundred days are too short for.
fn usual(variants: u64) -> Request {
    let mut space = Space::full();
    space.timeframes.retain(|timeframe| *timeframe != Timeframe::H1);
    Request { space, search: Search::Random { variants, seed: 1 }, ..request() }
}

fn main() -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "| made-up month of minutes | promoted | and the planted edge found |\n|---|--:|--:|")?;
    let pips = |spread: i32| f64::from(spread) / 10.0;
    for spread in [8, 2, 0] {
        let judged = all_judged(&request(), (0..500).map(|seed| spec(seed, spread, None)));
        writeln!(out, "| no edge, spread {} pips | {} of 500 | |", pips(spread), promoted(&judged))?;
    }
    for drift in [1_000, 1_250, 1_500, 1_750, 2_000] {
        let edge = planted(drift);
        let judged = all_judged(&request(), (0..50).map(|seed| spec(seed, 8, Some(edge))));
        // A minute's volatility is 10,000 thousandths of a tick.
        let share = f64::from(drift) / 100.0;
        writeln!(
            out,
            "| ten minutes drift by {share} % of a minute's volatility | {} of 50 | {} |",
            promoted(&judged),
            found(&judged, &edge)
        )?;
    }
    writeln!(out, "\n| a hundred made-up days, 2,000 variants of the usual search | promoted |\n|---|--:|")?;
    for spread in [8, 2, 0] {
        let walks = (0..50).map(|seed| Spec { bars: LONG, ..spec(seed, spread, None) });
        let judged = all_judged(&usual(2_000), walks);
        writeln!(out, "| no edge, spread {} pips | {} of 50 |", pips(spread), promoted(&judged))?;
    }
    Ok(())
}
