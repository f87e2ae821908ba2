//! The program; everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(sepctl::commands::run(std::env::args_os()))
}
