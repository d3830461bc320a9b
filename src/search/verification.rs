//! Whether the archives of a search have log files of the days that they were read for.
//!
//! A part of the search like its scans: polled by it, ended with it; its queries run in tasks of their
//! own, as theirs do. What is not found out by the end is unverified.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};

use crate::backend::{Backend, DaysAsked, SearchContext, Spent};
use crate::plan::{OutcomeState, Reason, Scan, ScanId, ScanOutcome, ScanTarget, Unverified};
use crate::query::AccountId;

type ArchiveName = Arc<str>;

/// The verifications of one search: one for each archive, and one more for what it took over later.
#[derive(Default)]
pub(super) struct Verification {
    asked: Vec<Asked>,
    running: FuturesUnordered<BoxFuture<'static, (usize, Vec<Unverified>)>>,
    spent: Arc<Spent>,
}

/// What an archive was asked for, by which scans.
struct Asked {
    days: DaysAsked,
    scans: BTreeSet<ScanId>,
    found: Option<Vec<Unverified>>,
}

impl Verification {
    /// Asks of all archives that `scans` read, through `athena`. Nothing happens before it is polled.
    pub fn add(&mut self, scans: &[Scan], athena: &dyn Backend, context: &Arc<SearchContext>) {
        for (name, days) in days_asked(scans) {
            if let Some(answer) = athena.verify(&days, context, &self.spent) {
                let number = self.asked.len();
                let answer = async move { (number, answer.await) };
                self.running.push(Box::pin(answer));
                let of_archive = scans.iter().filter(|scan| {
                    matches!(&scan.target, ScanTarget::Athena { archive, .. } if archive.name == name)
                });
                self.asked.push(Asked {
                    days,
                    scans: of_archive.map(|scan| scan.id).collect(),
                    found: None,
                });
            }
        }
    }

    /// Whether nothing is left to find out.
    pub fn is_done(&self) -> bool {
        self.running.is_empty()
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
        let left = self.asked.iter().filter(|asked| asked.found.is_none());
        left.map(|asked| &asked.days.archive.name)
    }

    /// Says of a scan's outcome which of its days are unverified; those not found out for `stop`.
    pub fn judge(&self, scan: &Scan, outcome: &mut ScanOutcome, stop: &Reason) {
        let asked = self.asked.iter().find(|it| it.scans.contains(&scan.id));
        let (Some(asked), Some(covered)) = (asked, outcome.covered) else {
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
            days.range = days.range.hull(scan.range);
        }
    }
    asked
}
