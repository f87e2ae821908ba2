//! What crosses between the programs, and nothing else.
//!
//! Owns: currency pairs and their precision, prices as integer ticks, candles, signals with their key
//! and content hash, percent-risk sizing, and (feature `parquet`) the file forms of candles and signals,
//! decoded from and encoded to bytes. Must not: open files, know of databases, brokers or strategies.

pub mod candle;
#[cfg(feature = "parquet")]
pub mod candles;
pub mod digest;
pub mod pair;
pub mod side;
pub mod signal;
pub mod signals;
pub mod sizing;
#[cfg(feature = "parquet")]
mod table;
pub mod ticks;
pub mod timeframe;

pub use candle::{Candle, CandleSet, Month, Ohlc, Provenance};
pub use digest::Digest;
pub use pair::Pair;
pub use side::Side;
pub use signal::{Confidence, QfhMetrics, Signal, SignalKey};
pub use signals::SignalBatch;
pub use ticks::Ticks;
pub use timeframe::Timeframe;
