//! `sepctl`: turns a bare server into a trading droplet and operates it.

pub mod backup;
pub mod commands;
pub mod control;
pub mod desired;
pub mod door;
pub mod exchange;
pub mod facts;
pub mod failpoint;
pub mod hash;
pub mod host;
pub mod inventory;
pub mod machine;
pub mod plan;
pub mod render;
pub mod resource;
pub mod sandbox;
pub mod secret;
pub mod ssh;
pub mod tuning;
