//! Whether the archives of a search have log files of the days that they were read for.
//!
//! A part of the search like its scans: polled by it, ended with it; its queries run in tasks of their
//! own, as theirs do. What is not found out by the end is unverified.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};

use super::outcomes::owned;
use crate::backend::{Backend, DaysAsked, SearchContext, Spent};
use crate::plan::{OutcomeState, Reason, Scan, ScanId, ScanOutcome, ScanTarget, Unverified};
use crate::query::AccountId;

type ArchiveName = Arc<str>;

/// The verifications of one search: one for each archive, and one more for what it took over later.
#[derive(Default)]
pub(super) struct Verification {
    asked: Vec<Asked>,
    /// Those that are not to begin yet.
    waiting: Vec<Answer>,
    begun: bool,
    running: FuturesUnordered<Answer>,
    spent: Arc<Spent>,
}

type Answer = BoxFuture<'static, (usize, Vec<Unverified>)>;

/// What an archive was asked for.
struct Asked {
    days: DaysAsked,
    /// The scan that took it over later; `None` is all that was planned.
    took_over: Option<ScanId>,
    found: Option<Vec<Unverified>>,
}

impl Verification {
    /// Will ask of all archives that are read by what is planned, or were `before` this stream, through
    /// `athena`. Nothing happens before it has begun and is polled.
    pub fn add(
        &mut self,
        planned: &[Scan],
        before: &[Scan],
        athena: &dyn Backend,
        context: &Arc<SearchContext>,
    ) {
        for days in days_asked(planned.iter().chain(before)).into_values() {
            let answer = self.ask(days, None, athena, context);
            self.waiting.extend(answer);
        }
    }

    /// Asks of what a scan has taken over, at once. Says whether there is anything to find out: it is to
    /// be known before the scan is read, for no stream that is resumed knows what was handed over.
    pub fn ask_first(
        &mut self,
        scan: &Scan,
        athena: &dyn Backend,
        context: &Arc<SearchContext>,
    ) -> bool {
        let days = days_asked([scan]).into_values().next();
        let answer = days.and_then(|days| self.ask(days, Some(scan.id), athena, context));
        let asks = answer.is_some();
        self.running.extend(answer);
        asks
    }

    fn ask(
        &mut self,
        days: DaysAsked,
        took_over: Option<ScanId>,
        athena: &dyn Backend,
        context: &Arc<SearchContext>,
    ) -> Option<Answer> {
        let answer = athena.verify(&days, context, &self.spent)?;
        let number = self.asked.len();
        self.asked.push(Asked {
            days,
            took_over,
            found: None,
        });
        Some(Box::pin(async move { (number, answer.await) }))
    }

    /// Begins to ask, from now on at once.
    pub fn begin(&mut self) {
        self.begun = true;
        self.running.extend(self.waiting.drain(..));
    }

    /// Whether it is found out what a scan has to know that has taken over.
    pub fn is_known(&self, took_over: ScanId) -> bool {
        let mut of_scan = (self.asked.iter()).filter(|it| it.took_over == Some(took_over));
        of_scan.all(|it| it.found.is_some())
    }

    /// Whether there is something to wait for.
    pub fn is_running(&self) -> bool {
        !self.running.is_empty()
    }

    /// Whether nothing is left to find out.
    pub fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// Waits until more is found out; returns at once when nothing is left.
    pub async fn advance(&mut self) {
        if let Some((number, unverified)) = self.running.next().await {
            self.asked[number].found = Some(unverified);
        }
    }

    /// What it cost so far.
    pub fn spent(&self) -> &Spent {
        &self.spent
    }

    /// The archives that it still asks.
    pub fn waiting_for(&self) -> impl Iterator<Item = &ArchiveName> {
        let asks = |asked: &&Asked| self.begun || asked.took_over.is_some();
        let left = (self.asked.iter()).filter(|asked| asked.found.is_none());
        let left = left.filter(asks);
        left.map(|asked| &asked.days.archive.name)
    }

    fn asked_for(&self, scan: &Scan) -> Option<&Asked> {
        let ScanTarget::Athena { archive, .. } = &scan.target else {
            return None;
        };
        let took_over = scan.shares.as_ref().map(|_| scan.id);
        (self.asked.iter())
            .find(|it| it.took_over == took_over && it.days.archive.name == archive.name)
    }

    /// Says of a scan that this stream has not read, or not yet, which of its days are unverified.
    pub fn judge_unread(&self, scan: &Scan, stop: &Reason) -> Vec<ScanOutcome> {
        let outcomes = owned(scan).into_iter().filter_map(|mut outcome| {
            outcome.covered = Some(outcome.asked);
            self.judge(scan, &mut outcome, stop);
            outcome.covered = None;
            (!outcome.unverified.is_empty()).then_some(outcome)
        });
        outcomes.collect()
    }

    /// Says of a scan's outcome which of its days are unverified; those not found out for `stop`.
    pub fn judge(&self, scan: &Scan, outcome: &mut ScanOutcome, stop: &Reason) {
        let (Some(asked), Some(covered)) = (self.asked_for(scan), outcome.covered) else {
            return;
        };
        let in_scan = |days: &Unverified| {
            let accounts: Vec<AccountId> = (days.accounts.iter())
                .filter(|account| outcome.accounts.contains(account))
                .copied()
                .collect();
            let range = days.range.intersect(covered)?;
            (!accounts.is_empty()).then(|| Unverified {
                accounts,
                range,
                reason: days.reason.clone(),
            })
        };
        outcome.unverified = if let Some(found) = &asked.found {
            found.iter().filter_map(in_scan).collect()
        } else {
            let not_asked = Unverified {
                accounts: asked.days.accounts.iter().copied().collect(),
                range: asked.days.range,
                reason: Reason {
                    message: format!(
                        "the search ended before it was known whether archive {} has log files of \
                         these days: {}",
                        asked.days.archive.name, stop.message
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
pub(super) fn days_asked<'a>(
    scans: impl IntoIterator<Item = &'a Scan>,
) -> BTreeMap<ArchiveName, DaysAsked> {
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
            days.range = days.range.hull(scan.range);
        }
    }
    asked
}
