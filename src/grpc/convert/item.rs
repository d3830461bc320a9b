//! What a search says → the messages of its stream.

use super::outcome::{self, OUTCOME_BYTES, fitting, reports};
use super::{backend, bounds, category, count, event, event_time, timestamp};
use crate::grpc::pb;
use crate::grpc::pb::search_events_response::Item;
use crate::plan::{Completeness, Coverage};
use crate::query::EventTime;
use crate::search::item::{
    Answered, Facet, Facets, KeyOwner, PlanAnnouncement, Progress, Route, SearchItem, StopReason,
    Summary,
};

/// What each list of the plan may take of its message, in bytes.
const PLAN_LIST_BYTES: usize = 256 * 1024;

/// The messages that say one item: one, but for outcomes that do not fit into one.
#[must_use]
pub fn responses(item: SearchItem) -> Vec<pb::SearchEventsResponse> {
    let items = match item {
        SearchItem::Plan(announced) => vec![Item::Plan(plan(*announced))],
        SearchItem::Event {
            event,
            resume_token,
        } => vec![Item::Event(Box::new(event::to_wire(*event, &resume_token)))],
        SearchItem::Outcomes(outcomes) => {
            let grouped = outcome::grouped(outcomes);
            let reports = reports(grouped, pb::OutcomePhase::Early);
            reports.into_iter().map(Item::Outcome).collect()
        }
        SearchItem::Progress(so_far) => vec![Item::Progress(progress(so_far))],
        SearchItem::Summary(end) => summary(*end),
    };
    items
        .into_iter()
        .map(|item| pb::SearchEventsResponse { item: Some(item) })
        .collect()
}

fn plan(announced: PlanAnnouncement) -> pb::SearchPlan {
    let PlanAnnouncement {
        now,
        range,
        horizon,
        settled_until,
        accounts,
        routes,
        gaps,
        warnings,
        key_owners,
        scope_limited,
        resume_token,
    } = announced;
    let (start, end) = bounds(range);
    let accounts: Vec<_> = accounts
        .into_iter()
        .map(|(id, name)| pb::SearchedAccount {
            account_id: id.to_string(),
            account_name: name.as_deref().map(str::to_owned),
        })
        .collect();
    let gaps = outcome::of_gaps(gaps);
    let (accounts_total, routes_total, gaps_total) = (accounts.len(), routes.len(), gaps.len());
    let routes = routes.into_iter().map(route).collect();
    pb::SearchPlan {
        service_time: Some(timestamp(now)),
        start_time: Some(start),
        end_time: Some(end),
        horizon_time: Some(event_time(horizon)),
        provisional_from_time: Some(event_time(settled_until)),
        accounts: fitting(accounts, PLAN_LIST_BYTES).0,
        accounts_total: count(accounts_total),
        routes: fitting(routes, PLAN_LIST_BYTES).0,
        routes_total: count(routes_total),
        gaps: fitting(gaps, PLAN_LIST_BYTES).0,
        gaps_total: count(gaps_total),
        access_key_owners: key_owners.into_iter().map(key_owner).collect(),
        resume_token: resume_token.to_string(),
        warnings,
        scope_limited,
    }
}

fn route(route: Route) -> pb::PlannedRoute {
    let Route {
        backend: kind,
        archive,
        log_group,
        range,
        accounts,
        regions,
        narrowed_by,
        scans,
    } = route;
    let (start, end) = bounds(range);
    pb::PlannedRoute {
        backend: backend(kind).into(),
        archive: archive.as_deref().map(str::to_owned),
        log_group: log_group.as_deref().map(str::to_owned),
        start_time: Some(start),
        end_time: Some(end),
        account_ids: accounts.iter().map(ToString::to_string).collect(),
        regions: regions.iter().map(ToString::to_string).collect(),
        narrowed_by,
        scans: count(scans),
    }
}

fn key_owner(owner: KeyOwner) -> pb::AccessKeyOwner {
    let KeyOwner {
        access_key_id,
        account,
        in_federation,
    } = owner;
    let (account_id, failure) = match account {
        Ok(account) => (Some(account.to_string()), None),
        Err(reason) => (None, Some(outcome::reason(reason))),
    };
    pb::AccessKeyOwner {
        access_key_id: access_key_id.to_string(),
        in_federation: account_id.is_some().then_some(in_federation),
        account_id,
        failure,
    }
}

fn progress(so_far: Progress) -> pb::SearchProgress {
    let Progress {
        scans_done,
        scans_total,
        answered,
        waiting_for,
        events_sent,
        events_read,
        bytes_scanned,
        resume_token,
    } = so_far;
    let (answered_from_time, answered_until_time) = reach(answered);
    pb::SearchProgress {
        scans_done: count(scans_done),
        scans_total: count(scans_total),
        answered_from_time,
        answered_until_time,
        waiting_for,
        events_sent: count(events_sent),
        events_read: count(events_read),
        bytes_scanned: count(bytes_scanned),
        resume_token: resume_token.to_string(),
    }
}

/// The summary, after those outcomes that it has no room for.
fn summary(end: Summary) -> Vec<Item> {
    let Summary {
        coverage,
        stop_reason,
        range,
        answered,
        provisional_from,
        limited,
        scope_limited,
        events_sent,
        events_matched,
        events_read,
        duplicates_removed,
        late_events,
        requests,
        throttles,
        bytes_scanned,
        categories_not_searched,
        facets: look,
        resume_token,
        quota,
    } = end;
    let completeness = completeness(&coverage);
    let inferred = coverage.is_inferred();
    let outcomes = outcome::grouped(coverage.outcomes);
    let state_counts = outcome::state_counts(&outcomes);
    let (outcomes, others) = fitting(outcomes, OUTCOME_BYTES);
    let (start, until) = bounds(range);
    let (answered_from_time, answered_until_time) = reach(answered);
    let summary = pb::SearchSummary {
        coverage: Some(pb::Coverage {
            completeness: completeness.into(),
            outcomes,
            state_counts,
        }),
        stop_reason: self::stop_reason(stop_reason).into(),
        start_time: Some(start),
        end_time: Some(until),
        answered_from_time,
        answered_until_time,
        provisional_from_time: provisional_from.map(event_time),
        limited,
        counts: Some(pb::SearchCounts {
            events_sent: count(events_sent),
            events_matched: count(events_matched),
            events_read: count(events_read),
            duplicates_removed: count(duplicates_removed),
            late_events: count(late_events),
            requests: count(requests),
            throttles: count(throttles),
            bytes_scanned: count(bytes_scanned),
        }),
        categories_not_searched: categories_not_searched
            .into_iter()
            .map(|c| category(c).into())
            .collect(),
        facets: Some(facets(look)),
        resume_token: resume_token.as_deref().unwrap_or_default().to_owned(),
        inferred,
        scope_limited,
        quota: quota.map(|exceeded| pb::Quota {
            limit: exceeded.key.to_owned(),
            description: exceeded.what,
            retry_delay: prost_types::Duration::try_from(exceeded.retry_after).ok(),
        }),
    };
    reports(others, pb::OutcomePhase::Coverage)
        .into_iter()
        .map(Item::Outcome)
        .chain([Item::Summary(Box::new(summary))])
        .collect()
}

/// How far the answer reaches: from when on newest first, until when oldest first.
fn reach(
    answered: Answered,
) -> (
    Option<prost_types::Timestamp>,
    Option<prost_types::Timestamp>,
) {
    match answered {
        Answered::From(time) => (Some(event_time(time)), None),
        Answered::Until(time) => (None, Some(event_time(time))),
    }
}

/// Whether an answer was whole.
#[must_use]
pub fn completeness(coverage: &Coverage) -> pb::Completeness {
    match coverage.completeness() {
        Completeness::Complete => pb::Completeness::Complete,
        Completeness::CompleteExceptAccepted => pb::Completeness::CompleteExceptAccepted,
        Completeness::Incomplete => pb::Completeness::Incomplete,
    }
}

/// Why a stream ended.
#[must_use]
pub fn stop_reason(reason: StopReason) -> pb::StopReason {
    match reason {
        StopReason::End => pb::StopReason::End,
        StopReason::MaxEvents => pb::StopReason::MaxEvents,
        StopReason::MaxScanBytes => pb::StopReason::MaxScanBytes,
        StopReason::Deadline => pb::StopReason::Deadline,
        StopReason::Drain => pb::StopReason::Drain,
        StopReason::Quota => pb::StopReason::Quota,
        StopReason::Idle => pb::StopReason::Idle,
    }
}

fn facets(look: Facets) -> pb::Facets {
    let Facets {
        first_seen,
        last_seen,
        event_names,
        accounts,
        regions,
        source_ips,
        error_codes,
    } = look;
    pb::Facets {
        first_seen_time: first_seen.map(event_time),
        last_seen_time: last_seen.map(event_time),
        event_names: Some(facet(event_names)),
        accounts: Some(facet(accounts)),
        regions: Some(facet(regions)),
        source_ips: Some(facet(source_ips)),
        error_codes: Some(facet(error_codes)),
    }
}

fn facet(facet: Facet) -> pb::Facet {
    let seen = |time: EventTime| Some(event_time(time));
    let values = facet
        .values
        .into_iter()
        .map(|value| pb::FacetValue {
            value: value.value,
            events: count(value.events),
            first_seen_time: seen(value.first_seen),
            last_seen_time: seen(value.last_seen),
        })
        .collect();
    pb::Facet {
        values,
        other_events: count(facet.other_events),
    }
}
