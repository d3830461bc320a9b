//! A planned search, domain → proto.

use super::{backend, bounds, count, event_time, identity, outcome, timestamp};
use crate::backend::{Asks, Words};
use crate::grpc::pb;
use crate::grpc::plan_search::Entry;
use crate::plan::estimate::{BytesBasis, Estimate, Expected, Verification};
use crate::plan::role_sessions::{IssuedBy, RoleSessions, RoleSought};
use crate::plan::{LookupAttribute, Lookups, ScanOutcome};
use crate::search::{PlannedGroup, PlannedSearch};

/// What every page says, and the entries that are spread over pages.
#[must_use]
pub fn to_wire(planned: PlannedSearch) -> (pb::PlanSearchResponse, Vec<Entry>) {
    let PlannedSearch {
        now,
        range,
        plan,
        groups,
        verifications,
        total,
        probe,
        scope_limited,
    } = planned;
    let (start, end) = bounds(range);
    let (requests, failures) = match probe {
        Some(report) => (Some(report.requests), report.failures),
        None => (None, Vec::new()),
    };
    let response = pb::PlanSearchResponse {
        service_time: Some(timestamp(now)),
        start_time: Some(start),
        end_time: Some(end),
        horizon_time: Some(event_time(plan.horizon)),
        provisional_from_time: Some(event_time(plan.settled_until)),
        accounts_total: count(plan.accounts.len()),
        scans_total: count(plan.scans.len()),
        estimate: Some(estimate(&total)),
        probe: requests.map(|requests| pb::PlanProbe {
            requests: count(requests),
        }),
        warnings: plan.warnings,
        verifications: verifications.iter().map(verification).collect(),
        scope_limited,
        ..pb::PlanSearchResponse::default()
    };
    let scans = groups
        .into_iter()
        .map(group)
        .map(Box::new)
        .map(Entry::Scans);
    let gaps = plan.gaps.into_iter().map(ScanOutcome::from).collect();
    let gaps = outcome::grouped(gaps).into_iter().map(Entry::Gap);
    let failures = outcome::grouped(failures);
    let failures = failures.into_iter().map(Entry::ProbeFailure);
    (response, scans.chain(gaps).chain(failures).collect())
}

fn group(group: PlannedGroup) -> pb::PlannedScans {
    let PlannedGroup {
        scans,
        asks,
        receivers,
    } = group;
    let (start, end) = bounds(scans.range);
    let mut wire = pb::PlannedScans {
        backend: backend(scans.backend).into(),
        archive: scans.archive.as_deref().map(str::to_owned),
        log_group: scans.log_group.as_deref().map(str::to_owned),
        account_ids: scans.accounts.iter().map(ToString::to_string).collect(),
        regions: (scans.regions.iter().flatten())
            .map(ToString::to_string)
            .collect(),
        start_time: Some(start),
        end_time: Some(end),
        scans: count(scans.scans.len()),
        estimate: Some(estimate(&scans.estimate)),
        hands_over_to: receivers.iter().map(ToString::to_string).collect(),
        ..pb::PlannedScans::default()
    };
    match asks {
        Ok(Asks {
            words,
            checked_afterwards,
        }) => {
            match words {
                Words::Lookups(Lookups::Whole) => {}
                // Which sessions users issued is found out by the search itself.
                Words::Lookups(
                    Lookups::Each(attributes) | Lookups::WithFederated { attributes, .. },
                ) => wire.lookups = lookups(attributes),
                Words::Lookups(Lookups::RoleSessions(by)) => {
                    wire.roles = by.roles.iter().map(|role| self::role(role, &by)).collect();
                    wire.lookups = lookups(by.beside.iter().cloned());
                }
                Words::FilterPattern(pattern) => wire.filter_pattern = Some(pattern),
                Words::InsightsQuery(query) => wire.insights_query = Some(query),
                Words::Sql(sql) => wire.sql = Some(sql),
            }
            wire.checked_afterwards = checked_afterwards.into_iter().map(Into::into).collect();
        }
        Err(reason) => wire.failure = Some(outcome::reason(reason)),
    }
    wire
}

fn lookups(attributes: impl IntoIterator<Item = LookupAttribute>) -> Vec<pb::PlannedLookup> {
    let lookup = |attribute: LookupAttribute| pb::PlannedLookup {
        attribute_key: attribute.key().to_owned(),
        attribute_value: attribute.value().to_owned(),
    };
    attributes.into_iter().map(lookup).collect()
}

fn role(role: &RoleSought, by: &RoleSessions) -> pb::PlannedRole {
    let (from, until) = bounds(by.assumed_in);
    pb::PlannedRole {
        identity: Some(identity::to_wire(&role.identity)),
        issued_by: lookups(role.issued_by.attributes()),
        path_unknown: matches!(role.issued_by, IssuedBy::RoleOfUnknownPath { .. }),
        regions: by.regions.iter().map(ToString::to_string).collect(),
        assumed_from_time: Some(from),
        assumed_until_time: Some(until),
    }
}

fn verification(verification: &Verification) -> pb::PlannedVerification {
    pb::PlannedVerification {
        archive: verification.archive.to_string(),
        account_days: count(verification.account_days),
        unseen_account_days: count(verification.unseen_account_days),
        estimate: Some(estimate(&verification.estimate)),
    }
}

fn estimate(estimate: &Estimate) -> pb::CostEstimate {
    let Estimate {
        requests,
        seconds,
        bytes_scanned,
        bytes_basis,
        lookups,
        windows,
    } = estimate;
    let about = |expected: Expected| match expected {
        Expected::About(amount) => Some(count(amount)),
        Expected::UpTo(_) | Expected::Unknown => None,
    };
    let at_most = |expected: Expected| match expected {
        Expected::UpTo(amount) => Some(count(amount)),
        Expected::About(_) | Expected::Unknown => None,
    };
    pb::CostEstimate {
        requests_at_least: count(requests.at_least),
        requests_about: about(requests.expected),
        requests_at_most_about: at_most(requests.expected),
        seconds_at_least: count(seconds.at_least),
        seconds_about: about(seconds.expected),
        seconds_at_most_about: at_most(seconds.expected),
        bytes_scanned_about: bytes_scanned.map(count),
        bytes_basis: match bytes_basis {
            None => pb::BytesBasis::Unspecified,
            Some(BytesBasis::TableStatistics) => pb::BytesBasis::TableStatistics,
            Some(BytesBasis::Configuration) => pb::BytesBasis::Configuration,
        }
        .into(),
        lookups: count(lookups.total),
        lookups_probed: count(lookups.probed),
        windows_at_least: count(windows.at_least),
        windows_requests_about: match windows.requests {
            Expected::About(amount) | Expected::UpTo(amount) => Some(count(amount)),
            Expected::Unknown => None,
        },
    }
}
