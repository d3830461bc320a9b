//! A first path: event history for what it reaches, a gap for the rest.

use jiff::{SignedDuration, Timestamp};

use super::{Facts, Gap, QueryPlan, Reason, ReasonCode, Scan, ScanId, ScanTarget};
use crate::query::{BackendKind, EventQuery, EventTime};

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
                scans.push(Scan { id, target, range });
            }
            if let Some(range) = query.range.before(horizon) {
                gaps.push(Gap {
                    account: account.id,
                    regions: vec![region.clone()],
                    range,
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
