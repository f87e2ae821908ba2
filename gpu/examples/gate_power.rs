//! What the gate is worth: how often it lets a search on walks without an edge pass, and how often it finds and
//! promotes a planted edge. Prints the table of docs/benchmarks.md; takes some minutes.

// In a test an unwrap that fails is the test failing, and these are the tests' own functions.
#![allow(clippy::unwrap_used)]

#[path = "../tests/it/gate.rs"]
mod gate;

use std::io::{self, Write};

use gate::{all_judged, is_the_edge, planted, spec};

fn main() -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "| made-up month of minutes | promoted | and the planted edge found |\n|---|--:|--:|")?;
    for spread in [8, 2, 0] {
        let judged = all_judged((0..500).map(|seed| spec(seed, spread, None)));
        let promoted = judged.iter().filter(|(_, verdict, _)| verdict.promoted).count();
        let pips = f64::from(spread) / 10.0;
        writeln!(out, "| no edge, spread {pips} pips | {promoted} of 500 | |")?;
    }
    for drift in [1_000, 1_250, 1_500, 1_750, 2_000] {
        let edge = planted(drift);
        let judged = all_judged((0..50).map(|seed| spec(seed, 8, Some(edge))));
        let promoted = judged.iter().filter(|(_, verdict, _)| verdict.promoted).count();
        let right = judged
            .iter()
            .filter(|(_, verdict, finalist)| {
                verdict.promoted && finalist.as_ref().is_some_and(|variant| is_the_edge(variant, &edge))
            })
            .count();
        // A minute's volatility is 10,000 thousandths of a tick.
        let share = f64::from(drift) / 100.0;
        writeln!(
            out,
            "| ten minutes drift by {share} % of a minute's volatility | {promoted} of 50 | {right} |"
        )?;
    }
    Ok(())
}
