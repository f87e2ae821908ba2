//! The binary as its users run it, on candles made up here, and on real ones where they are at hand.

mod bad_data;
mod check;
mod import;
mod real_data;
mod sandbox;
mod show;
