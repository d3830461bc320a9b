//! The probes of one archive: its table, its log files, and the trail that fills it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use futures::FutureExt;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use super::finding::{Finding, Probe, Subject};
use super::run::{Done, Job};
use super::trails::Filled;
use super::{Checker, Request, STALE, age_in_words, policy};
use crate::backend::Spent;
use crate::backend::athena::{ArchiveProbe, TableProbe};
use crate::backend::trails::{Destination, WhichTrails};
use crate::caller::Caller;
use crate::plan::log_days::{AccountDays, DayRun, LogDays, day_of};
use crate::plan::{Inventory, Reason, ReasonCode, Unverified};
use crate::query::{AccountId, EventTime};

/// Days of which the newest event is asked for first.
const RECENT_DAYS: usize = 2;
/// Accounts × days that one query asks for.
const MOST_ASKED: usize = 100_000;

/// One archive, for one check.
#[derive(Clone)]
struct Asked {
    checker: Arc<Checker>,
    probe: Arc<ArchiveProbe>,
    /// The accounts that it is asked about.
    accounts: Arc<BTreeSet<AccountId>>,
    /// Whether these are all that it declares.
    all: bool,
    days: u32,
    caller: Arc<Caller>,
    spent: Arc<Spent>,
}

/// One for each archive that declares to hold an account asked for.
pub(super) fn jobs(
    checker: &Arc<Checker>,
    inventory: &Inventory,
    request: &Request,
    caller: &Arc<Caller>,
    spent: &Arc<Spent>,
) -> Vec<Job> {
    let probes = checker
        .athena
        .probes(caller)
        .into_iter()
        .filter_map(|probe| {
            let accounts = request.asked_of(probe.declared_accounts(), inventory);
            let asked = Asked {
                checker: Arc::clone(checker),
                probe: Arc::new(probe),
                accounts: Arc::new(accounts),
                all: request.account_ids.is_empty(),
                days: request.days,
                caller: Arc::clone(caller),
                spent: Arc::clone(spent),
            };
            (!asked.accounts.is_empty()).then(|| Job {
                subject: asked.subject(),
                probe: Probe::Table,
                work: asked.table().boxed(),
            })
        });
    probes.collect()
}

impl Asked {
    fn subject(&self) -> Subject {
        Subject::Archive {
            name: self.probe.name(),
            account: self.probe.account(),
        }
    }

    fn failed(&self, probe: Probe, reason: Reason, action: &str) -> Done {
        let policies = policy::missing(&reason, action, Some(self.probe.access()));
        Done {
            findings: vec![Finding::failed(self.subject(), probe, reason, policies)],
            then: Vec::new(),
        }
    }

    /// The table; then what is in it, and what fills it.
    async fn table(self) -> Done {
        let described = match self.probe.table().await {
            Ok(described) => described,
            Err(reason) => return self.failed(Probe::Table, reason, "athena:GetTableMetadata"),
        };
        let detail = format!(
            "{} is described, with {} columns{}",
            self.probe.table_name(),
            described.table.columns.len(),
            match &described.bucket {
                Some(bucket) => format!(", over bucket {bucket}"),
                None => String::new(),
            }
        );
        let finding = Finding::fine(self.subject(), Probe::Table, detail);
        let described = Arc::new(described);
        let job = |probe, work| Job {
            subject: self.subject(),
            probe,
            work,
        };
        let (files, trail) = (self.clone(), self.clone());
        let (table, declared) = (Arc::clone(&described), described);
        Done {
            findings: vec![finding],
            then: vec![
                job(
                    Probe::Trail,
                    async move { trail.trail(&declared).await }.boxed(),
                ),
                job(
                    Probe::LogFiles,
                    async move { files.log_files(&table).await }.boxed(),
                ),
            ],
        }
    }

    /// Whether queries answer, how new the newest event is, which days have log files.
    async fn log_files(self, described: &TableProbe) -> Done {
        let now = self.checker.clock.now();
        let window = Window::of(now, self.checker.archive_delay, self.probe.first_day());
        let most = (MOST_ASKED / self.accounts.len()).max(1);
        let days = usize::try_from(self.days).unwrap_or(most).min(most);
        let Some(looked_at) = window.all.newest(days) else {
            let reason = Reason::new(ReasonCode::Internal, "there is no day to look at");
            return self.failed(Probe::Query, reason, "");
        };
        match self.read_files(described, &window, looked_at).await {
            Ok((newest, days)) => Done {
                findings: vec![
                    self.newest(newest, now, looked_at),
                    self.days(&days, &window, looked_at),
                ],
                then: Vec::new(),
            },
            Err(reason) => self.failed(Probe::Query, reason, "athena:StartQueryExecution"),
        }
    }

    /// The newest event, and the days with log files: of those looked at, and of the first of all.
    async fn read_files(
        &self,
        described: &TableProbe,
        window: &Window,
        looked_at: DayRun,
    ) -> Result<(Option<EventTime>, LogDays), Reason> {
        let of = |days: DayRun| AccountDays {
            days,
            accounts: (*self.accounts).clone(),
        };
        let table = &described.table;
        let mut newest = None;
        // What is asked for is read: mostly it is there in the last days.
        let recent = looked_at.newest(RECENT_DAYS).unwrap_or(looked_at);
        let beyond = (recent != looked_at).then_some(looked_at);
        for days in [Some(recent), beyond].into_iter().flatten() {
            newest = self.probe.newest(table, &of(days), &self.spent).await?;
            if newest.is_some() {
                break;
            }
        }
        let first = window.all.first;
        let mut asked = vec![of(looked_at)];
        if first < looked_at.first {
            asked.push(of(DayRun { first, last: first }));
        }
        let days = self.probe.log_days(table, asked, &self.spent).await?;
        Ok((newest, days))
    }

    fn newest(&self, newest: Option<EventTime>, now: Timestamp, looked_at: DayRun) -> Finding {
        let (subject, probe) = (self.subject(), Probe::Query);
        let Some(newest) = newest else {
            return Finding::needs_fix(
                subject,
                probe,
                format!(
                    "a query answers, with no event at all from {} to {}",
                    looked_at.first, looked_at.last
                ),
                "check that the trail delivers to the table's location, and that new partitions \
                 become known to the table",
            );
        };
        let age = now.duration_since(newest.timestamp());
        let detail = format!(
            "a query answers; the newest event is of {newest}, {}",
            age_in_words(newest, now)
        );
        let finding = if age > STALE + self.checker.archive_delay {
            Finding::needs_fix(
                subject,
                probe,
                detail,
                "the archive has stopped growing: check that its trail is logging and delivers, and \
                 that new partitions become known to the table",
            )
        } else {
            Finding::fine(subject, probe, detail)
        };
        Finding {
            newest_event: Some(newest),
            ..finding
        }
    }

    fn days(&self, known: &LogDays, window: &Window, looked_at: DayRun) -> Finding {
        let (subject, probe) = (self.subject(), Probe::LogFiles);
        let mut detail = String::new();
        let mut fix = String::new();
        let over = DayRun {
            first: looked_at.first,
            last: looked_at.last.min(window.last_over),
        };
        let missing = if over.first <= over.last {
            known.missing(&self.accounts, over)
        } else {
            Vec::new()
        };
        let missing = told(missing, &self.probe.name());
        if over.first > over.last {
            detail.push_str(
                "no day that is over was looked at: its log files may still come (ask about more days)",
            );
        } else if missing.is_empty() {
            let _ = write!(
                detail,
                "log files of each of {} accounts and every day from {} to {}",
                self.accounts.len(),
                over.first,
                over.last
            );
        } else {
            let accounts: BTreeSet<&AccountId> =
                missing.iter().flat_map(|it| &it.accounts).collect();
            let _ = write!(
                detail,
                "no log file of {} days of {} accounts between {} and {}: either nothing happened \
                 or the trail did not deliver",
                days_of(&missing),
                accounts.len(),
                over.first,
                over.last
            );
            fix.push_str(
                "look into the trail's delivery on these days; where accounts were just quiet or did \
                 not exist yet, searches that name them stay unverified there, unless the archive \
                 has verify_days: false",
            );
        }
        let first = window.all.first;
        if first < looked_at.first {
            if self.all && !known.has_day(first) {
                let _ = write!(
                    detail,
                    "; there is no log file at all of {first}, its declared first day"
                );
                fix = format!(
                    "{fix}{}set holds.first_day to the first day with log files",
                    if fix.is_empty() { "" } else { "; " }
                );
            }
            let _ = write!(
                detail,
                "; of the days between {first} and {} nothing is known: ask for more days",
                looked_at.first
            );
        }
        let finding = if fix.is_empty() {
            Finding::fine(subject, probe, detail)
        } else {
            Finding::needs_fix(subject, probe, detail, fix)
        };
        Finding {
            missing_days: missing,
            ..finding
        }
    }

    /// Whether the trails record and deliver, and what is declared.
    async fn trail(self, described: &TableProbe) -> Done {
        let which = WhichTrails {
            named: self.probe.trail(),
            into: Destination::Bucket(described.bucket.as_deref()),
        };
        if which.named.is_none() && which.into.name().is_none() {
            let finding = Finding::needs_fix(
                self.subject(),
                Probe::Trail,
                "the table does not say in which bucket its files lie",
                "name the trail's ARN as `trail` of the archive",
            );
            return Done {
                findings: vec![finding],
                then: Vec::new(),
            };
        }
        let filled = Filled {
            checker: &self.checker,
            subject: self.subject(),
            which,
            access: self.probe.access(),
            region: self.probe.region(),
            caller: &self.caller,
            accounts: &self.accounts,
            declared: self.probe.declared(described).holds,
        };
        Done {
            findings: filled.findings().await,
            then: Vec::new(),
        }
    }
}

/// The days that an archive claims.
struct Window {
    /// From its first day to today.
    all: DayRun,
    /// The last day that is over, and delivered.
    last_over: Date,
}

impl Window {
    fn of(now: Timestamp, archive_delay: SignedDuration, first_day: Date) -> Self {
        let today = day_of(EventTime::floor(now));
        let delivered = day_of(EventTime::floor(now - archive_delay));
        Self {
            all: DayRun {
                first: first_day.min(today),
                last: today,
            },
            last_over: delivered.yesterday().unwrap_or(delivered),
        }
    }
}

fn told(missing: Vec<AccountDays>, archive: &str) -> Vec<Unverified> {
    let reason = Reason::new(
        ReasonCode::NoLogFiles,
        format!("no log file in archive {archive}"),
    );
    missing
        .into_iter()
        .filter_map(|it| {
            Some(Unverified {
                accounts: it.accounts.into_iter().collect(),
                range: it.days.seconds()?,
                reason: reason.clone(),
            })
        })
        .collect()
}

fn days_of(missing: &[Unverified]) -> usize {
    let days: usize = missing
        .iter()
        .map(|it| DayRun::of(it.range).days() * it.accounts.len())
        .sum();
    days
}
