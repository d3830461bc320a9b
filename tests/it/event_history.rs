//! The event history backend against the sandbox, over AWS's own protocols.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use identity_trail::backend::event_history::{EventHistory, SessionsFound};
use identity_trail::backend::{Backend, Page, ScanBudget, ScanError, ScanReader, SearchContext};
use identity_trail::caller::Caller;
use identity_trail::config::Config;
use identity_trail::federation::{Federation, HubCredentials};
use identity_trail::plan::{LookupAttribute, Lookups, ReasonCode, Scan, ScanId, ScanTarget};
use identity_trail::query::{
    AccountSelector, AskedRange, Case, Event, EventCategory, EventFilter, EventId, EventQuery,
    EventTime, RecordView, SearchOrder, TimeRange,
};
use identity_trail::sandbox::{Denial, FaultSettings, Sandbox, SandboxConfig};
use identity_trail::telemetry::Metrics;
use identity_trail::usage::InUse;
use serde_json::Value;

use crate::sandbox::{HUB, OTHER, REGION, config, record};

pub const NOW: &str = "2026-11-01T00:00:00Z";

/// A service's federation beside a sandbox, and its event history.
pub struct World {
    pub sandbox: Sandbox,
    pub federation: Arc<Federation>,
    backend: EventHistory,
}

impl World {
    pub async fn start(sandbox: SandboxConfig) -> Self {
        Self::start_with(sandbox, "30s", "off").await
    }

    /// With `limits.scan_stall_timeout` and `event_history.requests_per_second` set.
    pub async fn start_with(sandbox: SandboxConfig, stall_timeout: &str, rate: &str) -> Self {
        let sandbox = Sandbox::start(sandbox).await.unwrap();
        let yaml = format!(
            "hub:
  region: {REGION}
  endpoint_url: {}
accounts:
  defaults: {{role_name: {}}}
  list:
    - {{id: \"{HUB}\", name: hub, credentials: hub}}
    - {{id: \"{OTHER}\", name: other}}
regions: [{REGION}]
event_history: {{requests_per_second: {rate}}}
limits: {{scan_stall_timeout: {stall_timeout}}}
",
            sandbox.endpoint(),
            sandbox.role_name(),
        );
        Self::beside(sandbox, &yaml).await
    }

    /// With a configuration of the test's own.
    pub async fn beside(sandbox: Sandbox, yaml: &str) -> Self {
        let config = Config::parse(yaml, "test").unwrap();
        let hub = sandbox.hub_credentials();
        let hub = HubCredentials {
            access_key_id: hub.access_key_id.clone(),
            secret_access_key: hub.secret_access_key.clone(),
        };
        let federation = Arc::new(Federation::connect_as(&config, hub, &Metrics::new()).await);
        let stall_timeout = config.limits.scan_stall_timeout;
        let backend = EventHistory::new(Arc::clone(&federation), sandbox.clock(), stall_timeout);
        Self {
            sandbox,
            federation,
            backend,
        }
    }

    pub fn open(&self, region: &str, range: TimeRange, user: Option<&str>) -> Box<dyn ScanReader> {
        self.open_by(region, range, &by_users(user.as_slice()))
    }

    pub fn open_by(&self, region: &str, range: TimeRange, by: &Lookups) -> Box<dyn ScanReader> {
        self.open_in(SearchOrder::NewestFirst, region, range, by)
    }

    pub fn open_in(
        &self,
        order: SearchOrder,
        region: &str,
        range: TimeRange,
        by: &Lookups,
    ) -> Box<dyn ScanReader> {
        let search = search(range, order);
        self.backend.open(&scan(region, range, by), &search)
    }

    pub fn lookups(&self) -> u64 {
        self.sandbox.stats().of("LookupEvents").received
    }

    fn assumed(&self) -> u64 {
        self.sandbox.stats().of("AssumeRole").received
    }
}

pub fn time(text: &str) -> EventTime {
    EventTime::floor(text.parse().unwrap())
}

pub fn range(start: &str, end: &str) -> TimeRange {
    TimeRange::new(time(start), time(end)).unwrap()
}

pub fn october() -> TimeRange {
    range("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z")
}

/// `count` events of alice and bob, six in each second: pages end within seconds.
pub fn records(count: u32) -> Vec<Value> {
    (0..count)
        .map(|number| {
            let second = number / 6;
            let time = format!(
                "2026-10-20T{:02}:{:02}:{:02}Z",
                10 + second / 3600,
                second / 60 % 60,
                second % 60
            );
            record(number, &time, if number % 3 == 0 { "alice" } else { "bob" })
        })
        .collect()
}

/// What a scan brought, and how it ended.
pub struct Drained {
    pub events: Vec<Event>,
    pub pages: Vec<Page>,
    pub error: Option<ScanError>,
}

/// Reads to the end, and holds every page against the bounds before it.
pub async fn drain(mut reader: Box<dyn ScanReader>) -> Drained {
    let mut drained = Drained {
        events: Vec::new(),
        pages: Vec::new(),
        error: None,
    };
    let mut bound: Option<EventTime> = None;
    loop {
        let mut page = match reader.next_page().await {
            Ok(page) => page,
            Err(error) => {
                drained.error = Some(error);
                return drained;
            }
        };
        for event in &page.events {
            assert!(
                bound.is_none_or(|bound| event.key.time <= bound),
                "above the bound"
            );
        }
        assert_eq!(page.end, page.bound.is_none());
        assert!(
            page.end || bound.is_none() || page.bound <= bound,
            "the bound rose"
        );
        bound = page.bound;
        drained.events.append(&mut page.events);
        let end = page.end;
        drained.pages.push(page);
        if end {
            return drained;
        }
    }
}

/// The records that a scan must bring, by eventID.
pub fn expected(
    records: &[Value],
    range: TimeRange,
    user: Option<&str>,
) -> BTreeMap<String, usize> {
    let fits = |record: &&Value| {
        range.contains(time(record["eventTime"].as_str().unwrap()))
            && user.is_none_or(|user| record["userIdentity"]["userName"] == user)
    };
    let id = |record: &Value| record["eventID"].as_str().unwrap().to_owned();
    crate::sandbox::counts(records.iter().filter(fits).map(id))
}

/// None missing, none extra, none twice; says only what differs.
pub fn assert_same(events: &[Event], expected: &BTreeMap<String, usize>) {
    let found = crate::sandbox::counts(events.iter().map(|event| match &event.key.id {
        EventId::Recorded(id) => id.to_string(),
        EventId::Made { .. } => panic!("all of these records have ids"),
    }));
    let differing: BTreeMap<_, _> = found
        .keys()
        .chain(expected.keys())
        .filter(|id| found.get(*id) != expected.get(*id))
        .map(|id| (id, (found.get(id), expected.get(id))))
        .collect();
    assert!(differing.is_empty(), "found and expected: {differing:?}");
}

#[tokio::test]
async fn a_scan_brings_what_a_naive_scan_finds() {
    let records = records(400);
    let world = World::start(config(&records, NOW)).await;
    let second = |second: u32| format!("2026-10-20T10:00:{second:02}Z");
    for (range, user) in [
        (october(), None),
        (october(), Some("alice")),
        (october(), Some("nobody")),
        (range(&second(10), &second(50)), Some("bob")),
        (range(&second(10), &second(11)), None),
    ] {
        let drained = drain(world.open(REGION, range, user)).await;
        assert!(drained.error.is_none(), "{:?}", drained.error);
        assert_same(&drained.events, &expected(&records, range, user));
        let read: u64 = drained.pages.iter().map(|page| page.cost.events_read).sum();
        assert_eq!(read, drained.events.len() as u64);
    }
    assert_eq!(world.assumed(), 1, "one session serves all scans");
}

#[tokio::test]
async fn no_call_is_made_beyond_the_last_page_and_each_event_says_where_it_was_read() {
    let world = World::start(config(&records(120), NOW)).await;
    let drained = drain(world.open(REGION, october(), None)).await;
    assert_eq!(drained.pages.len(), 3);
    assert_eq!(world.lookups(), 3);
    for event in &drained.events {
        let provenance = &event.provenance;
        assert_eq!(provenance.account_name.as_deref(), Some("other"));
        assert_eq!(provenance.region.as_ref().unwrap().as_str(), REGION);
        assert!(provenance.aws_request_id.is_some());
    }
}

#[tokio::test]
async fn records_without_an_id_are_told_apart() {
    let mut twins = vec![record(1, "2026-10-20T10:00:00Z", "alice"); 3];
    for twin in &mut twins {
        twin.as_object_mut().unwrap().remove("eventID");
    }
    let world = World::start(config(&twins, NOW)).await;
    let drained = drain(world.open(REGION, october(), None)).await;
    let mut keys: Vec<_> = drained
        .events
        .iter()
        .map(|event| event.key.clone())
        .collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 3);
}

#[tokio::test]
async fn stale_tokens_and_pages_out_of_order_lose_and_repeat_nothing() {
    let records = records(1000);
    let mut sandbox = config(&records, NOW);
    sandbox.faults.stale_token = 40.try_into().unwrap();
    sandbox.faults.out_of_order = 30.try_into().unwrap();
    let world = World::start(sandbox).await;
    let drained = drain(world.open(REGION, october(), None)).await;
    assert!(drained.error.is_none(), "{:?}", drained.error);
    assert_same(&drained.events, &expected(&records, october(), None));
    assert!(world.sandbox.stats().of("LookupEvents").refused > 0);
}

/// Alice's and bob's events are all there are; half of them come by their name again.
pub fn overlapping() -> Lookups {
    let users = ["alice", "bob", "nobody"].map(|user| LookupAttribute::Username(user.into()));
    let name = LookupAttribute::EventName("DescribeInstances".into());
    users.into_iter().chain([name]).collect()
}

#[tokio::test]
async fn several_lookups_are_one_scan_without_copies() {
    let records = records(400);
    let world = World::start(config(&records, NOW)).await;
    for (by, users) in [
        (by_users(&["alice", "bob", "nobody"]), None),
        (by_users(&["alice", "nobody"]), Some("alice")),
        (by_users(&["carol", "nobody"]), Some("nobody")),
        (overlapping(), None),
    ] {
        let drained = drain(world.open_by(REGION, october(), &by)).await;
        assert!(drained.error.is_none(), "{:?}", drained.error);
        assert_same(&drained.events, &expected(&records, october(), users));
    }
}

#[tokio::test]
async fn records_without_an_id_are_told_apart_in_several_lookups() {
    let mut twins = vec![record(1, "2026-10-20T10:00:00Z", "alice"); 3];
    for twin in &mut twins {
        twin.as_object_mut().unwrap().remove("eventID");
    }
    let world = World::start(config(&twins, NOW)).await;
    let drained = drain(world.open_by(REGION, october(), &overlapping())).await;
    assert_eq!(drained.events.len(), 3);
}

#[tokio::test]
async fn several_lookups_outlast_stale_tokens_disorder_throttles_and_resets() {
    let records = records(600);
    let mut sandbox = config(&records, NOW);
    sandbox.faults.stale_token = 30.try_into().unwrap();
    sandbox.faults.out_of_order = 30.try_into().unwrap();
    sandbox.faults.throttle = 10.try_into().unwrap();
    sandbox.faults.reset = 3.try_into().unwrap();
    let world = World::start(sandbox).await;
    let drained = drain(world.open_by(REGION, october(), &overlapping())).await;
    assert!(drained.error.is_none(), "{:?}", drained.error);
    assert_same(&drained.events, &expected(&records, october(), None));
    let requests: u64 = drained.pages.iter().map(|page| page.cost.requests).sum();
    assert_eq!(requests, world.lookups(), "every attempt is counted");
}

#[tokio::test]
async fn several_lookups_read_no_further_ahead_than_a_page_each() {
    let world = World::start(config(&records(1000), NOW)).await;
    let mut reader = world.open_by(REGION, october(), &by_users(&["alice", "bob"]));
    let mut bound = october().last();
    for _ in 0..6 {
        let page = reader.next_page().await.unwrap();
        let now = page.bound.unwrap();
        let oldest = page.events.iter().map(|event| event.key.time).min();
        // Six events a second, two thirds of them bob's: a page is at most 25 seconds.
        assert!(oldest.is_none_or(|oldest| oldest.plus(25) >= bound || bound == october().last()));
        bound = now;
    }
}

#[tokio::test]
async fn tokens_that_are_never_good_end_the_scan() {
    // More in one second than a page holds: without tokens there is no way past it.
    let crowd: Vec<Value> = (0..200)
        .map(|number| record(number, "2026-10-20T10:00:00Z", "alice"))
        .collect();
    let mut sandbox = config(&crowd, NOW);
    sandbox.page_token_uses = Some(0);
    let world = World::start(sandbox).await;
    let drained = drain(world.open(REGION, october(), None)).await;
    let error = drained.error.unwrap();
    assert_eq!(error.reason.code, ReasonCode::AwsError);
    assert_eq!(
        error.reason.aws_code.as_deref(),
        Some("InvalidNextTokenException")
    );
    assert!(world.lookups() < 30);
}

#[tokio::test]
async fn throttles_and_resets_are_waited_out() {
    let records = records(400);
    let mut sandbox = config(&records, NOW);
    sandbox.faults.throttle = 20.try_into().unwrap();
    sandbox.faults.reset = 5.try_into().unwrap();
    let world = World::start(sandbox).await;
    let drained = drain(world.open(REGION, october(), None)).await;
    assert!(drained.error.is_none(), "{:?}", drained.error);
    assert_same(&drained.events, &expected(&records, october(), None));
    let requests: u64 = drained.pages.iter().map(|page| page.cost.requests).sum();
    let throttles: u64 = drained.pages.iter().map(|page| page.cost.throttles).sum();
    let stats = world.sandbox.stats().of("LookupEvents");
    assert_eq!(requests, stats.received, "every attempt is counted");
    assert_eq!(throttles, stats.throttled);
}

#[tokio::test]
async fn a_denied_account_says_who_denies_it() {
    for (denial, at_sts, at_cloudtrail) in [
        (
            Denial::NotAllowed,
            ReasonCode::AssumeRoleDenied,
            ReasonCode::AccessDenied,
        ),
        (
            Denial::ServiceControlPolicy,
            ReasonCode::DeniedByServiceControlPolicy,
            ReasonCode::DeniedByServiceControlPolicy,
        ),
    ] {
        let world = World::start(config(&records(10), NOW)).await;
        let deny = |faults: &mut FaultSettings| {
            faults.denied_accounts.insert(OTHER.into(), denial);
        };
        // Four Regions ask at once; AWS is asked once.
        world.sandbox.faults().change(deny);
        let scans = (0..4).map(|_| drain(world.open(REGION, october(), None)));
        for drained in futures::future::join_all(scans).await {
            let reason = drained.error.unwrap().reason;
            assert_eq!(reason.code, at_sts, "{reason:?}");
            assert!(reason.aws_code.is_some() && reason.aws_message.is_some());
            assert!(reason.aws_request_id.is_some());
        }
        assert_eq!(world.assumed(), 1);

        // A session from before does not help.
        let world = World::start(config(&records(10), NOW)).await;
        assert!(
            drain(world.open(REGION, october(), None))
                .await
                .error
                .is_none()
        );
        world.sandbox.faults().change(deny);
        let reason = drain(world.open(REGION, october(), None))
            .await
            .error
            .unwrap()
            .reason;
        assert_eq!(reason.code, at_cloudtrail, "{reason:?}");
    }
}

#[tokio::test]
async fn a_scan_outlives_its_sessions() {
    let records = records(400);
    let mut sandbox = config(&records, NOW);
    sandbox.faults.credential_lifetime = Some(Duration::from_secs(2));
    sandbox.faults.latency = Duration::from_millis(400);
    let world = World::start(sandbox).await;
    let drained = drain(world.open(REGION, october(), None)).await;
    assert!(drained.error.is_none(), "{:?}", drained.error);
    assert_same(&drained.events, &expected(&records, october(), None));
    assert!(world.assumed() > 1);
}

#[tokio::test]
async fn a_region_that_does_not_answer_ends_its_own_scan_only() {
    let mut sandbox = config(&records(10), NOW);
    sandbox.faults.dead_regions.insert("eu-south-1".into());
    let world = World::start_with(sandbox, "2s", "off").await;
    let dead = drain(world.open("eu-south-1", october(), None)).await;
    assert_eq!(dead.error.unwrap().reason.code, ReasonCode::Unresponsive);
    let alive = drain(world.open(REGION, october(), None)).await;
    assert!(alive.error.is_none(), "{:?}", alive.error);
}

#[tokio::test]
async fn a_disabled_region_does_not_apply() {
    let mut sandbox = config(&records(10), NOW);
    sandbox.faults.disabled_regions.insert("eu-south-1".into());
    let world = World::start(sandbox).await;
    let error = drain(world.open("eu-south-1", october(), None))
        .await
        .error
        .unwrap();
    assert!(error.not_applicable);
    assert_eq!(error.reason.code, ReasonCode::RegionDisabled);
}

#[tokio::test]
async fn a_service_that_is_gone_is_unreachable() {
    let World {
        sandbox,
        backend,
        federation,
    } = World::start(config(&records(10), NOW)).await;
    let key = "ASIAEXAMPLE123456789".parse().unwrap();
    drop(sandbox);
    assert!(federation.access_key_owner(&key).await.is_err());
    let error = drain(backend.open(
        &scan(REGION, october(), &Lookups::Whole),
        &search(october(), SearchOrder::default()),
    ))
    .await
    .error
    .unwrap();
    assert_eq!(error.reason.code, ReasonCode::Unreachable, "{error:?}");
}

#[tokio::test]
async fn what_the_horizon_has_passed_is_said_not_hidden() {
    // 90 days before the sandbox's now is 2026-08-03T00:00:00Z, and moves on from there.
    let old = record(1, "2026-08-02T23:59:00Z", "alice");
    let young = record(2, "2026-08-10T00:00:00Z", "alice");
    let world = World::start(config(&[old, young], NOW)).await;
    let asked = range("2026-08-02T00:00:00Z", "2026-11-01T00:00:00Z");
    for by in [by_users(&[]), by_users(&["alice", "bob"])] {
        let drained = drain(world.open_by(REGION, asked, &by)).await;
        assert_eq!(drained.events.len(), 1);
        let error = drained.error.unwrap();
        assert_eq!(error.reason.code, ReasonCode::AgedOut);
        let covered_from = error.stopped_at.unwrap().plus(1);
        assert!(covered_from >= time("2026-08-03T00:00:00Z"));
        assert!(covered_from < time("2026-08-03T01:00:00Z"));
    }

    // All of it: AWS is not even asked.
    let lookups = world.lookups();
    let asked = range("2026-07-01T00:00:00Z", "2026-08-01T00:00:00Z");
    let error = drain(world.open(REGION, asked, None)).await.error.unwrap();
    assert_eq!(error.reason.code, ReasonCode::AgedOut);
    assert_eq!(error.stopped_at, Some(asked.last()));
    assert_eq!(world.lookups(), lookups);
}

/// A lookup for each user; without any, everything.
pub fn by_users(users: &[&str]) -> Lookups {
    let usernames = users
        .iter()
        .map(|user| LookupAttribute::Username((*user).into()));
    usernames.collect()
}

/// A scan of [`OTHER`].
fn scan(region: &str, range: TimeRange, lookups: &Lookups) -> Scan {
    Scan {
        id: ScanId(0),
        target: ScanTarget::EventHistory {
            account: OTHER.parse().unwrap(),
            region: region.parse().unwrap(),
            lookups: lookups.clone(),
        },
        range,
        categories: [EventCategory::Management].into(),
        shares: None,
    }
}

fn search(range: TimeRange, order: SearchOrder) -> Arc<SearchContext> {
    let query = EventQuery {
        identities: Vec::new(),
        case: Case::Kept,
        range,
        asked_range: AskedRange::default(),
        account_ids: Vec::new(),
        account_selector: AccountSelector::default(),
        regions: Vec::new(),
        filter: EventFilter::default(),
        order,
        record_view: RecordView::Full,
        max_events: None,
        exact_roles: false,
        backends: Vec::new(),
        max_scan_bytes: None,
        progress_interval: None,
        resume: None,
    };
    let caller = Caller::in_process();
    let in_use = InUse::unbounded(&caller);
    Arc::new(SearchContext {
        search_id: 1,
        caller: Arc::new(caller),
        query,
        deadline: None,
        scan_budget: ScanBudget::new(None, Arc::clone(&in_use)),
        in_use,
        sessions: SessionsFound::default(),
    })
}
