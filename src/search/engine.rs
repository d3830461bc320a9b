//! The engine: everything that searches share, and the one way to start a search.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::accounts::AccountsView;
use super::fan_out::PageMemory;
use super::item::SearchItem;
use super::observed::{self, Observed};
use super::resume::scope_digest;
use super::run::Search;
use crate::backend::event_history::SessionsFound;
use crate::backend::{Backend, ScanBudget, SearchContext};
use crate::caller::Caller;
use crate::clock::Clock;
use crate::plan::facts::{AcceptedGap, AccountFacts, ArchiveFacts, LogGroupFacts, Routing};
use crate::plan::inventory::NotSelected;
use crate::plan::{Facts, Inventory, Reason, Scan, ScanTarget};
use crate::query::{AccessKeyId, AccountId, EventQuery};
use crate::telemetry::Metrics;

/// What planning asks AWS beforehand.
#[async_trait]
pub trait FactSource: Send + Sync {
    /// The archives with their tables described; one that cannot be, or not within `limit`, is
    /// there with a reason.
    async fn archives(&self, limit: Duration) -> Vec<Arc<ArchiveFacts>>;

    /// The log groups, as they are declared now.
    fn log_groups(&self) -> Vec<Arc<LogGroupFacts>>;

    /// The account that owns an access key.
    async fn key_owner(&self, key: &AccessKeyId) -> Result<AccountId, Reason>;
}

/// The bounds that the engine keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineLimits {
    /// Accounts that one search may read.
    pub max_accounts: usize,
    /// Searches at once in this process.
    pub concurrent_searches: usize,
    /// Bytes of events that wait for their turn, for all searches.
    pub page_memory_bytes: u64,
    /// Athena and Logs Insights queries that one search has open at once.
    pub queries_per_search: usize,
    /// The longest wait for the facts; what is not known by then is planned as unknown.
    pub facts_timeout: Duration,
    /// Silence after which progress is reported unasked.
    pub silence: Duration,
}

impl Default for EngineLimits {
    fn default() -> Self {
        Self {
            max_accounts: usize::MAX,
            concurrent_searches: 64,
            page_memory_bytes: 64 * 1024 * 1024,
            queries_per_search: 4,
            facts_timeout: Duration::from_secs(10),
            silence: Duration::from_secs(15),
        }
    }
}

/// What an engine is made of.
pub struct EngineParts {
    /// The service's clock.
    pub clock: Clock,
    /// The federation's accounts, as they are known from time to time.
    pub accounts: AccountsView,
    /// What is known to be unreadable, and accepted.
    pub accepted_gaps: Arc<[AcceptedGap]>,
    /// How routing is tuned.
    pub routing: Routing,
    /// The bounds.
    pub limits: EngineLimits,
    /// Between two lookups of one account and Region, as they are paced.
    pub lookup_interval: Duration,
    /// Who answers what planning asks.
    pub facts: Arc<dyn FactSource>,
    /// Reads event history.
    pub event_history: Arc<dyn Backend>,
    /// Reads log groups.
    pub logs: Arc<dyn Backend>,
    /// Reads archives.
    pub athena: Arc<dyn Backend>,
    /// Cancelled when the service shuts down: streams end with a summary and a token.
    pub drain: CancellationToken,
    /// Where searches and their scans are counted.
    pub metrics: Metrics,
    /// Whether spans name who asked and whom the question is about.
    pub spans_name_identities: bool,
}

/// Runs searches. Cheap to clone; all clones share their limits.
#[derive(Clone)]
pub struct Engine {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) parts: EngineParts,
    pub(super) memory: PageMemory,
    searches: Arc<Semaphore>,
    last_search_id: AtomicU64,
}

/// Why a search does not even begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Accounts that are not in this federation (or not the caller's to see).
    #[error("accounts that are not in this federation: {}", join(.0))]
    UnknownAccounts(Vec<AccountId>),
    /// A part of the account selector means no account of this federation.
    #[error("{field}: no account of this federation is selected by {value}")]
    NothingSelected {
        /// The field's path in the request.
        field: String,
        /// Its value, as written.
        value: String,
    },
    /// The federation's accounts have not been discovered yet.
    #[error("the federation's accounts are not known yet: {0}")]
    AccountsNotKnown(String),
    /// The search would read more accounts than one may.
    #[error(
        "{asked} accounts would be searched, at most {limit} are allowed (limits.max_accounts)"
    )]
    TooManyAccounts {
        /// So many.
        asked: usize,
        /// `limits.max_accounts`.
        limit: usize,
    },
    /// The resume token's search read other accounts or Regions than this one would.
    #[error(
        "the federation's accounts or Regions have changed since the resume token was issued: \
         name the accounts of the first stream's plan in the request, or begin anew without the token"
    )]
    ScopeChanged,
    /// The process runs as many searches as it may.
    #[error("{limit} searches are running, which is the limit: try again when one has ended")]
    TooManySearches {
        /// `limits.concurrent_searches`.
        limit: usize,
    },
}

/// The stream of one search. Dropping it stops everything that the search started.
pub type SearchStream = BoxStream<'static, SearchItem>;

impl Engine {
    /// An engine of these parts.
    #[must_use]
    pub fn new(parts: EngineParts) -> Self {
        let memory = PageMemory::new(parts.limits.page_memory_bytes);
        memory.show(&parts.metrics);
        Self {
            shared: Arc::new(Shared {
                memory,
                searches: Arc::new(Semaphore::new(parts.limits.concurrent_searches)),
                last_search_id: AtomicU64::new(0),
                parts,
            }),
        }
    }

    /// The service's clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.shared.parts.clock
    }

    /// The federation's accounts now, with why they may be out of date.
    pub fn inventory(&self) -> Result<(Arc<Inventory>, Option<Reason>), Refusal> {
        let known = self.shared.parts.accounts.now();
        match (known.inventory, known.failure) {
            (Some(inventory), failure) => Ok((inventory, failure)),
            (None, Some(reason)) => Err(Refusal::AccountsNotKnown(reason.message)),
            (None, None) => Err(Refusal::AccountsNotKnown(
                "they are being discovered".into(),
            )),
        }
    }

    /// The archives, described.
    pub async fn archives(&self) -> Vec<Arc<ArchiveFacts>> {
        let limit = self.shared.parts.limits.facts_timeout;
        self.shared.parts.facts.archives(limit).await
    }

    /// The log groups, as they are declared now.
    #[must_use]
    pub fn log_groups(&self) -> Vec<Arc<LogGroupFacts>> {
        self.shared.parts.facts.log_groups()
    }

    /// Begins a search. Nothing is asked of AWS before the stream is polled.
    ///
    /// The stream begins with a plan and ends with a summary, two seconds before `deadline` at the
    /// latest. Polling it drives it; a stream that is not polled reads at most a page ahead in each
    /// scan.
    pub fn search(
        &self,
        query: EventQuery,
        caller: Arc<Caller>,
        deadline: Option<Instant>,
    ) -> Result<SearchStream, Refusal> {
        let (accounts, scope) = self.scope(&query)?;
        let permit = self.permit()?;
        let parts = &self.shared.parts;
        let span = observed::span(&caller, &query, parts.spans_name_identities);
        let observed = Observed::new(span.clone(), parts.metrics.clone());
        let context = self.context(query, caller, deadline);
        let shared = Arc::clone(&self.shared);
        let search = Search::new(shared, context, accounts, scope, permit, observed);
        let next = move |mut search: Search| {
            let next = async move {
                let item = search.next().await?;
                Some((item, search))
            };
            next.instrument(span.clone())
        };
        Ok(stream::unfold(search, next).boxed())
    }

    /// The accounts that a question is about, and the digest of these and their Regions.
    pub(super) fn scope(&self, query: &EventQuery) -> Result<(Accounts, [u8; 16]), Refusal> {
        let (inventory, _) = self.inventory()?;
        let accounts = selected(&inventory, query)?;
        let limit = self.shared.parts.limits.max_accounts;
        if accounts.len() > limit {
            let asked = accounts.len();
            return Err(Refusal::TooManyAccounts { asked, limit });
        }
        let scope = scope_digest(accounts.iter().map(|account| {
            let regions = if query.regions.is_empty() {
                &account.regions
            } else {
                &query.regions
            };
            (account.id, regions.as_slice())
        }));
        if (query.resume.as_ref()).is_some_and(|resume| resume.scope_digest != scope) {
            return Err(Refusal::ScopeChanged);
        }
        let accounts = Accounts {
            selected: accounts,
            inventory,
        };
        Ok((accounts, scope))
    }

    /// The right to read for one search, as long as it is held.
    pub(super) fn permit(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let limit = self.shared.parts.limits.concurrent_searches;
        Arc::clone(&self.shared.searches)
            .try_acquire_owned()
            .map_err(|_| Refusal::TooManySearches { limit })
    }

    pub(super) fn context(
        &self,
        query: EventQuery,
        caller: Arc<Caller>,
        deadline: Option<Instant>,
    ) -> SearchContext {
        SearchContext {
            search_id: self.shared.last_search_id.fetch_add(1, Ordering::Relaxed),
            caller,
            scan_budget: ScanBudget::new(query.max_scan_bytes),
            sessions: SessionsFound::default(),
            query,
            deadline,
        }
    }
}

/// The accounts of one search, as they were when it began.
pub(super) struct Accounts {
    /// Those that it reads.
    pub selected: Vec<AccountFacts>,
    /// All of the federation.
    pub inventory: Arc<Inventory>,
}

fn selected(inventory: &Inventory, query: &EventQuery) -> Result<Vec<AccountFacts>, Refusal> {
    let selected = inventory.select(&query.account_ids, &query.account_selector);
    selected.map_err(|why| match why {
        NotSelected::Unknown(accounts) => Refusal::UnknownAccounts(accounts),
        NotSelected::Nothing { field, value } if field.is_empty() => Refusal::NothingSelected {
            field: "account_selector".into(),
            value,
        },
        NotSelected::Nothing { field, value } => Refusal::NothingSelected {
            field: format!("account_selector.{field}"),
            value,
        },
    })
}

impl Shared {
    /// What planning needs to know, asked of AWS for `limit` at most.
    pub(super) async fn read_facts(&self, accounts: Vec<AccountFacts>, limit: Duration) -> Facts {
        Facts {
            accounts,
            archives: self.parts.facts.archives(limit).await,
            log_groups: self.parts.facts.log_groups(),
            accepted_gaps: Arc::clone(&self.parts.accepted_gaps),
            routing: self.parts.routing.clone(),
        }
    }

    /// Who reads the scan.
    pub(super) fn backend(&self, scan: &Scan) -> &dyn Backend {
        match scan.target {
            ScanTarget::EventHistory { .. } => &*self.parts.event_history,
            ScanTarget::Logs { .. } => &*self.parts.logs,
            ScanTarget::Athena { .. } => &*self.parts.athena,
        }
    }
}

fn join(accounts: &[AccountId]) -> String {
    let names: Vec<String> = accounts.iter().map(ToString::to_string).collect();
    names.join(", ")
}
