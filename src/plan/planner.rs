//! A first path: event history for what it reaches, a gap for the rest.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{EventPart, Facts, Gap, QueryPlan, Reason, ReasonCode, Scan, ScanId, ScanTarget};
use crate::query::{BackendKind, EventCategory, EventQuery, EventTime};

/// Cuts the question into scans and gaps.
#[must_use]
pub fn plan(query: &EventQuery, facts: &Facts, now: Timestamp) -> QueryPlan {
    let horizon = EventTime::ceil(now - SignedDuration::from_hours(24 * 90));
    let mut scans = Vec::new();
    let mut gaps = Vec::new();
    for account in &facts.accounts {
        for region in &account.regions {
            if let Some(range) = query.range.from(horizon) {
                let id = ScanId(u32::try_from(scans.len()).unwrap_or(u32::MAX));
                let target = ScanTarget::EventHistory {
                    account: account.id,
                    region: region.clone(),
                    attribute: None,
                };
                let categories = BTreeSet::from([EventCategory::Management]);
                scans.push(Scan {
                    id,
                    target,
                    range,
                    categories,
                });
            }
            if let Some(range) = query.range.before(horizon) {
                gaps.push(Gap {
                    account: account.id,
                    regions: vec![region.clone()],
                    range,
                    events: EventPart {
                        categories: query.filter.categories().iter().copied().collect(),
                        read_only: None,
                        event_sources: None,
                    },
                    backend: Some(BackendKind::EventHistory),
                    reason: Reason::new(ReasonCode::BeyondHorizon, "older than 90 days"),
                });
            }
        }
    }
    QueryPlan {
        range: query.range,
        horizon,
        settled_until: EventTime::floor(now - facts.routing.settle_time),
        accounts: facts.accounts.iter().map(|account| account.id).collect(),
        scans,
        gaps,
    }
}
