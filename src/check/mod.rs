//! Whether the federation is as its configuration says: a live probe of each account, archive and
//! log group.
//!
//! [`Checker::check`] makes a stream of [`Finding`]s, each as soon as it is known, and a [`Summary`].
//! It owns all that it starts: dropping it stops it. What it finds is compared in pure code
//! ([`crate::plan::trail`], [`crate::plan::log_days`]); what is denied comes with the IAM statement
//! that is missing ([`policy`]).

mod account;
mod archive;
pub mod finding;
mod log_group;
pub mod policy;
mod run;
mod trails;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, BoxStream, StreamExt};
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::backend::athena::Athena;
use crate::backend::event_history::EventHistory;
use crate::backend::logs::Logs;
use crate::backend::trails::Trails;
use crate::caller::Caller;
use crate::clock::Clock;
use crate::federation::Federation;
use crate::plan::Inventory;
use crate::plan::inventory::NotSelected;
use crate::policy::Access;
use crate::query::{AccountId, AccountSelector, EventTime};
use crate::usage::Admitted;
use run::Check;

pub use finding::{CheckItem, Finding, Probe, State, Subject, Summary};

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// These accounts, and the archives and log groups that hold any of them; empty is all.
    pub account_ids: BTreeSet<AccountId>,
    /// How many days back archives are asked for log files, and log groups for events, today
    /// included: at least 1.
    pub days: u32,
}

/// An archive or a log group whose newest event is this old (and the archives' delay) has stopped
/// growing.
const STALE: SignedDuration = SignedDuration::from_hours(24);

impl Request {
    /// The accounts of an inventory that are asked about; those that it does not have are an error.
    pub fn of_inventory(&self, inventory: &Inventory) -> Result<Vec<AccountId>, NotSelected> {
        let ids: Vec<AccountId> = self.account_ids.iter().copied().collect();
        let selected = inventory.select(&ids, &AccountSelector::default())?;
        Ok(selected.iter().map(|account| account.id).collect())
    }

    /// The same of what the caller may check: whoever asks for all, and may not check all, asks for
    /// these, and of an archive or log group for what it holds of them.
    #[must_use]
    pub fn within(self, access: &Access) -> Self {
        if !access.limited || !self.account_ids.is_empty() {
            return self;
        }
        let accounts = access.inventory.accounts.iter();
        Self {
            account_ids: accounts.map(|account| account.id).collect(),
            ..self
        }
    }

    /// Of the accounts that an archive or a log group declares, those asked for; `None` declares
    /// everyone.
    fn asked_of(
        &self,
        declared: Option<BTreeSet<AccountId>>,
        inventory: &Inventory,
    ) -> BTreeSet<AccountId> {
        let everyone = || {
            (inventory.accounts.iter())
                .map(|account| account.id)
                .collect()
        };
        let mut accounts = declared.unwrap_or_else(everyone);
        if !self.account_ids.is_empty() {
            accounts.retain(|account| self.account_ids.contains(account));
        }
        accounts
    }
}

fn age_in_words(time: EventTime, now: Timestamp) -> String {
    let age = now.duration_since(time.timestamp());
    format!("{} hours ago", age.as_hours().max(0))
}

/// What probes accounts, archives and log groups. One serves the whole process.
pub struct Checker {
    pub(crate) federation: Arc<Federation>,
    pub(crate) event_history: Arc<EventHistory>,
    pub(crate) athena: Arc<Athena>,
    pub(crate) trails: Trails,
    pub(crate) logs: Arc<Logs>,
    pub(crate) clock: Clock,
    /// How long after an event its archive surely holds it.
    pub(crate) archive_delay: SignedDuration,
    /// One probe of an account that takes longer has no answer.
    pub(crate) patience: Duration,
    /// Cancelled when the service shuts down.
    pub(crate) drain: CancellationToken,
}

/// What a checker is made of.
pub struct CheckerParts {
    /// Accounts and sessions.
    pub federation: Arc<Federation>,
    /// Reads event history.
    pub event_history: Arc<EventHistory>,
    /// Reads archives.
    pub athena: Arc<Athena>,
    /// Reads log groups.
    pub logs: Arc<Logs>,
    /// The service's clock.
    pub clock: Clock,
    /// How long after an event its archive surely holds it.
    pub archive_delay: SignedDuration,
    /// How long one account or Region may take to answer.
    pub patience: Duration,
    /// Cancelled when the service shuts down.
    pub drain: CancellationToken,
}

/// Accounts that are not in this federation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownAccounts(pub Vec<AccountId>);

/// The stream of one check.
pub type CheckStream = BoxStream<'static, CheckItem>;

impl Checker {
    /// Of these parts.
    #[must_use]
    pub fn new(parts: CheckerParts) -> Self {
        Self {
            trails: Trails::new(Arc::clone(&parts.federation)),
            federation: parts.federation,
            event_history: parts.event_history,
            athena: parts.athena,
            logs: parts.logs,
            clock: parts.clock,
            archive_delay: parts.archive_delay,
            patience: parts.patience,
            drain: parts.drain,
        }
    }

    /// Begins a check of the accounts in `inventory`, for `caller`. Nothing is asked of AWS before the stream is polled.
    ///
    /// The last item is the summary, two seconds before `deadline` at the latest; what was not
    /// probed by then is a finding that says so. The same once `idle` is cancelled, as for a caller who
    /// takes nothing for too long.
    pub fn check(
        self: &Arc<Self>,
        inventory: &Inventory,
        request: &Request,
        caller: &Arc<Caller>,
        deadline: Option<Instant>,
        admitted: Admitted,
        idle: CancellationToken,
    ) -> Result<CheckStream, UnknownAccounts> {
        let accounts = inventory.accounts.iter();
        let known: BTreeSet<AccountId> = accounts.map(|account| account.id).collect();
        let unknown: Vec<AccountId> = (request.account_ids.difference(&known)).copied().collect();
        if !unknown.is_empty() {
            return Err(UnknownAccounts(unknown));
        }
        let checker = Arc::clone(self);
        let check = Check::new(
            checker, inventory, request, caller, deadline, admitted, idle,
        );
        let next = |mut check: Check| async move {
            let item = check.next().await?;
            Some((item, check))
        };
        Ok(stream::unfold(check, next).boxed())
    }
}
