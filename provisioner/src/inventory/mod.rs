//! inventory.yaml: read, check, resolve.

pub mod model;
