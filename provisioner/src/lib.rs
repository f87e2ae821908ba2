//! `sepctl`: turns a bare server into a trading droplet and operates it.

pub mod commands;
pub mod inventory;
pub mod sandbox;
pub mod secret;
