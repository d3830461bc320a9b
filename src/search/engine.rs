//! The engine: everything that searches share, and the one way to start a search.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
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
use crate::policy::{Access, Authorizer, Denial, Question, Refused, SearchQuestion};
use crate::query::{AccessKeyId, AccountId, EventQuery, shown};
use crate::telemetry::Metrics;
use crate::usage::{Admitted, Exceeded, Usage};

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
    /// Says which of them a caller may ask what about.
    pub authorizer: Arc<Authorizer>,
    /// What is known to be unreadable, and accepted.
    pub accepted_gaps: Arc<[AcceptedGap]>,
    /// How routing is tuned.
    pub routing: Routing,
    /// The bounds.
    pub limits: EngineLimits,
    /// What the process and its callers use, and may use.
    pub usage: Arc<Usage>,
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
    /// Pacing takes turns between searches by their numbers: no two of a process have the same.
    last_search_id: Arc<AtomicU64>,
}

/// Why a search does not even begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The policies do not allow the question.
    #[error("{}", .0.message())]
    Denied(Denial),
    /// Accounts that are not in this federation (or not the caller's to see).
    #[error("accounts that are not in this federation: {}", join(.0))]
    UnknownAccounts(Vec<AccountId>),
    /// A part of the account selector means no account of this federation.
    #[error("{field}: no account of this federation is selected by {value}")]
    NothingSelected {
        /// The field's path in the request.
        field: String,
        /// The beginning of its value, quoted.
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
    /// The process or the caller uses as much as it may.
    #[error(transparent)]
    Exceeded(#[from] Exceeded),
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
                last_search_id: Arc::default(),
                parts,
            }),
        }
    }

    /// An engine of other parts in the same process: both share the memory for pages and the searches'
    /// numbers.
    #[must_use]
    pub fn succeeded_by(&self, parts: EngineParts) -> Self {
        Self {
            shared: Arc::new(Shared {
                memory: self.shared.memory.clone(),
                last_search_id: Arc::clone(&self.shared.last_search_id),
                parts,
            }),
        }
    }

    /// What the process and its callers use.
    #[must_use]
    pub fn usage(&self) -> &Arc<Usage> {
        &self.shared.parts.usage
    }

    /// The service's clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.shared.parts.clock
    }

    /// All of the federation's accounts now, whoever may read them, with why they may be out of date.
    /// What goes to callers comes from [`access`](Self::access).
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

    /// What `caller` may read of the federation to answer `question`, and why the accounts may be out
    /// of date. `meant` names the accounts of an inventory that are asked about, or says why there is
    /// none: an account that the caller must not know of is in no inventory that it is shown.
    ///
    /// Asks nothing of AWS.
    pub fn access(
        &self,
        caller: &Arc<Caller>,
        question: &Question,
        meant: impl Fn(&Inventory) -> Result<Vec<AccountId>, NotSelected>,
    ) -> Result<(Access, Option<Reason>), Refusal> {
        let authorizer = &self.shared.parts.authorizer;
        let (inventory, failure) = self.inventory().map_err(|refusal| match refusal {
            // Nobody knows yet what this caller may know of it.
            Refusal::AccountsNotKnown(_) if authorizer.policies().is_some() => {
                Refusal::AccountsNotKnown("they are not discovered yet".into())
            }
            other => other,
        })?;
        match authorizer.access(caller, question, &inventory, meant) {
            Ok(access) => Ok((access, failure)),
            Err(Refused::Denied(denial)) => Err(Refusal::Denied(denial)),
            Err(Refused::NotFound(why)) => Err(why.into()),
        }
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
        let scope = self.scope(query, caller, Question::SearchEvents)?;
        let admitted = self.admit(&scope.caller)?;
        Ok(self.begin(scope, admitted, deadline, CancellationToken::new()))
    }

    /// Begins the search of a scope that was admitted, as [`search`](Self::search) does, for a caller of
    /// whom it is noticed when it takes nothing of the answer for too long: `idle` is cancelled then, and
    /// the stream ends with its summary.
    #[must_use]
    pub fn begin(
        &self,
        scope: Scope,
        admitted: Admitted,
        deadline: Option<Instant>,
        idle: CancellationToken,
    ) -> SearchStream {
        let Scope {
            query,
            caller,
            accounts,
            digest,
        } = scope;
        let parts = &self.shared.parts;
        let span = observed::span(&caller, &query, parts.spans_name_identities);
        let observed = Observed::new(span.clone(), parts.metrics.clone());
        let context = self.context(query, caller, deadline, &admitted);
        let shared = Arc::clone(&self.shared);
        let search = Search::new(
            shared,
            context,
            accounts,
            digest,
            (admitted, idle),
            observed,
        );
        let next = move |mut search: Search| {
            let next = async move {
                let item = search.next().await?;
                Some((item, search))
            };
            next.instrument(span.clone())
        };
        stream::unfold(search, next).boxed()
    }

    /// What `caller` may read to answer `query`, asked to be run or to be planned: all that is decided
    /// before anything is looked up. The same for a search that is resumed: its token grants nothing.
    pub fn scope(
        &self,
        query: EventQuery,
        caller: Arc<Caller>,
        asked: fn(SearchQuestion) -> Question,
    ) -> Result<Scope, Refusal> {
        let question = asked(SearchQuestion::of(&query, self.clock().now()));
        let select =
            |inventory: &Inventory| inventory.select(&query.account_ids, &query.account_selector);
        let ids = |inventory: &Inventory| {
            let selected = select(inventory)?;
            Ok(selected.iter().map(|account| account.id).collect())
        };
        let (access, out_of_date) = self.access(&caller, &question, ids)?;
        let selected = select(&access.inventory)?;
        let limit = self.shared.parts.limits.max_accounts;
        if selected.len() > limit {
            let asked = selected.len();
            return Err(Refusal::TooManyAccounts { asked, limit });
        }
        let digest = scope_digest(selected.iter().map(|account| {
            let regions = if query.regions.is_empty() {
                &account.regions
            } else {
                &query.regions
            };
            (account.id, regions.as_slice())
        }));
        if (query.resume.as_ref()).is_some_and(|resume| resume.scope_digest != digest) {
            return Err(Refusal::ScopeChanged);
        }
        let accounts = Accounts {
            selected,
            access,
            out_of_date: out_of_date.filter(|_| query.account_ids.is_empty()),
        };
        Ok(Scope {
            query,
            caller,
            accounts,
            digest,
        })
    }

    /// The right to read for one search or check of `caller`, as long as it is held.
    pub fn admit(&self, caller: &Caller) -> Result<Admitted, Refusal> {
        Ok(self.shared.parts.usage.admit(caller)?)
    }

    pub(super) fn context(
        &self,
        query: EventQuery,
        caller: Arc<Caller>,
        deadline: Option<Instant>,
        admitted: &Admitted,
    ) -> SearchContext {
        let in_use = &admitted.in_use;
        SearchContext {
            search_id: self.shared.last_search_id.fetch_add(1, Ordering::Relaxed),
            caller,
            scan_budget: ScanBudget::new(query.max_scan_bytes, Arc::clone(in_use)),
            in_use: Arc::clone(in_use),
            sessions: SessionsFound::default(),
            query,
            deadline,
        }
    }
}

/// A question and what its caller may read to answer it.
pub struct Scope {
    pub(super) query: EventQuery,
    pub(super) caller: Arc<Caller>,
    pub(super) accounts: Accounts,
    /// Of the accounts and their Regions.
    digest: [u8; 16],
}

impl Scope {
    /// What the caller may read.
    #[must_use]
    pub fn access(&self) -> &Access {
        &self.accounts.access
    }

    /// Whether all accounts are asked about, and the caller may not read all.
    pub(super) fn is_limited(&self) -> bool {
        is_limited(&self.query, &self.accounts)
    }
}

/// Whether all accounts are asked about, and the caller may not read all. Whether those left out would
/// have been meant by a selector is not told: it would tell of them.
pub(super) fn is_limited(query: &EventQuery, accounts: &Accounts) -> bool {
    accounts.access.limited && query.account_ids.is_empty()
}

/// The accounts of one search, as they were when it began.
pub(super) struct Accounts {
    /// Those that it reads.
    pub selected: Vec<AccountFacts>,
    /// All that its caller may read.
    pub access: Access,
    /// Where all are asked about: why there may be more by now.
    pub out_of_date: Option<Reason>,
}

impl Accounts {
    /// That there may be more accounts than are read, in words.
    pub fn warning(&self) -> Option<String> {
        let reason = self.out_of_date.as_ref()?;
        Some(format!(
            "the accounts could not be listed anew, and those that have joined since are not read: {}",
            reason.message
        ))
    }
}

impl From<NotSelected> for Refusal {
    fn from(why: NotSelected) -> Self {
        match why {
            NotSelected::Unknown(accounts) => Self::UnknownAccounts(accounts),
            NotSelected::Nothing { field, value } if field.is_empty() => Self::NothingSelected {
                field: "account_selector".into(),
                value,
            },
            NotSelected::Nothing { field, value } => Self::NothingSelected {
                field: format!("account_selector.{field}"),
                value: shown(&value),
            },
        }
    }
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
