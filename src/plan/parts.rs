//! Who serves which seconds, as scans: one of event history for each account, Region and interval, and
//! one of an archive or a log group for *all* accounts that it serves in an interval. What AWS runs a
//! query for is cut into slices that double in length from the end that is read first.
//!
//! | served | planned |
//! |---|---|
//! | accounts with different Regions | one scan of the archive or log group for each set of Regions: a scan's accounts and Regions are all combined |
//! | a log group | Logs Insights for an interval of at least `insights_min_interval`, else `FilterLogEvents`, unless the log group says which; never `FilterLogEvents` for what was logged before 2024, which it does not read newest first |
//! | `categories` that different backends serve | scans of the same seconds that own different categories |

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::facts::{AccountFacts, Facts, ReadLogsWith, Routing};
use super::holding::Store;
use super::lookups::Lookups;
use super::outcome::{Reason, ReasonCode};
use super::routing::{Owner, Piece, Router};
use super::scan::{EventPart, Gap, LogsMethod, Scan, ScanId, ScanTarget};
use super::slices::slices;
use crate::query::{
    AccountId, BackendKind, EventCategory, EventQuery, EventTime, Region, SearchOrder, TimeRange,
};

/// What the routing of all accounts and Regions yields.
#[derive(Default)]
pub(super) struct Parts {
    /// What event history serves.
    pub histories: Vec<(AccountId, Region, TimeRange)>,
    stored: Vec<Stored>,
    /// What nobody does.
    pub gaps: Vec<Gap>,
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
    /// Everything of one account.
    pub fn add_account(&mut self, query: &EventQuery, router: &Router<'_>, account: &AccountFacts) {
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

    /// Whether an archive or a log group is read for seconds from this time on.
    pub fn stores_are_read_after(&self, time: EventTime) -> bool {
        (self.stored.iter()).any(|piece| piece.range.end() > time)
    }

    /// All scans in reading order, numbered so.
    pub fn scans(
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
    pub fn of_archives(&self, router: &Router<'_>, range: TimeRange) -> Vec<Scan> {
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
    pub fn into_gaps(self) -> Vec<Gap> {
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
pub(super) fn nowhere(
    query: &EventQuery,
    router: &Router<'_>,
    account: AccountId,
    why: &str,
) -> Gap {
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
