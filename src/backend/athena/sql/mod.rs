//! The SQL of one scan: from a typed tree, printed last.

mod columns;
mod condition;
mod days;
mod log_days;
#[cfg(test)]
mod snapshots;
mod statement;
pub(super) mod tree;

pub(super) use log_days::{Look, log_days};
pub(super) use statement::{Asked, Output, OutputKind, ScanStatement, Unwritable, statement};
