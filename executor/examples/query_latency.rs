//! How long queries take as the programs ask them: one connection, one at a time, planned anew each time, rows in
//! PostgreSQL's binary form. Part of bench/queries.sh.
//!
//! `query_latency CONNINFO SECONDS ROWS` reads statements from standard input, one a line, asks them in turn, and prints
//! the number of runs and their median, 99th percentile and maximum in microseconds. Fewer than ROWS rows are an error.

use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};

/// A new connection reads its catalogs first: these runs do not count.
const WARM_UP: usize = 500;

fn main() -> ExitCode {
    match measure() {
        Ok(line) => {
            let _ = writeln!(std::io::stdout(), "{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "query_latency: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<String, Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [conninfo, seconds, rows] = args.as_slice() else {
        return Err("usage: query_latency CONNINFO SECONDS ROWS < STATEMENTS".into());
    };
    let (seconds, rows) = (Duration::from_secs(seconds.parse()?), rows.parse::<usize>()?);
    let statements: Vec<String> = std::io::stdin().lock().lines().collect::<Result<_, _>>()?;
    let mut client = Client::connect(conninfo, NoTls)?;
    let mut times = Vec::new();
    let begun = Instant::now();
    for statement in statements.iter().cycle() {
        let start = Instant::now();
        // Parse, bind, describe and execute in one round trip: nothing is kept from the run before.
        let found = client.query_typed(statement, &[])?.len();
        times.push(start.elapsed());
        if found < rows {
            return Err(format!("found {found} rows, expected {rows}: {statement}").into());
        }
        if begun.elapsed() > seconds && times.len() > 2 * WARM_UP {
            break;
        }
    }
    let mut times = times.split_off(WARM_UP.min(times.len()));
    times.sort_unstable();
    let at = |percent: usize| {
        times.get(times.len() * percent / 100).or(times.last()).map_or(0, Duration::as_micros)
    };
    Ok(format!("{} {} {} {}", times.len(), at(50), at(99), at(100)))
}
