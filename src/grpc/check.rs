//! `CheckAccounts`: its request and its messages.

use super::convert::{self, Findings, Rejection, outcome};
use super::pb;
use super::pb::check_accounts_response::Item;
use crate::check::policy::Policy;
use crate::check::{CheckItem, Finding, Probe, Request, State, Subject, Summary};
use crate::config::Limits;
use crate::query::BackendKind;

/// How many days back log files are looked for, where nothing is said.
const DEFAULT_DAYS: u32 = 30;
/// Ten years.
const MAX_DAYS: i32 = 3_660;

/// The request, checked. Whether the accounts are known the check says.
pub fn request(wire: &pb::CheckAccountsRequest, limits: &Limits) -> Result<Request, Rejection> {
    let mut findings = Findings::default();
    let asked = wire.account_ids.len();
    findings.check_length(
        "account_ids",
        asked,
        limits.max_accounts,
        "limits.max_accounts",
    );
    let mut account_ids = std::collections::BTreeSet::new();
    for (index, text) in wire.account_ids.iter().enumerate() {
        match text.parse() {
            Ok(account) => {
                account_ids.insert(account);
            }
            Err(expected) => findings.malformed(format!("account_ids[{index}]"), text, expected),
        }
    }
    let days = match wire.days {
        None => DEFAULT_DAYS,
        Some(days) => match u32::try_from(days) {
            Ok(number @ 1..) if days <= MAX_DAYS => number,
            _ => {
                findings.invalid("days", format!("{days}: 1 to {MAX_DAYS}"));
                DEFAULT_DAYS
            }
        },
    };
    findings.finish()?;
    Ok(Request { account_ids, days })
}

/// One item's messages: one, but for a finding whose list of days does not fit into one.
/// `scope_limited` as the summary says it.
#[must_use]
pub fn responses(item: CheckItem, scope_limited: bool) -> Vec<pb::CheckAccountsResponse> {
    let items = match item {
        CheckItem::Finding(found) => finding(*found).into_iter().map(Item::Finding).collect(),
        CheckItem::Summary(end) => vec![Item::Summary(summary(end, scope_limited))],
    };
    let response = |item| pb::CheckAccountsResponse { item: Some(item) };
    items.into_iter().map(response).collect()
}

fn finding(found: Finding) -> Vec<pb::CheckFinding> {
    let Finding {
        subject,
        probe,
        state,
        detail,
        fix,
        reason,
        policies,
        newest_event,
        missing_days,
    } = found;
    let backend = match (&subject, probe) {
        (Subject::Account { .. }, Probe::EventHistory) => {
            convert::backend(BackendKind::EventHistory)
        }
        (Subject::Account { .. }, _) => pb::Backend::Unspecified,
        (Subject::Archive { .. }, _) => convert::backend(BackendKind::Athena),
        (Subject::LogGroup { .. }, _) => convert::backend(BackendKind::Logs),
    };
    let (mut archive, mut log_group) = (None, None);
    let (account_id, account_name, regions) = match subject {
        Subject::Account { id, name, regions } => (id, name, regions),
        Subject::Archive { name, account } => {
            archive = Some(name);
            (account, None, Vec::new())
        }
        Subject::LogGroup { name, account } => {
            log_group = Some(name);
            (account, None, Vec::new())
        }
    };
    let mut missing: Vec<pb::UnverifiedDays> =
        missing_days.iter().map(outcome::unverified).collect();
    let first = pb::CheckFinding {
        probe: probe_to_wire(probe).into(),
        state: state_to_wire(state).into(),
        account_id: account_id.to_string(),
        account_name: account_name.as_deref().map(str::to_owned),
        regions: regions.iter().map(ToString::to_string).collect(),
        backend: backend.into(),
        archive: archive.as_deref().map(str::to_owned),
        detail,
        fix,
        reason: reason.map(outcome::reason),
        policies: policies.into_iter().map(policy).collect(),
        newest_event_time: newest_event.map(convert::event_time),
        missing_days: Vec::new(),
        log_group: log_group.as_deref().map(str::to_owned),
    };
    let mut messages = Vec::new();
    loop {
        let (fits, rest) = outcome::fitting(missing, outcome::OUTCOME_BYTES);
        // One interval alone is told whatever its size.
        let stuck = fits.is_empty() && !rest.is_empty();
        let (fits, rest) = if stuck {
            (rest, Vec::new())
        } else {
            (fits, rest)
        };
        messages.push(pb::CheckFinding {
            missing_days: fits,
            ..first.clone()
        });
        if rest.is_empty() {
            return messages;
        }
        missing = rest;
    }
}

fn policy(policy: Policy) -> pb::MissingPolicy {
    pb::MissingPolicy {
        attach_to: policy.attach_to,
        statement_json: policy.statement_json,
    }
}

fn summary(end: Summary, scope_limited: bool) -> pb::CheckSummary {
    pb::CheckSummary {
        fine: convert::count(end.fine),
        needs_fix: convert::count(end.needs_fix),
        not_checked: convert::count(end.not_checked),
        bytes_scanned: convert::count(end.bytes_scanned),
        scope_limited,
    }
}

fn probe_to_wire(probe: Probe) -> pb::CheckProbe {
    match probe {
        Probe::Credentials => pb::CheckProbe::Credentials,
        Probe::EventHistory => pb::CheckProbe::EventHistory,
        Probe::Table => pb::CheckProbe::Table,
        Probe::Query => pb::CheckProbe::Query,
        Probe::LogFiles => pb::CheckProbe::LogFiles,
        Probe::LogGroup => pb::CheckProbe::LogGroup,
        Probe::LogStreams => pb::CheckProbe::LogStreams,
        Probe::Trail => pb::CheckProbe::Trail,
        Probe::Declaration => pb::CheckProbe::Declaration,
    }
}

fn state_to_wire(state: State) -> pb::CheckState {
    match state {
        State::Fine => pb::CheckState::Fine,
        State::NeedsFix => pb::CheckState::NeedsFix,
        State::NotChecked => pb::CheckState::NotChecked,
    }
}
