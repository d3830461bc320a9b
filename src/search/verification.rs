//! Whether the archives of a search have log files of the days that they were read for.
//!
//! A part of the search like its scans: polled by it, ended with it. What is not found out by the end
//! is unverified.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};

use crate::backend::{Backend, DaysAsked, SearchContext, Spent};
use crate::plan::{OutcomeState, Reason, Scan, ScanOutcome, ScanTarget, Unverified};
use crate::query::{AccountId, TimeRange};

type ArchiveName = Arc<str>;

/// The verifications of one search, one for each archive.
#[derive(Default)]
pub(super) struct Verification {
    asked: BTreeMap<ArchiveName, DaysAsked>,
    running: FuturesUnordered<BoxFuture<'static, (ArchiveName, Vec<Unverified>)>>,
    found: BTreeMap<ArchiveName, Vec<Unverified>>,
    spent: Arc<Spent>,
}

impl Verification {
    /// Of all archives that `scans` read, through `athena`. Asks nothing before it is polled.
    pub fn of(scans: &[Scan], athena: &dyn Backend, context: &Arc<SearchContext>) -> Self {
        let mut verification = Self::default();
        for (name, days) in days_asked(scans) {
            if let Some(answer) = athena.verify(&days, context, &verification.spent) {
                let named = Arc::clone(&name);
                let answer = async move { (named, answer.await) };
                verification.running.push(Box::pin(answer));
                verification.asked.insert(name, days);
            }
        }
        verification
    }

    /// Whether nothing is left to find out.
    pub fn is_done(&self) -> bool {
        self.running.is_empty()
    }

    /// Waits until more is found out; returns at once when nothing is left.
    pub async fn advance(&mut self) {
        if let Some((archive, unverified)) = self.running.next().await {
            self.found.insert(archive, unverified);
        }
    }

    /// What it cost so far.
    pub fn spent(&self) -> &Spent {
        &self.spent
    }

    /// The archives that it still asks.
    pub fn waiting_for(&self) -> impl Iterator<Item = &ArchiveName> {
        let found = |name: &&ArchiveName| !self.found.contains_key(*name);
        self.asked.keys().filter(found)
    }

    /// Says of a scan's outcome which of its days are unverified; those not found out for `stop`.
    pub fn judge(&self, scan: &Scan, outcome: &mut ScanOutcome, stop: &Reason) {
        let ScanTarget::Athena {
            archive, accounts, ..
        } = &scan.target
        else {
            return;
        };
        let (Some(asked), Some(covered)) = (self.asked.get(&archive.name), outcome.covered) else {
            return;
        };
        let in_scan = |days: &Unverified| {
            let accounts: Vec<AccountId> = (days.accounts.iter())
                .filter(|account| accounts.contains(account))
                .copied()
                .collect();
            let range = days.range.intersect(covered)?;
            (!accounts.is_empty()).then(|| Unverified {
                accounts,
                range,
                reason: days.reason.clone(),
            })
        };
        outcome.unverified = if let Some(found) = self.found.get(&archive.name) {
            found.iter().filter_map(in_scan).collect()
        } else {
            let not_asked = Unverified {
                accounts: asked.accounts.iter().copied().collect(),
                range: asked.range,
                reason: Reason {
                    message: format!(
                        "the search ended before it was known whether archive {} has log files of \
                         these days: {}",
                        archive.name, stop.message
                    ),
                    ..stop.clone()
                },
            };
            in_scan(&not_asked).into_iter().collect()
        };
        if outcome.state == OutcomeState::Complete && !outcome.unverified.is_empty() {
            outcome.state = OutcomeState::Unverified;
        }
    }
}

/// What each archive that `scans` read is to be asked.
pub(super) fn days_asked(scans: &[Scan]) -> BTreeMap<ArchiveName, DaysAsked> {
    let mut asked: BTreeMap<ArchiveName, DaysAsked> = BTreeMap::new();
    for scan in scans {
        if let ScanTarget::Athena {
            archive, accounts, ..
        } = &scan.target
        {
            let days = asked
                .entry(Arc::clone(&archive.name))
                .or_insert_with(|| DaysAsked {
                    archive: Arc::clone(archive),
                    accounts: BTreeSet::new(),
                    range: scan.range,
                });
            days.accounts.extend(accounts);
            days.range = hull(days.range, scan.range);
        }
    }
    asked
}

fn hull(one: TimeRange, other: TimeRange) -> TimeRange {
    let (start, end) = (one.start().min(other.start()), one.end().max(other.end()));
    TimeRange::new(start, end).unwrap_or(one)
}
