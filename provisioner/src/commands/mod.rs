//! One verb, one file.

pub mod init;
pub mod inventory;
