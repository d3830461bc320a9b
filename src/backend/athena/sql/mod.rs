//! The SQL of one scan: from a typed tree, printed last.

mod columns;
mod days;
mod identity;
mod statement;
#[cfg(test)]
mod snapshots;
pub(super) mod tree;

pub(super) use statement::{Output, OutputKind, ScanStatement, Unwritable, statement};
