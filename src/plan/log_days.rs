//! Of which accounts and days an archive has log files, and what that says of an interval.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::query::{AccountId, EventTime, TimeRange};

/// Whole UTC days in a row, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DayRun {
    /// The first day.
    pub first: Date,
    /// The last day, not before the first.
    pub last: Date,
}

impl DayRun {
    /// The days that an interval touches.
    #[must_use]
    pub fn of(range: TimeRange) -> Self {
        Self {
            first: day_of(range.start()),
            last: day_of(range.last()),
        }
    }

    /// How many days these are.
    #[must_use]
    pub fn days(self) -> usize {
        let days = (self.last - self.first).get_days();
        usize::try_from(days).unwrap_or(0) + 1
    }

    /// The newest `days` of these; none if that is no day.
    #[must_use]
    pub fn newest(self, days: usize) -> Option<Self> {
        let back = i64::try_from(days).ok()?.checked_sub(1)?;
        let span = jiff::SignedDuration::from_hours(back.checked_mul(24)?);
        let first = self.last.checked_sub(span).unwrap_or(self.first);
        (back >= 0).then_some(Self {
            first: first.max(self.first),
            last: self.last,
        })
    }

    /// The days as an interval of seconds.
    #[must_use]
    pub fn seconds(self) -> Option<TimeRange> {
        let start = start_of(self.first)?;
        TimeRange::new(start, start_of(self.last.tomorrow().ok()?)?)
    }

    /// Each of them, the first first.
    pub fn iter(self) -> impl Iterator<Item = Date> {
        self.first
            .series(jiff::Span::new().days(1))
            .take_while(move |day| *day <= self.last)
    }
}

/// The same days of several accounts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountDays {
    /// The days.
    pub days: DayRun,
    /// The accounts.
    pub accounts: BTreeSet<AccountId>,
}

/// The accounts and days of which log files are known to exist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogDays {
    days: BTreeMap<AccountId, BTreeSet<Date>>,
    entries: usize,
}

impl LogDays {
    /// There is a log file of this account and day.
    pub fn insert(&mut self, account: AccountId, day: Date) {
        self.entries += usize::from(self.days.entry(account).or_default().insert(day));
    }

    /// How many accounts and days are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Whether any account has a log file of this day.
    #[must_use]
    pub fn has_day(&self, day: Date) -> bool {
        self.days.values().any(|days| days.contains(&day))
    }

    /// What the other knows, too.
    pub fn extend(&mut self, other: &Self) {
        for (account, days) in &other.days {
            for day in days {
                self.insert(*account, *day);
            }
        }
    }

    /// Of these accounts and days, those without a known log file: days in a row together, and
    /// accounts that lack the same ones.
    #[must_use]
    pub fn missing(&self, accounts: &BTreeSet<AccountId>, days: DayRun) -> Vec<AccountDays> {
        let mut by_run: BTreeMap<DayRun, BTreeSet<AccountId>> = BTreeMap::new();
        let none = BTreeSet::new();
        for account in accounts {
            let known = self.days.get(account).unwrap_or(&none);
            for run in runs(days.iter().filter(|day| !known.contains(day))) {
                by_run.entry(run).or_default().insert(*account);
            }
        }
        by_run
            .into_iter()
            .map(|(days, accounts)| AccountDays { days, accounts })
            .collect()
    }
}

/// Days in order, as runs.
fn runs(days: impl Iterator<Item = Date>) -> Vec<DayRun> {
    let mut runs: Vec<DayRun> = Vec::new();
    for day in days {
        match runs.last_mut() {
            Some(run) if run.last.tomorrow().is_ok_and(|next| next == day) => run.last = day,
            _ => runs.push(DayRun {
                first: day,
                last: day,
            }),
        }
    }
    runs
}

/// The UTC day in which `time` lies.
#[must_use]
pub fn day_of(time: EventTime) -> Date {
    time.timestamp().to_zoned(TimeZone::UTC).date()
}

fn start_of(day: Date) -> Option<EventTime> {
    let start = day.to_zoned(TimeZone::UTC).ok()?;
    EventTime::from_second(start.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    fn account(number: u64) -> AccountId {
        AccountId::from_u64(number).unwrap()
    }

    fn day(number: i16) -> Date {
        date(2026, 1, 1) + jiff::Span::new().days(number)
    }

    #[test]
    fn accounts_that_lack_the_same_days_are_told_together() {
        let mut known = LogDays::default();
        for number in [0, 1, 4] {
            known.insert(account(1), day(number));
            known.insert(account(2), day(number));
        }
        known.insert(account(3), day(0));
        let accounts = BTreeSet::from([account(1), account(2), account(3)]);
        let days = DayRun {
            first: day(0),
            last: day(4),
        };
        let missing = known.missing(&accounts, days);
        let told: Vec<_> = missing
            .iter()
            .map(|it| (it.days.first, it.days.last, it.accounts.len()))
            .collect();
        assert_eq!(told, [(day(1), day(4), 1), (day(2), day(3), 2)]);
        assert_eq!(days.newest(2).unwrap().first, day(3));
        assert_eq!(days.newest(9), Some(days));
        assert_eq!(days.newest(0), None);
    }

    proptest! {
        #[test]
        fn every_day_is_known_or_missing(
            known in proptest::collection::btree_set((0..3_u64, 0..20_i16), 0..40),
        ) {
            let mut log_days = LogDays::default();
            for (number, offset) in &known {
                log_days.insert(account(*number), day(*offset));
            }
            prop_assert_eq!(log_days.len(), known.len());
            let accounts: BTreeSet<_> = (0..3).map(account).collect();
            let days = DayRun { first: day(0), last: day(19) };
            prop_assert_eq!(days.days(), 20);
            let mut missing = BTreeSet::new();
            for it in log_days.missing(&accounts, days) {
                let range = it.days.seconds().unwrap();
                prop_assert_eq!(DayRun::of(range), it.days);
                for day in it.days.iter() {
                    for account in &it.accounts {
                        prop_assert!(missing.insert((*account, day)), "told twice");
                    }
                }
            }
            for number in 0..3 {
                for offset in 0..20 {
                    let is_missing = missing.contains(&(account(number), day(offset)));
                    prop_assert_eq!(is_missing, !known.contains(&(number, offset)));
                }
            }
        }
    }
}
