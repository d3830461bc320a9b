//! An Athena backend beside a sandbox, and questions to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use identity_trail::backend::athena::Athena;
use identity_trail::backend::{Backend, Page, ScanBudget, ScanError, ScanReader, SearchContext};
use identity_trail::caller::Caller;
use identity_trail::config::Config;
use identity_trail::federation::{Federation, HubCredentials};
use identity_trail::plan::facts::ArchiveFacts;
use identity_trail::plan::{Scan, ScanId, ScanTarget};
use identity_trail::query::{
    AccountId, AccountSelector, AskedRange, Case, Event, EventCategory, EventFilter, EventQuery,
    EventTime, Identity, RecordView, Region, SearchOrder, TimeRange,
};
use identity_trail::sandbox::{Account, Data, Sandbox, SandboxConfig};
use identity_trail::telemetry::Metrics;
use identity_trail::usage::InUse;
use tokio::time::timeout;

use crate::athena_records::{self, ACCOUNTS, NOW, OUTSIDER};
use crate::oracle::{self, Seen};
use crate::sandbox::{HUB, REGION};
/// The table with the older columns.
const OLDER: &str = "cloudtrail_legacy";

/// The sandbox's tables, as archives.
const ARCHIVES: [(&str, &str); 4] = [
    ("cloudtrail_by_region", "region_date"),
    ("cloudtrail_by_account", "account_region_date"),
    ("cloudtrail_projected", "projected"),
    (OLDER, "region_date"),
];

/// Queries that one archive runs at a time.
pub const QUERIES: u8 = 4;

/// A service's Athena backend beside a sandbox.
pub struct World {
    pub sandbox: Sandbox,
    pub athena: Athena,
    /// All records, as the documented table shows them, and as the older one does.
    documented: Vec<Event>,
    older: Vec<Event>,
}

impl World {
    pub async fn start(sandbox: SandboxConfig) -> Self {
        Self::start_with(sandbox, "30m").await
    }

    pub async fn start_with(sandbox: SandboxConfig, query_timeout: &str) -> Self {
        let sandbox = Sandbox::start(sandbox).await.unwrap();
        let hub_account = sandbox.hub_account_id().to_owned();
        let mut yaml = format!(
            "hub: {{region: {REGION}, endpoint_url: \"{}\"}}\n\
             accounts:\n  defaults: {{role_name: {}}}\n  list:\n    \
             - {{id: \"{hub_account}\", name: hub, credentials: hub}}\n\
             regions: [{REGION}]\narchives:\n",
            sandbox.endpoint(),
            sandbox.role_name(),
        );
        let holds = "holds: {accounts: all, first_day: 2012-01-01, categories: [management, data]}";
        let older = "holds: {accounts: all, first_day: 2012-01-01}";
        let archives = ARCHIVES.iter().chain(&[("no_such_table", "projected")]);
        for (table, layout) in archives {
            let holds = if *table == OLDER { older } else { holds };
            writeln!(
                yaml,
                "  - {{name: {table}, account: \"{hub_account}\", region: {REGION}, \
                 database: cloudtrail_logs, table: {table}, partitions: {{layout: {layout}}}, \
                 {holds}, output_location: \"s3://results/x/\", max_concurrent_queries: {QUERIES}, \
                 query_timeout: {query_timeout}}}"
            )
            .unwrap();
        }
        let config = Config::parse(&yaml, "test").unwrap();
        let hub = sandbox.hub_credentials();
        let hub = HubCredentials {
            access_key_id: hub.access_key_id.clone(),
            secret_access_key: hub.secret_access_key.clone(),
        };
        let federation = Arc::new(Federation::connect_as(&config, hub, &Metrics::new()).await);
        let athena = Athena::new(&config, &federation);
        Self {
            documented: oracle::events(sandbox.files(), true),
            older: oracle::events(sandbox.files(), false),
            sandbox,
            athena,
        }
    }

    /// What a naive scan over the records finds.
    pub fn naive(&self, table: &str, ask: &Ask) -> BTreeMap<Seen, usize> {
        let records = if table == OLDER {
            &self.older
        } else {
            &self.documented
        };
        oracle::counted(records.iter().filter(|event| ask.admits(event)))
    }

    /// Every table gives, for these questions, what a naive scan over the records gives. Returns
    /// how many events that is in each question's fullest table.
    pub async fn assert_same_as_naive(&self, asks: &[Ask]) -> Vec<usize> {
        let questions = asks.iter().enumerate().flat_map(|question| {
            let tables = ARCHIVES.iter().map(|(table, _)| *table);
            tables.map(move |table| (question, table))
        });
        let checks = questions.map(|((number, ask), table)| async move {
            if table == OLDER && ask.filter.categories() != [EventCategory::Management] {
                return (number, 0);
            }
            let expected = self.naive(table, ask);
            let found = self.read(table, ask).await.seen(ask);
            assert_eq!(found, expected, "{table}: {:?}", ask.identities);
            (number, expected.values().sum())
        });
        let mut found = vec![0; asks.len()];
        let mut checks = stream::iter(checks).buffer_unordered(3 * usize::from(QUERIES));
        while let Some((number, events)) = checks.next().await {
            found[number] = found[number].max(events);
        }
        found
    }

    pub async fn archive(&self, name: &str) -> Arc<ArchiveFacts> {
        let archives = self.athena.archives(Duration::from_secs(30)).await;
        let found = archives.into_iter().find(|archive| &*archive.name == name);
        found.unwrap()
    }

    pub async fn open(&self, archive: &str, ask: &Ask) -> Box<dyn ScanReader> {
        let archive = self.archive(archive).await;
        self.athena.open(&ask.scan(&archive), &ask.search())
    }

    pub async fn read(&self, archive: &str, ask: &Ask) -> Drained {
        drain_in(ask.order, self.open(archive, ask).await).await
    }

    /// Waits until the sandbox has seen this.
    pub async fn until(&self, what: &str, seen: impl Fn(&Sandbox) -> bool) {
        let wait = async {
            while !seen(&self.sandbox) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(20), wait).await.expect(what);
    }

    pub async fn until_stopped(&self, queries: u64) {
        self.until("the queries are stopped", |sandbox| {
            let stats = sandbox.athena_stats();
            stats.stopped == queries && stats.active == 0
        })
        .await;
    }
}

/// A question to one archive.
#[derive(Clone)]
pub struct Ask {
    pub identities: Vec<Identity>,
    pub range: TimeRange,
    pub accounts: BTreeSet<AccountId>,
    pub regions: Option<BTreeSet<Region>>,
    pub filter: EventFilter,
    pub order: SearchOrder,
    pub record_view: RecordView,
    pub max_scan_bytes: Option<u64>,
}

impl Ask {
    pub fn of(identity: Identity) -> Self {
        Self {
            identities: vec![identity],
            range: range("2026-08-01T00:00:00Z", "2026-10-01T00:00:00Z"),
            accounts: ACCOUNTS.iter().map(|id| id.parse().unwrap()).collect(),
            regions: None,
            filter: EventFilter::default(),
            order: SearchOrder::default(),
            record_view: RecordView::Fields,
            max_scan_bytes: None,
        }
    }

    pub fn scan(&self, archive: &Arc<ArchiveFacts>) -> Scan {
        Scan {
            id: ScanId(0),
            target: ScanTarget::Athena {
                archive: Arc::clone(archive),
                accounts: self.accounts.clone(),
                regions: self.regions.clone(),
            },
            range: self.range,
            categories: self.filter.categories().iter().copied().collect(),
            shares: None,
        }
    }

    fn query(&self) -> EventQuery {
        EventQuery {
            identities: self.identities.clone(),
            case: Case::Kept,
            range: self.range,
            asked_range: AskedRange::default(),
            account_ids: Vec::new(),
            account_selector: AccountSelector::default(),
            regions: Vec::new(),
            filter: self.filter.clone(),
            order: self.order,
            record_view: self.record_view,
            max_events: None,
            exact_roles: false,
            backends: Vec::new(),
            max_scan_bytes: self.max_scan_bytes,
            progress_interval: None,
            resume: None,
        }
    }

    pub fn search(&self) -> Arc<SearchContext> {
        let caller = Caller::in_process();
        let in_use = InUse::unbounded(&caller);
        Arc::new(SearchContext {
            search_id: 1,
            caller: Arc::new(caller),
            query: self.query(),
            deadline: None,
            scan_budget: ScanBudget::new(self.max_scan_bytes, Arc::clone(&in_use)),
            in_use,
            sessions: identity_trail::backend::event_history::SessionsFound::default(),
        })
    }

    /// The one predicate of the whole request, as the search applies it to what a scan returns.
    pub fn admits(&self, event: &Event) -> bool {
        let region = event.aws_region.as_deref();
        let in_region = self.regions.as_ref().is_none_or(|regions| {
            region.is_some_and(|name| regions.iter().any(|known| known.as_str() == name))
        });
        self.range.contains(event.key.time)
            && self.accounts.contains(&event.key.account)
            && in_region
            && self.filter.admits_category(event.category)
            && self.query().condition().holds(event)
    }
}

/// What a scan brought, and how it ended.
pub struct Drained {
    pub events: Vec<Event>,
    pub pages: Vec<Page>,
    pub error: Option<ScanError>,
}

impl Drained {
    pub fn requests(&self) -> u64 {
        self.pages.iter().map(|page| page.cost.requests).sum()
    }

    /// The events of the answer, each as often as it came.
    pub fn seen(&self, ask: &Ask) -> BTreeMap<Seen, usize> {
        assert_eq!(self.error, None);
        let unreadable: u64 = (self.pages.iter())
            .map(|page| page.cost.unreadable_records)
            .sum();
        assert_eq!(unreadable, 0);
        oracle::counted(self.events.iter().filter(|event| ask.admits(event)))
    }
}

/// Reads to the end, and holds every page against the bounds before it.
pub async fn drain(reader: Box<dyn ScanReader>) -> Drained {
    drain_in(SearchOrder::NewestFirst, reader).await
}

/// The same for a scan in this order.
pub async fn drain_in(order: SearchOrder, mut reader: Box<dyn ScanReader>) -> Drained {
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
            let in_order = |bound| order.rank(event.key.time) >= order.rank(bound);
            assert!(bound.is_none_or(in_order));
        }
        assert_eq!(page.end, page.bound.is_none());
        bound = page.bound;
        drained.events.append(&mut page.events);
        let end = page.end;
        drained.pages.push(page);
        if end {
            return drained;
        }
    }
}

fn time(text: &str) -> EventTime {
    EventTime::floor(text.parse().unwrap())
}

pub fn range(start: &str, end: &str) -> TimeRange {
    TimeRange::new(time(start), time(end)).unwrap()
}

/// A sandbox that holds [`athena_records`].
pub fn sandbox() -> SandboxConfig {
    let accounts = [HUB].into_iter().chain(ACCOUNTS).chain([OUTSIDER]);
    let account = |id: &str| Account {
        id: id.to_owned(),
        name: id.to_owned(),
    };
    let mut config = SandboxConfig::new(Data::Files {
        accounts: accounts.map(account).collect(),
        files: athena_records::files(),
    });
    config.now = Some(NOW.parse().unwrap());
    config
}

/// The sets of the corpus that the tables are held against.
pub const CORPUS_SETS: [&str; 6] = [
    "custodian-fixtures",
    "invictus",
    "otrf-s3-breach",
    "panther-fixtures",
    "stratus",
    "traildiscover",
];

/// A question for each identity that occurs.
pub fn one_for_each_identity(world: &World) -> Vec<Ask> {
    let mut identities = oracle::identities(world.sandbox.files());
    // The accounts' identities are alike: the ARNs of one of them will do.
    let account = ACCOUNTS[1].parse().unwrap();
    identities.retain(|identity| match identity {
        Identity::Arn(arn) => arn.account == account,
        _ => true,
    });
    assert!(identities.len() > 20, "{identities:?}");
    identities.into_iter().map(Ask::of).collect()
}

/// A question about all identities at once, narrowed in each other way.
pub fn narrowed(world: &World) -> Vec<Ask> {
    let all = Ask {
        identities: oracle::identities(world.sandbox.files()),
        ..Ask::of(Identity::Root)
    };
    let regions = |names: &[&str]| Some(names.iter().map(|name| name.parse().unwrap()).collect());
    let filter = |change: fn(&mut EventFilter)| {
        let mut filter = EventFilter::default();
        change(&mut filter);
        filter
    };
    vec![
        Ask {
            accounts: [ACCOUNTS[1].parse().unwrap()].into(),
            ..all.clone()
        },
        Ask {
            regions: regions(&["us-east-1"]),
            ..all.clone()
        },
        Ask {
            regions: regions(&["eu-central-1", "eu-west-1"]),
            ..all.clone()
        },
        Ask {
            range: range("2026-08-31T23:30:00Z", "2026-09-01T00:00:01Z"),
            ..all.clone()
        },
        Ask {
            filter: filter(|filter| filter.event_names = vec!["GetObject".into()]),
            ..all.clone()
        },
        Ask {
            filter: filter(|filter| filter.event_sources = vec!["iam.amazonaws.com".into()]),
            ..all.clone()
        },
        Ask {
            filter: filter(|filter| filter.categories = vec![EventCategory::Data]),
            ..all.clone()
        },
        Ask {
            filter: filter(|filter| {
                filter.categories = vec![EventCategory::Management, EventCategory::Data];
            }),
            ..all
        },
    ]
}

/// Identities that one question may be about: what the service takes by default.
const TOGETHER: usize = 20;

/// A question for every `each`th identity of a corpus set, and for every `each`th group of them.
pub fn corpus_asks(world: &World, each: usize) -> Vec<Ask> {
    let files = world.sandbox.files();
    let identities = oracle::identities(files);
    let accounts: BTreeSet<AccountId> = (files.iter())
        .map(|file| file.account_id.parse().unwrap())
        .collect();
    let ask = |identities| Ask {
        identities,
        range: range("2012-01-01T00:00:00Z", "2026-11-01T00:00:00Z"),
        accounts: accounts.clone(),
        ..Ask::of(Identity::Root)
    };
    let some = identities.iter().step_by(each);
    let groups = identities.chunks(TOGETHER).step_by(each);
    some.map(|identity| ask(vec![identity.clone()]))
        .chain(groups.map(|group| ask(group.to_vec())))
        .collect()
}
