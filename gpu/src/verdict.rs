//! The verdict: whether a model that a search has found may be believed.
//!
//! Owns the statistics below it, the examination that asks them, and the gate that weighs them. Takes plain
//! numbers and returns plain numbers: must not read clocks or files, or write to the terminal.

pub mod base;
mod criteria;
pub mod distribution;
pub mod equity;
pub mod evidence;
pub mod examine;
pub mod folds;
pub mod gate;
pub mod matrix;
pub mod moments;
pub mod overfit;
pub mod resample;
pub mod sharpe;
pub mod surrogate;

pub use evidence::Evidence;
pub use examine::{Plan, Subject, examine};
pub use gate::{Demands, Verdict, judge};
