//! What runs a statement: the seam between Athena's API and the engine behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

/// A SQL engine over the tables of [`super::table::TABLES`].
#[async_trait]
pub trait Engine: std::fmt::Debug + Send + Sync + 'static {
    /// Runs one statement to its end.
    ///
    /// Unqualified tables are looked for in `database`. Returns [`EngineError::Cancelled`] soon
    /// after `query` is cancelled, having stopped what it had started; dropping the future stops
    /// the work in this process too.
    async fn run(
        &self,
        statement: &str,
        database: Option<&str>,
        query: &Arc<RunningQuery>,
    ) -> Result<ResultSet, EngineError>;
}

/// What an engine and the API share about a query while it runs.
#[derive(Debug, Default)]
pub struct RunningQuery {
    scanned_bytes: AtomicU64,
    /// The workgroup's bound; the query is cancelled when it has read more.
    cutoff_bytes: Option<u64>,
    cancelled: CancellationToken,
}

impl RunningQuery {
    /// A query that may scan at most `cutoff_bytes`.
    #[must_use]
    pub fn new(cutoff_bytes: Option<u64>) -> Self {
        Self {
            cutoff_bytes,
            ..Self::default()
        }
    }

    /// Counts bytes of files read.
    pub fn add_scanned_bytes(&self, bytes: u64) {
        let before = self.scanned_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.check_cutoff(before.saturating_add(bytes));
    }

    /// Replaces the count by what the engine says it has read so far.
    pub fn set_scanned_bytes(&self, bytes: u64) {
        self.scanned_bytes.store(bytes, Ordering::Relaxed);
        self.check_cutoff(bytes);
    }

    /// Bytes of files read so far.
    #[must_use]
    pub fn scanned_bytes(&self) -> u64 {
        self.scanned_bytes.load(Ordering::Relaxed)
    }

    /// Whether the query has read more than its workgroup lets it.
    #[must_use]
    pub fn over_cutoff(&self) -> bool {
        self.cutoff_bytes
            .is_some_and(|cutoff| self.scanned_bytes() > cutoff)
    }

    /// Asks the engine to stop.
    pub fn cancel(&self) {
        self.cancelled.cancel();
    }

    /// Completes when the query is to stop.
    pub async fn cancelled(&self) {
        self.cancelled.cancelled().await;
    }

    fn check_cutoff(&self, bytes: u64) {
        if self.cutoff_bytes.is_some_and(|cutoff| bytes > cutoff) {
            self.cancel();
        }
    }
}

/// The rows of a query, as strings the way Athena returns them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResultSet {
    /// The columns in order.
    pub columns: Vec<ResultColumn>,
    /// The rows in order; none is NULL.
    pub rows: Vec<Vec<Option<String>>>,
}

/// One column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultColumn {
    /// Its name or alias.
    pub name: String,
    /// Its type as Athena names it, such as `varchar` or `bigint`.
    pub type_name: String,
}

/// Why a statement did not run to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// It was told to stop.
    #[error("the query was cancelled")]
    Cancelled,
    /// The statement is wrong, or beyond what the engine understands: it fails again each time.
    /// The text starts with Trino's error name, such as `SYNTAX_ERROR`.
    #[error("{0}")]
    User(String),
    /// The engine failed.
    #[error("GENERIC_INTERNAL_ERROR: {0}")]
    System(String),
}

impl EngineError {
    /// A statement that the engine refuses.
    pub(super) fn syntax(message: impl std::fmt::Display) -> Self {
        Self::User(format!("SYNTAX_ERROR: {message}"))
    }
}
