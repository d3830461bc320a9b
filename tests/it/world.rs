//! The whole service beside a sandbox: what tests of the whole share.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use identity_trail::assembly::Assembly;
use identity_trail::caller::Caller;
use identity_trail::config::Config;
use identity_trail::federation::HubCredentials;
use identity_trail::plan::ScanOutcome;
use identity_trail::query::{
    AccountSelector, AskedRange, Case, Event, EventFilter, EventQuery, EventTime, Identity,
    RecordView, Region, SearchOrder, TimeRange,
};
use identity_trail::sandbox::logs::{LOG_GROUP_NAME, LOG_GROUP_REGION};
use identity_trail::sandbox::{Sandbox, SandboxConfig};
use identity_trail::search::{PlanAnnouncement, SearchItem, SearchStream, Summary};
use serde_json::{Value, json};

/// How the service beside the sandbox is configured.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The one archive, if there is one.
    pub archive: Option<ArchiveSetup>,
    /// How the sandbox's log group is read, if it is.
    pub log_group: Option<LogGroupSetup>,
    /// Whether accounts have only the Regions that occur in their own records, not all Regions.
    pub own_regions: bool,
    /// `limits.scan_stall_timeout`.
    pub stall_timeout: &'static str,
    /// `routing.first_slice`.
    pub first_slice: &'static str,
    /// `routing.max_lookup_pages`.
    pub max_lookup_pages: u64,
}

/// The sandbox's log group, which holds everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogGroupSetup {
    /// `read_with`.
    pub read_with: &'static str,
    /// `log_group`.
    pub log_group: &'static str,
    /// The account that is asked for it; none is the one that it lies in.
    pub account: Option<&'static str>,
}

impl LogGroupSetup {
    /// The log group, read with this API.
    pub fn read_with(read_with: &'static str) -> Self {
        Self {
            read_with,
            log_group: LOG_GROUP_NAME,
            account: None,
        }
    }
}

/// An archive over all that the sandbox holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchiveSetup {
    /// Which of the sandbox's tables.
    pub table: &'static str,
    /// `holds.first_day`.
    pub first_day: jiff::civil::Date,
    /// `verify_days`.
    pub verify_days: bool,
}

impl ArchiveSetup {
    /// An archive that declares to hold everything, and is believed: most tests' records are of a
    /// few days only.
    pub fn of(table: &'static str) -> Self {
        Self {
            table,
            first_day: jiff::civil::date(2000, 1, 1),
            verify_days: false,
        }
    }

    fn layout(self) -> &'static str {
        match self.table {
            "cloudtrail_by_account" => "account_region_date",
            "cloudtrail_projected" => "projected",
            "cloudtrail_by_region" | "cloudtrail_legacy" => "region_date",
            other => panic!("no table {other}"),
        }
    }
}

impl Default for Setup {
    /// Event history alone.
    fn default() -> Self {
        Self {
            archive: None,
            log_group: None,
            own_regions: true,
            stall_timeout: "30s",
            first_slice: "24h",
            max_lookup_pages: 1_000,
        }
    }
}

impl Setup {
    /// Event history, and this log group in slices of at least 90 days.
    pub fn with_log_group(log_group: LogGroupSetup) -> Self {
        Self {
            log_group: Some(log_group),
            first_slice: "2160h",
            ..Self::default()
        }
    }

    /// Event history, and this archive in slices of at least 90 days.
    pub fn with_archive(archive: ArchiveSetup) -> Self {
        Self {
            archive: Some(archive),
            first_slice: "2160h",
            ..Self::default()
        }
    }
}

/// The Regions that searches read, by account.
pub type Places = BTreeMap<String, BTreeSet<String>>;

/// A sandbox and the whole service beside it.
pub struct World {
    pub sandbox: Sandbox,
    pub assembly: Assembly,
    /// Every account of the federation and its Regions.
    pub places: Places,
}

impl World {
    /// Starts both: every account of the sandbox is federated.
    pub async fn start(sandbox: SandboxConfig, setup: &Setup) -> Self {
        let sandbox = Sandbox::start(sandbox).await.unwrap();
        let places = places(&sandbox, setup);
        let yaml = configuration(&sandbox, &places, setup).to_string();
        let config = Config::parse(&yaml, "test").unwrap_or_else(|error| panic!("{error}"));
        let hub = sandbox.hub_credentials();
        let hub = HubCredentials {
            access_key_id: hub.access_key_id.clone(),
            secret_access_key: hub.secret_access_key.clone(),
        };
        let assembly = Assembly::of(&config, Some(hub), sandbox.clock())
            .await
            .unwrap();
        Self {
            sandbox,
            assembly,
            places,
        }
    }

    /// Begins a search.
    pub fn search(&self, query: EventQuery) -> SearchStream {
        let search =
            self.assembly
                .engine
                .search(query, std::sync::Arc::new(Caller::in_process()), None);
        search.unwrap_or_else(|refusal| panic!("{refusal}"))
    }

    /// Runs a search to its summary.
    pub async fn ask(&self, query: EventQuery) -> Answer {
        Answer(self.search(query).collect().await)
    }

    /// LookupEvents calls that the sandbox has received.
    pub fn lookups(&self) -> u64 {
        self.sandbox.stats().of("LookupEvents").received
    }
}

/// All that a search said.
#[derive(Debug)]
pub struct Answer(pub Vec<SearchItem>);

impl Answer {
    pub fn plan(&self) -> &PlanAnnouncement {
        match self.0.first() {
            Some(SearchItem::Plan(plan)) => plan,
            other => panic!("the first message is the plan, not {other:?}"),
        }
    }

    pub fn summary(&self) -> &Summary {
        match self.0.last() {
            Some(SearchItem::Summary(summary)) => summary,
            other => panic!("the last message is the summary, not {other:?}"),
        }
    }

    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.0.iter().filter_map(|item| match item {
            SearchItem::Event { event, .. } => Some(&**event),
            _ => None,
        })
    }

    /// All outcomes, as the summary has them.
    pub fn outcomes(&self) -> &[ScanOutcome] {
        &self.summary().coverage.outcomes
    }

    /// Whether nothing is missing.
    pub fn complete(&self) -> bool {
        self.summary().coverage.completeness() == identity_trail::plan::Completeness::Complete
    }
}

/// A question about `identities`, of everything in `range`, records included, roles exactly. Users are
/// looked up by their names: exactly, everything would have to be read for them.
pub fn question(identities: Vec<Identity>, range: TimeRange) -> EventQuery {
    let is_user = |identity: &Identity| match identity {
        Identity::UserName(_) => true,
        Identity::Arn(arn) => arn.to_string().contains(":user/"),
        _ => false,
    };
    EventQuery {
        exact_roles: !identities.iter().any(is_user),
        identities,
        case: Case::Kept,
        range,
        asked_range: AskedRange::default(),
        account_ids: Vec::new(),
        account_selector: AccountSelector::default(),
        regions: Vec::new(),
        filter: EventFilter::default(),
        order: SearchOrder::default(),
        record_view: RecordView::Full,
        max_events: None,
        backends: Vec::new(),
        max_scan_bytes: None,
        progress_interval: None,
        resume: None,
    }
}

/// The interval between two times as CloudTrail writes them.
pub fn range(start: &str, end: &str) -> TimeRange {
    let time = |text: &str| EventTime::floor(text.parse().unwrap());
    TimeRange::new(time(start), time(end)).unwrap()
}

fn places(sandbox: &Sandbox, setup: &Setup) -> Places {
    let mut places: Places = (sandbox.accounts().iter())
        .map(|account| (account.id.clone(), BTreeSet::new()))
        .collect();
    for file in sandbox.files() {
        let regions = places.entry(file.account_id.clone()).or_default();
        for record in &file.records {
            let region = record.aws_region().unwrap_or(&file.region);
            if region.parse::<Region>().is_ok() {
                regions.insert(region.to_owned());
            }
        }
    }
    let all: BTreeSet<String> = places.values().flatten().cloned().collect();
    for regions in places.values_mut() {
        if !setup.own_regions || regions.is_empty() {
            regions.clone_from(&all);
        }
    }
    places
}

fn configuration(sandbox: &Sandbox, places: &Places, setup: &Setup) -> Value {
    let region = places.values().flatten().next();
    let accounts = places.iter().map(|(id, regions)| {
        let mut account = json!({"id": id, "regions": regions});
        if id == sandbox.hub_account_id() {
            account["credentials"] = json!("hub");
        }
        account
    });
    let archives = setup.archive.iter().map(|archive| {
        json!({
            "name": "archive",
            "account": sandbox.hub_account_id(),
            "region": region,
            "credentials": "hub",
            "database": "cloudtrail_logs",
            "table": archive.table,
            "output_location": "s3://results/",
            "partitions": {"layout": archive.layout()},
            "verify_days": archive.verify_days,
            "holds": {"accounts": "all", "first_day": archive.first_day.to_string()},
        })
    });
    let log_groups = setup.log_group.iter().map(|group| {
        let mut log_group = json!({
            "name": "group",
            "account": group.account.unwrap_or(sandbox.hub_account_id()),
            "region": LOG_GROUP_REGION,
            "log_group": group.log_group,
            "holds": {"accounts": "all", "first_day": "2000-01-01"},
            "read_with": group.read_with,
        });
        if group.account.is_none() {
            log_group["credentials"] = json!("hub");
        }
        log_group
    });
    json!({
        "hub": {"region": region, "endpoint_url": sandbox.endpoint()},
        "accounts": {
            "defaults": {"role_name": sandbox.role_name()},
            "list": accounts.collect::<Vec<_>>(),
        },
        "regions": [region],
        "event_history": {"requests_per_second": "off"},
        "archives": archives.collect::<Vec<_>>(),
        "log_groups": log_groups.collect::<Vec<_>>(),
        "routing": {
            "first_slice": setup.first_slice,
            "max_lookup_pages": setup.max_lookup_pages,
        },
        "limits": {
            "scan_stall_timeout": setup.stall_timeout,
            "concurrent_searches": 1000,
            "filter_log_events_per_second": "off",
        },
    })
}
