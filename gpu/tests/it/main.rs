//! The binary as its users run it, on candles made up here, and on real ones where they are at hand.

// In a test an unwrap that fails is the test failing.
#![allow(clippy::unwrap_used)]

mod account;
mod backend;
mod backtest;
mod bad_data;
mod check;
mod costs;
mod cuda;
mod cuda_driver;
mod cuda_kernels;
mod cuda_train;
mod fake_cuda;
mod follow;
mod gate;
mod golden;
mod import;
mod leaktest;
mod made;
mod promote;
mod real_data;
mod reference;
mod replicate;
mod report;
mod sandbox;
mod scripted;
mod show;
mod signals;
mod status;
mod synth;
mod train;
mod trained;
mod windows;
