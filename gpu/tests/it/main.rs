//! The binary as its users run it, on candles made up here, and on real ones where they are at hand.

// In a test an unwrap that fails is the test failing.
#![allow(clippy::unwrap_used)]

mod bad_data;
mod check;
mod import;
mod real_data;
mod sandbox;
mod show;
