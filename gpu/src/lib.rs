//! `sep-gpu` as a library: the candle store of the workstation.
//!
//! Owns the store of candles below `data/candles`, what comes into it, and what is said about it. Must not
//! write to the terminal (that is [`output`]'s), nor reach any network.

pub mod aggregate;
pub mod check;
pub mod cli;
pub mod commands;
pub mod error;
pub mod import;
pub mod output;
pub mod session;
pub mod store;
