//! Whatever the facts: every instant of every (account, Region, category) is in exactly one scan
//! or gap, and nobody is asked beyond its reach.

use proptest::prelude::*;

use super::*;
use crate::plan::accepted::Accepted;
use crate::plan::facts::{AcceptedGap, Routing};
use crate::plan::hand_over::{Divided, Receiver, ReceiverStore, Rest, Rests, Taking};
use crate::plan::{QueryPlan, Scan, ScanId, ScanTarget, plan};
use crate::query::{BackendKind, EventId, EventKey, ResumePoint};

const REGIONS: [&str; 3] = ["eu-west-1", "us-east-1", "ap-south-1"];
const SERVICES: [&str; 3] = ["kms.amazonaws.com", "iam.amazonaws.com", "s3.amazonaws.com"];
const CATEGORIES: [EventCategory; 4] = [
    EventCategory::Management,
    EventCategory::Data,
    EventCategory::NetworkActivity,
    EventCategory::Insight,
];

/// One kind of event at one place and second.
#[derive(Debug, Clone, Copy)]
struct Instant<'a> {
    account: AccountId,
    region: &'a Region,
    time: EventTime,
    category: EventCategory,
    read_only: bool,
    service: &'a str,
}

/// Whether an archive or a log group declares that it holds such an event.
fn declares(holds: &Declared, it: Instant<'_>) -> bool {
    (holds.accounts.as_ref()).is_none_or(|a| a.contains(&it.account))
        && (holds.regions.as_ref()).is_none_or(|r| r.contains(it.region))
        && holds.first_time <= it.time
        && holds.categories.contains(&it.category)
        && (if it.read_only {
            holds.reads
        } else {
            holds.writes
        })
        && !holds.excluded_event_sources.contains(it.service)
}

/// How many scans and gaps answer for an event.
fn owners(plan: &QueryPlan, it: Instant<'_>) -> usize {
    let scans = plan.scans.iter().filter(|scan| {
        let there = match &scan.target {
            ScanTarget::EventHistory {
                account, region, ..
            } => *account == it.account && region == it.region,
            ScanTarget::Logs {
                log_group,
                accounts,
                regions,
                ..
            } => {
                accounts.contains(&it.account)
                    && regions.contains(it.region)
                    && declares(&log_group.holds, it)
            }
            ScanTarget::Athena {
                archive,
                accounts,
                regions,
            } => {
                accounts.contains(&it.account)
                    && regions
                        .as_ref()
                        .is_none_or(|regions| regions.contains(it.region))
                    && declares(&archive.holds, it)
                    && archive.table.is_ok()
            }
        };
        there && scan.range.contains(it.time) && scan.categories.contains(&it.category)
    });
    let gaps = plan.gaps.iter().filter(|gap| {
        gap.account == it.account
            && gap.regions.contains(it.region)
            && gap.range.contains(it.time)
            && gap.events.categories.contains(&it.category)
            && gap
                .events
                .read_only
                .is_none_or(|read_only| read_only == it.read_only)
            && (gap.events.event_sources.as_ref()).is_none_or(|of| of.contains(it.service))
    });
    scans.count() + gaps.count()
}

fn subset<T: Clone + std::fmt::Debug + Ord + 'static>(
    all: Vec<T>,
) -> impl Strategy<Value = BTreeSet<T>> {
    let most = all.len();
    proptest::sample::subsequence(all, 0..=most).prop_map(|some| some.into_iter().collect())
}

fn all_regions() -> Vec<Region> {
    REGIONS.map(region).into()
}

fn some_accounts() -> impl Strategy<Value = Vec<AccountFacts>> {
    let some = (subset(all_regions()), any::<bool>());
    proptest::collection::vec(some, 1..4).prop_map(|accounts| {
        let facts = (1..)
            .zip(accounts)
            .map(|(number, (regions, event_history))| AccountFacts {
                event_history,
                ..AccountFacts::new(account(number), regions.into_iter().collect())
            });
        facts.collect()
    })
}

/// A time within 200 days before now, or near the horizon, or just now; any second.
fn some_time() -> impl Strategy<Value = EventTime> {
    let near = |hours: i64| (-7200..7200_i64).prop_map(move |s| ago(hours).plus(s));
    prop_oneof![
        (0..200 * 86_400_i64).prop_map(|s| ago(0).plus(-s)),
        near(HORIZON),
        near(1)
    ]
}

fn some_holds() -> impl Strategy<Value = Declared> {
    let declared = (
        proptest::option::of(subset((1..4).map(account).collect())),
        proptest::option::of(subset(all_regions())),
        some_time(),
        (any::<bool>(), any::<bool>()),
        subset(SERVICES.map(str::to_owned).into()),
        subset(CATEGORIES.into()),
    );
    declared.prop_map(
        |(accounts, regions, first_time, kinds, excluded, categories)| Declared {
            accounts,
            regions,
            first_time,
            reads: kinds.0,
            writes: kinds.1,
            excluded_event_sources: excluded,
            categories,
        },
    )
}

fn some_accepted_gap() -> impl Strategy<Value = AcceptedGap> {
    let places = (
        proptest::option::of(subset((1..4).map(account).collect())),
        proptest::option::of(subset(all_regions())),
    );
    (places, any::<bool>()).prop_map(|((accounts, regions), over)| AcceptedGap {
        accounts,
        regions,
        reason: "closed".into(),
        until: if over {
            jiff::civil::date(2026, 11, 21)
        } else {
            jiff::civil::date(2026, 11, 22)
        },
    })
}

fn some_archive() -> impl Strategy<Value = ArchiveFacts> {
    let unusable = || {
        let code = crate::plan::ReasonCode::Throttled;
        Err(crate::plan::Reason::new(code, "no"))
    };
    (some_holds(), prop::bool::weighted(0.8)).prop_map(move |(holds, usable)| {
        let facts = archive("archive");
        ArchiveFacts {
            holds,
            table: if usable { facts.table } else { unusable() },
            ..facts
        }
    })
}

fn some_log_group() -> impl Strategy<Value = LogGroupFacts> {
    let read_with = prop_oneof![
        Just(ReadLogsWith::Auto),
        Just(ReadLogsWith::FilterLogEvents),
        Just(ReadLogsWith::Insights),
    ];
    (some_holds(), read_with).prop_map(|(holds, read_with)| LogGroupFacts {
        holds,
        read_with,
        ..log_group("logs")
    })
}

fn some_facts() -> impl Strategy<Value = Facts> {
    let stores = (
        proptest::collection::vec(some_archive(), 0..4),
        proptest::collection::vec(some_log_group(), 0..3),
    );
    // Delays beyond the horizon too.
    let delay = prop_oneof![0..100_i64, Just(HORIZON), (HORIZON - 3)..(HORIZON + 3)];
    let lengths = (1..3_000_i64, 0..3_000_i64);
    let accepted = proptest::collection::vec(some_accepted_gap(), 0..3);
    let parts = (some_accounts(), stores, accepted, delay, lengths);
    parts.prop_map(
        |(accounts, (archives, log_groups), accepted, delay, (slice, insights))| Facts {
            accounts,
            accepted_gaps: accepted.into(),
            archives: archives.into_iter().map(Arc::new).collect(),
            log_groups: log_groups.into_iter().map(Arc::new).collect(),
            routing: Routing {
                archive_delay: SignedDuration::from_hours(delay),
                settle_time: SignedDuration::from_mins(30),
                first_slice: SignedDuration::from_mins(slice * 7),
                insights_min_interval: SignedDuration::from_hours(insights),
                ..Routing::default()
            },
        },
    )
}

fn some_query() -> impl Strategy<Value = EventQuery> {
    let identity = prop_oneof![Just(user("alice")), Just(role("Admin"))];
    let backends = vec![
        BackendKind::EventHistory,
        BackendKind::Logs,
        BackendKind::Athena,
    ];
    let resume = proptest::option::of((proptest::option::of(some_time()), some_time()));
    let filter = (
        subset(CATEGORIES.into()),
        subset(SERVICES.map(str::to_owned).into()),
    );
    (
        identity,
        (some_time(), some_time()),
        subset((1..5).map(account).collect()),
        subset(all_regions()),
        subset(backends),
        filter,
        (resume, any::<bool>()),
    )
        .prop_map(
            |(identity, (a, b), accounts, regions, backends, filter, (resume, oldest_first))| {
                EventQuery {
                    order: if oldest_first {
                        SearchOrder::OldestFirst
                    } else {
                        SearchOrder::NewestFirst
                    },
                    range: TimeRange::new(a.min(b), a.max(b).plus(1)).unwrap(),
                    account_ids: accounts.into_iter().collect(),
                    regions: regions.into_iter().collect(),
                    backends: backends.into_iter().collect(),
                    filter: EventFilter {
                        event_sources: filter.1.into_iter().collect(),
                        categories: filter.0.into_iter().collect(),
                        ..EventFilter::default()
                    },
                    resume: resume.map(|(position, horizon)| ResumePoint {
                        position: position.map(|time| EventKey {
                            time,
                            account: account(1),
                            id: EventId::Recorded("e".into()),
                        }),
                        horizon,
                        scope_digest: [0; 16],
                    }),
                    ..ask(identity, 1, 0)
                }
            },
        )
}

/// What is left of the interval on resumption.
fn left(query: &EventQuery) -> Option<TimeRange> {
    match query.resume.as_ref().and_then(|r| r.position.as_ref()) {
        Some(position) => query.order.rest(query.range, position.time),
        None => Some(query.range),
    }
}

/// The seconds where anything can change, and their neighbours.
fn interesting_times(query: &EventQuery, facts: &Facts, plan: &QueryPlan) -> Vec<EventTime> {
    let ends = |range: TimeRange| [range.start(), range.end()];
    let mut times: Vec<EventTime> = ends(query.range).to_vec();
    times.extend(
        facts
            .archives
            .iter()
            .map(|archive| archive.holds.first_time),
    );
    times.extend(facts.log_groups.iter().map(|group| group.holds.first_time));
    times.extend(plan.scans.iter().flat_map(|scan| ends(scan.range)));
    times.extend(plan.gaps.iter().flat_map(|gap| ends(gap.range)));
    times.push(plan.horizon);
    let around = times
        .into_iter()
        .flat_map(|time| [-1, 0, 1].map(|d| time.plus(d)));
    let mut times: Vec<EventTime> = around.collect();
    times.sort_unstable();
    times.dedup();
    times
}

/// A store is asked only for what it declares.
fn stays_within(
    holds: &Declared,
    scan: &Scan,
    accounts: &BTreeSet<AccountId>,
    regions: &BTreeSet<Region>,
) -> Result<(), TestCaseError> {
    prop_assert!(scan.range.start() >= holds.first_time);
    prop_assert!(scan.categories.is_subset(&holds.categories));
    prop_assert!((holds.accounts.as_ref()).is_none_or(|a| accounts.is_subset(a)));
    prop_assert!((holds.regions.as_ref()).is_none_or(|r| regions.is_subset(r)));
    Ok(())
}

/// What a store may not hold yet is not taken for settled.
fn is_settled(range: TimeRange, plan: &QueryPlan, facts: &Facts) -> Result<(), TestCaseError> {
    let delivered = ago(0).plus(-facts.routing.archive_delay.as_secs());
    prop_assert!(range.end() <= delivered || plan.settled_until <= delivered);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_instant_has_exactly_one_owner(query in some_query(), facts in some_facts()) {
        let plan = plan(&query, &facts, now());
        let left = left(&query);
        let times = interesting_times(&query, &facts, &plan);
        let regions = all_regions();
        for known in &facts.accounts {
            let asked = query.account_ids.is_empty() || query.account_ids.contains(&known.id);
            let configured = if query.regions.is_empty() { &known.regions } else { &query.regions };
            for region in &regions {
                for &time in &times {
                    for category in CATEGORIES {
                        for read_only in [true, false] {
                            for service in SERVICES {
                                let of_interest = query.filter.event_sources.is_empty()
                                    || query.filter.event_sources.iter().any(|s| s == service);
                                if !of_interest {
                                    continue;
                                }
                                let it = Instant { account: known.id, region, time, category, read_only, service };
                                let expected = asked
                                    && configured.contains(region)
                                    && left.is_some_and(|left| left.contains(time))
                                    && query.filter.categories().contains(&category);
                                prop_assert_eq!(owners(&plan, it), usize::from(expected), "{:?}", it);
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn nobody_is_asked_beyond_its_reach(query in some_query(), facts in some_facts()) {
        let plan = plan(&query, &facts, now());
        for scan in &plan.scans {
            prop_assert!(query.allows(scan.target.backend()));
            match &scan.target {
                ScanTarget::EventHistory { account, region, .. } => {
                    let accepted = Accepted::at(&facts.accepted_gaps, now());
                    prop_assert!(accepted.covering(*account, region).is_none());
                    prop_assert!(scan.range.start() >= plan.horizon);
                    prop_assert_eq!(&scan.categories, &BTreeSet::from([EventCategory::Management]));
                    let known = facts.accounts.iter().find(|a| a.id == *account);
                    prop_assert!(known.is_some_and(|known| known.event_history));
                }
                ScanTarget::Logs { log_group, accounts, regions, .. } => {
                    stays_within(&log_group.holds, scan, accounts, regions)?;
                    is_settled(scan.range, &plan, &facts)?;
                }
                ScanTarget::Athena { archive, accounts, regions } => {
                    prop_assert!(archive.table.is_ok());
                    let regions = regions.as_ref().expect("always named");
                    stays_within(&archive.holds, scan, accounts, regions)?;
                    is_settled(scan.range, &plan, &facts)?;
                }
            }
        }
    }

    /// Wherever a scan of event history ends: every second of its rest is given to one receiver or
    /// kept, and nobody is given what it may not hold or may not be asked.
    #[test]
    fn every_second_of_a_rest_is_given_once_or_kept(
        query in some_query(),
        facts in some_facts(),
        at in prop::collection::vec(0.0..1.0_f64, 1..6),
        holds_all in any::<bool>(),
    ) {
        let plan = plan(&query, &facts, now());
        let delivered = ago(0).plus(-facts.routing.archive_delay.as_secs());
        let taking = if holds_all { Taking::WhoHoldsAll } else { Taking::Anyone };
        for (scan, at) in plan.scans.iter().zip(at.iter().cycle()) {
            #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
            let read = (scan.range.duration().as_secs() as f64 * at) as i64;
            let Some(rest) = query.order.rest(scan.range, query.order.skip(scan.range, read)) else {
                continue;
            };
            let Divided { given, kept } = plan.receivers.divide(scan.id, rest, taking);
            let ranges = given.iter().map(|(_, range)| *range).chain(kept.iter().copied());
            let seconds: i64 = ranges.clone().map(|range| range.duration().as_secs()).sum();
            prop_assert_eq!(seconds, rest.duration().as_secs());
            prop_assert!(rest.without(ranges).is_empty());
            for (id, range) in given {
                let ScanTarget::EventHistory { account, region, .. } = &scan.target else {
                    panic!("only event history hands over");
                };
                prop_assert!(range.end() <= delivered);
                let receiver = plan.receivers.get(id);
                prop_assert!(!holds_all || receiver.lacks.is_empty());
                let rest = Rest { account: *account, region: region.clone(), range };
                let rests = Rests::of(rest);
                let took_over = receiver.scan(ScanId(0), &rests, SignedDuration::ZERO);
                prop_assert!(query.allows(took_over.target.backend()));
                let (holds, accounts, regions) = match &took_over.target {
                    ScanTarget::Logs { log_group, accounts, regions, .. } => (&log_group.holds, accounts, regions),
                    ScanTarget::Athena { archive, accounts, regions } => {
                        prop_assert!(archive.table.is_ok());
                        (&archive.holds, accounts, regions.as_ref().expect("always named"))
                    }
                    ScanTarget::EventHistory { .. } => panic!("handed over to itself"),
                };
                stays_within(holds, &took_over, accounts, regions)?;
                prop_assert!(!plan.receivers.names(scan.id).is_empty());
            }
        }
    }

    /// The one scan that takes rests over owns every second of them, and no other.
    #[test]
    fn one_scan_owns_all_rests_and_nothing_else(
        rests in prop::collection::vec((1..4_u64, 0..3_usize, 0..40_i64, 1..20_i64), 1..12),
    ) {
        let mut owned = BTreeSet::new();
        let mut all: Option<Rests> = None;
        for (number, place, start, length) in rests {
            // As scans are: no two own a second of the same account and Region.
            let seconds = start..start + length;
            if seconds.clone().any(|second| owned.contains(&(number, place, second))) {
                continue;
            }
            owned.extend(seconds.map(|second| (number, place, second)));
            let second = |second| EventTime::from_second(second).unwrap();
            let range = TimeRange::new(second(start), second(start + length)).unwrap();
            let rest = Rest { account: account(number), region: region(REGIONS[place]), range };
            match &mut all {
                Some(all) => all.add(rest),
                None => all = Some(Rests::of(rest)),
            }
        }
        let facts = with(facts(), archive("archive"));
        let receiver = Receiver {
            store: ReceiverStore::Archive(Arc::clone(&facts.archives[0])),
            lacks: Vec::new(),
        };
        let scan = receiver.scan(ScanId(7), &all.expect("the first is always one"), SignedDuration::ZERO);
        let shares = scan.shares.as_ref().expect("it took over");
        for number in 1..4_u64 {
            for (place, name) in REGIONS.iter().enumerate() {
                for second in -1..61_i64 {
                    let time = EventTime::from_second(second).unwrap();
                    let owners = shares.iter().filter(|share| {
                        share.accounts.contains(&account(number))
                            && share.regions.contains(&region(name))
                            && share.range.contains(time)
                    });
                    let owners = owners.count();
                    prop_assert_eq!(owners, usize::from(owned.contains(&(number, place, second))));
                    prop_assert!(owners == 0 || scan.range.contains(time));
                }
            }
        }
    }

    #[test]
    fn plans_are_ordered_numbered_and_deterministic(query in some_query(), mut facts in some_facts()) {
        let plan_1 = plan(&query, &facts, now());
        let order = query.order;
        prop_assert!(plan_1.scans.is_sorted_by_key(|scan| order.rank(order.first(scan.range))));
        prop_assert!((0..).zip(&plan_1.scans).all(|(number, scan)| scan.id.0 == number));
        facts.accounts.reverse();
        prop_assert_eq!(plan_1, plan(&query, &facts, now()));
    }

    #[test]
    fn slices_double_and_tile(
        (start, length) in (-1_000_000_000..2_000_000_000_i64, 1..400_000_000_i64),
        first in 0..10_000_000_i64,
        order in prop::sample::select(vec![SearchOrder::NewestFirst, SearchOrder::OldestFirst]),
    ) {
        let start = EventTime::from_second(start).unwrap();
        let range = TimeRange::new(start, start.plus(length)).unwrap();
        let slices = crate::plan::slices::slices(range, SignedDuration::from_secs(first), order);
        let mut next = order.first(range);
        let mut expected = first.max(1);
        for (number, slice) in slices.iter().enumerate() {
            prop_assert_eq!(order.first(*slice), next);
            let last = number + 1 == slices.len();
            let length = slice.duration().as_secs();
            prop_assert!(length == expected || (last && length < expected));
            next = order.beyond(*slice);
            expected *= 2;
        }
        prop_assert_eq!(next, order.beyond(range));
    }

    /// The two streams of a resumed search plan the whole between them, under one horizon.
    #[test]
    fn resuming_only_cuts(query in some_query(), facts in some_facts()) {
        let resumed = plan(&query, &facts, now());
        let Some(left) = left(&query) else {
            prop_assert!(resumed.scans.is_empty() && resumed.gaps.is_empty());
            return Ok(());
        };
        let mut whole = query.clone();
        if let Some(resume) = &mut whole.resume {
            resume.position = None;
        }
        let whole = plan(&whole, &facts, now());
        prop_assert_eq!(resumed.horizon, whole.horizon);
        prop_assert_eq!(resumed.range, left);
        let within = |plan: &QueryPlan| -> BTreeSet<(String, EventTime, EventTime)> {
            let scans = plan.scans.iter().filter(|s| s.target.backend() == BackendKind::EventHistory);
            let cut = scans.filter_map(|scan| {
                let range = scan.range.intersect(left)?;
                Some((format!("{:?}", scan.target), range.start(), range.end()))
            });
            cut.collect()
        };
        prop_assert_eq!(within(&resumed), within(&whole));
        prop_assert!(resumed.scans.iter().all(|scan| scan.range.intersect(left) == Some(scan.range)));
        // What archives were to be read for before is named, and nothing else.
        let before = (query.resume.as_ref().and_then(|it| it.position.as_ref()))
            .and_then(|position| query.order.read(query.range, position.time));
        let times = interesting_times(&query, &facts, &whole);
        let archives = |scans: &[Scan]| -> BTreeSet<(String, EventTime, EventCategory)> {
            let mut served = BTreeSet::new();
            for scan in scans.iter().filter(|s| s.target.backend() == BackendKind::Athena) {
                for time in &times {
                    if scan.range.contains(*time) && before.is_some_and(|it| it.contains(*time)) {
                        let target = format!("{:?}", scan.target);
                        served.extend(scan.categories.iter().map(|it| (target.clone(), *time, *it)));
                    }
                }
            }
            served
        };
        prop_assert_eq!(archives(&resumed.read_before), archives(&whole.scans));
        let within_before = |scan: &Scan| before.and_then(|it| scan.range.intersect(it)) == Some(scan.range);
        prop_assert!(resumed.read_before.iter().all(within_before));
    }
}

/// A stream that goes on would otherwise miss the sessions that were issued before its first day.
#[test]
fn what_resumes_oldest_first_seeks_the_same_sessions() {
    let mut query = ask(role("Admin"), 72, 0);
    query.order = SearchOrder::OldestFirst;
    let seeks = |query: &EventQuery| -> BTreeSet<String> {
        let scans = plan(query, &facts(), now()).scans.into_iter();
        scans.map(|scan| format!("{:?}", scan.target)).collect()
    };
    let whole = seeks(&query);
    query.resume = Some(ResumePoint {
        position: Some(EventKey {
            time: ago(24),
            account: account(1),
            id: EventId::Recorded("e".into()),
        }),
        horizon: ago(90 * 24),
        scope_digest: [0; 16],
    });
    assert_eq!(seeks(&query), whole);
}
