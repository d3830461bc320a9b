//! Who may ask what, over a socket: whatever is asked, in whatever way, an account that is
//! not the caller's is in no answer.

use std::collections::BTreeSet;
use std::fmt::{Debug, Write as _};
use std::sync::Arc;

use futures::StreamExt;
use identity_trail::assembly::Assembly;
use identity_trail::config::Config;
use identity_trail::federation::HubCredentials;
use identity_trail::grpc::Server;
use identity_trail::grpc::pb::identity::Kind;
use identity_trail::grpc::pb::identity_trail_service_client::IdentityTrailServiceClient;
use identity_trail::grpc::pb::search_events_response::Item;
use identity_trail::grpc::pb::{
    AccountSelector, AccountTag, Backend, CheckAccountsRequest, CheckAccountsResponse,
    ListAccountsRequest, PlanSearchRequest, RecordView, SearchEventsRequest, SearchEventsResponse,
};
use identity_trail::sandbox::log_file::{LogFile, LogRecord};
use identity_trail::sandbox::{Account, Call, Data, Sandbox, SandboxConfig};
use identity_trail::search::resume::ResumeToken;
use serde_json::{Value, json};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::grpc_service::identity;
use crate::guarded::{self, Authorities, Files, Issued, VALID};
use crate::jwt::{self, Key};

const NOW: &str = "2026-11-01T00:00:00Z";
const REGION: &str = "eu-west-1";
/// Where the archive and the service itself are.
const HUB: &str = "100000000001";
const MINE: &str = "200000000002";
const THEIRS: &str = "300000000003";
/// In no federation, and as long as [`THEIRS`].
const NOBODYS: &str = "400000000004";
const ACCOUNTS: [(&str, &str); 3] = [(HUB, "audit-hub"), (MINE, "my-app"), (THEIRS, "xy-app")];
/// What must not be told to whoever may read [`MINE`] only.
const SECRETS: [&str; 5] = [HUB, THEIRS, "audit-hub", "xy-app", "Theirs"];

const POLICIES: &str = r#"
    permit (principal in Group::"all", action, resource);
    permit (principal in Group::"mine", action, resource in OrganizationalUnit::"/Workloads/Mine");
    permit (
      principal in Group::"brief",
      action == Action::"SearchEvents",
      resource == Account::"200000000002"
    ) when {
      context.lookback_seconds <= 3600 &&
      context.record_view == RecordView::"fields" &&
      context.identity_kinds == [IdentityKind::"user_name"]
    };
    permit (principal in Group::"tagged", action, resource) when {
      resource.hasTag("owner") && resource.getTag("owner") == "mine-x"
    };
    permit (principal, action == Action::"SearchEvents", resource == Account::"200000000002") when {
      principal.authentication == Authentication::"certificate" &&
      principal.name == "spiffe://prod.example.com/ns/soc/sa/console"
    };
"#;

/// The service over three accounts, whose archive's role sees everything.
struct Guarded {
    /// Over which a caller shows tokens.
    channel: Channel,
    authorities: Authorities,
    issuer: Key,
    server: Server,
    assembly: Assembly,
    sandbox: Sandbox,
    files: Files,
}

async fn connect(
    authorities: &Authorities,
    server: &Server,
    certificate: Option<&Issued>,
) -> Channel {
    let ca = authorities.servers.pem();
    let port = server.local_addr().port();
    guarded::connect(port, &ca, certificate).await.unwrap()
}

impl Guarded {
    async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    async fn start_with(change: impl FnOnce(&mut SandboxConfig)) -> Self {
        let account = |(id, name): (&str, &str)| Account {
            id: id.to_owned(),
            name: name.to_owned(),
        };
        let mut config = SandboxConfig::new(Data::Files {
            accounts: ACCOUNTS.map(account).into(),
            files: files(),
        });
        config.now = Some(NOW.parse().unwrap());
        config.lookup_rate = None;
        change(&mut config);
        let sandbox = Sandbox::start(config).await.unwrap();
        sandbox.organizations().change(|directory| {
            for (name, unit, owner) in [
                ("my-app", "Workloads/Mine", "mine-x"),
                ("xy-app", "Workloads/Theirs", "theirs"),
            ] {
                let unit = directory.unit(unit);
                let mut accounts = directory.accounts.iter_mut();
                let account = accounts.find(|account| account.name == name).unwrap();
                account.parent_id = unit;
                account.tags.insert("owner".into(), owner.into());
            }
        });
        let (issuer, authorities) = (Key::es256("issuer"), Authorities::new());
        let files = authorities.files();
        files.write("keys.json", &jwt::set(&[&issuer]));
        files.write("policies.cedar", POLICIES);
        let config = configuration(&sandbox, &files);
        let hub = sandbox.hub_credentials();
        let hub = HubCredentials {
            access_key_id: hub.access_key_id.clone(),
            secret_access_key: hub.secret_access_key.clone(),
        };
        let assembly = Assembly::of(&config, Some(hub), sandbox.clock())
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        assembly.accounts_known().await.unwrap();
        let parts = assembly.server_parts().unwrap();
        let server = Server::start(([127, 0, 0, 1], 0).into(), parts).await;
        let server = server.unwrap();
        Self {
            channel: connect(&authorities, &server, None).await,
            authorities,
            issuer,
            server,
            assembly,
            sandbox,
            files,
        }
    }

    fn client(&self) -> IdentityTrailServiceClient<Channel> {
        IdentityTrailServiceClient::new(self.channel.clone())
    }

    /// A request of somebody in this group.
    fn from<T>(&self, group: &str, message: T) -> Request<T> {
        let claims = json!({"sub": format!("{group}-caller"), "groups": [group]});
        let token = self.issuer.sign(&jwt::claims(&claims));
        let mut request = Request::new(message);
        let bearer = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
        request
    }

    async fn search(
        &self,
        group: &str,
        request: SearchEventsRequest,
    ) -> Result<Vec<SearchEventsResponse>, Status> {
        let stream = self
            .client()
            .search_events(self.from(group, request))
            .await?;
        let messages: Vec<_> = stream.into_inner().collect().await;
        messages.into_iter().collect()
    }

    async fn check(
        &self,
        group: &str,
        request: CheckAccountsRequest,
    ) -> Result<Vec<CheckAccountsResponse>, Status> {
        let stream = self
            .client()
            .check_accounts(self.from(group, request))
            .await?;
        let messages: Vec<_> = stream.into_inner().collect().await;
        messages.into_iter().collect()
    }

    fn aws_calls(&self) -> u64 {
        self.sandbox.stats().sum(|_| true).received
    }
}

fn configuration(sandbox: &Sandbox, files: &Files) -> Config {
    let config = json!({
        "hub": {"region": REGION, "endpoint_url": sandbox.endpoint()},
        "accounts": {
            "defaults": {"role_name": sandbox.role_name()},
            "organization": {"overrides": [{"id": HUB, "credentials": "hub"}]},
        },
        "regions": [REGION],
        "event_history": {"requests_per_second": "off"},
        "archives": [{
            "name": "everything",
            "account": HUB,
            "region": REGION,
            "credentials": "hub",
            "database": "cloudtrail_logs",
            "table": "cloudtrail_by_account",
            "output_location": "s3://results/",
            "partitions": {"layout": "account_region_date"},
            "holds": {"accounts": "all", "first_day": "2026-07-29"},
        }],
        "tls": {
            "cert_file": files.path("server.crt"),
            "key_file": files.path("server.key"),
            "client_ca_file": files.path("clients.crt"),
            "client_auth": "optional",
        },
        "auth": {
            "policies": files.path("policies.cedar"),
            "mtls": {},
            "jwt": {
                "issuer": "https://login.example.com/",
                "audience": "identity-trail",
                "algorithms": ["ES256"],
                "groups_claim": "groups",
                "jwks": {"file": files.path("keys.json")},
            },
        },
    });
    Config::parse(&config.to_string(), "test").unwrap_or_else(|error| panic!("{error}"))
}

/// Of each account an event that event history still has and one that only the archive has, and in the
/// files of [`MINE`] one more that was recorded for [`THEIRS`].
fn files() -> Vec<LogFile> {
    let event = |number: u32, day: &str, account: &str, actor: &str, event: &str| {
        json!({
            "eventVersion": "1.09",
            "eventID": format!("00000000-0000-4000-8000-{number:012}"),
            "eventTime": format!("{day}T12:00:00Z"),
            "awsRegion": REGION,
            "eventName": event,
            "eventSource": "ec2.amazonaws.com",
            "eventCategory": "Management",
            "readOnly": false,
            "recipientAccountId": account,
            "userIdentity": {
                "type": "IAMUser",
                "userName": if actor == account { "alice" } else { "mallory" },
                "accountId": actor,
                "accessKeyId": key_of(actor),
            },
        })
    };
    let file_of =
        |number: u32, day: &str, holder: &str, recipient: &str, actor: &str, name: &str| {
            let record: Value = event(number, day, recipient, actor, name);
            let record = LogRecord::from_value(&record);
            let date = day.replace('-', "/");
            LogFile {
                key: format!("AWSLogs/{holder}/CloudTrail/{REGION}/{date}/{number}.json.gz"),
                account_id: holder.to_owned(),
                region: REGION.to_owned(),
                delivered_at: jiff::Timestamp::from_second(record.event_time().unwrap() + 240)
                    .unwrap(),
                records: vec![Arc::new(record)],
            }
        };
    let file = |number: u32, day: &str, holder: &str, recipient: &str, name: &str| {
        file_of(number, day, holder, recipient, recipient, name)
    };
    let mut files = vec![file_of(
        1,
        "2026-10-30",
        THEIRS,
        THEIRS,
        NOBODYS,
        "TheirsByOthers",
    )];
    for (at, (account, name)) in [(HUB, "Hub"), (MINE, "Mine"), (THEIRS, "Theirs")]
        .iter()
        .enumerate()
    {
        let at = u32::try_from(at).unwrap();
        files.push(file(
            10 + at,
            "2026-10-30",
            account,
            account,
            &format!("{name}New"),
        ));
        files.push(file(
            20 + at,
            "2026-07-30",
            account,
            account,
            &format!("{name}Old"),
        ));
    }
    files.push(file(30, "2026-10-30", MINE, THEIRS, "TheirsInMine"));
    files.push(file(31, "2026-07-30", MINE, THEIRS, "TheirsInMineOld"));
    files
}

/// The key that everybody in this account uses.
fn key_of(account: &str) -> String {
    let letter = char::from(b'A' + account.as_bytes()[0] - b'0');
    format!("AKIA{}", letter.to_string().repeat(16))
}

/// What did alice do, all the way back to the archive's first day?
fn alice() -> SearchEventsRequest {
    SearchEventsRequest {
        identities: vec![identity(Kind::UserName("alice".into()))],
        lookback: Some(prost_types::Duration {
            seconds: 94 * 86_400,
            nanos: 0,
        }),
        ..SearchEventsRequest::default()
    }
}

fn named(ids: &[&str]) -> SearchEventsRequest {
    SearchEventsRequest {
        account_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        ..alice()
    }
}

fn event_names(messages: &[SearchEventsResponse]) -> BTreeSet<&str> {
    let events = messages.iter().filter_map(|message| match &message.item {
        Some(Item::Event(event)) => Some(&*event.event_name),
        _ => None,
    });
    events.collect()
}

fn plan_of(messages: &[SearchEventsResponse]) -> &identity_trail::grpc::pb::SearchPlan {
    match messages.first().and_then(|message| message.item.as_ref()) {
        Some(Item::Plan(plan)) => plan,
        other => panic!("{other:?}"),
    }
}

fn summary_of(messages: &[SearchEventsResponse]) -> &identity_trail::grpc::pb::SearchSummary {
    match messages.last().and_then(|message| message.item.as_ref()) {
        Some(Item::Summary(summary)) => summary,
        other => panic!("{other:?}"),
    }
}

fn reason(status: &Status) -> (Code, String) {
    let info = status.get_details_error_info();
    (status.code(), info.unwrap().reason)
}

/// The secrets that a message tells, tokens included.
fn told<M: Debug>(messages: &[M]) -> Vec<String> {
    let mut told = Vec::new();
    for message in messages {
        let mut text = format!("{message:?}");
        let tokens: Vec<String> = (text.split('"'))
            .filter_map(|part| ResumeToken::decode(part).ok())
            .map(|token| format!("{:?}", token.point.position))
            .collect();
        write!(text, "{tokens:?}").unwrap();
        let secrets = SECRETS.iter().filter(|secret| text.contains(**secret));
        told.extend(secrets.map(|secret| format!("{secret}: {text}")));
    }
    told
}

#[tokio::test]
async fn no_answer_to_a_search_tells_of_other_accounts() {
    let world = Guarded::start().await;
    let full = SearchEventsRequest {
        record_view: RecordView::Full.into(),
        ..alice()
    };
    let everything = world.search("all", full.clone()).await.unwrap();
    let all = BTreeSet::from([
        "HubNew",
        "HubOld",
        "MineNew",
        "MineOld",
        "TheirsInMine",
        "TheirsInMineOld",
        "TheirsNew",
        "TheirsOld",
    ]);
    assert_eq!(event_names(&everything), all);
    assert!(!summary_of(&everything).scope_limited && !plan_of(&everything).scope_limited);
    assert!(!told(&everything).is_empty());

    let elsewhere = || {
        let lookups = |call: &Call| call.operation == "LookupEvents" && call.account_id != MINE;
        world.sandbox.stats().sum(lookups)
    };
    let before = elsewhere();
    let mine = world.search("mine", full.clone()).await.unwrap();
    assert_eq!(event_names(&mine), BTreeSet::from(["MineNew", "MineOld"]));
    assert_eq!(told(&mine), Vec::<String>::new());
    let (plan, summary) = (plan_of(&mine), summary_of(&mine));
    assert!(plan.scope_limited && summary.scope_limited);
    assert_eq!(plan.accounts_total, 1);
    let counts = summary.counts.as_ref().unwrap();
    assert_eq!((counts.events_sent, counts.events_matched), (2, 2));
    // Nobody was asked on their behalf elsewhere.
    assert_eq!(elsewhere(), before);

    // By its id it is no part of anything.
    let by_id = world.search("mine", named(&[MINE])).await.unwrap();
    assert_eq!(event_names(&by_id), BTreeSet::from(["MineNew", "MineOld"]));
    assert!(!summary_of(&by_id).scope_limited);
    assert_eq!(told(&by_id), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_not_permitted_reads_like_what_is_not_there() {
    let world = Guarded::start().await;
    let by = |selector: AccountSelector| SearchEventsRequest {
        account_selector: Some(selector),
        ..alice()
    };
    let name = |name: &str| {
        by(AccountSelector {
            names: vec![name.into()],
            ..AccountSelector::default()
        })
    };
    let unit = |unit: &str| {
        by(AccountSelector {
            organizational_units: vec!["Workloads".into(), unit.into()],
            ..AccountSelector::default()
        })
    };
    let tag = |value: &str| {
        by(AccountSelector {
            tags: vec![AccountTag {
                key: "owner".into(),
                value: Some(value.into()),
            }],
            ..AccountSelector::default()
        })
    };
    let calls = world.aws_calls();
    for (forbidden, unknown, (from, to)) in [
        (named(&[THEIRS]), named(&[NOBODYS]), (THEIRS, NOBODYS)),
        (
            named(&[MINE, THEIRS]),
            named(&[MINE, NOBODYS]),
            (THEIRS, NOBODYS),
        ),
        (
            named(&[HUB, MINE]),
            named(&["100000000009", MINE]),
            (HUB, "100000000009"),
        ),
        (name("xy-app"), name("yz-app"), ("xy-app", "yz-app")),
        (name("xy*"), name("yz*"), ("xy*", "yz*")),
        (
            unit("Workloads/Theirs"),
            unit("Workloads/Nobody"),
            ("Workloads/Theirs", "Workloads/Nobody"),
        ),
        (tag("theirs"), tag("nobody"), ("theirs", "nobody")),
    ] {
        let refused = |request: SearchEventsRequest| async {
            let search = world.search("mine", request.clone()).await.unwrap_err();
            let planning = PlanSearchRequest {
                search: Some(request),
                ..PlanSearchRequest::default()
            };
            let plan = world
                .client()
                .plan_search(world.from("mine", planning))
                .await;
            [search, plan.unwrap_err()]
        };
        let (forbidden, unknown) = (refused(forbidden).await, refused(unknown).await);
        for (forbidden, unknown) in forbidden.iter().zip(&unknown) {
            assert_eq!(forbidden.code(), Code::NotFound);
            assert_eq!(forbidden.code(), unknown.code());
            assert_eq!(forbidden.message().replace(from, to), unknown.message());
            assert_eq!(replaced(forbidden.details(), from, to), unknown.details());
        }
    }
    for id in [THEIRS, NOBODYS] {
        let request = CheckAccountsRequest {
            account_ids: vec![id.into()],
            days: None,
        };
        let refused = world.check("mine", request).await.unwrap_err();
        assert_eq!(
            reason(&refused),
            (Code::NotFound, "ACCOUNT_NOT_FOUND".into())
        );
        assert_eq!(refused.message(), format!("not in this federation: {id}"));
    }
    assert_eq!(world.aws_calls(), calls);
    // Where they may be read, they are there.
    assert!(world.search("all", named(&[THEIRS])).await.is_ok());
}

/// `bytes` with one text for another of its length.
fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    let places: Vec<usize> = (bytes.windows(from.len()).enumerate())
        .filter(|(_, part)| *part == from.as_bytes())
        .map(|(at, _)| at)
        .collect();
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    bytes
}

#[tokio::test]
async fn a_denied_question_says_why_before_anything_is_asked() {
    let world = Guarded::start().await;
    let hour = |change: fn(&mut SearchEventsRequest)| {
        let mut request = SearchEventsRequest {
            lookback: Some(prost_types::Duration {
                seconds: 3_600,
                nanos: 0,
            }),
            ..alice()
        };
        change(&mut request);
        request
    };
    let calls = world.aws_calls();
    for (group, request, expected) in [
        ("brief", alice(), "LOOKBACK_NOT_PERMITTED"),
        (
            "brief",
            hour(|request| request.record_view = RecordView::Full.into()),
            "RECORD_VIEW_NOT_PERMITTED",
        ),
        (
            "brief",
            hour(|request| {
                let key = Kind::AccessKeyId("AKIAIOSFODNN7EXAMPLE".into());
                request.identities.push(identity(key));
            }),
            "IDENTITY_KIND_NOT_PERMITTED",
        ),
        ("nobody", hour(|_| ()), "RPC_NOT_PERMITTED"),
        ("nobody", named(&[MINE]), "RPC_NOT_PERMITTED"),
        ("nobody", named(&[NOBODYS]), "RPC_NOT_PERMITTED"),
    ] {
        let refused = world.search(group, request).await.unwrap_err();
        assert_eq!(reason(&refused), (Code::PermissionDenied, expected.into()));
        assert_eq!(told(&[refused.message()]), Vec::<String>::new());
    }
    let planning = PlanSearchRequest {
        search: Some(hour(|_| ())),
        ..PlanSearchRequest::default()
    };
    let plan = world
        .client()
        .plan_search(world.from("brief", planning))
        .await;
    let listing = ListAccountsRequest::default();
    let list = world
        .client()
        .list_accounts(world.from("brief", listing))
        .await;
    let check = world.check("brief", CheckAccountsRequest::default()).await;
    for refused in [plan.unwrap_err(), list.unwrap_err(), check.unwrap_err()] {
        assert_eq!(
            reason(&refused),
            (Code::PermissionDenied, "RPC_NOT_PERMITTED".into())
        );
    }
    assert_eq!(world.aws_calls(), calls);
    assert!(world.search("brief", hour(|_| ())).await.is_ok());
}

#[tokio::test]
async fn a_token_of_somebody_elses_search_gives_nothing_more() {
    let world = Guarded::start().await;
    let tokens = |messages: &[SearchEventsResponse]| -> Vec<String> {
        let of = |message: &SearchEventsResponse| match &message.item {
            Some(Item::Plan(plan)) => Some(plan.resume_token.clone()),
            Some(Item::Event(event)) => Some(event.resume_token.clone()),
            _ => None,
        };
        messages.iter().filter_map(of).collect()
    };
    let resumed = |request: SearchEventsRequest, token: &String| SearchEventsRequest {
        resume_token: token.clone(),
        ..request
    };
    let event_history = |request: SearchEventsRequest| SearchEventsRequest {
        backends: vec![Backend::EventHistory.into()],
        ..request
    };
    // All that the other may read is not what this one may.
    let all = event_history(alice());
    let theirs = world.search("all", all.clone()).await.unwrap();
    for token in tokens(&theirs) {
        let refused = world.search("mine", resumed(all.clone(), &token)).await;
        let refused = refused.unwrap_err();
        assert_eq!(
            reason(&refused),
            (Code::FailedPrecondition, "SCOPE_CHANGED".into())
        );
        assert_eq!(told(&[format!("{refused:?}")]), Vec::<String>::new());
    }
    // Accounts that it must not know of are not there.
    let both = event_history(named(&[MINE, THEIRS]));
    let of_both = world.search("all", both.clone()).await.unwrap();
    for token in tokens(&of_both) {
        let refused = world.search("mine", resumed(both.clone(), &token)).await;
        assert_eq!(reason(&refused.unwrap_err()).1, "ACCOUNT_NOT_FOUND");
        // Nor does the token go with another request.
        let refused = world.search("mine", resumed(all.clone(), &token)).await;
        assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
    }
    // What both may read goes on.
    let one = event_history(named(&[MINE]));
    let of_one = world.search("all", one.clone()).await.unwrap();
    let plan = &tokens(&of_one)[0];
    let rest = world
        .search("mine", resumed(one.clone(), plan))
        .await
        .unwrap();
    assert_eq!(event_names(&rest), BTreeSet::from(["MineNew"]));
    assert_eq!(told(&rest), Vec::<String>::new());
    // And whoever may ask less is held to that, token or not.
    let refused = world.search("brief", resumed(one, plan)).await.unwrap_err();
    assert_eq!(reason(&refused).1, "LOOKBACK_NOT_PERMITTED");
}

#[tokio::test]
async fn listings_plans_checks_and_failures_tell_of_no_other_account() {
    let world = Guarded::start_with(|config| {
        // AWS's words on it name the hub.
        config
            .faults
            .denied_accounts
            .insert(MINE.into(), identity_trail::sandbox::Denial::NotAllowed);
    })
    .await;
    for (group, expected) in [("all", ACCOUNTS.len()), ("mine", 1)] {
        let limited = group == "mine";
        let listed = world
            .client()
            .list_accounts(world.from(group, ListAccountsRequest::default()))
            .await;
        let listed = listed.unwrap().into_inner();
        assert_eq!(listed.total_size, i64::try_from(expected).unwrap());
        assert_eq!(listed.accounts.len(), expected);
        assert_eq!(listed.scope_limited, limited);
        let planning = PlanSearchRequest {
            search: Some(alice()),
            probe: true,
            ..PlanSearchRequest::default()
        };
        let plan = world
            .client()
            .plan_search(world.from(group, planning))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(plan.accounts_total, i64::try_from(expected).unwrap());
        assert_eq!(plan.scope_limited, limited);
        assert!(!plan.probe_failures.is_empty());
        let checked = world.check(
            group,
            CheckAccountsRequest {
                days: Some(1),
                ..CheckAccountsRequest::default()
            },
        );
        let checked = checked.await.unwrap();
        let search = world.search(group, alice()).await.unwrap();
        let told = [
            told(&[listed]),
            told(&[plan]),
            told(&checked),
            told(&search),
        ];
        for (number, told) in told.into_iter().enumerate() {
            assert_eq!(told.is_empty(), limited, "{number} to {group}: {told:?}");
        }
    }
}

#[tokio::test]
async fn whose_a_key_is_is_told_of_permitted_accounts_only() {
    let world = Guarded::start().await;
    let owner = async |group: &str, key: String| {
        let request = SearchEventsRequest {
            identities: vec![identity(Kind::AccessKeyId(key))],
            lookback: None,
            ..alice()
        };
        let answer = world.search(group, request).await.unwrap();
        let owner = plan_of(&answer).access_key_owners[0].clone();
        (owner, told(&answer))
    };
    let (mine, _) = owner("mine", key_of(MINE)).await;
    assert_eq!(
        (mine.account_id.as_deref(), mine.in_federation),
        (Some(MINE), Some(true))
    );
    let (known, _) = owner("all", key_of(THEIRS)).await;
    assert_eq!(known.account_id.as_deref(), Some(THEIRS));
    let (withheld, told_theirs) = owner("mine", key_of(THEIRS)).await;
    let (outside, _) = owner("mine", key_of(NOBODYS)).await;
    assert_eq!(told_theirs, Vec::<String>::new());
    assert_eq!(
        (&withheld.account_id, withheld.in_federation),
        (&None, None)
    );
    // Whether the account is another of the federation's is not told either.
    assert_eq!(withheld.failure, outside.failure);
    assert!(withheld.failure.is_some());
}

#[tokio::test]
async fn a_tag_of_an_account_permits_it() {
    let world = Guarded::start().await;
    let tagged = world.search("tagged", alice()).await.unwrap();
    assert_eq!(event_names(&tagged), BTreeSet::from(["MineNew", "MineOld"]));
    assert!(summary_of(&tagged).scope_limited);
    assert_eq!(told(&tagged), Vec::<String>::new());
}

#[tokio::test]
async fn a_certificate_permits_what_policies_say_of_its_name() {
    const CONSOLE: &str = "spiffe://prod.example.com/ns/soc/sa/console";
    let world = Guarded::start().await;
    let ask = async |name: &str, request: Request<SearchEventsRequest>| {
        let certificate = world.authorities.clients.client(&[name], VALID);
        let channel = connect(&world.authorities, &world.server, Some(&certificate));
        let mut client = IdentityTrailServiceClient::new(channel.await);
        let stream = client.search_events(request).await?.into_inner();
        let messages: Vec<_> = stream.collect().await;
        messages.into_iter().collect::<Result<Vec<_>, Status>>()
    };
    let console = ask(CONSOLE, Request::new(alice())).await.unwrap();
    assert_eq!(
        event_names(&console),
        BTreeSet::from(["MineNew", "MineOld"])
    );
    assert_eq!(told(&console), Vec::<String>::new());
    let denied = (Code::PermissionDenied, "RPC_NOT_PERMITTED".to_owned());
    let other = ask(
        "spiffe://prod.example.com/ns/soc/sa/other",
        Request::new(alice()),
    )
    .await;
    assert_eq!(reason(&other.unwrap_err()), denied);
    // The certificate's name in a token is another caller.
    let token = world.issuer.sign(&jwt::claims(&json!({"sub": CONSOLE})));
    let mut request = Request::new(alice());
    let bearer = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", bearer);
    let refused = world.client().search_events(request).await.unwrap_err();
    assert_eq!(reason(&refused), denied);
}

#[tokio::test]
async fn reloaded_policies_hold_for_the_next_request() {
    let world = Guarded::start().await;
    let authorizer = &world.assembly.authorizer;
    let may = async || {
        world
            .client()
            .list_accounts(world.from("mine", ListAccountsRequest::default()))
            .await
    };
    assert!(may().await.is_ok());
    world.files.write("policies.cedar", "permit (principal");
    assert!(authorizer.reload().is_err());
    assert!(may().await.is_ok());
    let text = "permit (principal in Group::\"all\", action, resource);";
    world.files.write("policies.cedar", text);
    authorizer.reload().unwrap();
    assert_eq!(reason(&may().await.unwrap_err()).0, Code::PermissionDenied);
}
