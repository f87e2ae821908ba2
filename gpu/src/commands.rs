//! One verb a file: its arguments, and the function that does it.

pub mod backtest;
pub mod candles_check;
pub mod candles_import;
pub mod candles_show;
pub mod candles_synth;
pub mod completions;
pub mod cuda_probe;
pub mod leaktest;
pub mod promote;
pub mod replicate;
pub mod report;
pub mod signals;
pub mod status;
pub mod train;
pub mod windows;
