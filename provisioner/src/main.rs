//! `sepctl`: the command line.

use std::io::{stderr, stdout};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sepctl::commands::sandbox::{SandboxArgs, cmd_sandbox};

#[derive(Parser)]
struct Cli {
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Sandbox(SandboxArgs),
}

fn main() -> ExitCode {
    let Cli { json, verb: Verb::Sandbox(args) } = Cli::parse();
    match cmd_sandbox(&args, json, &mut stdout(), &mut stderr()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = std::io::Write::write_all(&mut stderr(), format!("error: {error}\n").as_bytes());
            error.exit_code().into()
        }
    }
}
