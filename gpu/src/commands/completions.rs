//! `sep-gpu completions`

use clap::{Args, Command};
use clap_complete::Shell;

use crate::error::{CommandError, OK};
use crate::output::Terminal;

pub const EXAMPLES: &str = "\
Examples:
  sep-gpu completions bash > ~/.local/share/bash-completion/completions/sep-gpu
  sep-gpu completions fish > ~/.config/fish/completions/sep-gpu.fish

Exit codes: 0 printed, 2 arguments that make no sense.";

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    shell: Shell,
}

/// Prints what a shell reads to complete this program's words; `program` is its command line.
pub fn cmd_completions(
    args: &CompletionsArgs,
    mut program: Command,
    terminal: &mut Terminal,
) -> Result<u8, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "sep-gpu", &mut script);
    terminal.line(String::from_utf8_lossy(&script).trim_end())?;
    Ok(OK)
}
