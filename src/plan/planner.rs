//! From a question to scans and gaps.
//!
//! [`super::routing`] says who serves each second; here seconds become scans: one of event history
//! for each account, Region and interval, and one of an archive or a log group for *all* accounts
//! that it serves in an interval. What AWS runs a query for is cut into slices that double in length
//! from the end that is read first.
//!
//! | asked | planned |
//! |---|---|
//! | `account_ids` empty | every account of the facts |
//! | `regions` empty | the Regions configured for each account; archives and log groups are asked for exactly these too, so that both sides of the horizon answer the same question |
//! | an account's enabled Regions, which could not be learned | the Regions to fall back to, if there are any, and a gap for all others |
//! | accounts with different Regions | one scan of the archive or log group for each set of Regions: a scan's accounts and Regions are all combined |
//! | `resume` with a position | only what is read from the position's second on, under the first stream's horizon: the rest was answered by that stream, which has told what failed in it. What archives were read for before is named, so that their log files are looked for: a stream that breaks off has not told that |
//! | a log group | Logs Insights for an interval of at least `insights_min_interval`, else `FilterLogEvents`, unless the log group says which; never `FilterLogEvents` for what was logged before 2024, which it does not read newest first |
//! | `categories` that different backends serve | scans of the same seconds that own different categories |

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::accepted::expired;
use super::facts::{AccountFacts, Facts, ReadLogsWith, Routing};
use super::federated_sessions;
use super::hand_over::{Receiver, Receivers};
use super::holding::Store;
use super::lookups::Lookups;
use super::narrowing::of_identity;
use super::outcome::{Reason, ReasonCode};
use super::role_sessions;
use super::routing::{Owner, Piece, Router};
use super::scan::{EventPart, Gap, LogsMethod, QueryPlan, Scan, ScanId, ScanTarget};
use super::slices::slices;
use crate::query::{
    AccountId, BackendKind, EventCategory, EventQuery, EventTime, Region, SearchOrder, TimeRange,
};

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
    if parts
        .stored
        .iter()
        .any(|piece| piece.range.end() > router.delivered_until)
    {
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

/// What the routing of all accounts and Regions yields.
#[derive(Default)]
struct Parts {
    histories: Vec<(AccountId, Region, TimeRange)>,
    stored: Vec<Stored>,
    gaps: Vec<Gap>,
}

/// Seconds of one account, Region and category that a store serves.
struct Stored {
    store: usize,
    range: TimeRange,
    account: AccountId,
    region: Region,
    category: EventCategory,
}

/// What one scan can read together: these Regions of all its accounts, these categories.
type Together = (BTreeSet<Region>, BTreeSet<EventCategory>);

impl Parts {
    fn add_account(&mut self, query: &EventQuery, router: &Router<'_>, account: &AccountFacts) {
        let regions: BTreeSet<&Region> = if query.regions.is_empty() {
            account.regions.iter().collect()
        } else {
            query.regions.iter().collect()
        };
        let unknown = account
            .regions_unknown
            .as_ref()
            .filter(|_| query.regions.is_empty());
        if let Some(reason) = unknown {
            self.gaps
                .push(unknown_regions(query, router, account, reason));
        } else if regions.is_empty() {
            let why = "no Region is configured for this account: name one in the request or the \
                       configuration";
            self.gaps.push(nowhere(query, router, account.id, why));
        }
        for region in regions {
            for piece in router.route(account, region) {
                self.add(account.id, region, piece);
            }
        }
    }

    fn add(&mut self, account: AccountId, region: &Region, piece: Piece) {
        let Piece {
            range,
            category,
            owner,
        } = piece;
        match owner {
            Owner::EventHistory => self.histories.push((account, region.clone(), range)),
            Owner::Store(store) => self.stored.push(Stored {
                store,
                range,
                account,
                region: region.clone(),
                category,
            }),
            Owner::Gap {
                events,
                backend,
                reason,
            } => self.gaps.push(Gap {
                account,
                regions: vec![region.clone()],
                range,
                events,
                backend,
                reason,
            }),
        }
    }

    /// All scans in reading order, numbered so.
    fn scans(
        &self,
        query: &EventQuery,
        router: &Router<'_>,
        facts: &Facts,
        lookups: &BTreeMap<AccountId, Lookups>,
    ) -> Vec<Scan> {
        let order = query.order;
        let mut scans: Vec<Scan> = self
            .histories
            .iter()
            .map(|(account, region, range)| Scan {
                id: ScanId(0),
                target: ScanTarget::EventHistory {
                    account: *account,
                    region: region.clone(),
                    lookups: (lookups.get(account))
                        .unwrap_or(&router.narrowing.lookups)
                        .clone(),
                },
                range: *range,
                categories: BTreeSet::from([EventCategory::Management]),
                shares: None,
            })
            .collect();
        for (number, store) in router.stores.iter().enumerate() {
            for (range, (regions, categories), accounts) in self.together(number) {
                let targets = targets(*store, range, order, &accounts, &regions, &facts.routing);
                for (range, target) in targets {
                    scans.push(Scan {
                        id: ScanId(0),
                        target,
                        range,
                        categories: categories.clone(),
                        shares: None,
                    });
                }
            }
        }
        // Stable: accounts and Regions stay in their order.
        scans.sort_by_key(|scan| (order.rank(order.first(scan.range)), scan.range.duration()));
        for (number, scan) in (0..).zip(&mut scans) {
            scan.id = ScanId(number);
        }
        scans
    }

    /// What archives serve of `range`, in as few scans as can be.
    fn of_archives(&self, router: &Router<'_>, range: TimeRange) -> Vec<Scan> {
        let mut scans = Vec::new();
        for (number, store) in router.stores.iter().enumerate() {
            let Store::Archive(archive) = store else {
                continue;
            };
            for (part, (regions, categories), accounts) in self.together(number) {
                let Some(range) = part.intersect(range) else {
                    continue;
                };
                scans.push(Scan {
                    id: ScanId(u32::try_from(scans.len()).unwrap_or(u32::MAX)),
                    target: ScanTarget::Athena {
                        archive: Arc::clone(archive),
                        accounts,
                        regions: Some(regions),
                    },
                    range,
                    categories,
                    shares: None,
                });
            }
        }
        scans
    }

    /// What one store is asked for, in as few scans as there are sets of Regions and categories:
    /// each time is cut where any account's needs change, and joined again where nothing did.
    fn together(&self, store: usize) -> Vec<(TimeRange, Together, BTreeSet<AccountId>)> {
        let pieces: Vec<&Stored> = self.stored.iter().filter(|p| p.store == store).collect();
        let cuts: BTreeSet<EventTime> = pieces
            .iter()
            .flat_map(|piece| [piece.range.start(), piece.range.end()])
            .collect();
        let mut queries: Vec<(TimeRange, Together, BTreeSet<AccountId>)> = Vec::new();
        for (start, end) in cuts.iter().zip(cuts.iter().skip(1)) {
            let Some(range) = TimeRange::new(*start, *end) else {
                continue;
            };
            let here = pieces.iter().filter(|piece| piece.range.contains(*start));
            for (together, accounts) in combine(here.copied()) {
                let joins = |query: &&mut (TimeRange, Together, BTreeSet<AccountId>)| {
                    query.0.end() == *start && query.1 == together && query.2 == accounts
                };
                match queries.iter_mut().find(joins) {
                    Some(query) => {
                        query.0 = TimeRange::new(query.0.start(), *end).unwrap_or(query.0);
                    }
                    None => queries.push((range, together, accounts)),
                }
            }
        }
        queries
    }

    /// The gaps, Regions that share everything else together, newest first.
    fn into_gaps(self) -> Vec<Gap> {
        // First the categories of each Region, then the Regions with the same categories.
        let mut by_region = BTreeMap::<_, BTreeSet<EventCategory>>::new();
        for gap in self.gaps {
            let EventPart {
                categories,
                read_only,
                event_sources,
            } = gap.events;
            let span = (gap.range.end(), gap.range.start());
            let key = (
                (
                    std::cmp::Reverse(span),
                    gap.account,
                    gap.backend,
                    gap.reason,
                ),
                (read_only, event_sources),
                gap.regions,
            );
            by_region.entry(key).or_default().extend(categories);
        }
        let mut by_part = BTreeMap::<_, BTreeSet<Region>>::new();
        for ((place, part, regions), categories) in by_region {
            by_part
                .entry((place, part, categories))
                .or_default()
                .extend(regions);
        }
        let gaps = by_part
            .into_iter()
            .filter_map(|((place, part, categories), regions)| {
                let (std::cmp::Reverse((end, start)), account, backend, reason) = place;
                let (read_only, event_sources) = part;
                Some(Gap {
                    account,
                    regions: regions.into_iter().collect(),
                    range: TimeRange::new(start, end)?,
                    events: EventPart {
                        categories,
                        read_only,
                        event_sources,
                    },
                    backend,
                    reason,
                })
            });
        gaps.collect()
    }
}

/// The scans that read an interval of a store: slices where each is a query of its own.
fn targets(
    store: Store<'_>,
    range: TimeRange,
    order: SearchOrder,
    accounts: &BTreeSet<AccountId>,
    regions: &BTreeSet<Region>,
    routing: &Routing,
) -> Vec<(TimeRange, ScanTarget)> {
    let log_group = match store {
        Store::Archive(archive) => {
            let target = ScanTarget::Athena {
                archive: Arc::clone(archive),
                accounts: accounts.clone(),
                regions: Some(regions.clone()),
            };
            let slices = slices(range, routing.first_slice, order).into_iter();
            return slices.map(|slice| (slice, target.clone())).collect();
        }
        Store::LogGroup(log_group) => log_group,
    };
    let target = |method| ScanTarget::Logs {
        log_group: Arc::clone(log_group),
        method,
        accounts: accounts.clone(),
        regions: regions.clone(),
    };
    let filtered = match log_group.read_with {
        ReadLogsWith::Insights => None,
        ReadLogsWith::Auto if range.duration() >= routing.insights_min_interval => None,
        ReadLogsWith::Auto | ReadLogsWith::FilterLogEvents => range.from(filterable_from()),
    };
    let queried = filtered.map_or(Some(range), |filtered| range.before(filtered.start()));
    let slices = queried.map(|range| slices(range, routing.first_slice, order));
    let queries = slices.into_iter().flatten();
    filtered
        .map(|range| (range, target(LogsMethod::FilterLogEvents)))
        .into_iter()
        .chain(queries.map(|slice| (slice, target(LogsMethod::Insights))))
        .collect()
}

/// `FilterLogEvents` reads newest first (`startFromHead` false) only from the beginning of 2024 on.
#[must_use]
pub fn filterable_from() -> EventTime {
    EventTime::floor(Timestamp::constant(1_704_067_200, 0))
}

/// Accounts that need the same Regions and categories, together.
fn combine<'a>(
    pieces: impl Iterator<Item = &'a Stored>,
) -> BTreeMap<Together, BTreeSet<AccountId>> {
    let mut categories = BTreeMap::<(AccountId, &Region), BTreeSet<EventCategory>>::new();
    for piece in pieces {
        let place = (piece.account, &piece.region);
        categories.entry(place).or_default().insert(piece.category);
    }
    let mut regions = BTreeMap::<(AccountId, BTreeSet<EventCategory>), BTreeSet<Region>>::new();
    for ((account, region), categories) in categories {
        let place = regions.entry((account, categories)).or_default();
        place.insert(region.clone());
    }
    let mut together = BTreeMap::<Together, BTreeSet<AccountId>>::new();
    for ((account, categories), regions) in regions {
        together
            .entry((regions, categories))
            .or_default()
            .insert(account);
    }
    together
}

/// A gap of the Regions that could not be learned: all but those that are read nevertheless.
fn unknown_regions(
    query: &EventQuery,
    router: &Router<'_>,
    account: &AccountFacts,
    reason: &Reason,
) -> Gap {
    let mut gap = nowhere(query, router, account.id, "");
    gap.reason = reason.clone();
    gap
}

/// A gap of everything that was asked of an account.
fn nowhere(query: &EventQuery, router: &Router<'_>, account: AccountId, why: &str) -> Gap {
    Gap {
        account,
        regions: query.regions.clone(),
        range: router.range,
        events: EventPart {
            categories: query.filter.categories().iter().copied().collect(),
            read_only: None,
            event_sources: None,
        },
        backend: None::<BackendKind>,
        reason: Reason::new(ReasonCode::NoBackend, why),
    }
}
