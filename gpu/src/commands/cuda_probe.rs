//! `sep-gpu cuda-probe`, hidden: asks the CUDA driver in a process that may not survive it.

use crate::backend::cuda::probe;
use crate::error::{CommandError, OK};
use crate::output::Terminal;

/// Prints the answer in one line of JSON, for [`probe::ask`].
pub fn cmd_cuda_probe(terminal: &mut Terminal) -> Result<u8, CommandError> {
    terminal.line(&probe::answer())?;
    Ok(OK)
}
