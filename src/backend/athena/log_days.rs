//! Whether an archive has log files of the days that it was read for: a day without any was either
//! quiet or not delivered, and an answer about it is not to be called complete.
//!
//! Partition columns alone tell it, yet Athena reads (and bills) the files of row formats whole for
//! it: so there is one query for each archive and search, and it asks only for days of which the
//! process has not yet seen a file. That a file exists does not change, so it is remembered; that
//! none does may change any day, so that is asked again, which costs nothing: there is nothing to
//! scan.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::archive::Archive;
use super::rows::RowQuery;
use super::sql;
use super::unwritable;
use crate::backend::remote_query::Reaper;
use crate::backend::{DaysAsked, SearchContext, Spent};
use crate::plan::estimate::DaysUnseen;
use crate::plan::log_days::{AccountDays, DayRun, LogDays};
use crate::plan::{Reason, ReasonCode, Unverified};
use crate::query::{AccountId, EventTime, TimeRange};

/// One verification is about no more accounts × days than this.
const MOST_ASKED: usize = 100_000;

/// What is known of one archive's log files is forgotten when it is more accounts × days than this:
/// some 16 MB.
const MOST_KNOWN: usize = 500_000;

/// More intervals than this, or so many accounts in them together, are told as one.
const MOST_TOLD: usize = 500;
const MOST_ACCOUNTS_TOLD: usize = 10_000;

/// Of which days an archive is known to have log files, for all searches of the process.
#[derive(Debug, Default)]
pub(super) struct LogDaysKnown(Mutex<LogDays>);

impl LogDaysKnown {
    fn remember(&self, days: &LogDays) {
        let mut known = self.lock();
        if known.len() + days.len() > MOST_KNOWN {
            *known = LogDays::default();
        }
        known.extend(days);
    }

    fn missing(&self, accounts: &BTreeSet<AccountId>, days: DayRun) -> Vec<AccountDays> {
        self.lock().missing(accounts, days)
    }

    fn lock(&self) -> MutexGuard<'_, LogDays> {
        // Days are only ever added, or all forgotten: a panic leaves nothing wrong behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The log files of some accounts and days, as one query found them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogFiles {
    /// The accounts and days that have any.
    pub days: LogDays,
    /// The newest event of all; only where it was asked for.
    pub newest: Option<EventTime>,
}

/// Asks the archive which of these have log files; `newest` also asks for the newest event.
pub(super) async fn read(
    query: RowQuery<'_>,
    table: &crate::plan::facts::TableFacts,
    asked: &[AccountDays],
    newest: bool,
) -> Result<LogFiles, Reason> {
    let archive = query.archive;
    let statement = sql::log_days(&archive.config, table, asked, newest)
        .map_err(|error| unwritable(&archive.name, &error))?;
    let rows = query.run(&statement.sql, &statement.names).await?;
    let mut files = LogFiles::default();
    for row in rows.iter().filter_map(|values| statement.row(values)) {
        files.days.insert(row.account, row.day);
        files.newest = files.newest.max(row.newest);
    }
    Ok(files)
}

/// The days that a verification would ask about, and those that it would not know to have log files.
pub(super) fn unseen(archive: &Archive, asked: &DaysAsked) -> Option<DaysUnseen> {
    let days = days_asked(asked)?;
    Some(DaysUnseen {
        archive: Arc::clone(&asked.archive),
        accounts: asked.accounts.clone(),
        days,
        unseen: archive.log_days.missing(&asked.accounts, days),
    })
}

/// The newest days of the interval, at most so many as are asked about at once.
fn days_asked(asked: &DaysAsked) -> Option<DayRun> {
    DayRun::of(asked.range).newest(MOST_ASKED / asked.accounts.len().max(1))
}

/// One search's verification of one archive.
pub(super) struct Verification {
    pub archive: Arc<Archive>,
    pub reaper: Reaper,
    pub asked: DaysAsked,
    pub search: Arc<SearchContext>,
    pub spent: Arc<Spent>,
}

impl Verification {
    /// The days asked without a log file, or with why that is not known.
    pub async fn run(self) -> Vec<Unverified> {
        let DaysAsked {
            accounts, range, ..
        } = &self.asked;
        let Some(looked_at) = days_asked(&self.asked) else {
            return vec![self.too_many(*range)];
        };
        let mut unverified = match self.find_out(accounts, looked_at).await {
            Ok(missing) => self.told(missing),
            Err(reason) => vec![self.unknown(looked_at, reason)],
        };
        let older = looked_at
            .seconds()
            .and_then(|seconds| range.before(seconds.start()));
        unverified.extend(older.map(|older| self.too_many(older)));
        unverified
    }

    async fn find_out(
        &self,
        accounts: &BTreeSet<AccountId>,
        days: DayRun,
    ) -> Result<Vec<AccountDays>, Reason> {
        let known = &self.archive.log_days;
        let unknown = known.missing(accounts, days);
        if unknown.is_empty() {
            return Ok(unknown);
        }
        let table = self.asked.archive.table.as_ref().map_err(Clone::clone)?;
        let query = RowQuery {
            archive: &self.archive,
            reaper: &self.reaper,
            budget: Some(&self.search.scan_budget),
            spent: &self.spent,
        };
        let files = read(query, table, &unknown, false).await?.days;
        known.remember(&files);
        // Of what was unknown; what is known may have been forgotten meanwhile.
        let missing = unknown
            .iter()
            .flat_map(|it| files.missing(&it.accounts, it.days));
        Ok(missing.collect())
    }

    fn told(&self, missing: Vec<AccountDays>) -> Vec<Unverified> {
        let accounts: usize = missing.iter().map(|it| it.accounts.len()).sum();
        if missing.len() > MOST_TOLD || accounts > MOST_ACCOUNTS_TOLD {
            let intervals = missing.len();
            let first = missing.iter().map(|it| it.days.first).min();
            let last = missing.iter().map(|it| it.days.last).max();
            let accounts: BTreeSet<AccountId> =
                missing.into_iter().flat_map(|it| it.accounts).collect();
            let seconds = first
                .zip(last)
                .and_then(|(first, last)| DayRun { first, last }.seconds());
            let reason = Reason::new(
                ReasonCode::NoLogFiles,
                format!(
                    "archive {} has no log file of many days in here ({intervals} intervals, too \
                     many to name): {EITHER_OR}",
                    self.archive.name
                ),
            );
            return self.unverified(accounts, seconds, reason);
        }
        let reason = Reason::new(
            ReasonCode::NoLogFiles,
            format!("no log file in archive {}: {EITHER_OR}", self.archive.name),
        );
        missing
            .into_iter()
            .flat_map(|it| self.unverified(it.accounts, it.days.seconds(), reason.clone()))
            .collect()
    }

    /// Within the interval asked.
    fn unverified(
        &self,
        accounts: BTreeSet<AccountId>,
        seconds: Option<TimeRange>,
        reason: Reason,
    ) -> Vec<Unverified> {
        let range = seconds.and_then(|seconds| seconds.intersect(self.asked.range));
        let told = range.map(|range| Unverified {
            accounts: accounts.into_iter().collect(),
            range,
            reason,
        });
        told.into_iter().collect()
    }

    fn unknown(&self, days: DayRun, mut reason: Reason) -> Unverified {
        reason.message = format!(
            "archive {} was not asked whether it has log files of these days: {}",
            self.archive.name, reason.message
        );
        let range = days.seconds();
        Unverified {
            accounts: self.asked.accounts.iter().copied().collect(),
            range: range
                .and_then(|range| range.intersect(self.asked.range))
                .unwrap_or(self.asked.range),
            reason,
        }
    }

    fn too_many(&self, range: TimeRange) -> Unverified {
        Unverified {
            accounts: self.asked.accounts.iter().copied().collect(),
            range,
            reason: Reason::new(
                ReasonCode::QueryFailed,
                format!(
                    "archive {} was not asked whether it has log files here: these are more than \
                     {MOST_ASKED} accounts × days: ask for fewer at a time",
                    self.archive.name
                ),
            ),
        }
    }
}

/// What a day without a log file means.
const EITHER_OR: &str = "either nothing happened or the trail did not deliver";
