//! Integration tests of `sepctl`, in one binary so that the linker runs once.

mod architecture;
mod droplet;
mod sandbox;
