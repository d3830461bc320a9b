//! An archive beside the scripted event histories: what it holds, and what reading it scans.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use proptest::prelude::*;

use super::fake::{
    NOW, account, collect, event, events_of, query, scrambled, summary_of, world_beside,
};
use crate::backend::{Asks, Backend, Page, PageCost, ScanError, ScanReader, SearchContext};
use crate::plan::facts::{ArchiveFacts, Declared, TableFacts};
use crate::plan::{Completeness, Reason, ReasonCode, Scan};
use crate::query::{
    AccountId, BackendKind, Event, EventCategory, EventQuery, EventTime, SearchOrder,
};
use crate::search::resume::ResumeToken;
use crate::search::{EngineLimits, StopReason};
use crate::usage::{Bounds, UsageLimits};

/// Bytes that each query scans.
const SCANNED: u64 = 100;
/// Events to a page.
const PAGE: usize = 7;

/// An archive of everything since 1970, if it holds anything.
#[derive(Debug, Clone, Default)]
pub struct Archive {
    /// Account, seconds before now, and the number that makes the event's id.
    pub events: Vec<(AccountId, i64, u32)>,
    /// A query that passes the byte limit is stopped, as one that runs for long is; else it ends.
    pub stopped: bool,
    /// Queries begun.
    pub queries: Arc<AtomicUsize>,
}

impl Archive {
    /// What it declares.
    pub fn facts(&self) -> Option<Arc<ArchiveFacts>> {
        let columns = [
            "eventid",
            "eventtime",
            "eventsource",
            "eventname",
            "eventcategory",
            "awsregion",
            "useridentity.type",
            "useridentity.username",
            "useridentity.principalid",
            "useridentity.arn",
            "useridentity.accountid",
            "useridentity.accesskeyid",
            "useridentity.sessioncontext.sessionissuer.type",
            "useridentity.sessioncontext.sessionissuer.username",
            "useridentity.sessioncontext.sessionissuer.arn",
            "recipientaccountid",
        ];
        let table = TableFacts {
            columns: columns.map(str::to_owned).into(),
            ..TableFacts::default()
        };
        (!self.events.is_empty()).then(|| {
            Arc::new(ArchiveFacts {
                name: "archive".into(),
                holds: Declared {
                    accounts: None,
                    regions: None,
                    first_time: EventTime::from_second(0).unwrap(),
                    reads: true,
                    writes: true,
                    excluded_event_sources: [].into(),
                    categories: [EventCategory::Management].into(),
                },
                bytes_per_day: None,
                partitioned_by_account: false,
                table: Ok(Arc::new(table)),
            })
        })
    }
}

struct ArchiveReader {
    rest: Vec<Event>,
    order: SearchOrder,
    bound: EventTime,
    started: bool,
    stopped: bool,
    search: Arc<SearchContext>,
    queries: Arc<AtomicUsize>,
}

impl Backend for Archive {
    fn asks(&self, scan: &Scan, _query: &EventQuery) -> Result<Asks, Reason> {
        let nothing = format!("nothing is planned for {scan:?}");
        Err(Reason::new(ReasonCode::Internal, nothing))
    }

    fn open(&self, scan: &Scan, search: &Arc<SearchContext>) -> Box<dyn ScanReader> {
        let order = search.query.order;
        let mut rest: Vec<Event> = (self.events.iter())
            .map(|(account, ago, id)| event(*account, NOW - ago, *id))
            .filter(|event| scan.range.contains(event.key.time))
            .collect();
        rest.sort_by_key(|event| (order.rank(event.key.time), scrambled(event)));
        Box::new(ArchiveReader {
            rest,
            order,
            bound: order.first(scan.range),
            started: false,
            stopped: self.stopped,
            search: Arc::clone(search),
            queries: Arc::clone(&self.queries),
        })
    }
}

#[async_trait]
impl ScanReader for ArchiveReader {
    async fn next_page(&mut self) -> Result<Page, ScanError> {
        let budget = &self.search.scan_budget;
        let mut cost = PageCost {
            requests: 1,
            ..PageCost::default()
        };
        if !std::mem::replace(&mut self.started, true) {
            let spent = budget.check().is_err();
            self.queries
                .fetch_add(usize::from(!spent), Ordering::Relaxed);
            if !spent {
                budget.spend(SCANNED);
                cost.bytes_scanned_total = SCANNED;
            }
            if spent || (self.stopped && budget.check().is_err()) {
                return Err(ScanError {
                    reason: budget.check().unwrap_err(),
                    not_applicable: false,
                    stopped_at: None,
                    cost,
                });
            }
            return Ok(Page {
                bound: Some(self.bound),
                cost,
                ..Page::default()
            });
        }
        let events: Vec<Event> = self.rest.drain(..PAGE.min(self.rest.len())).collect();
        for event in &events {
            self.bound = self.order.later(self.bound, event.key.time);
        }
        Ok(Page {
            end: self.rest.is_empty(),
            bound: (!self.rest.is_empty()).then_some(self.bound),
            events,
            cost,
            ..Page::default()
        })
    }
}

const DAY: i64 = 86_400;

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// `max_scan_bytes`, and what may be scanned a day, ends the answer where it ends the reading: going on with the token, with the
    /// same limit where queries end and with a higher one where they are stopped, is the whole
    /// answer.
    #[test]
    fn a_search_that_spent_its_bytes_goes_on_where_it_ended(
        events in prop::collection::vec((0..3_usize, 1..24 * DAY, 0..1_000_u32), 1..60),
        order in prop::sample::select(vec![SearchOrder::NewestFirst, SearchOrder::OldestFirst]),
        limit in 1..400_u64,
        stopped in any::<bool>(),
        by_day in any::<bool>(),
    ) {
        let mut events: Vec<_> =
            events.into_iter().map(|(number, ago, id)| (account(number), ago, id)).collect();
        events.sort_unstable();
        events.dedup_by_key(|(_, _, id)| *id);
        let mut ids = std::collections::HashSet::new();
        events.retain(|(_, _, id)| ids.insert(*id));
        let archive = Archive { events, stopped, ..Archive::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let histories = vec![super::fake::Script::default(); 3];
            let world = world_beside(histories, 2, EngineLimits::default(), archive);
            let ask = EventQuery {
                order,
                backends: vec![BackendKind::Athena],
                // Before what an archive may not hold yet.
                range: {
                    let range = query(25 * DAY).range;
                    range.before(range.end().plus(-2 * 3_600)).unwrap()
                },
                ..query(DAY)
            };
            let whole = collect(&world.engine, ask.clone()).await;
            prop_assert_eq!(summary_of(&whole).coverage.completeness(), Completeness::Complete);
            let (mut parts, mut rest, mut limit) = (Vec::new(), ask.clone(), limit);
            let mut spent = summary_of(&whole).bytes_scanned;
            for stream in 0.. {
                // The slices of a resumed search begin short again.
                prop_assert!(stream < 40, "the streams come no further");
                if by_day {
                    let process = Bounds { scan_bytes_per_day: Some(spent + limit), ..Bounds::default() };
                    world.usage.set_limits(UsageLimits { process, ..UsageLimits::default() });
                } else {
                    rest.max_scan_bytes = Some(limit);
                }
                let items = collect(&world.engine, rest.clone()).await;
                let summary = summary_of(&items);
                let claimed = summary.coverage.outcomes.iter().filter_map(|outcome| outcome.covered);
                let (claimed, seen) = (claimed.collect::<Vec<_>>(), events_of(&items));
                for event in events_of(&whole) {
                    let time = EventTime::from_second(NOW - event.0).unwrap();
                    let is_claimed = claimed.iter().any(|range| range.contains(time));
                    prop_assert!(
                        !is_claimed || seen.contains(&event) || parts.contains(&event),
                        "{:?} is claimed and was not sent", event
                    );
                }
                parts.extend(seen);
                if summary.stop_reason == StopReason::End {
                    break;
                }
                spent += summary.bytes_scanned;
                let by = if by_day { StopReason::Quota } else { StopReason::MaxScanBytes };
                prop_assert_eq!(summary.stop_reason, by);
                prop_assert_eq!(summary.quota.is_some(), by_day);
                let token = ResumeToken::decode(summary.resume_token.as_ref().unwrap()).unwrap();
                rest = EventQuery { range: token.range, resume: Some(token.point), ..ask.clone() };
                if stopped {
                    limit *= 2;
                }
            }
            prop_assert_eq!(parts, events_of(&whole));
            Ok(())
        })?;
    }
}
