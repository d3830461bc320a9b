//! Outcomes, domain → proto: grouped, and cut so that no message grows too large.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use prost::Message;

use super::{backend, bounds, category, count};
use crate::grpc::pb;
use crate::plan::outcome::ScanCounts;
use crate::plan::{
    EventPart, Gap, OutcomeState, Reason, ReasonCode, RoleReading, ScanOutcome, Unverified,
};
use crate::query::{AccountId, BackendKind, Region, TimeRange};

/// The most that outcomes take of one message, in bytes.
pub(in crate::grpc) const OUTCOME_BYTES: usize = 512 * 1024;
/// Accounts in one entry: a group that has more is told in several.
const MAX_GROUP_ACCOUNTS: usize = 10_000;
const MAX_AWS_MESSAGE_CHARS: usize = 2_048;

/// Everything in which the outcomes of a group are alike. Ordered as they are told: what is not
/// complete first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    state: StateOrder,
    backend: Option<BackendKind>,
    archive: Option<Arc<str>>,
    events: EventPart,
    log_group: Option<Arc<str>>,
    asked: (i64, i64),
    covered: Option<(i64, i64)>,
    unverified: Vec<Unverified>,
    role_reading: Option<RoleReading>,
    reason: Option<ReasonText>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum StateOrder {
    Failed,
    Truncated,
    Skipped,
    Unverified,
    NotApplicable,
    HandedOver,
    Complete,
}

/// A reason but for AWS's request id, in which alone two failures may differ.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct ReasonText {
    code: ReasonCode,
    message: String,
    aws_code: Option<String>,
    aws_message: Option<String>,
}

/// Accounts × Regions, every one with every other; no Regions is every Region.
#[derive(Debug, Clone)]
struct Group {
    accounts: BTreeSet<AccountId>,
    regions: BTreeSet<Region>,
    asked: TimeRange,
    covered: Option<TimeRange>,
    aws_request_id: Option<String>,
    scans: u64,
    counts: ScanCounts,
}

/// Groups outcomes that are alike but for account or Region. A group is exact: every one of its
/// accounts was asked in every one of its Regions.
#[must_use]
pub fn grouped(outcomes: Vec<ScanOutcome>) -> Vec<pb::ScanOutcome> {
    let mut by_kind: BTreeMap<Kind, Vec<Group>> = BTreeMap::new();
    for outcome in outcomes {
        let (kind, group) = taken_apart(outcome);
        by_kind.entry(kind).or_default().push(group);
    }
    by_kind
        .into_iter()
        .flat_map(|(kind, groups)| {
            let by_account = merged(groups, |group| group.accounts.clone(), unite_regions);
            let by_regions = merged(by_account, |group| group.regions.clone(), unite_accounts);
            by_regions
                .into_iter()
                .map(move |group| to_wire(&kind, group))
        })
        .collect()
}

/// Gaps as outcomes: what will not be read has ended before it began.
#[must_use]
pub fn of_gaps(gaps: Vec<Gap>) -> Vec<pb::ScanOutcome> {
    grouped(gaps.into_iter().map(ScanOutcome::from).collect())
}

/// The first messages of `list` that fit into `budget` bytes together, and the rest.
pub(in crate::grpc) fn fitting<M: Message>(mut list: Vec<M>, budget: usize) -> (Vec<M>, Vec<M>) {
    let mut bytes = 0;
    let fits = list
        .iter()
        .take_while(|message| {
            bytes += encoded_len(*message);
            bytes <= budget
        })
        .count();
    let rest = list.split_off(fits);
    (list, rest)
}

/// Cuts outcomes into reports that stay within their share of a message.
#[must_use]
pub fn reports(
    mut outcomes: Vec<pb::ScanOutcome>,
    phase: pb::OutcomePhase,
) -> Vec<pb::OutcomeReport> {
    let mut reports = Vec::new();
    while !outcomes.is_empty() {
        let (mut head, mut rest) = fitting(outcomes, OUTCOME_BYTES);
        if head.is_empty() {
            // One alone is never so large; it is told all the same.
            head.push(rest.remove(0));
        }
        outcomes = rest;
        reports.push(pb::OutcomeReport {
            phase: phase.into(),
            outcomes: head,
        });
    }
    reports
}

/// What a repeated field's element takes, with its tag and length.
fn encoded_len<M: Message>(message: &M) -> usize {
    const TAG_AND_LENGTH: usize = 6;
    message.encoded_len() + TAG_AND_LENGTH
}

fn taken_apart(outcome: ScanOutcome) -> (Kind, Group) {
    let ScanOutcome {
        scan: _,
        backend,
        archive,
        log_group,
        accounts,
        regions,
        events,
        state,
        asked,
        covered,
        unverified,
        role_reading,
        counts,
        reason,
    } = outcome;
    let (reason, aws_request_id) = match reason {
        None => (None, None),
        Some(Reason {
            code,
            message,
            aws_code,
            aws_message,
            aws_request_id,
        }) => {
            let text = ReasonText {
                code,
                message,
                aws_code,
                aws_message,
            };
            (Some(text), aws_request_id)
        }
    };
    let seconds = |range: TimeRange| (range.start().second(), range.end().second());
    let kind = Kind {
        state: match state {
            OutcomeState::Failed => StateOrder::Failed,
            OutcomeState::Truncated => StateOrder::Truncated,
            OutcomeState::Skipped => StateOrder::Skipped,
            OutcomeState::Unverified => StateOrder::Unverified,
            OutcomeState::NotApplicable => StateOrder::NotApplicable,
            OutcomeState::HandedOver => StateOrder::HandedOver,
            OutcomeState::Complete => StateOrder::Complete,
        },
        backend,
        archive,
        events,
        log_group,
        asked: seconds(asked),
        covered: covered.map(seconds),
        unverified,
        role_reading,
        reason,
    };
    let group = Group {
        accounts: accounts.into_iter().collect(),
        regions: regions.into_iter().collect(),
        asked,
        covered,
        aws_request_id,
        scans: 1,
        counts,
    };
    (kind, group)
}

/// Merges groups that share a key, in order of the key, as far as `unite` does.
fn merged<K: Ord>(
    groups: Vec<Group>,
    key: impl Fn(&Group) -> K,
    unite: impl Fn(&mut Group, &Group) -> bool,
) -> Vec<Group> {
    let mut by_key: BTreeMap<K, Vec<Group>> = BTreeMap::new();
    for group in groups {
        let same = by_key.entry(key(&group)).or_default();
        let united = same.last_mut().is_some_and(|last| {
            let united = unite(last, &group);
            if united {
                last.scans += group.scans;
                last.counts = sum(last.counts, group.counts);
            }
            united
        });
        if !united {
            same.push(group);
        }
    }
    by_key.into_values().flatten().collect()
}

fn unite_regions(group: &mut Group, other: &Group) -> bool {
    // Every Region and some Regions are two things.
    if group.regions.is_empty() != other.regions.is_empty() {
        return false;
    }
    group.regions.extend(other.regions.iter().cloned());
    true
}

fn unite_accounts(group: &mut Group, other: &Group) -> bool {
    if group.accounts.len() + other.accounts.len() > MAX_GROUP_ACCOUNTS {
        return false;
    }
    group.accounts.extend(other.accounts.iter().copied());
    true
}

fn sum(left: ScanCounts, right: ScanCounts) -> ScanCounts {
    ScanCounts {
        requests: left.requests + right.requests,
        throttles: left.throttles + right.throttles,
        events_read: left.events_read + right.events_read,
        events_matched: left.events_matched + right.events_matched,
        unreadable_records: left.unreadable_records + right.unreadable_records,
        late_events: left.late_events + right.late_events,
        bytes_scanned: left.bytes_scanned + right.bytes_scanned,
    }
}

fn to_wire(kind: &Kind, group: Group) -> pb::ScanOutcome {
    let (start, end) = bounds(group.asked);
    let covered = group.covered.map(bounds);
    let reason = kind.reason.clone().map(|text| Reason {
        code: text.code,
        message: text.message,
        aws_code: text.aws_code,
        aws_message: text.aws_message,
        aws_request_id: group.aws_request_id,
    });
    pb::ScanOutcome {
        state: state(kind.state).into(),
        backend: kind
            .backend
            .map_or(pb::Backend::Unspecified, backend)
            .into(),
        archive: kind.archive.as_deref().map(str::to_owned),
        log_group: kind.log_group.as_deref().map(str::to_owned),
        account_ids: group.accounts.iter().map(ToString::to_string).collect(),
        regions: group.regions.iter().map(ToString::to_string).collect(),
        start_time: Some(start),
        end_time: Some(end),
        covered_start_time: covered.map(|(start, _)| start),
        covered_end_time: covered.map(|(_, end)| end),
        unverified: kind.unverified.iter().map(unverified).collect(),
        role_reading: kind.role_reading.as_ref().map(role_reading),
        reason: reason.map(self::reason),
        scans: count(group.scans),
        counts: Some(counts(group.counts)),
        events: Some(event_part(&kind.events)),
    }
}

fn event_part(part: &EventPart) -> pb::EventPart {
    let EventPart {
        categories,
        read_only,
        event_sources,
    } = part;
    pb::EventPart {
        categories: categories.iter().map(|it| category(*it).into()).collect(),
        read_only: *read_only,
        event_sources: event_sources.iter().flatten().cloned().collect(),
    }
}

fn role_reading(reading: &RoleReading) -> pb::RoleReading {
    pb::RoleReading {
        inferred: reading.inferred,
        note: reading.note.to_string(),
    }
}

/// Days without a log file.
#[must_use]
pub fn unverified(days: &Unverified) -> pb::UnverifiedDays {
    let (start, end) = bounds(days.range);
    pb::UnverifiedDays {
        account_ids: days.accounts.iter().map(ToString::to_string).collect(),
        start_time: Some(start),
        end_time: Some(end),
        reason: Some(reason(days.reason.clone())),
    }
}

fn state(state: StateOrder) -> pb::OutcomeState {
    match state {
        StateOrder::Failed => pb::OutcomeState::Failed,
        StateOrder::Truncated => pb::OutcomeState::Truncated,
        StateOrder::Skipped => pb::OutcomeState::Skipped,
        StateOrder::Unverified => pb::OutcomeState::Unverified,
        StateOrder::NotApplicable => pb::OutcomeState::NotApplicable,
        StateOrder::HandedOver => pb::OutcomeState::HandedOver,
        StateOrder::Complete => pb::OutcomeState::Complete,
    }
}

/// How many scans and gaps ended in each state.
#[must_use]
pub fn state_counts(outcomes: &[pb::ScanOutcome]) -> Vec<pb::StateCount> {
    let mut by_state: BTreeMap<i32, i64> = BTreeMap::new();
    for outcome in outcomes {
        *by_state.entry(outcome.state).or_default() += outcome.scans;
    }
    let entry = |(state, scans)| pb::StateCount { state, scans };
    by_state.into_iter().map(entry).collect()
}

fn counts(counts: ScanCounts) -> pb::ScanCounts {
    let ScanCounts {
        requests,
        throttles,
        events_read,
        events_matched,
        unreadable_records,
        late_events,
        bytes_scanned,
    } = counts;
    pb::ScanCounts {
        requests: count(requests),
        throttles: count(throttles),
        events_read: count(events_read),
        events_matched: count(events_matched),
        unreadable_records: count(unreadable_records),
        late_events: count(late_events),
        bytes_scanned: count(bytes_scanned),
    }
}

/// Writes why something was not read.
#[must_use]
pub fn reason(reason: Reason) -> pb::Reason {
    let Reason {
        code,
        message,
        aws_code,
        aws_message,
        aws_request_id,
    } = reason;
    pb::Reason {
        code: reason_code(code).into(),
        message,
        aws_code,
        aws_message: aws_message.map(cut),
        aws_request_id,
    }
}

fn cut(text: String) -> String {
    match text.char_indices().nth(MAX_AWS_MESSAGE_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn reason_code(code: ReasonCode) -> pb::ReasonCode {
    match code {
        ReasonCode::AssumeRoleDenied => pb::ReasonCode::AssumeRoleDenied,
        ReasonCode::DeniedByServiceControlPolicy => pb::ReasonCode::DeniedByServiceControlPolicy,
        ReasonCode::AccessDenied => pb::ReasonCode::AccessDenied,
        ReasonCode::CredentialsExpired => pb::ReasonCode::CredentialsExpired,
        ReasonCode::Throttled => pb::ReasonCode::Throttled,
        ReasonCode::Unresponsive => pb::ReasonCode::Unresponsive,
        ReasonCode::AwsError => pb::ReasonCode::AwsError,
        ReasonCode::Unreachable => pb::ReasonCode::Unreachable,
        ReasonCode::QueryFailed => pb::ReasonCode::QueryFailed,
        ReasonCode::BeyondHorizon => pb::ReasonCode::BeyondHorizon,
        ReasonCode::NoBackend => pb::ReasonCode::NoBackend,
        ReasonCode::BackendExcluded => pb::ReasonCode::BackendExcluded,
        ReasonCode::NotInArchive => pb::ReasonCode::NotInArchive,
        ReasonCode::NotInLogGroup => pb::ReasonCode::NotInLogGroup,
        ReasonCode::ArchiveUnusable => pb::ReasonCode::ArchiveUnusable,
        ReasonCode::AgedOut => pb::ReasonCode::AgedOut,
        ReasonCode::MaxLookupPages => pb::ReasonCode::MaxLookupPages,
        ReasonCode::NotPermitted => pb::ReasonCode::NotPermitted,
        ReasonCode::UnreadableRecords => pb::ReasonCode::UnreadableRecords,
        ReasonCode::NoLogFiles => pb::ReasonCode::NoLogFiles,
        ReasonCode::MaxEvents => pb::ReasonCode::MaxEvents,
        ReasonCode::MaxScanBytes => pb::ReasonCode::MaxScanBytes,
        ReasonCode::Quota => pb::ReasonCode::Quota,
        ReasonCode::Idle => pb::ReasonCode::Idle,
        ReasonCode::Deadline => pb::ReasonCode::Deadline,
        ReasonCode::Drain => pb::ReasonCode::Drain,
        ReasonCode::RegionDisabled => pb::ReasonCode::RegionDisabled,
        ReasonCode::AcceptedGap => pb::ReasonCode::AcceptedGap,
        ReasonCode::Internal => pb::ReasonCode::Internal,
    }
}

#[cfg(test)]
#[path = "outcome_tests.rs"]
mod tests;
