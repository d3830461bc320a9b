//! A federation of scripted event histories: what each account and Region holds, how fast it
//! answers, and where it breaks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::archive::Archive;
use crate::backend::{Asks, Backend, Lost, Page, PageCost, ScanError, ScanReader, SearchContext};
use crate::caller::Caller;
use crate::clock::Clock;
use crate::plan::facts::{AccountFacts, ArchiveFacts, LogGroupFacts, Routing};
use crate::plan::{Inventory, Reason, ReasonCode, RoleReading, Scan, ScanTarget};
use crate::policy::Authorizer;
use crate::query::record::{ReadFrom, TextOrigin, parse_record};
use crate::query::{
    AccessKeyId, AccountId, AccountSelector, AskedRange, BackendKind, Case, Event, EventFilter,
    EventQuery, EventTime, Identity, Provenance, RecordView, Region, SearchOrder, TimeRange,
};
use crate::search::{
    AccountsView, Engine, EngineLimits, EngineParts, FactSource, SearchItem, Summary,
};
use crate::telemetry::Metrics;
use crate::usage::{Usage, UsageLimits};

/// The present of every scripted search, in epoch seconds.
pub const NOW: i64 = 1_790_000_000;

/// What one account's history does.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// Seconds before now at which events happened, with a number that makes the event's id.
    pub events: Vec<(i64, u32)>,
    /// Events to a page.
    pub page: usize,
    /// How many turns of the scheduler an answer takes.
    pub turns: usize,
    /// Never answer.
    pub dead: bool,
    /// Break instead of giving this page.
    pub breaks_at_page: Option<usize>,
    /// Say that this page had a record that is no event.
    pub unreadable_at_page: Option<usize>,
    /// Say from this page on that some of it is read by sessions.
    pub inferred_from_page: Option<usize>,
    /// Its turn never comes.
    pub no_turn: bool,
    /// Give the events as they are listed, in order or not.
    pub as_listed: bool,
    /// What lies longer than so many seconds before now has left this history.
    pub forgets: Option<i64>,
}

/// All histories, by account; one Region each.
pub struct FakeHistories {
    pub scripts: BTreeMap<AccountId, Script>,
    /// Permits for answers in flight, as a process has them.
    pub permits: Arc<Semaphore>,
    /// Answers given.
    pub answers: Arc<AtomicUsize>,
    /// Answers under way, and the most at once so far.
    pub under_way: Arc<UnderWay>,
}

/// How many do something at once.
#[derive(Default)]
pub struct UnderWay {
    now: AtomicUsize,
    pub most: AtomicUsize,
}

struct FakeReader {
    /// What is left, in reading order.
    rest: Vec<Event>,
    order: SearchOrder,
    bound: EventTime,
    /// What has left the history and is not told yet.
    forgotten: Option<TimeRange>,
    script: Script,
    page: usize,
    permits: Arc<Semaphore>,
    answers: Arc<AtomicUsize>,
    under_way: Arc<UnderWay>,
}

impl Backend for FakeHistories {
    fn asks(&self, scan: &Scan, query: &EventQuery) -> Result<Asks, Reason> {
        match &scan.target {
            ScanTarget::EventHistory { lookups, .. } => Ok(Asks::lookups(lookups, query)),
            other => Err(Reason::new(ReasonCode::Internal, format!("{other:?}"))),
        }
    }

    fn open(&self, scan: &Scan, search: &Arc<SearchContext>) -> Box<dyn ScanReader> {
        let order = search.query.order;
        let ScanTarget::EventHistory { account, .. } = &scan.target else {
            panic!("only event history is scripted");
        };
        let script = self.scripts.get(account).cloned().unwrap_or_default();
        let mut rest: Vec<Event> = script
            .events
            .iter()
            .map(|(ago, id)| event(*account, NOW - ago, *id))
            .filter(|event| scan.range.contains(event.key.time))
            .collect();
        let horizon = (script.forgets).and_then(|ago| EventTime::from_second(NOW - ago));
        rest.retain(|event| horizon.is_none_or(|horizon| event.key.time >= horizon));
        // In order, but the events of a second in none in particular.
        if !script.as_listed {
            rest.sort_by_key(|event| (order.rank(event.key.time), scrambled(event)));
        }
        Box::new(FakeReader {
            rest,
            order,
            bound: order.first(scan.range),
            forgotten: horizon.and_then(|horizon| scan.range.before(horizon)),
            script,
            page: 0,
            permits: Arc::clone(&self.permits),
            answers: Arc::clone(&self.answers),
            under_way: Arc::clone(&self.under_way),
        })
    }
}

#[async_trait]
impl ScanReader for FakeReader {
    async fn wait_for_turn(&mut self) {
        if self.script.no_turn {
            std::future::pending::<()>().await;
        }
    }

    async fn next_page(&mut self) -> Result<Page, ScanError> {
        let permit = self.permits.acquire().await.expect("never closed");
        let now = self.under_way.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.under_way.most.fetch_max(now, Ordering::Relaxed);
        turns(self.script.turns).await;
        self.under_way.now.fetch_sub(1, Ordering::Relaxed);
        drop(permit);
        if self.script.dead {
            std::future::pending::<()>().await;
        }
        self.answers.fetch_add(1, Ordering::Relaxed);
        let cost = PageCost {
            requests: 1,
            ..PageCost::default()
        };
        self.page += 1;
        if self.script.breaks_at_page == Some(self.page) {
            return Err(ScanError {
                reason: Reason::new(ReasonCode::AwsError, "scripted"),
                not_applicable: false,
                stopped_at: None,
                cost,
            });
        }
        let forgotten = self.forgotten.take();
        let aged_out = Reason::new(ReasonCode::AgedOut, "scripted");
        if let (Some(range), SearchOrder::OldestFirst) = (forgotten, self.order) {
            self.bound = range.end();
            return Ok(Page {
                cost,
                bound: Some(self.bound),
                lost: Some(Lost {
                    range,
                    reason: aged_out,
                }),
                ..Page::default()
            });
        }
        if let (Some(range), true) = (forgotten, self.rest.is_empty()) {
            return Err(ScanError {
                reason: aged_out,
                not_applicable: false,
                stopped_at: Some(range.last()),
                cost,
            });
        }
        self.forgotten = forgotten;
        let count = self.script.page.max(1).min(self.rest.len());
        let events: Vec<Event> = self.rest.drain(..count).collect();
        for event in &events {
            self.bound = self.order.later(self.bound, event.key.time);
        }
        let inferred = (self.script.inferred_from_page).is_some_and(|from| from <= self.page);
        Ok(Page {
            cost: PageCost {
                events_read: count as u64,
                unreadable_records: u64::from(self.script.unreadable_at_page == Some(self.page)),
                memory_bytes: count as u64 * 1_000,
                ..cost
            },
            end: self.rest.is_empty() && self.forgotten.is_none(),
            bound: Some(self.bound),
            events,
            role_reading: inferred.then(|| RoleReading {
                inferred,
                note: "complete for the sessions found".into(),
            }),
            lost: None,
        })
    }
}

/// A number that has nothing to do with the order.
pub(super) fn scrambled(event: &Event) -> usize {
    let id = event.request_id.as_deref().unwrap_or_default();
    id.len() * 7 + id.bytes().map(usize::from).sum::<usize>() % 13
}

/// What planning is told: these archives, and no key's owner.
struct Archives(Vec<Arc<ArchiveFacts>>);

#[async_trait]
impl FactSource for Archives {
    async fn archives(&self, _limit: Duration) -> Vec<Arc<ArchiveFacts>> {
        self.0.clone()
    }

    fn log_groups(&self) -> Vec<Arc<LogGroupFacts>> {
        Vec::new()
    }

    async fn key_owner(&self, _key: &AccessKeyId) -> Result<AccountId, Reason> {
        Err(Reason::new(ReasonCode::AwsError, "scripted"))
    }
}

/// Lets every other task have so many turns.
pub async fn turns(count: usize) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

/// An account's id by number.
pub fn account(number: usize) -> AccountId {
    AccountId::from_u64(111_100_000_000 + number as u64).unwrap()
}

/// One of alice's events.
pub fn event(account: AccountId, second: i64, id: u32) -> Event {
    let time = EventTime::from_second(second).unwrap();
    let json = format!(
        r#"{{"eventVersion":"1.08","eventTime":"{time}","eventSource":"iam.amazonaws.com",
        "eventName":"ListUsers","awsRegion":"us-east-1","eventID":"event-{id}","requestID":"r{id}",
        "recipientAccountId":"{account}","userIdentity":{{"type":"IAMUser","userName":"alice"}}}}"#
    );
    let read_from = ReadFrom {
        provenance: Provenance {
            backend: BackendKind::EventHistory,
            account_id: account,
            account_name: None,
            region: Some("us-east-1".parse().unwrap()),
            archive: None,
            log_group: None,
            aws_request_id: None,
            log_file: None,
        },
        origin: TextOrigin::Delivered,
        keep_record: false,
    };
    parse_record(&json, &read_from).unwrap()
}

pub fn test_caller() -> Arc<Caller> {
    Arc::new(Caller::in_process())
}

/// What did alice do in the last `seconds`?
pub fn query(seconds: i64) -> EventQuery {
    let end = EventTime::from_second(NOW).unwrap();
    EventQuery {
        identities: vec![Identity::UserName("alice".parse().unwrap())],
        case: Case::Kept,
        range: TimeRange::new(end.plus(-seconds), end).unwrap(),
        asked_range: AskedRange::default(),
        account_ids: Vec::new(),
        account_selector: AccountSelector::default(),
        regions: Vec::new(),
        filter: EventFilter::default(),
        order: SearchOrder::default(),
        record_view: RecordView::Fields,
        max_events: None,
        exact_roles: false,
        backends: Vec::new(),
        max_scan_bytes: None,
        progress_interval: None,
        resume: None,
    }
}

/// A scripted world.
pub struct World {
    pub engine: Engine,
    pub usage: Arc<Usage>,
    pub drain: CancellationToken,
    pub answers: Arc<AtomicUsize>,
    pub under_way: Arc<UnderWay>,
}

/// An engine over these histories with so many permits and so much page memory.
pub fn world(scripts: Vec<Script>, permits: usize, limits: EngineLimits) -> World {
    world_beside(scripts, permits, limits, Archive::default())
}

/// The same with an archive that holds events of its own.
pub fn world_beside(
    scripts: Vec<Script>,
    permits: usize,
    limits: EngineLimits,
    archive: Archive,
) -> World {
    world_routed(scripts, permits, limits, archive, Routing::default())
}

/// The same, routed so.
pub fn world_routed(
    scripts: Vec<Script>,
    permits: usize,
    limits: EngineLimits,
    archive: Archive,
    routing: Routing,
) -> World {
    let region: Region = "us-east-1".parse().unwrap();
    let answers = Arc::new(AtomicUsize::new(0));
    let accounts = (0..scripts.len())
        .map(|number| AccountFacts::new(account(number), vec![region.clone()]))
        .collect();
    let scripts = scripts
        .into_iter()
        .enumerate()
        .map(|(number, script)| (account(number), script));
    let histories = Arc::new(FakeHistories {
        scripts: scripts.collect(),
        permits: Arc::new(Semaphore::new(permits)),
        answers: Arc::clone(&answers),
        under_way: Arc::default(),
    });
    let under_way = Arc::clone(&histories.under_way);
    let drain = CancellationToken::new();
    let usage = Usage::new(UsageLimits::default());
    let engine = Engine::new(EngineParts {
        clock: Clock::starting_at(Timestamp::from_second(NOW).unwrap()),
        accounts: AccountsView::fixed(Inventory::of_list(accounts)),
        authorizer: Arc::new(Authorizer::allow_all()),
        accepted_gaps: Arc::default(),
        routing,
        limits,
        usage: Arc::clone(&usage),
        lookup_interval: Duration::from_millis(500),
        facts: Arc::new(Archives(archive.facts().into_iter().collect())),
        event_history: histories.clone(),
        logs: histories,
        athena: Arc::new(archive),
        drain: drain.clone(),
        metrics: Metrics::new(),
        spans_name_identities: false,
    });
    World {
        engine,
        usage,
        drain,
        answers,
        under_way,
    }
}

/// Runs a search to its end.
pub async fn collect(engine: &Engine, query: EventQuery) -> Vec<SearchItem> {
    engine
        .search(query, test_caller(), None)
        .unwrap()
        .collect()
        .await
}

/// The events among the items, as (seconds before now, account, id).
pub fn events_of(items: &[SearchItem]) -> Vec<(i64, AccountId, String)> {
    let events = items.iter().filter_map(|item| match item {
        SearchItem::Event { event, .. } => Some(event),
        _ => None,
    });
    events
        .map(|event| {
            let id = event.request_id.clone().unwrap_or_default();
            (NOW - event.key.time.second(), event.key.account, id)
        })
        .collect()
}

/// The summary, which must be the last item and the only one.
pub fn summary_of(items: &[SearchItem]) -> &Summary {
    let summaries = items
        .iter()
        .filter(|item| matches!(item, SearchItem::Summary(_)));
    assert_eq!(summaries.count(), 1);
    match items.last() {
        Some(SearchItem::Summary(summary)) => summary,
        other => panic!("the stream ended with {other:?}"),
    }
}
