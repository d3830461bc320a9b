//! The probes of one log group: itself, whether it answers, its log streams, and the trail that fills
//! it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};

use super::finding::{Finding, Probe, Subject};
use super::run::{Done, Job};
use super::trails::{Filled, few};
use super::{Checker, Request, STALE, age_in_words, policy};
use crate::backend::Spent;
use crate::backend::logs::{DescribedLogGroup, LogGroupProbe, LogStreams, NewestLogged};
use crate::backend::trails::{Destination, WhichTrails};
use crate::caller::Caller;
use crate::plan::{Inventory, Reason, filterable_from};
use crate::query::{AccountId, EventTime, Region};
use crate::usage::InUse;

/// One log group, for one check.
#[derive(Clone)]
struct Asked {
    checker: Arc<Checker>,
    probe: Arc<LogGroupProbe>,
    /// The accounts that it is asked about.
    accounts: Arc<BTreeSet<AccountId>>,
    days: u32,
    caller: Arc<Caller>,
    spent: Arc<Spent>,
    in_use: Arc<InUse>,
}

/// One for each log group that declares to hold an account asked for.
pub(super) fn jobs(
    checker: &Arc<Checker>,
    inventory: &Inventory,
    request: &Request,
    caller: &Arc<Caller>,
    spent: &Arc<Spent>,
    in_use: &Arc<InUse>,
) -> Vec<Job> {
    let probes = checker.logs.probes(caller).into_iter().filter_map(|probe| {
        let accounts = request.asked_of(probe.declared_accounts(), inventory);
        let asked = Asked {
            checker: Arc::clone(checker),
            probe: Arc::new(probe),
            accounts: Arc::new(accounts),
            days: request.days,
            caller: Arc::clone(caller),
            spent: Arc::clone(spent),
            in_use: Arc::clone(in_use),
        };
        (!asked.accounts.is_empty()).then(|| Job {
            subject: asked.subject(),
            probe: Probe::LogGroup,
            work: asked.describe().boxed(),
        })
    });
    probes.collect()
}

impl Asked {
    fn subject(&self) -> Subject {
        Subject::LogGroup {
            name: self.probe.name(),
            account: self.probe.account(),
        }
    }

    fn failed(&self, probe: Probe, reason: Reason, action: &str) -> Finding {
        let policies = policy::missing(&reason, action, Some(self.probe.access()));
        Finding::failed(self.subject(), probe, reason, policies)
    }

    /// The log group; then what is in it, and what fills it.
    async fn describe(self) -> Done {
        let now = self.checker.clock.now();
        let described = self.probe.describe().await;
        let mut then = Vec::new();
        let mut follow = |probe, work| {
            then.push(Job {
                subject: self.subject(),
                probe,
                work,
            });
        };
        // Searches describe nothing: whether they are answered is asked whatever came of it.
        let (asked, streams, trail) = (self.clone(), self.clone(), self.clone());
        let findings = match described {
            Err(reason) => vec![self.failed(Probe::LogGroup, reason, "logs:DescribeLogGroups")],
            Ok(None) => {
                let finding = Finding::needs_fix(
                    self.subject(),
                    Probe::LogGroup,
                    format!(
                        "there is no such log group in account {} in {}",
                        self.probe.account(),
                        self.probe.region()
                    ),
                    "correct account, region or log_group in the configuration",
                );
                return Done {
                    findings: vec![finding],
                    then,
                };
            }
            Ok(Some(described)) => {
                let findings = self.judge(&described, now);
                follow(
                    Probe::Trail,
                    async move { trail.trail(&described, now).await }.boxed(),
                );
                findings
            }
        };
        follow(
            Probe::Query,
            async move { asked.queries(now).await }.boxed(),
        );
        follow(
            Probe::LogStreams,
            async move { streams.streams(now).await }.boxed(),
        );
        Done { findings, then }
    }

    /// Whether it is as old, as lasting and as readable as the configuration says.
    fn judge(&self, described: &DescribedLogGroup, now: Timestamp) -> Vec<Finding> {
        let fix = |detail: String, fix: String| {
            Finding::needs_fix(self.subject(), Probe::LogGroup, detail, fix)
        };
        let declared = self.probe.declared(now);
        let mut findings = Vec::new();
        if let Some(kept) = described.retention_days {
            let kept_from = EventTime::floor(now).plus(-days(kept).as_secs());
            // To the second it is the same now: only what is longer is too long.
            let too_long = match self.probe.declared_retention_days() {
                Some(declared) => declared > kept,
                None => declared.first_time < kept_from,
            };
            if too_long {
                findings.push(fix(
                    format!(
                        "it keeps events for {kept} days, and is declared to hold them from {} on",
                        declared.first_time
                    ),
                    format!(
                        "set holds.retention_days to {kept}, or let the log group keep them longer"
                    ),
                ));
            }
        }
        let created = described.created;
        if let Some(created) = created.filter(|created| declared.first_time < *created) {
            findings.push(fix(
                format!(
                    "it was created at {created}, and is declared to hold events from {} on",
                    declared.first_time
                ),
                "set holds.first_day to the first whole day since the trail has delivered to it"
                    .to_owned(),
            ));
        }
        if !described.can_filter && self.probe.is_filtered() {
            findings.push(fix(
                "it is of a log class that FilterLogEvents does not read".to_owned(),
                "set read_with to insights".to_owned(),
            ));
        }
        if findings.is_empty() {
            let kept = match described.retention_days {
                Some(kept) => format!("keeps events for {kept} days"),
                None => "keeps events for ever".to_owned(),
            };
            let detail = format!("{} exists and {kept}", described.arn);
            findings.push(Finding::fine(self.subject(), Probe::LogGroup, detail));
        }
        findings
    }

    /// Whether what searches use answers, and how new the newest event is.
    async fn queries(self, now: Timestamp) -> Done {
        let mut findings = Vec::new();
        if self.probe.is_queried() {
            findings.push(match self.probe.insights(now, &self.spent).await {
                Ok(()) => Finding::fine(self.subject(), Probe::Query, "Logs Insights answers"),
                Err(reason) => self.failed(Probe::Query, reason, "logs:StartQuery"),
            });
        }
        if self.probe.is_filtered() {
            let since = EventTime::floor(now).plus(-days(u64::from(self.days)).as_secs());
            let since = since.max(filterable_from());
            let newest = self.probe.newest(since, now, &self.in_use).await;
            findings.push(match newest {
                Ok(newest) => self.newest(newest, since, now),
                Err(reason) => self.failed(Probe::Query, reason, "logs:FilterLogEvents"),
            });
        }
        Done {
            findings,
            then: Vec::new(),
        }
    }

    fn newest(&self, newest: NewestLogged, since: EventTime, now: Timestamp) -> Finding {
        let fix = |detail: String, fix: &str| {
            Finding::needs_fix(self.subject(), Probe::Query, detail, fix)
        };
        match newest {
            NewestLogged::Nothing => fix(
                format!("FilterLogEvents answers, with no event at all since {since}"),
                "check that the trail delivers to this log group",
            ),
            NewestLogged::SomethingElse => fix(
                "FilterLogEvents answers; the newest event is none of CloudTrail's".to_owned(),
                "check that this is the trail's log group, and that nothing else writes to it",
            ),
            NewestLogged::Event(newest) => {
                let age = age_in_words(newest, now);
                let detail =
                    format!("FilterLogEvents answers; the newest event is of {newest}, {age}");
                let finding = if self.is_stale(newest, now) {
                    fix(
                        detail,
                        "nothing is delivered to it any more: check that its trail is logging and \
                         delivers",
                    )
                } else {
                    Finding::fine(self.subject(), Probe::Query, detail)
                };
                Finding {
                    newest_event: Some(newest),
                    ..finding
                }
            }
        }
    }

    /// How new the newest event of each account is.
    async fn streams(self, now: Timestamp) -> Done {
        let finding = match self.probe.streams(&self.spent).await {
            Ok(streams) => self.by_account(&streams, now),
            Err(reason) => self.failed(Probe::LogStreams, reason, "logs:DescribeLogStreams"),
        };
        Done {
            findings: vec![finding],
            then: Vec::new(),
        }
    }

    fn by_account(&self, streams: &LogStreams, now: Timestamp) -> Finding {
        let declared = self.probe.declared(now).regions;
        let mut regions = BTreeSet::new();
        let (mut without, mut stale) = (BTreeSet::new(), BTreeSet::new());
        let mut newest = None;
        for account in self.accounts.iter().copied() {
            let of_account = (streams.newest.iter()).filter(|((holder, region), _)| {
                *holder == account && declared.as_ref().is_none_or(|it| it.contains(region))
            });
            let mut last = None;
            let mut any = false;
            for ((_, region), logged) in of_account {
                any = true;
                regions.insert(region.clone());
                last = last.max(*logged);
            }
            newest = newest.max(last);
            if !any {
                without.insert(account);
            } else if last.is_none_or(|last| self.is_stale(last, now)) {
                stale.insert(account);
            }
        }
        let mut detail = format!(
            "log streams of {} of {} accounts, in {} Regions",
            self.accounts.len() - without.len(),
            self.accounts.len(),
            regions.len()
        );
        if !without.is_empty() {
            let _ = write!(detail, "; none of {}", few(&without));
        }
        if !stale.is_empty() {
            let _ = write!(
                detail,
                "; nothing was logged of {} for {} hours",
                few(&stale),
                self.too_old().as_hours()
            );
        }
        if let Some(declared) = declared {
            let silent: Vec<&str> = declared.difference(&regions).map(Region::as_str).collect();
            if !silent.is_empty() {
                let _ = write!(detail, "; nothing of {}", silent.join(", "));
            }
        }
        if streams.others > 0 {
            let _ = write!(detail, "; {} log streams are no trail's", streams.others);
        }
        let finding = if without.is_empty() && stale.is_empty() {
            Finding::fine(self.subject(), Probe::LogStreams, detail)
        } else {
            Finding::needs_fix(
                self.subject(),
                Probe::LogStreams,
                detail,
                "either nothing happened in these accounts or nothing is delivered: if their trail \
                 does not deliver here, take them out of holds.accounts",
            )
        };
        Finding {
            newest_event: newest,
            ..finding
        }
    }

    fn is_stale(&self, newest: EventTime, now: Timestamp) -> bool {
        now.duration_since(newest.timestamp()) > self.too_old()
    }

    fn too_old(&self) -> SignedDuration {
        STALE + self.checker.archive_delay
    }

    /// Whether the trail records and delivers, and what is declared.
    async fn trail(self, described: &DescribedLogGroup, now: Timestamp) -> Done {
        let filled = Filled {
            checker: &self.checker,
            subject: self.subject(),
            which: WhichTrails {
                named: self.probe.trail(),
                into: Destination::LogGroup(&described.arn),
            },
            access: self.probe.access(),
            region: self.probe.region(),
            caller: &self.caller,
            accounts: &self.accounts,
            declared: self.probe.declared(now),
        };
        Done {
            findings: filled.findings().await,
            then: Vec::new(),
        }
    }
}

fn days(number: u64) -> SignedDuration {
    let hours = i64::try_from(number.saturating_mul(24)).unwrap_or(i64::MAX / 3600);
    SignedDuration::from_hours(hours.min(i64::MAX / 3600))
}
