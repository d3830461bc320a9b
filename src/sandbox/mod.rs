//! An AWS look-alike on a loopback port that speaks the real wire protocols.

pub mod athena;
pub mod error;
pub mod log_file;
pub mod organization;
