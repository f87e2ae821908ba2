//! Tests against a real PostgreSQL with TimescaleDB and the real daemon.
//!
//! They run where SEP_TEST_PG names the directory of a server's socket at which `postgres` may log in without a
//! password, and say by name that they were skipped where it does not. Every test makes a database of its own.

// A test fails by panicking, also in what it shares with others.
#![allow(clippy::unwrap_used)]

mod daemon;
mod harness;
mod outage;
mod schema;
mod series;
