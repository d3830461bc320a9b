//! The sandbox's Athena: the API, and the engines behind it that really run the SQL.
//!
//! ```text
//! service (the API) ─▶ registry ─▶ query (one execution) ─▶ engine ─┬▶ datafusion, in this process
//!        │                                                           └▶ trino, a real server
//!        └▶ metadata, results       table + hive + files: what the tables show of the log files
//! ```

pub mod datafusion;
pub mod engine;
mod faults;
mod files;
pub mod hive;
mod metadata;
mod query;
mod registry;
mod results;
mod service;
pub mod table;
pub mod trino;

pub use self::datafusion::DataFusionEngine;
pub use super::query_faults::Queries;
pub use faults::{AthenaFaults, QueryFailure};
pub use files::{BUCKET, TableFile, TableFiles};
pub use service::{AthenaConfig, AthenaService, AthenaStats, WorkGroup};
pub use trino::{TrinoConfig, TrinoEngine, TrinoStartError};

#[cfg(test)]
mod tests;
