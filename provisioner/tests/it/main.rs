//! Integration tests of `sepctl`, in one binary so that the linker runs once.

mod deployed;
mod droplet;
mod roles;
mod sandbox;
mod sync;
