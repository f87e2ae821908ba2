//! One verb a file: its arguments, and the function that does it.

pub mod candles_check;
pub mod candles_import;
pub mod candles_show;
