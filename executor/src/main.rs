//! `sep-executor`: the daemon on the droplet. Takes signals, decides, records why, serves its status.

mod api;
mod cli;
mod config;
mod engine;
mod intake;
mod journal;
mod release;
mod run;
mod store;
mod systemd;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main(std::env::args_os().skip(1), &mut std::io::stdout(), &mut std::io::stderr())
}
