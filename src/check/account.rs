//! The probes of one account: whether the service gets in, and whether event history answers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use futures::FutureExt;
use futures::stream::{self, StreamExt};

use super::finding::{Finding, Probe, Subject};
use super::run::{Done, Job};
use super::{Checker, Request, policy};
use crate::backend::event_history::Newest;
use crate::caller::Caller;
use crate::config::Access;
use crate::federation::Behalf;
use crate::plan::facts::AccountFacts;
use crate::plan::{Inventory, Reason, ReasonCode};
use crate::query::{EventTime, Region};
use crate::usage::InUse;

/// Regions of one account that are asked at once.
const REGIONS_AT_ONCE: usize = 8;

/// One for each account asked.
pub(super) fn jobs(
    checker: &Arc<Checker>,
    inventory: &Inventory,
    request: &Request,
    caller: &Arc<Caller>,
    in_use: &Arc<InUse>,
) -> Vec<Job> {
    let asked = &request.account_ids;
    (inventory.accounts.iter())
        .filter(|account| asked.is_empty() || asked.contains(&account.id))
        .map(|account| {
            let (checker, caller) = (Arc::clone(checker), Arc::clone(caller));
            let (account, in_use) = (account.clone(), Arc::clone(in_use));
            Job {
                subject: subject(&account, Vec::new()),
                probe: Probe::Credentials,
                work: async move { credentials(checker, account, caller, in_use).await }.boxed(),
            }
        })
        .collect()
}

fn subject(account: &AccountFacts, regions: Vec<Region>) -> Subject {
    Subject::Account {
        id: account.id,
        name: account.name.clone(),
        regions,
    }
}

/// Whether the service gets in; then event history.
async fn credentials(
    checker: Arc<Checker>,
    account: AccountFacts,
    caller: Arc<Caller>,
    in_use: Arc<InUse>,
) -> Done {
    let probe = Probe::Credentials;
    let about = subject(&account, Vec::new());
    let checked = (checker.federation).check_session(account.id, Behalf::Caller(&caller));
    let answer = match tokio::time::timeout(checker.patience, checked).await {
        Ok(answer) => answer,
        Err(_elapsed) => Err(Reason::new(
            ReasonCode::Unresponsive,
            format!(
                "no answer within {:?}: check the network path to STS, and try again",
                checker.patience
            ),
        )),
    };
    let access = checker.federation.access(account.id);
    if let Err(reason) = answer {
        let policies = policy::missing(&reason, "sts:AssumeRole", access.as_ref());
        let finding = Finding::failed(about, probe, reason, policies);
        return Done {
            findings: vec![finding],
            then: Vec::new(),
        };
    }
    let how = match access {
        Some(Access::Role { arn, .. }) => format!("assumes {arn}"),
        _ => "reads with the service's own credentials".to_owned(),
    };
    let mut then = Vec::new();
    if account.event_history {
        then.push(Job {
            subject: subject(&account, account.regions.clone()),
            probe: Probe::EventHistory,
            work: async move { event_history(checker, account, caller, in_use).await }.boxed(),
        });
    }
    Done {
        findings: vec![Finding::fine(about, probe, how)],
        then,
    }
}

/// What the Regions of an account answered.
#[derive(Default)]
struct Answers {
    answer: Vec<Region>,
    disabled: Vec<Region>,
    newest: Option<(EventTime, Region)>,
    /// By kind of failure, the first reason of it.
    failed: BTreeMap<(ReasonCode, Option<String>), (Reason, Vec<Region>)>,
}

async fn event_history(
    checker: Arc<Checker>,
    account: AccountFacts,
    caller: Arc<Caller>,
    in_use: Arc<InUse>,
) -> Done {
    let ask = |region: Region| {
        let (checker, caller) = (Arc::clone(&checker), Arc::clone(&caller));
        let in_use = Arc::clone(&in_use);
        let id = account.id;
        async move {
            let newest = (checker.event_history).newest_event(id, &region, &caller, &in_use);
            let newest = newest.await;
            (region, newest)
        }
    };
    let mut asked = stream::iter(account.regions.clone())
        .map(ask)
        .buffer_unordered(REGIONS_AT_ONCE);
    let mut answers = Answers::default();
    while let Some((region, newest)) = asked.next().await {
        match newest {
            Ok(Newest::Event(time)) => {
                if let Some(time) = time {
                    answers.newest = answers.newest.max(Some((time, region.clone())));
                }
                answers.answer.push(region);
            }
            Ok(Newest::RegionDisabled) => answers.disabled.push(region),
            Err(reason) => {
                let kind = (reason.code, reason.aws_code.clone());
                let failed = answers.failed.entry(kind);
                failed.or_insert((reason, Vec::new())).1.push(region);
            }
        }
    }
    drop(asked);
    answers.answer.sort();
    answers.disabled.sort();
    let access = checker.federation.access(account.id);
    let mut findings: Vec<Finding> = std::mem::take(&mut answers.failed)
        .into_values()
        .map(|(reason, mut regions)| {
            regions.sort();
            let policies = policy::missing(&reason, "cloudtrail:LookupEvents", access.as_ref());
            let about = subject(&account, regions);
            Finding::failed(about, Probe::EventHistory, reason, policies)
        })
        .collect();
    if let Some(reason) = account.regions_unknown.clone() {
        let policies = policy::missing(&reason, "account:ListRegions", access.as_ref());
        let about = subject(&account, account.regions.clone());
        let unknown = Finding::failed(about, Probe::EventHistory, reason, policies);
        findings.push(unknown);
    }
    if !(answers.answer.is_empty() && answers.disabled.is_empty()) {
        findings.push(answered(&account, answers));
    }
    Done {
        findings,
        then: Vec::new(),
    }
}

fn answered(account: &AccountFacts, answers: Answers) -> Finding {
    let mut detail = format!("answers in {}", names(&answers.answer));
    match &answers.newest {
        Some((time, region)) => {
            let _ = write!(detail, "; its newest event is of {time}, in {region}");
        }
        None => detail.push_str("; it holds no event at all"),
    }
    if !answers.disabled.is_empty() {
        let disabled = names(&answers.disabled);
        let _ = write!(detail, "; not enabled in this account: {disabled}");
    }
    let about = subject(account, answers.answer);
    Finding {
        newest_event: answers.newest.map(|(time, _)| time),
        ..Finding::fine(about, Probe::EventHistory, detail)
    }
}

fn names(regions: &[Region]) -> String {
    if regions.is_empty() {
        return "no Region".to_owned();
    }
    let names: Vec<&str> = regions.iter().map(Region::as_str).collect();
    names.join(", ")
}
