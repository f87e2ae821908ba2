//! Integration tests of `sepctl`, in one binary so that the linker runs once.

#![allow(clippy::unwrap_used)] // in a test a panic is the report

mod architecture;
mod backup;
mod daily;
mod deploy;
mod deployed;
mod drift;
mod droplet;
mod executor;
mod foreign;
mod killed;
mod reach;
mod refusals;
mod roles;
mod sandbox;
mod secrets;
mod sync;
mod workstation;
