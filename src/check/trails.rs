//! The trails that fill an archive or a log group: whether they record and deliver, and what is
//! declared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use futures::stream::{self, StreamExt};

use super::finding::{Finding, Probe, Subject};
use super::{Checker, policy};
use crate::backend::trails::{Destination, WhichTrails};
use crate::caller::Caller;
use crate::config::Access;
use crate::federation::Behalf;
use crate::plan::facts::Declared;
use crate::plan::trail::{self, TrailFacts};
use crate::plan::{Reason, ReasonCode};
use crate::query::{AccountId, EventTime, Region};

/// Accounts that are asked for their own trails at once.
const ACCOUNTS_AT_ONCE: usize = 8;

/// An archive or a log group, and whose trails fill it.
pub(super) struct Filled<'a> {
    pub checker: &'a Checker,
    pub subject: Subject,
    pub which: WhichTrails<'a>,
    /// How the place itself is reached: its trails are looked for from there first.
    pub access: &'a Access,
    pub region: &'a Region,
    pub caller: &'a Caller,
    /// The accounts that it is asked about.
    pub accounts: &'a BTreeSet<AccountId>,
    pub declared: Declared,
}

/// The trails of several accounts.
#[derive(Default)]
struct Found {
    trails: Vec<TrailFacts>,
    /// By kind of failure, the first reason of it and the accounts that were not read.
    failed: BTreeMap<(ReasonCode, Option<String>), (Reason, BTreeSet<AccountId>)>,
}

impl Filled<'_> {
    pub async fn findings(&self) -> Vec<Finding> {
        let home = self.checker.trails.read(
            self.which,
            self.access,
            self.region,
            Behalf::Caller(self.caller),
        );
        let trails = match home.await {
            Ok(trails) => trails,
            Err(reason) => return vec![self.failed(reason, Some(self.access))],
        };
        if trails.is_empty() && self.which.named.is_some() {
            return vec![self.no_trail()];
        }
        let mut found = self.own_trails(&trails).await;
        found.trails.extend(trails);
        found.trails.sort_by(|a, b| a.arn.cmp(&b.arn));
        found.trails.dedup_by(|a, b| a.arn == b.arn);
        let unread: BTreeSet<AccountId> = (found.failed.values())
            .flat_map(|(_, accounts)| accounts.iter().copied())
            .collect();
        let mut findings: Vec<Finding> = (found.failed.into_values())
            .map(|(reason, accounts)| self.unread(reason, &accounts))
            .collect();
        if found.trails.is_empty() && findings.is_empty() {
            findings.push(self.no_trail());
        }
        if found.trails.is_empty() {
            return findings;
        }
        findings.extend(self.states(&found.trails));
        let judged = self.accounts.difference(&unread).copied().collect();
        findings.extend(self.declaration(&judged, &found.trails));
        findings
    }

    /// Of the accounts that none of `trails` records, their own trails into the same bucket. A log
    /// group takes those of its own account alone.
    async fn own_trails(&self, trails: &[TrailFacts]) -> Found {
        let mut found = Found::default();
        let Destination::Bucket(Some(_)) = self.which.into else {
            return found;
        };
        let federation = &self.checker.federation;
        let own_account = |account: &AccountId| {
            federation.access(*account).is_some()
                && !trails.iter().any(|trail| trail.records_account(*account))
        };
        // A trail of all Regions is seen in any of them, one of a single Region only there.
        let mut regions = self.declared.regions.clone().unwrap_or_default();
        regions.insert(self.region.clone());
        let places: Vec<(AccountId, Region)> = (self.accounts.iter().copied())
            .filter(own_account)
            .flat_map(|account| regions.iter().map(move |region| (account, region.clone())))
            .collect();
        let ask = |(account, region): (AccountId, Region)| async move {
            let patience = self.checker.patience;
            let own = self.checker.trails.read_own(
                self.which.into,
                account,
                &region,
                Behalf::Caller(self.caller),
            );
            let own = tokio::time::timeout(patience, own)
                .await
                .unwrap_or_else(|_| {
                    let message =
                        format!("CloudTrail did not answer within {patience:?} in {region}");
                    Err(Reason::new(ReasonCode::Unresponsive, message))
                });
            (account, own)
        };
        let mut asked = stream::iter(places)
            .map(ask)
            .buffer_unordered(ACCOUNTS_AT_ONCE);
        while let Some((account, own)) = asked.next().await {
            match own {
                Ok(trails) => found.trails.extend(trails),
                Err(reason) => {
                    let kind = (reason.code, reason.aws_code.clone());
                    let failed = found.failed.entry(kind);
                    let (_, accounts) = failed.or_insert((reason, BTreeSet::new()));
                    accounts.insert(account);
                }
            }
        }
        drop(asked);
        found
    }

    fn failed(&self, reason: Reason, access: Option<&Access>) -> Finding {
        let policies = policy::missing(&reason, "cloudtrail:DescribeTrails", access);
        Finding::failed(self.subject.clone(), Probe::Trail, reason, policies)
    }

    /// Accounts whose own trails cannot be read: what is declared of them is not judged.
    fn unread(&self, mut reason: Reason, accounts: &BTreeSet<AccountId>) -> Finding {
        reason.message = format!(
            "no trail that was found here records these accounts ({}), and their own cannot be read: {}",
            few(accounts),
            reason.message
        );
        let first = accounts.first();
        let access = first.and_then(|account| self.checker.federation.access(*account));
        self.failed(reason, access.as_ref())
    }

    fn no_trail(&self) -> Finding {
        let account = match self.subject {
            Subject::Account { id, .. } => id,
            Subject::Archive { account, .. } | Subject::LogGroup { account, .. } => account,
        };
        let what = match (self.which.named, self.which.into) {
            (Some(arn), _) => format!("there is no trail {}", arn.as_str()),
            (None, Destination::Bucket(bucket)) => format!(
                "account {account} sees no trail in {} that writes to bucket {}, nor do the accounts \
                 that are declared",
                self.region,
                bucket.unwrap_or_default()
            ),
            (None, Destination::LogGroup(arn)) => format!(
                "account {account} sees no trail in {} that delivers to {arn}",
                self.region
            ),
        };
        Finding::needs_fix(
            self.subject.clone(),
            Probe::Trail,
            what,
            "name the trail's ARN as `trail` of it in the configuration: without it nobody can tell \
             whether what is declared is true",
        )
    }

    /// What is wrong with any of the trails, and all that are as they should be, together.
    fn states(&self, trails: &[TrailFacts]) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut fine = Vec::new();
        for trail in trails {
            match self.trouble(trail) {
                Some((what, fix)) => {
                    let subject = self.subject.clone();
                    findings.push(Finding::needs_fix(subject, Probe::Trail, what, fix));
                }
                None => fine.push(trail),
            }
        }
        let latest = fine.iter().filter_map(|trail| trail.latest_delivery).max();
        let detail = match fine[..] {
            [] => return findings,
            [trail] => format!("trail {} is logging; {}", trail.arn, delivered(latest)),
            [first, ..] => format!(
                "{} trails are logging, {} among them; of them all {}",
                fine.len(),
                first.arn,
                delivered(latest)
            ),
        };
        findings.push(Finding::fine(self.subject.clone(), Probe::Trail, detail));
        findings
    }

    /// What is wrong with the trail, and what to do about it.
    fn trouble(&self, trail: &TrailFacts) -> Option<(String, &'static str)> {
        let delivered = delivered(trail.latest_delivery);
        let expected = self.which.into.name();
        if expected.is_some() && trail.delivers_to.as_deref() != expected {
            let elsewhere = trail
                .delivers_to
                .as_deref()
                .unwrap_or("nowhere of this kind");
            return Some((
                format!("trail {} delivers to {elsewhere}, not here", trail.arn),
                "name the trail that does deliver here",
            ));
        }
        if !trail.is_logging {
            return Some((
                format!("trail {} is not logging; {delivered}", trail.arn),
                "start it (cloudtrail:StartLogging): since it was stopped nothing has been added here",
            ));
        }
        let error = trail.delivery_error.as_ref()?;
        Some((
            format!("trail {} cannot deliver: {error}; {delivered}", trail.arn),
            match self.which.into {
                Destination::Bucket(_) => {
                    "check the bucket's policy and the key's, and that the bucket exists"
                }
                Destination::LogGroup(_) => {
                    "check the role with which the trail delivers to the log group, and the log \
                     group's key"
                }
            },
        ))
    }

    fn declaration(&self, accounts: &BTreeSet<AccountId>, trails: &[TrailFacts]) -> Vec<Finding> {
        let found = trail::disagreements(&self.declared, accounts, trails);
        let finding = |it: trail::Disagreement| {
            Finding::needs_fix(self.subject.clone(), Probe::Declaration, it.what, it.fix)
        };
        if !found.is_empty() || accounts.is_empty() {
            return found.into_iter().map(finding).collect();
        }
        let mut detail = match trails {
            [_] => "declares no more than its trail records".to_owned(),
            _ => "declares no more of any account than its trails record".to_owned(),
        };
        for limit in trail::limits(trails) {
            let _ = write!(detail, "; {limit}");
        }
        vec![Finding::fine(
            self.subject.clone(),
            Probe::Declaration,
            detail,
        )]
    }
}

fn delivered(latest: Option<EventTime>) -> String {
    match latest {
        Some(time) => format!("it last delivered at {time}"),
        None => "it has delivered nothing yet".to_owned(),
    }
}

/// The first accounts of some, and how many they are.
pub(super) fn few(accounts: &BTreeSet<AccountId>) -> String {
    let ids: Vec<String> = accounts.iter().take(3).map(ToString::to_string).collect();
    match accounts.len() {
        0..=3 => ids.join(", "),
        all => format!("{}, … {all} in all", ids.join(", ")),
    }
}
