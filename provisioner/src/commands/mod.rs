//! The verbs of `sepctl`, one a file.

pub mod sandbox;
