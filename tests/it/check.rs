//! `CheckAccounts` over sockets: what is wrong is found, named and told apart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use identity_trail::assembly::Assembly;
use identity_trail::caller::Caller;
use identity_trail::check::{self, CheckItem};
use identity_trail::config::Config;
use identity_trail::federation::HubCredentials;
use identity_trail::grpc::Server;
use identity_trail::grpc::pb::check_accounts_response::Item;
use identity_trail::grpc::pb::identity_trail_service_client::IdentityTrailServiceClient;
use identity_trail::grpc::pb::{
    CheckAccountsRequest, CheckFinding, CheckProbe, CheckState, CheckSummary, ReasonCode,
};
use identity_trail::sandbox::athena::Queries;
use identity_trail::sandbox::{Denial, Sandbox, SandboxConfig, Selectors};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::transport::Channel;

use crate::log_days::{ACCOUNTS, REGION, sandbox};

/// A service over a sandbox, and a client of it.
pub struct World {
    pub sandbox: Sandbox,
    client: IdentityTrailServiceClient<Channel>,
    _server: Server,
    assembly: Assembly,
}

/// What a check said, by what was probed.
pub struct Report {
    pub findings: Vec<CheckFinding>,
    pub summary: CheckSummary,
}

impl World {
    async fn start(sandbox: SandboxConfig) -> Self {
        Self::with_archive(sandbox, &json!({})).await
    }

    /// With these keys of the archive's `holds` changed.
    async fn with_archive(sandbox: SandboxConfig, holds: &Value) -> Self {
        Self::configured(sandbox, |config| {
            for (key, value) in holds.as_object().unwrap() {
                config["archives"][0]["holds"][key] = value.clone();
            }
        })
        .await
    }

    pub async fn configured(sandbox: SandboxConfig, change: impl FnOnce(&mut Value)) -> Self {
        let sandbox = Sandbox::start(sandbox).await.unwrap();
        let mut config = json!({
            "hub": {"region": REGION, "endpoint_url": sandbox.endpoint()},
            "accounts": {
                "defaults": {"role_name": sandbox.role_name()},
                "list": ACCOUNTS.map(|id| json!({"id": id, "name": format!("name-{}", &id[..1])})),
            },
            "regions": [REGION, "us-east-1"],
            "event_history": {"requests_per_second": "off"},
            "archives": [{
                "name": "all",
                "account": ACCOUNTS[0],
                "region": REGION,
                "credentials": "hub",
                "database": "cloudtrail_logs",
                "table": "cloudtrail_by_account",
                "output_location": "s3://results/",
                "partitions": {"layout": "account_region_date"},
                "holds": {"accounts": "all", "first_day": "2026-10-25"},
            }],
        });
        change(&mut config);
        let config = Config::parse(&config.to_string(), "test").unwrap();
        let hub = sandbox.hub_credentials();
        let hub = HubCredentials {
            access_key_id: hub.access_key_id.clone(),
            secret_access_key: hub.secret_access_key.clone(),
        };
        let assembly = Assembly::of(&config, Some(hub), sandbox.clock())
            .await
            .unwrap();
        let server = assembly.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
        let url = format!("http://{}", server.local_addr());
        let channel = Channel::from_shared(url).unwrap().connect().await.unwrap();
        Self {
            sandbox,
            client: IdentityTrailServiceClient::new(channel),
            _server: server,
            assembly,
        }
    }

    pub async fn check(&self) -> Report {
        self.ask(CheckAccountsRequest::default()).await
    }

    async fn ask(&self, request: impl tonic::IntoRequest<CheckAccountsRequest>) -> Report {
        let answer = self.client.clone().check_accounts(request).await.unwrap();
        let mut stream = answer.into_inner();
        let (mut findings, mut summary) = (Vec::new(), None);
        while let Some(response) = stream.message().await.unwrap() {
            assert_eq!(summary, None, "the summary is the last message");
            match response.item.unwrap() {
                Item::Finding(finding) => findings.push(finding),
                Item::Summary(done) => summary = Some(done),
            }
        }
        let summary = summary.expect("a summary");
        let counted = |state: CheckState| {
            let found = findings.iter().filter(|finding| finding.state() == state);
            i64::try_from(found.count()).unwrap()
        };
        assert_eq!(summary.fine, counted(CheckState::Fine));
        assert_eq!(summary.needs_fix, counted(CheckState::NeedsFix));
        assert_eq!(summary.not_checked, counted(CheckState::NotChecked));
        Report { findings, summary }
    }
}

impl Report {
    pub fn of(&self, probe: CheckProbe) -> Vec<&CheckFinding> {
        let probed = self.findings.iter().filter(|it| it.probe() == probe);
        probed.collect()
    }

    pub fn only(&self, probe: CheckProbe) -> &CheckFinding {
        match self.of(probe)[..] {
            [only] => only,
            _ => panic!("{probe:?}: {:#?}", self.findings),
        }
    }

    pub fn to_fix(&self) -> Vec<&CheckFinding> {
        let found = self.findings.iter();
        found.filter(|it| it.state() != CheckState::Fine).collect()
    }
}

pub fn statement(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn where_all_is_as_declared_nothing_is_to_be_fixed() {
    let world = World::start(sandbox(&[])).await;
    let report = world.check().await;
    assert!(report.to_fix().is_empty(), "{:#?}", report.to_fix());
    let mut probes: BTreeMap<&str, usize> = BTreeMap::new();
    for finding in &report.findings {
        *probes.entry(finding.probe().as_str_name()).or_default() += 1;
    }
    insta::assert_debug_snapshot!(probes, @r#"
    {
        "CHECK_PROBE_CREDENTIALS": 3,
        "CHECK_PROBE_DECLARATION": 1,
        "CHECK_PROBE_EVENT_HISTORY": 3,
        "CHECK_PROBE_LOG_FILES": 1,
        "CHECK_PROBE_QUERY": 1,
        "CHECK_PROBE_TABLE": 1,
        "CHECK_PROBE_TRAIL": 1,
    }
    "#);
    let history = report.of(CheckProbe::EventHistory);
    let newest = "2026-10-31T10:00:00Z".parse::<jiff::Timestamp>().unwrap();
    for finding in history {
        let seen = finding.newest_event_time.as_ref().unwrap().seconds;
        assert_eq!(seen, newest.as_second());
        assert_eq!(finding.regions, [REGION, "us-east-1"]);
    }
    let query = report.only(CheckProbe::Query);
    assert_eq!(
        query.newest_event_time.as_ref().unwrap().seconds,
        newest.as_second()
    );
    assert!(report.summary.bytes_scanned > 0);
    // One lookup in each Region of each account; of the archive the newest event, a look at a few log
    // files and one at the rest.
    let stats = world.sandbox.stats();
    assert_eq!(stats.of("LookupEvents").received, 6);
    assert_eq!(world.sandbox.athena_stats().started, 3);
}

#[tokio::test]
async fn a_denied_account_comes_with_the_statements_that_are_missing() {
    for (denial, code, statements) in [
        (Denial::NotAllowed, ReasonCode::AssumeRoleDenied, 2),
        (
            Denial::ServiceControlPolicy,
            ReasonCode::DeniedByServiceControlPolicy,
            0,
        ),
    ] {
        let mut config = sandbox(&[]);
        let denied = ACCOUNTS[2];
        config.faults.denied_accounts.insert(denied.into(), denial);
        let world = World::start(config).await;
        let report = world.check().await;
        let [finding] = report.to_fix()[..] else {
            panic!("{:#?}", report.to_fix());
        };
        assert_eq!(finding.account_id, denied);
        assert_eq!(finding.account_name.as_deref(), Some("name-3"));
        assert_eq!(finding.probe(), CheckProbe::Credentials);
        let reason = finding.reason.as_ref().unwrap();
        assert_eq!(reason.code(), code);
        assert_eq!(reason.aws_code.as_deref(), Some("AccessDenied"));
        assert_eq!(finding.policies.len(), statements);
        if let [hub, trust] = &finding.policies[..] {
            let role = world.sandbox.role_arn(denied);
            assert_eq!(statement(&hub.statement_json)["Resource"], role);
            assert!(hub.attach_to.contains("user/identity-trail"));
            let principal = &statement(&trust.statement_json)["Principal"]["AWS"];
            assert!(principal.as_str().unwrap().ends_with("user/identity-trail"));
            assert!(trust.attach_to.contains(&role));
        }
        // Of this account nothing else can be known.
        assert_eq!(report.of(CheckProbe::EventHistory).len(), 2);
    }
}

#[tokio::test]
async fn a_denied_action_comes_with_its_statement() {
    for (action, probe, findings) in [
        ("cloudtrail:LookupEvents", CheckProbe::EventHistory, 3),
        ("athena:GetTableMetadata", CheckProbe::Table, 1),
        ("athena:StartQueryExecution", CheckProbe::Query, 1),
        ("cloudtrail:GetEventSelectors", CheckProbe::Trail, 1),
    ] {
        let mut config = sandbox(&[]);
        let denied = (action.to_owned(), Denial::NotAllowed);
        config.faults.denied_actions.extend([denied]);
        let world = World::start(config).await;
        let report = world.check().await;
        let to_fix = report.to_fix();
        assert_eq!(to_fix.len(), findings, "{to_fix:#?}");
        for finding in to_fix {
            assert_eq!(finding.probe(), probe);
            let reason = finding.reason.as_ref().unwrap();
            assert_eq!(reason.code(), ReasonCode::AccessDenied);
            let [policy] = &finding.policies[..] else {
                panic!("{finding:#?}");
            };
            let expected = json!({"Effect": "Allow", "Action": action, "Resource": "*"});
            assert_eq!(statement(&policy.statement_json), expected);
        }
    }
}

#[tokio::test]
async fn a_missing_table_is_said_to_be_missing() {
    let world = World::configured(sandbox(&[]), |config| {
        config["archives"][0]["table"] = "no_such_table".into();
    })
    .await;
    let report = world.check().await;
    let [finding] = report.to_fix()[..] else {
        panic!("{:#?}", report.to_fix());
    };
    assert_eq!(finding.probe(), CheckProbe::Table);
    assert_eq!(finding.archive.as_deref(), Some("all"));
    let reason = finding.reason.as_ref().unwrap();
    assert_eq!(reason.code(), ReasonCode::ArchiveUnusable);
    assert_eq!(reason.aws_code.as_deref(), Some("MetadataException"));
    assert_eq!(world.sandbox.athena_stats().started, 0);
}

#[tokio::test]
async fn an_archive_that_declares_more_than_its_trail_records_is_told_so() {
    let selectors = vec![json!({
        "ReadWriteType": "WriteOnly",
        "IncludeManagementEvents": true,
        "ExcludeManagementEventSources": ["kms.amazonaws.com"],
        "DataResources": [],
    })];
    let mut config = sandbox(&[]);
    config.trail.selectors = Selectors::Basic(selectors);
    config.trail.is_organization_trail = false;
    let holds = json!({"categories": ["management", "data"]});
    let world = World::with_archive(config.clone(), &holds).await;
    let report = world.check().await;
    let told: Vec<&str> = (report.to_fix().iter())
        .inspect(|it| assert_eq!(it.probe(), CheckProbe::Declaration))
        .map(|it| it.detail.as_str())
        .collect();
    insta::assert_snapshot!(told.join("\n"), @"
    holds.accounts declares accounts of which no trail was found that delivers here, neither an organization trail nor their own (2 accounts: 222222222222, 333333333333)
    holds.reads is true, yet no read-only Management events are recorded (1 accounts: 111111111111)
    write Management events of kms.amazonaws.com are not recorded (1 accounts: 111111111111)
    holds.categories declares Data events, which are not recorded (1 accounts: 111111111111)
    ");
    assert!(report.to_fix().iter().all(|it| !it.fix.is_empty()));

    // Declared as it is recorded, the same trail is fine.
    let holds = json!({
        "accounts": [ACCOUNTS[0]],
        "reads": false,
        "excluded_event_sources": ["kms.amazonaws.com"],
    });
    let world = World::with_archive(config, &holds).await;
    let report = world.check().await;
    assert!(report.to_fix().is_empty(), "{:#?}", report.to_fix());
}

#[tokio::test]
async fn a_trail_that_stopped_or_cannot_deliver_is_told() {
    let mut config = sandbox(&[]);
    config.trail.is_logging = false;
    let report = World::start(config).await.check().await;
    let trail = report.only(CheckProbe::Trail);
    assert!(trail.detail.contains("is not logging"), "{trail:?}");

    let mut config = sandbox(&[]);
    config.trail.latest_delivery_error = Some("NoSuchBucket".into());
    let report = World::start(config).await.check().await;
    let trail = report.only(CheckProbe::Trail);
    assert!(trail.detail.contains("NoSuchBucket"), "{trail:?}");

    // A trail of that name does not exist.
    let world = World::configured(sandbox(&[]), |config| {
        let arn = format!("arn:aws:cloudtrail:{REGION}:{}:trail/other", ACCOUNTS[0]);
        config["archives"][0]["trail"] = arn.into();
    })
    .await;
    let report = world.check().await;
    let trail = report.only(CheckProbe::Trail);
    assert!(trail.detail.starts_with("there is no trail"), "{trail:?}");
}

#[tokio::test]
async fn a_day_without_log_files_is_named() {
    let missing = [(ACCOUNTS[1], 27), (ACCOUNTS[1], 28)];
    let world = World::start(sandbox(&missing)).await;
    let report = world.check().await;
    let [finding] = report.to_fix()[..] else {
        panic!("{:#?}", report.to_fix());
    };
    assert_eq!(finding.probe(), CheckProbe::LogFiles);
    let [days] = &finding.missing_days[..] else {
        panic!("{finding:#?}");
    };
    assert_eq!(days.account_ids, [ACCOUNTS[1]]);
    let second = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_second();
    assert_eq!(
        [&days.start_time, &days.end_time].map(|time| time.as_ref().unwrap().seconds),
        [
            second("2026-10-27T00:00:00Z"),
            second("2026-10-29T00:00:00Z")
        ]
    );
    // Fewer days do not reach back to it, and say so.
    let few = CheckAccountsRequest {
        days: Some(3),
        ..CheckAccountsRequest::default()
    };
    let report = world.ask(few).await;
    assert!(report.to_fix().is_empty(), "{:#?}", report.to_fix());
    let files = report.only(CheckProbe::LogFiles);
    assert!(files.detail.contains("nothing is known"), "{files:?}");
    // Of the other accounts there is nothing to say.
    let other = CheckAccountsRequest {
        account_ids: vec![ACCOUNTS[2].into()],
        ..CheckAccountsRequest::default()
    };
    let report = world.ask(other).await;
    assert!(report.to_fix().is_empty(), "{:#?}", report.to_fix());
    assert_eq!(report.of(CheckProbe::Credentials).len(), 1);
}

#[tokio::test]
async fn an_archive_that_claims_too_early_a_first_day_or_has_stopped_growing_is_told() {
    let world = World::with_archive(sandbox(&[]), &json!({"first_day": "2026-08-01"})).await;
    let few = CheckAccountsRequest {
        days: Some(4),
        ..CheckAccountsRequest::default()
    };
    let report = world.ask(few).await;
    let files = report.only(CheckProbe::LogFiles);
    assert_eq!(files.state(), CheckState::NeedsFix);
    assert!(
        files.detail.contains("2026-08-01, its declared first day"),
        "{files:?}"
    );

    let mut config = sandbox(&[]);
    config.now = Some("2026-11-03T06:00:00Z".parse().unwrap());
    let report = World::start(config).await.check().await;
    let query = report.only(CheckProbe::Query);
    assert_eq!(query.state(), CheckState::NeedsFix);
    assert!(
        query.detail.contains("2026-10-31T10:00:00Z, 68 hours ago"),
        "{query:?}"
    );
    assert!(query.fix.contains("stopped growing"), "{query:?}");
}

#[tokio::test]
async fn an_account_whose_regions_cannot_be_listed_is_not_fine() {
    let mut sandbox = sandbox(&[]);
    sandbox
        .faults
        .denied_actions
        .insert("account:ListRegions".into(), Denial::NotAllowed);
    let world = World::configured(sandbox, |config| {
        config["regions"] = json!("all");
        config["archives"] = json!([]);
    })
    .await;
    world.assembly.accounts_known().await.unwrap();
    let report = world.check().await;
    let unknown = report.of(CheckProbe::EventHistory);
    assert_eq!(unknown.len(), ACCOUNTS.len(), "{:#?}", report.findings);
    for finding in unknown {
        assert_eq!(finding.state(), CheckState::NeedsFix);
        let text = format!("{finding:?}");
        assert!(text.contains("account:ListRegions"), "{text}");
    }
}

#[tokio::test]
async fn a_day_that_is_not_over_is_not_called_looked_at() {
    let world = World::start(sandbox(&[])).await;
    let asked = CheckAccountsRequest {
        days: Some(1),
        ..CheckAccountsRequest::default()
    };
    let report = world.ask(asked).await;
    let finding = report.only(CheckProbe::LogFiles);
    let text = format!("{finding:?}");
    assert!(text.contains("no day that is over was looked at"), "{text}");
}

#[tokio::test]
async fn a_region_that_is_disabled_is_not_to_be_fixed() {
    let mut config = sandbox(&[]);
    config.faults.disabled_regions.insert("ap-east-1".into());
    let world = World::configured(config, |config| {
        config["regions"] = json!([REGION, "ap-east-1"]);
    })
    .await;
    let report = world.check().await;
    assert!(report.to_fix().is_empty(), "{:#?}", report.to_fix());
    for finding in report.of(CheckProbe::EventHistory) {
        assert_eq!(finding.regions, [REGION]);
        assert!(
            finding
                .detail
                .contains("not enabled in this account: ap-east-1")
        );
    }
}

#[tokio::test]
async fn a_deadline_is_met_with_what_is_known_and_what_is_not() {
    let world = World::start(sandbox(&[])).await;
    let faults = world.sandbox.athena_faults();
    faults.slow(Duration::from_mins(10), Queries::ALL);
    let mut request = tonic::Request::new(CheckAccountsRequest::default());
    request.set_timeout(Duration::from_secs(6));
    let report = world.ask(request).await;
    let [finding] = report.to_fix()[..] else {
        panic!("{:#?}", report.to_fix());
    };
    assert_eq!(finding.probe(), CheckProbe::LogFiles);
    assert_eq!(finding.state(), CheckState::NotChecked);
    let reason = finding.reason.as_ref().unwrap();
    assert_eq!(reason.code(), ReasonCode::Deadline);
    // The query is not left running.
    until_active(&world.sandbox, 0).await;
}

#[tokio::test]
async fn a_dropped_check_stops_what_it_started() {
    let world = World::start(sandbox(&[])).await;
    let faults = world.sandbox.athena_faults();
    faults.slow(Duration::from_mins(10), Queries::ALL);
    let request = CheckAccountsRequest::default();
    let answer = world.client.clone().check_accounts(request).await.unwrap();
    let stream = answer.into_inner();
    until_active(&world.sandbox, 1).await;
    drop(stream);
    until_active(&world.sandbox, 0).await;
    assert_eq!(world.sandbox.athena_stats().stopped, 1);
}

/// A caller who stops reading keeps neither the account's turns nor the process's calls.
#[tokio::test]
async fn a_check_that_is_left_alone_keeps_nothing_from_another() {
    let mut config = sandbox(&[]);
    config.faults.latency = Duration::from_millis(100);
    let world = World::configured(config, |config| {
        config["limits"]["aws_calls"] = 1.into();
    })
    .await;
    let assembly = &world.assembly;
    let caller = Arc::new(Caller::in_process());
    let inventory = (assembly.federation.known().borrow().inventory.clone()).unwrap();
    let request = check::Request {
        account_ids: BTreeSet::new(),
        days: 7,
    };
    let admitted = assembly.engine.admit(&caller).unwrap();
    let idle = CancellationToken::new();
    let checker = &assembly.checker;
    let left = checker.check(&inventory, &request, &caller, None, admitted, idle);
    let mut left = left.unwrap();
    let looks_up = async {
        while world.sandbox.stats().of("LookupEvents").received == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = looks_up => {}
        () = left.by_ref().for_each(|_| std::future::ready(())) => panic!("it has ended"),
    }
    let other = tokio::time::timeout(Duration::from_mins(1), world.check()).await;
    let report = other.expect("what the other check holds becomes free");
    assert!(report.to_fix().is_empty(), "{:#?}", report.to_fix());
    // It goes on where it was left.
    let rest: Vec<CheckItem> = left.collect().await;
    assert!(matches!(rest.last(), Some(CheckItem::Summary(_))));
}

/// Waits until so many queries run, for at most half a minute.
async fn until_active(sandbox: &Sandbox, queries: u64) {
    for _ in 0..3000 {
        if sandbox.athena_stats().active == queries {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not {queries} queries run");
}

#[tokio::test]
async fn bad_requests_are_refused_before_anything_is_asked() {
    let world = World::start(sandbox(&[])).await;
    for (request, code) in [
        (
            CheckAccountsRequest {
                account_ids: vec!["12345".into()],
                days: Some(0),
            },
            Code::InvalidArgument,
        ),
        (
            CheckAccountsRequest {
                account_ids: vec!["999999999999".into()],
                days: None,
            },
            Code::NotFound,
        ),
    ] {
        let refused = world.client.clone().check_accounts(request).await;
        assert_eq!(refused.unwrap_err().code(), code);
    }
    // The readiness probe asks whose its credentials are, by itself.
    let asked = world
        .sandbox
        .stats()
        .sum(|call| call.operation != "GetCallerIdentity");
    assert_eq!(asked.received, 0);
}

#[tokio::test]
async fn accounts_whose_own_trails_write_to_the_bucket_are_judged_by_these() {
    let own = |accounts: &[&str]| {
        let mut config = sandbox(&[]);
        config.trail.is_organization_trail = false;
        config.trail.also_of = accounts.iter().map(|id| (*id).to_owned()).collect();
        config
    };
    let report = World::start(own(&ACCOUNTS[1..])).await.check().await;
    assert!(report.to_fix().is_empty(), "{:#?}", report.to_fix());
    let trail = report.only(CheckProbe::Trail);
    assert!(
        trail.detail.starts_with("3 trails are logging"),
        "{trail:?}"
    );

    // One account has none.
    let report = World::start(own(&ACCOUNTS[1..2])).await.check().await;
    let [finding] = report.to_fix()[..] else {
        panic!("{:#?}", report.to_fix());
    };
    assert_eq!(finding.probe(), CheckProbe::Declaration);
    assert!(
        finding.detail.ends_with("(1 accounts: 333333333333)"),
        "{finding:?}"
    );

    // Of one it cannot be known: of that account nothing is said to be wrong.
    let mut config = own(&ACCOUNTS[1..]);
    let denied = (ACCOUNTS[2].to_owned(), Denial::NotAllowed);
    config.faults.denied_accounts.extend([denied]);
    let report = World::start(config).await.check().await;
    let unread: Vec<&CheckFinding> = (report.of(CheckProbe::Trail).into_iter())
        .filter(|it| it.state() == CheckState::NeedsFix)
        .collect();
    let [finding] = unread[..] else {
        panic!("{:#?}", report.to_fix());
    };
    assert!(finding.detail.contains(ACCOUNTS[2]), "{finding:?}");
    assert_eq!(finding.policies.len(), 2, "{finding:?}");
    let declared = report.only(CheckProbe::Declaration);
    assert_eq!(declared.state(), CheckState::Fine);
}
