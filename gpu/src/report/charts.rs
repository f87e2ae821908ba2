//! The charts of a report, one a file.
//!
//! Must not replay or judge anything: they draw what they are given.

pub mod equity;
pub mod paths;
pub mod price;
