//! The workstation's side of a conversation with a host. Never imports `host`.

pub mod agent;
mod apply;
mod call;
pub mod database;
mod error;
mod examine;
mod memory;
pub mod migrate;
mod prepare;
mod push;
mod session;

pub use agent::Agent;
pub use apply::{Blobs, apply};
pub use call::{call, quote};
pub use error::ControlError;
pub use examine::{Examined, examine};
pub use prepare::Prepared;
pub use push::{PushError, Pushed, push};
pub use session::Session;

use crate::exchange::Event;

/// Where news of long work goes; a terminal, or nowhere.
pub trait Talk {
    /// So many of so many bytes.
    fn progress(&mut self, what: &str, done: u64, total: u64);
    /// What the host is doing.
    fn event(&mut self, event: &Event);
}

/// Says nothing.
pub struct Silent;

impl Talk for Silent {
    fn progress(&mut self, _: &str, _: u64, _: u64) {}
    fn event(&mut self, _: &Event) {}
}
