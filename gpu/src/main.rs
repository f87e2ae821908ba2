//! The `sep-gpu` binary: hands the terminal and the arguments to the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut terminal = sep_gpu::output::Terminal::of_process();
    sep_gpu::cli::run(std::env::args_os(), &mut terminal)
}
