//! Filters, with an identity and without one, held against what the records say.

use std::collections::BTreeSet;

use identity_trail::query::{
    Access, BackendKind, Case, EventFilter, EventQuery, EventTime, Identity, SearchOrder, TimeRange,
};
use identity_trail::sandbox::{AthenaEngine, Data};
use serde_json::Value;

use super::corpus::{Present, sandbox};
use super::hold::most;
use super::naive::{Lake, Place, Stored};
use super::on_trino;
use crate::sandbox::corpus;
use crate::world::{ArchiveSetup, LogGroupSetup, Setup, World, question};

/// A filter and what it means.
struct Filtered {
    name: String,
    filter: EventFilter,
    /// Whether the record passes.
    passes: Box<dyn Fn(&Value) -> bool>,
}

fn filtered(
    name: impl Into<String>,
    change: impl FnOnce(&mut EventFilter),
    passes: impl Fn(&Value) -> bool + 'static,
) -> Filtered {
    let mut filter = EventFilter::default();
    change(&mut filter);
    Filtered {
        name: name.into(),
        filter,
        passes: Box::new(passes),
    }
}

/// Filters that stand without an identity, by values of the records.
fn of_events(records: &[&Value]) -> Vec<Filtered> {
    let values = |member: &str| -> BTreeSet<String> {
        let values = records.iter().filter_map(|record| record[member].as_str());
        values.map(str::to_owned).collect()
    };
    let some = |values: BTreeSet<String>| {
        let step = values.len().div_ceil(6).max(1);
        values.into_iter().step_by(step)
    };
    let mut all = Vec::new();
    for ip in some(values("sourceIPAddress")) {
        // Some addresses were made unreadable before they were published.
        let Ok(asked) = ip.parse() else { continue };
        all.push(filtered(
            format!("from {ip}"),
            |f| f.source_ips = vec![asked],
            move |record| record["sourceIPAddress"] == *ip,
        ));
    }
    let octet = |record: &Value| -> Option<u32> {
        let address: std::net::Ipv4Addr = record["sourceIPAddress"].as_str()?.parse().ok()?;
        Some(u32::from(address))
    };
    if let Some(address) = records.iter().find_map(|record| octet(record)) {
        for bits in [0, 9, 16, 27] {
            let shift = 32 - bits;
            let network = std::net::Ipv4Addr::from(address);
            let asked = format!("{network}/{bits}").parse().unwrap();
            all.push(filtered(
                format!("from {network}/{bits}"),
                |f| f.source_ips = vec![asked],
                move |record| {
                    let same = |other: u32| bits == 0 || other >> shift == address >> shift;
                    octet(record).is_some_and(same)
                },
            ));
        }
    }
    for name in some(values("eventName")) {
        let asked = name.clone();
        all.push(filtered(
            format!("called {name}"),
            |f| f.event_names = vec![asked, "NoSuchApi".into()],
            move |record| record["eventName"] == *name,
        ));
    }
    for id in some(values("eventID")) {
        let asked = id.clone();
        all.push(filtered(
            format!("event {id}"),
            |f| f.event_ids = vec![asked, "no-such-id".into()],
            move |record| record["eventID"] == *id,
        ));
    }
    all
}

/// Filters beside an identity.
fn of_calls() -> Vec<Filtered> {
    let reads = |record: &Value| {
        let flag = &record["readOnly"];
        *flag == true
            || flag
                .as_str()
                .is_some_and(|text| text.eq_ignore_ascii_case("true"))
    };
    let fails = |record: &Value| {
        record["errorCode"]
            .as_str()
            .is_some_and(|code| !code.is_empty())
    };
    let issues = |record: &Value| {
        let name = record["eventName"].as_str().unwrap_or_default();
        match record["eventSource"].as_str() {
            Some("sts.amazonaws.com") => {
                name.starts_with("AssumeRole")
                    || ["GetSessionToken", "GetFederationToken"].contains(&name)
            }
            Some("iam.amazonaws.com") => [
                "CreateAccessKey",
                "CreateLoginProfile",
                "UpdateLoginProfile",
            ]
            .contains(&name),
            Some("signin.amazonaws.com") => ["ConsoleLogin", "GetSigninToken"].contains(&name),
            Some("ecr.amazonaws.com") => name == "GetAuthorizationToken",
            Some("ec2.amazonaws.com") => name == "GetPasswordData",
            Some("ec2-instance-connect.amazonaws.com") => name.ends_with("SSHPublicKey"),
            _ => false,
        }
    };
    vec![
        filtered("reads", |f| f.access = vec![Access::Read], reads),
        filtered(
            "writes",
            |f| f.access = vec![Access::Write],
            move |r| !reads(r),
        ),
        filtered(
            "issues credentials",
            |f| f.access = vec![Access::IssuesCredentials],
            issues,
        ),
        filtered(
            "changes",
            |f| f.access = vec![Access::Write, Access::IssuesCredentials],
            move |record| !reads(record) || issues(record),
        ),
        filtered("fails", |f| f.errors_only = true, fails),
        filtered(
            "is denied",
            |f| {
                f.error_codes = vec!["AccessDenied".into(), "Client.UnauthorizedOperation".into()];
            },
            |r| {
                r["errorCode"] == "AccessDenied" || r["errorCode"] == "Client.UnauthorizedOperation"
            },
        ),
    ]
}

/// One set of the corpus behind a backend that holds all of it.
struct Held {
    world: World,
    lake: Lake,
    backend: BackendKind,
}

impl Held {
    async fn of(set: &str, backend: BackendKind) -> Option<Self> {
        let setup = match backend {
            BackendKind::Logs => Setup::with_log_group(LogGroupSetup::read_with("filter")),
            _ => Setup::with_archive(ArchiveSetup::of("cloudtrail_by_account")),
        };
        Self::with(setup, set, backend, AthenaEngine::DataFusion).await
    }

    async fn with(
        setup: Setup,
        set: &str,
        backend: BackendKind,
        athena_engine: AthenaEngine,
    ) -> Option<Self> {
        let data = Data::Logs(vec![corpus(set)?]);
        let probe = World::start(sandbox(data.clone(), 0), &Setup::default()).await;
        let lake = Lake::of(probe.sandbox.files());
        let present = match backend {
            BackendKind::EventHistory => Present::Soon,
            _ => Present::Late,
        };
        let setup = Setup {
            own_regions: false,
            stall_timeout: "5m",
            ..setup
        };
        let mut config = sandbox(data, present.of(&lake));
        config.athena_engine = athena_engine;
        config.logs.filter_rate = None;
        config.logs.retention_days = 36_500;
        let world = World::start(config, &setup).await;
        Some(Self {
            world,
            lake,
            backend,
        })
    }

    /// What the backend has within `range`: management events of the federation's places.
    fn stored(&self, range: TimeRange) -> Vec<&Stored> {
        let there = |stored: &&Stored| {
            let time = EventTime::from_second(stored.time).unwrap();
            let record = &stored.record;
            let management = match (&record["eventCategory"], self.backend) {
                (Value::String(category), _) => category == "Management",
                (_, BackendKind::EventHistory | BackendKind::Logs) => {
                    record["managementEvent"] != false
                }
                _ => true,
            };
            let regions = self.world.places.get(&super::naive::place(stored).account);
            let region = record["awsRegion"].as_str();
            let read = regions
                .zip(region)
                .is_some_and(|(all, it)| all.contains(it));
            range.contains(time) && management && read
        };
        self.lake.0.iter().filter(there).collect()
    }

    fn query(&self, identities: Vec<Identity>) -> EventQuery {
        let (first, last) = self.lake.span();
        let now = EventTime::ceil(self.world.sandbox.clock().now());
        let earliest = match self.backend {
            // An hour inside the horizon: it moves while the test runs.
            BackendKind::EventHistory => now.plus(3600 - 90 * 24 * 3600),
            // Names of log files tell whole minutes: some are from before their events.
            _ => EventTime::from_second(first - 60 * 60).unwrap(),
        };
        let end = EventTime::from_second(last + 1).unwrap();
        let range = TimeRange::new(earliest, end.min(now)).unwrap();
        let mut query = question(identities, range);
        query.backends = vec![self.backend];
        query
    }

    /// Asks, and holds the answer against the records that pass; returns how many do.
    async fn hold(&self, query: EventQuery, what: &str, passes: &dyn Fn(&Value) -> bool) -> usize {
        let order = query.order;
        let expected: BTreeSet<Place> = (self.stored(query.range).into_iter())
            .filter(|stored| passes(&stored.record))
            .map(super::naive::place)
            .collect();
        let answer = self.world.ask(query).await;
        assert!(answer.complete(), "{what}: {:?}", answer.outcomes());
        let found: Vec<Place> = answer.events().map(Place::of).collect();
        assert!(
            found.is_sorted_by(|a, b| order.compare(&a.order(), &b.order()).is_le()),
            "{what}: not {order:?}"
        );
        let found = BTreeSet::from_iter(found);
        let missing: Vec<_> = expected.difference(&found).take(3).collect();
        let extra: Vec<_> = found.difference(&expected).take(3).collect();
        assert!(
            missing.is_empty() && extra.is_empty(),
            "{what}, {:?}: {} found, {} expected; missing {missing:?}, extra {extra:?}",
            self.backend,
            found.len(),
            expected.len()
        );
        expected.len()
    }

    async fn filters(&self, user: &'static str) {
        let everybody = self.query(Vec::new());
        let stored = self.stored(everybody.range);
        let records: Vec<&Value> = stored.iter().map(|stored| &stored.record).collect();
        let mut events = 0;
        // Oldest first, event history reads in windows, which is dear: fewer questions unless all are asked.
        let every = match self.backend {
            BackendKind::EventHistory if most(1) == 1 => 5,
            _ => 2,
        };
        let mut orders = (1..).map(|question| match question % every {
            0 => SearchOrder::OldestFirst,
            _ => SearchOrder::NewestFirst,
        });
        for Filtered {
            name,
            filter,
            passes,
        } in of_events(&records)
        {
            let mut query = everybody.clone();
            query.filter = filter;
            query.order = orders.next().unwrap_or_default();
            events += self.hold(query, &name, &*passes).await;
        }
        assert!(events > 0);
        let identity = || vec![Identity::UserName(user.parse().unwrap())];
        let by_user = |who: &Value| who["type"] == "IAMUser" && who["userName"] == user;
        for Filtered {
            name,
            filter,
            passes,
        } in of_calls()
        {
            let mut query = self.query(identity());
            query.filter = filter;
            query.order = orders.next().unwrap_or_default();
            let both = |record: &Value| by_user(&record["userIdentity"]) && passes(record);
            self.hold(query, &name, &both).await;
        }
        // Names in any case.
        let shouted = user.to_uppercase();
        let mut query = self.query(vec![Identity::UserName(shouted.parse().unwrap())]);
        query.case = Case::Ignored;
        let found = self
            .hold(query, "in any case", &|record| {
                by_user(&record["userIdentity"])
            })
            .await;
        assert!(found > 0);
        let query = self.query(vec![Identity::UserName(shouted.parse().unwrap())]);
        assert_eq!(self.hold(query, "in its own case", &|_| false).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_history_keeps_to_every_filter() {
    if let Some(held) = Held::of("invictus", BackendKind::EventHistory).await {
        held.filters("benjamin").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_keeps_to_every_filter() {
    if let Some(held) = Held::of("invictus", BackendKind::Athena).await {
        held.filters("benjamin").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_on_trino_keeps_to_every_filter() {
    let Some(engine) = on_trino::trino().map(AthenaEngine::Trino) else {
        return;
    };
    let setup = Setup::with_archive(ArchiveSetup::of("cloudtrail_by_account"));
    if let Some(held) = Held::with(setup, "invictus", BackendKind::Athena, engine).await {
        held.filters("benjamin").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_group_keeps_to_every_filter() {
    // Of 2024: it can be read in pages too.
    for read_with in ["filter", "insights"] {
        let setup = Setup::with_log_group(LogGroupSetup::read_with(read_with));
        let engine = AthenaEngine::DataFusion;
        if let Some(held) = Held::with(setup, "stratus", BackendKind::Logs, engine).await {
            held.filters("christophe").await;
        }
    }
}

/// The how-to's case: who touched a user, a bucket or a role, whatever the call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acted_upon_is_found_by_every_backend() {
    for (set, backend) in [
        ("invictus", BackendKind::EventHistory),
        ("invictus", BackendKind::Athena),
        ("stratus", BackendKind::Logs),
    ] {
        let Some(held) = Held::of(set, backend).await else {
            return;
        };
        let query = held.query(Vec::new());
        let named = |record: &Value| -> Vec<String> {
            let parameters = ["userName", "bucketName", "roleName"];
            let names = parameters.map(|name| record["requestParameters"][name].as_str());
            names.into_iter().flatten().map(str::to_owned).collect()
        };
        let stored = held.stored(query.range);
        let names: BTreeSet<String> = (stored.iter())
            .flat_map(|stored| named(&stored.record))
            .filter(|name| !name.is_empty())
            .collect();
        assert!(names.len() > 3, "{names:?}");
        let step = names.len().div_ceil(8);
        for name in names.iter().step_by(step) {
            let mut query = query.clone();
            query.filter.resources = vec![name.parse().unwrap()];
            let answer = held.world.ask(query).await;
            assert!(answer.complete(), "{:?}", answer.outcomes());
            let found: BTreeSet<Place> = answer.events().map(Place::of).collect();
            for stored in &stored {
                let place = super::naive::place(stored);
                let text = stored.record.to_string();
                if named(&stored.record).contains(name) {
                    assert!(found.contains(&place), "{name} {backend:?}: {text}");
                } else if found.contains(&place) {
                    assert!(text.contains(name.as_str()), "{name} {backend:?}: {text}");
                }
            }
        }
    }
}
