//! The bytes that Athena will scan, and what finding out about days without log files adds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Amount, Basis, Estimate, LEAST_ATHENA_REQUESTS, Probed, Windows};
use crate::plan::facts::ArchiveFacts;
use crate::plan::log_days::{AccountDays, DayRun};
use crate::query::{AccountId, EventTime, TimeRange};

const SECONDS_PER_DAY: i64 = 24 * 60 * 60;

/// What a number of bytes is estimated from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BytesBasis {
    /// The size that the data catalog has for the whole table, spread evenly over its days.
    TableStatistics,
    /// `estimated_bytes_per_day` of the archive in the configuration.
    Configuration,
}

/// Whether an archive has log files of the days that it is read for: one query beside its scans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// The archive.
    pub archive: Arc<str>,
    /// The days asked about, each counted for each account.
    pub account_days: u64,
    /// Of these, those of which the process has not seen a log file yet: if there are none, nothing
    /// is asked.
    pub unseen_account_days: u64,
    /// What it will cost. The bytes are those of a row format (JSON), whose files are read whole.
    pub estimate: Estimate,
}

/// What one archive will be asked about its log files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaysUnseen {
    /// The archive.
    pub archive: Arc<ArchiveFacts>,
    /// All accounts that it is read for.
    pub accounts: BTreeSet<AccountId>,
    /// All days, at most as many as are asked about.
    pub days: DayRun,
    /// The accounts and days of which no log file was seen yet.
    pub unseen: Vec<AccountDays>,
}

/// What an archive's day takes.
struct PerDay {
    /// Of so many days together.
    bytes: u64,
    days: i64,
    /// Of so many accounts together.
    accounts: usize,
    basis: BytesBasis,
}

impl Basis {
    /// What a query of these accounts and days scans, each account taken for equally large and all
    /// Regions read.
    pub(super) fn bytes(
        &self,
        archive: &ArchiveFacts,
        accounts: &BTreeSet<AccountId>,
        range: TimeRange,
    ) -> Option<(u64, BytesBasis)> {
        let per_day = self.per_day(archive, accounts.len())?;
        // A day's files may still be delivered on the next.
        let last = (day(range.last()) + 1).min(self.today());
        let days = (last - day(range.start()) + 1).max(1);
        let account_days = i128::from(days) * i128::try_from(accounts.len()).ok()?;
        Some((per_day.share(archive, days, account_days), per_day.basis))
    }

    /// What finding out about log files will cost, at most: how many files an account delivers a day
    /// nobody knows beforehand, and of few all are read.
    #[must_use]
    pub fn verification(&self, asked: &DaysUnseen) -> Verification {
        let DaysUnseen {
            archive,
            accounts,
            days,
            unseen,
        } = asked;
        let of =
            |days: DayRun, accounts: &BTreeSet<AccountId>| (days.days() * accounts.len()) as u64;
        let account_days = of(*days, accounts);
        let unseen_account_days = unseen.iter().map(|it| of(it.days, &it.accounts)).sum();
        let is_asked = unseen_account_days > 0;
        let bytes = match self.per_day(archive, accounts.len()) {
            _ if !is_asked => Some((0, None)),
            Some(per_day) => {
                let days = distinct_days(unseen);
                let share = per_day.share(archive, days, i128::from(unseen_account_days));
                Some((share, Some(per_day.basis)))
            }
            None => None,
        };
        Verification {
            archive: Arc::clone(&archive.name),
            account_days,
            unseen_account_days,
            estimate: Estimate {
                requests: if is_asked {
                    Amount::at_least(LEAST_ATHENA_REQUESTS)
                } else {
                    Amount::known(0)
                },
                seconds: Amount::known(0),
                bytes_scanned: bytes.map(|(bytes, _)| bytes),
                bytes_basis: bytes.and_then(|(_, basis)| basis),
                lookups: Probed::default(),
                windows: Windows::default(),
            },
        }
    }

    fn per_day(&self, archive: &ArchiveFacts, asked_accounts: usize) -> Option<PerDay> {
        let table = archive.table.as_ref().ok()?;
        let (bytes, days, basis) = match (table.bytes, archive.bytes_per_day) {
            (Some(bytes), _) => {
                let held = self.today() - day(archive.holds.first_time) + 1;
                (bytes, held.max(1), BytesBasis::TableStatistics)
            }
            (None, Some(bytes)) => (bytes, 1, BytesBasis::Configuration),
            (None, None) => return None,
        };
        let held = (archive.holds.accounts.as_ref()).map_or(self.federation_size, BTreeSet::len);
        Some(PerDay {
            bytes,
            days,
            accounts: held.max(asked_accounts).max(1),
            basis,
        })
    }

    fn today(&self) -> i64 {
        day(EventTime::floor(self.now))
    }
}

impl PerDay {
    /// What so many days, or where the table is partitioned by account so many accounts × days, take.
    fn share(&self, archive: &ArchiveFacts, days: i64, account_days: i128) -> u64 {
        let (asked, held) = if archive.partitioned_by_account {
            (account_days, self.accounts as i128)
        } else {
            (i128::from(days), 1)
        };
        let share = i128::from(self.bytes) * asked / (i128::from(self.days) * held);
        u64::try_from(share).unwrap_or(u64::MAX)
    }
}

/// Days since the epoch.
fn day(time: EventTime) -> i64 {
    time.second().div_euclid(SECONDS_PER_DAY)
}

/// How many days these are, each once.
fn distinct_days(unseen: &[AccountDays]) -> i64 {
    let mut runs = BTreeMap::new();
    for it in unseen {
        let last = runs.entry(it.days.first).or_insert(it.days.last);
        *last = it.days.last.max(*last);
    }
    let mut counted = 0;
    let mut until = None;
    for (first, last) in runs {
        let first = until.map_or(first, |until: jiff::civil::Date| {
            first.max(until.tomorrow().unwrap_or(until))
        });
        if first <= last {
            counted += i64::try_from(DayRun { first, last }.days()).unwrap_or(i64::MAX);
            until = Some(last);
        }
    }
    counted
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_day_that_several_accounts_lack_counts_once() {
        let run = |first: i8, last: i8| AccountDays {
            days: DayRun {
                first: date(2026, 1, first),
                last: date(2026, 1, last),
            },
            accounts: BTreeSet::new(),
        };
        let unseen = [run(1, 4), run(2, 3), run(4, 6), run(1, 2), run(9, 9)];
        assert_eq!(distinct_days(&unseen), 7);
    }
}
