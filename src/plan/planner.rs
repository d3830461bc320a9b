//! From a question to scans and gaps.
//!
//! [`super::routing`] says who serves each second of each account, and [`super::parts`] makes scans of
//! that.
//!
//! | asked | planned |
//! |---|---|
//! | `account_ids` empty | every account of the facts |
//! | `regions` empty | the Regions configured for each account; archives and log groups are asked for exactly these too, so that both sides of the horizon answer the same question |
//! | an account's enabled Regions, which could not be learned | the Regions to fall back to, if there are any, and a gap for all others |
//! | `resume` with a position | only what is read from the position's second on, under the first stream's horizon: the rest was answered by that stream, which has told what failed in it. What archives were read for before is named, so that their log files are looked for: a stream that breaks off has not told that |

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::accepted::expired;
use super::facts::{AccountFacts, Facts};
use super::federated_sessions;
use super::hand_over::{Receiver, Receivers};
use super::lookups::Lookups;
use super::narrowing::of_identity;
use super::parts::{Parts, nowhere};
use super::role_sessions;
use super::routing::Router;
use super::scan::{QueryPlan, Scan, ScanTarget};
use crate::query::{AccountId, EventQuery, EventTime, Region, TimeRange};

/// Cuts the question into scans and gaps: every (account, Region, second, category) asked for is
/// in exactly one of them.
///
/// Pure: the same question, facts and `now` make the same plan.
#[must_use]
pub fn plan(query: &EventQuery, facts: &Facts, now: Timestamp) -> QueryPlan {
    let position = query.resume.as_ref().and_then(|r| r.position.as_ref());
    let left = match position {
        Some(position) => query.order.rest(query.range, position.time),
        None => Some(query.range),
    };
    let router = Router::new(query, facts, left.unwrap_or(query.range), now);
    let asked: BTreeSet<AccountId> = query.account_ids.iter().copied().collect();
    let accounts: BTreeMap<AccountId, &AccountFacts> = (facts.accounts.iter())
        .filter(|account| asked.is_empty() || asked.contains(&account.id))
        .map(|account| (account.id, account))
        .collect();

    let mut parts = Parts::default();
    if left.is_some() {
        for account in accounts.values() {
            parts.add_account(query, &router, account);
        }
        // With a selector the facts hold the selected accounts only, and ids narrow them further.
        let unknown =
            |id: &&AccountId| query.account_selector.is_empty() && !accounts.contains_key(id);
        for unknown in asked.iter().filter(unknown) {
            let why = "the account is not in this federation";
            parts.gaps.push(nowhere(query, &router, *unknown, why));
        }
    }
    let mut settled_until = EventTime::floor(now).plus(-facts.routing.settle_time.as_secs());
    if parts.stores_are_read_after(router.delivered_until) {
        settled_until = settled_until.min(router.delivered_until);
    }
    // What a role's or a user's sessions are sought for does not shrink when a search is resumed, nor
    // does what is to be known of the archives that it reads.
    let mut read_before = Vec::new();
    let uncut = (left != Some(query.range)).then(|| {
        let router = Router::new(query, facts, query.range, now);
        let mut uncut = Parts::default();
        for account in accounts.values() {
            uncut.add_account(query, &router, account);
        }
        let before = position.and_then(|it| query.order.read(query.range, it.time));
        read_before = (before.into_iter())
            .flat_map(|before| uncut.of_archives(&router, before))
            .collect();
        uncut
    });
    let histories = &uncut.as_ref().unwrap_or(&parts).histories;
    let lookups = lookups(query, &router, facts, histories);
    let scans = parts.scans(query, &router, facts, &lookups);
    QueryPlan {
        range: router.range,
        horizon: router.horizon,
        settled_until,
        receivers: receivers(&router, &accounts, &scans),
        scans,
        read_before,
        warnings: expired(&facts.accepted_gaps, now, &places(query, &accounts)),
        accounts: accounts.into_keys().collect(),
        gaps: parts.into_gaps(),
    }
}

/// How event history is asked in accounts where sessions of roles or of users are to be found:
/// `histories` is all that it is read for, in the accounts.
fn lookups(
    query: &EventQuery,
    router: &Router<'_>,
    facts: &Facts,
    histories: &[(AccountId, Region, TimeRange)],
) -> BTreeMap<AccountId, Lookups> {
    let narrowing = &router.narrowing;
    let by_identity = narrowing.selective && query.filter.event_ids.is_empty();
    if !by_identity && !narrowing.broad {
        return BTreeMap::new();
    }
    let mut ranges = BTreeMap::<AccountId, TimeRange>::new();
    for (account, _, range) in histories {
        let all = ranges.entry(*account).or_insert(*range);
        *all = all.hull(*range);
    }
    let accounts = facts.accounts.iter().filter_map(|account| {
        let range = *ranges.get(&account.id)?;
        let unread = |region: &Region| router.accepts_gap(account.id, region);
        let horizon = router.horizon;
        let federated =
            federated_sessions::sought(query, of_identity, account, unread, horizon).map(Arc::new);
        let lookups = match &narrowing.lookups {
            Lookups::Each(attributes) if by_identity => Lookups::WithFederated {
                attributes: attributes.clone(),
                federated: federated?,
            },
            _ => role_sessions::lookups(query, of_identity, account, federated, range, horizon)?,
        };
        Some((account.id, lookups))
    });
    accounts.collect()
}

/// Who may take over from the scans of event history.
fn receivers(
    router: &Router<'_>,
    accounts: &BTreeMap<AccountId, &AccountFacts>,
    scans: &[Scan],
) -> Receivers {
    let by_scan = scans.iter().filter_map(|scan| {
        let ScanTarget::EventHistory {
            account, region, ..
        } = &scan.target
        else {
            return None;
        };
        let parts = router.receivers(accounts.get(account)?, region, scan.range);
        (!parts.is_empty()).then_some((scan.id, parts))
    });
    let by_scan: BTreeMap<_, _> = by_scan.collect();
    let needed = !by_scan.is_empty();
    let stores = router.stores.iter().enumerate().filter(|_| needed);
    Receivers {
        all: stores
            .map(|(number, store)| Receiver {
                store: store.receiver(),
                lacks: router.lacking(number),
            })
            .collect(),
        by_scan,
    }
}

/// Every account and Region of the question.
fn places<'a>(
    query: &'a EventQuery,
    accounts: &'a BTreeMap<AccountId, &AccountFacts>,
) -> Vec<(AccountId, &'a Region)> {
    let places = accounts.values().flat_map(|account| {
        let regions = if query.regions.is_empty() {
            &account.regions
        } else {
            &query.regions
        };
        regions.iter().map(|region| (account.id, region))
    });
    places.collect()
}
