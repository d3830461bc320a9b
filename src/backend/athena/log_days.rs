//! Whether an archive has log files of the days that it was read for: a day without any was either
//! quiet or not delivered, and an answer about it is not to be called complete.
//!
//! Partition columns alone tell it, yet Athena reads (and bills) the files of row formats whole for
//! it. One file of a day is enough, and a busy account delivers hundreds: so a first query looks at a
//! random few of all files, and a second one at all files of those accounts and days alone that it
//! showed none of, which are the quiet ones (and only it at those that had none before). Neither asks for what the process has seen files of
//! before: that a file exists does not change, so it is remembered; that none does may change any day,
//! so that is asked again, which costs nothing: there is nothing to scan.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::archive::Archive;
use super::query::ArchiveQuery;
use super::sql::{self, Look};
use super::unwritable;
use crate::backend::DaysAsked;
use crate::plan::estimate::DaysUnseen;
use crate::plan::facts::TableFacts;
use crate::plan::log_days::{AccountDays, DayRun, LogDays};
use crate::plan::{Reason, ReasonCode, Unverified};
use crate::query::{AccountId, EventTime, TimeRange};

/// The part of the files that is looked at first, in percent. Of an account's day with `n` files this
/// finds none with a chance of 0.95ⁿ, so that at most some seven files of it are read in vain.
const LOOKED_AT_FIRST: u8 = 5;

/// One verification is about no more accounts × days than this.
const MOST_ASKED: usize = 100_000;

/// What is known of one archive's log files is forgotten when it is more accounts × days than this:
/// some 16 MB. The same goes for where there was none.
const MOST_KNOWN: usize = 500_000;

/// More intervals than this, or so many accounts in them together, are told as one.
const MOST_TOLD: usize = 500;
const MOST_ACCOUNTS_TOLD: usize = 10_000;

/// What is known of an archive's days, for all searches of the process.
#[derive(Debug, Default)]
pub(super) struct LogDaysKnown(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// There is a log file.
    with_files: LogDays,
    /// All files were looked at once, and there was none.
    without: LogDays,
}

impl LogDaysKnown {
    fn remember(&self, days: &LogDays) {
        remember(&mut self.lock().with_files, days);
    }

    fn remember_without(&self, days: &[AccountDays]) {
        let mut without = LogDays::default();
        for AccountDays { days, accounts } in days {
            for account in accounts {
                days.iter().for_each(|day| without.insert(*account, day));
            }
        }
        remember(&mut self.lock().without, &without);
    }

    fn missing(&self, accounts: &BTreeSet<AccountId>, days: DayRun) -> Vec<AccountDays> {
        self.lock().with_files.missing(accounts, days)
    }

    /// Whether all of these were found without a log file before: there is little to read then.
    fn were_without(&self, days: &[AccountDays]) -> bool {
        let known = self.lock();
        (days.iter()).all(|it| known.without.missing(&it.accounts, it.days).is_empty())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Days are only ever added, or all forgotten: a panic leaves nothing wrong behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remember(known: &mut LogDays, days: &LogDays) {
    if known.len() + days.len() > MOST_KNOWN {
        *known = LogDays::default();
    }
    known.extend(days);
}

/// The log files of some accounts and days, as one query found them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LogFiles {
    /// The accounts and days that have any.
    pub days: LogDays,
    /// The newest event of all; only where it was asked for.
    pub newest: Option<EventTime>,
}

/// Asks the archive which of these have log files.
pub(super) async fn read(
    query: &ArchiveQuery,
    table: &TableFacts,
    asked: &[AccountDays],
    look: Look,
) -> Result<LogFiles, Reason> {
    let archive = &query.archive;
    let statement = sql::log_days(&archive.config, table, asked, look)
        .map_err(|error| unwritable(&archive.name, &error))?;
    let rows = query.rows(statement.sql.clone(), &statement.names).await?;
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

/// What is known of accounts and days once their log files were searched for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Searched {
    /// Those with log files.
    pub days: LogDays,
    /// Of those asked, the others.
    missing: Vec<AccountDays>,
}

impl Searched {
    /// Looks at a few of the files, then at all of those accounts and days that they are none of.
    pub async fn few_then_all(
        query: &ArchiveQuery,
        table: &TableFacts,
        asked: Vec<AccountDays>,
    ) -> Result<Self, Reason> {
        let few = read(query, table, &asked, Look::AtSome(LOOKED_AT_FIRST)).await?;
        // Also if the next query fails: what was found is not to be paid for again.
        query.archive.log_days.remember(&few.days);
        let mut searched = Self::among(asked, few.days);
        if !searched.missing.is_empty() {
            let rest = Self::all(query, table, searched.missing).await?;
            searched.days.extend(&rest.days);
            searched.missing = rest.missing;
        }
        Ok(searched)
    }

    async fn all(
        query: &ArchiveQuery,
        table: &TableFacts,
        asked: Vec<AccountDays>,
    ) -> Result<Self, Reason> {
        let all = read(query, table, &asked, Look::AtAll).await?;
        Ok(Self::among(asked, all.days))
    }

    fn among(asked: Vec<AccountDays>, days: LogDays) -> Self {
        let without = (asked.into_iter()).flat_map(|it| days.missing(&it.accounts, it.days));
        let missing = without.collect();
        Self { days, missing }
    }
}

/// One search's verification of one archive.
pub(super) struct Verification {
    pub query: ArchiveQuery,
    pub asked: DaysAsked,
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
        let known = &self.query.archive.log_days;
        let unknown = known.missing(accounts, days);
        if unknown.is_empty() {
            return Ok(unknown);
        }
        let table = self.asked.archive.table.as_ref().map_err(Clone::clone)?;
        let query = &self.query;
        let searched = if known.were_without(&unknown) {
            Searched::all(query, table, unknown).await?
        } else {
            Searched::few_then_all(query, table, unknown).await?
        };
        known.remember(&searched.days);
        known.remember_without(&searched.missing);
        Ok(searched.missing)
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
                    self.query.archive.name
                ),
            );
            return self.unverified(accounts, seconds, reason);
        }
        let reason = Reason::new(
            ReasonCode::NoLogFiles,
            format!(
                "no log file in archive {}: {EITHER_OR}",
                self.query.archive.name
            ),
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
            self.query.archive.name, reason.message
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
                    self.query.archive.name
                ),
            ),
        }
    }
}

/// What a day without a log file means.
const EITHER_OR: &str = "either nothing happened or the trail did not deliver";
