//! Integration tests of `sepctl`, in one binary so that the linker runs once.

#![allow(clippy::unwrap_used)] // in a test a panic is the report

mod architecture;
mod backup;
mod deployed;
mod droplet;
mod executor;
mod roles;
mod sandbox;
mod secrets;
mod sync;
