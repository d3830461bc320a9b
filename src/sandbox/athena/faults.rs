//! What Athena's queries can be told to do wrong, while it serves.

use crate::sandbox::query_faults::QueryFaults;

/// How a query fails on demand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryFailure {
    /// What `AthenaError.Retryable` says. A failure that is not retryable is the user's (category
    /// 2), else the system's (category 1).
    pub retryable: bool,
    /// The reason in `StateChangeReason`.
    pub message: String,
}

/// The faults of one Athena.
pub type AthenaFaults = QueryFaults<QueryFailure>;
