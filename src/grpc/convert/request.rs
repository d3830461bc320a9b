//! `SearchEventsRequest` → [`EventQuery`]: everything that can be wrong is found here, before any
//! AWS call.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::{Findings, Rejection, filter, identity, interval, selector};
use crate::config::Limits;
use crate::grpc::pb;
use crate::query::{
    AccountId, AskedRange, BackendKind, Case, EventQuery, EventTime, RecordView, Region,
    SearchOrder, TimeRange,
};
use crate::search::resume::{ResumeToken, request_digest};

/// What a request is checked against.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The service's now.
    pub now: Timestamp,
    /// What one request may ask.
    pub limits: &'a Limits,
}

/// How far a resume token's interval may end after this replica's now: clocks differ.
const MAX_CLOCK_SKEW_SECONDS: i64 = 300;
/// A search names no more Regions than this: AWS has fewer than 100.
const MAX_REGIONS: u64 = 200;

/// Reads a request, with every default applied, or says all that is wrong with it.
pub fn event_query(
    request: &pb::SearchEventsRequest,
    rules: &Rules<'_>,
) -> Result<EventQuery, Rejection> {
    let mut findings = Findings::default();
    let found = &mut findings;
    let identities = identity::identities(&request.identities, rules.limits, found);
    let interval = interval::interval(request, rules, found);
    let account_ids = account_ids(&request.account_ids, rules, found);
    let account_selector = selector::account_selector(request.account_selector.as_ref(), found);
    let regions = regions(&request.regions, found);
    let filter = filter::filter(request.filter.as_ref(), rules.limits, found);
    if request.identities.is_empty() && !filter.names_events() {
        found.invalid(
            "identities",
            "say whom the question is about; only a filter by source_ips, event_names, resources or \
             event_ids can do without",
        );
    }
    let order = order(request.order, found);
    let record_view = record_view(request.record_view, found);
    let backends = backends(&request.backends, found);
    let max_events = at_least_one(request.max_events, "max_events", found);
    let max_scan_bytes = at_least_one(request.max_scan_bytes, "max_scan_bytes", found);
    let progress_interval = progress_interval(request.progress_interval.as_ref(), found);
    let token = resume_token(&request.resume_token, found);

    let query = interval.map(|(range, asked_range)| EventQuery {
        identities,
        case: if request.ignore_case {
            Case::Ignored
        } else {
            Case::Kept
        },
        range,
        asked_range,
        account_ids,
        account_selector,
        regions,
        filter,
        order,
        record_view,
        max_events,
        backends,
        max_scan_bytes,
        exact_roles: request.exact_roles,
        progress_interval,
        resume: None,
    });
    let query = match (query, token) {
        (Some(query), Some(token)) if findings.is_well_formed() => {
            Some(resumed(query, token, rules, &mut findings))
        }
        (query, _) => query,
    };
    findings.finish()?;
    // An interval that could not be read was noted as malformed.
    query.ok_or_else(|| Rejection::Invalid(Vec::new()))
}

fn account_ids(list: &[String], rules: &Rules<'_>, findings: &mut Findings) -> Vec<AccountId> {
    let limit = rules.limits.max_accounts;
    findings.check_length("account_ids", list.len(), limit, "limits.max_accounts");
    let mut accounts = BTreeSet::new();
    for (index, text) in list.iter().enumerate() {
        match text.parse() {
            Ok(account) => {
                accounts.insert(account);
            }
            Err(expected) => {
                findings.malformed(format!("account_ids[{index}]"), text, expected);
            }
        }
    }
    accounts.into_iter().collect()
}

fn regions(list: &[String], findings: &mut Findings) -> Vec<Region> {
    findings.check_length("regions", list.len(), MAX_REGIONS, "fixed");
    let mut regions = BTreeSet::new();
    for (index, text) in list.iter().enumerate() {
        match text.parse() {
            Ok(region) => {
                regions.insert(region);
            }
            Err(expected) => findings.malformed(format!("regions[{index}]"), text, expected),
        }
    }
    regions.into_iter().collect()
}

fn order(number: i32, findings: &mut Findings) -> SearchOrder {
    match pb::SearchOrder::try_from(number) {
        Ok(pb::SearchOrder::Unspecified | pb::SearchOrder::NewestFirst) => SearchOrder::NewestFirst,
        Ok(pb::SearchOrder::OldestFirst) => SearchOrder::OldestFirst,
        Err(_) => {
            findings.invalid("order", format!("{number} is no order"));
            SearchOrder::NewestFirst
        }
    }
}

fn record_view(number: i32, findings: &mut Findings) -> RecordView {
    match pb::RecordView::try_from(number) {
        Ok(pb::RecordView::Unspecified | pb::RecordView::Fields) => RecordView::Fields,
        Ok(pb::RecordView::Full) => RecordView::Full,
        Ok(pb::RecordView::None) => RecordView::None,
        Err(_) => {
            findings.invalid("record_view", format!("{number} is no view"));
            RecordView::Fields
        }
    }
}

fn backends(list: &[i32], findings: &mut Findings) -> Vec<BackendKind> {
    let mut backends = BTreeSet::new();
    for (index, &number) in list.iter().enumerate() {
        let field = format!("backends[{index}]");
        match pb::Backend::try_from(number) {
            Ok(pb::Backend::EventHistory) => {
                backends.insert(BackendKind::EventHistory);
            }
            Ok(pb::Backend::Athena) => {
                backends.insert(BackendKind::Athena);
            }
            Ok(pb::Backend::Logs) => {
                backends.insert(BackendKind::Logs);
            }
            Ok(pb::Backend::Unspecified) | Err(_) => {
                findings.invalid(field, format!("{number} is no backend"));
            }
        }
    }
    backends.into_iter().collect()
}

/// A limit that the caller sets: absent is none, and nothing would be left of a limit of 0.
fn at_least_one(number: Option<i64>, field: &str, findings: &mut Findings) -> Option<u64> {
    let number = number?;
    let limit = u64::try_from(number).ok().filter(|&limit| limit > 0);
    if limit.is_none() {
        findings.invalid(
            field,
            format!("{number} is no limit: at least 1, or leave it out"),
        );
    }
    limit
}

fn progress_interval(
    wire: Option<&prost_types::Duration>,
    findings: &mut Findings,
) -> Option<Duration> {
    let interval = Duration::try_from(*wire?)
        .ok()
        .filter(|interval| (1..=3_600).contains(&interval.as_secs()));
    if interval.is_none() {
        findings.invalid("progress_interval", "between 1 second and 1 hour");
    }
    interval
}

fn resume_token(text: &str, findings: &mut Findings) -> Option<ResumeToken> {
    if text.is_empty() {
        return None;
    }
    ResumeToken::decode(text)
        .map_err(|invalid| findings.malformed("resume_token", text, invalid))
        .ok()
}

/// The query from where the token left it. A token only ever narrows its request: one that names
/// another interval than the request could have meant is refused, whoever made it.
fn resumed(
    mut query: EventQuery,
    token: ResumeToken,
    rules: &Rules<'_>,
    findings: &mut Findings,
) -> EventQuery {
    if token.request_digest != request_digest(&query)
        || !is_meant(token.range, query.asked_range, query.range, rules)
    {
        findings.invalid(
            "resume_token",
            "belongs to another request: send it with the request whose stream it came from",
        );
    } else {
        interval::check_reach(token.range, rules, findings);
        query.range = token.range;
        query.resume = Some(token.point);
    }
    query
}

/// Whether `range` is what the request meant at some earlier now; `present` is what it means now.
fn is_meant(range: TimeRange, asked: AskedRange, present: TimeRange, rules: &Rules<'_>) -> bool {
    let latest = EventTime::ceil(rules.now).plus(MAX_CLOCK_SKEW_SECONDS);
    let end_fits = match asked.end {
        Some(end) => range.end() <= end,
        None => true,
    };
    let start_fits = match asked.start {
        Some(start) => range.start() == start,
        None => range.duration() == present.duration(),
    };
    end_fits && start_fits && range.end() <= latest
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
