//! `sep-gpu` as a library: the candle store, the signal engine, and the gate that judges what it finds.
//!
//! In layers, each importing those before it alone: the engine ([`bars`], [`qfh`], [`lane`], [`backtest`],
//! [`variant`], [`verdict`]: plain data, no files, no clock); what computes with it and keeps its files ([`store`],
//! [`history`], [`backend`], [`train`], [`model`], [`account`]); what is made of models ([`signals`],
//! [`report`], [`leaktest`]); the [`commands`]. Must not write to the terminal (that is [`output`]'s), nor
//! reach any network.

pub mod account;
pub mod aggregate;
pub mod backend;
pub mod backtest;
pub mod bars;
pub mod check;
pub mod cli;
pub mod commands;
pub mod costs;
pub mod error;
pub mod history;
pub mod import;
pub mod lane;
pub mod leaktest;
pub mod model;
pub mod output;
pub mod qfh;
pub mod replicate;
pub mod report;
pub mod session;
pub mod signals;
pub mod sma;
pub mod spark;
pub mod store;
pub mod synth;
pub mod table_file;
pub mod train;
pub mod trials;
pub mod variant;
pub mod verdict;
pub mod whole_file;
pub mod windows;
