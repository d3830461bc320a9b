//! Bad requests: refused with the right code and details, before anything is asked of AWS.

use identity_trail::grpc::pb::identity::Kind;
use identity_trail::grpc::pb::{
    self, EventFilter, ListAccountsRequest, RoleSession, SearchEventsRequest,
};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::grpc_service::{Service, identity, request};
use crate::sandbox::{OTHER, record};

/// A request that is wrong in one way, what it is refused with, and the fields that are named.
struct Bad {
    request: SearchEventsRequest,
    code: Code,
    fields: Vec<&'static str>,
}

fn bad(code: Code, field: &'static str, spoil: impl FnOnce(&mut SearchEventsRequest)) -> Bad {
    let mut request = request();
    spoil(&mut request);
    Bad {
        request,
        code,
        fields: vec![field],
    }
}

fn invalid(field: &'static str, spoil: impl FnOnce(&mut SearchEventsRequest)) -> Bad {
    bad(Code::InvalidArgument, field, spoil)
}

fn invalid_identity(field: &'static str, kind: Kind) -> Bad {
    invalid(field, |r| r.identities = vec![identity(kind)])
}

#[allow(clippy::unnecessary_wraps, reason = "the fields are optional")]
fn seconds(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds, nanos: 0 })
}

fn filter(change: impl FnOnce(&mut EventFilter)) -> EventFilter {
    let mut filter = EventFilter::default();
    change(&mut filter);
    filter
}

fn malformed() -> Vec<Bad> {
    let far = 4_000_000_000;
    let long = "x".repeat(10_000);
    let mut list = vec![
        invalid("identities", |r| r.identities.clear()),
        invalid("identities[0]", |r| {
            r.identities = vec![pb::Identity::default()];
        }),
        invalid("account_ids[0]", |r| r.account_ids = vec!["12345".into()]),
        invalid("account_ids[1]", |r| {
            r.account_ids = vec![OTHER.into(), "22222222222x".into()];
        }),
        invalid("regions[0]", |r| r.regions = vec!["EU West".into()]),
        invalid("start_time", |r| r.start_time = seconds(far)),
        invalid("start_time", |r| r.start_time = seconds(i64::MAX)),
        invalid("end_time", |r| {
            (r.start_time, r.end_time) = (seconds(2_000), seconds(2_000));
        }),
        invalid("end_time", |r| {
            (r.start_time, r.end_time) = (seconds(2_000), seconds(1_000));
        }),
        invalid("lookback", |r| {
            r.start_time = seconds(2_000);
            r.lookback = Some(prost_types::Duration::default());
        }),
        invalid("resume_token", |r| r.resume_token = "nonsense".into()),
        invalid("order", |r| r.order = 99),
        invalid("record_view", |r| r.record_view = -1),
        invalid("backends[0]", |r| r.backends = vec![0]),
        invalid("max_events", |r| r.max_events = Some(0)),
        invalid("max_scan_bytes", |r| r.max_scan_bytes = Some(-5)),
        invalid("progress_interval", |r| {
            r.progress_interval = Some(prost_types::Duration {
                seconds: 0,
                nanos: 1,
            });
        }),
        invalid("filter.event_names[0]", |r| {
            r.filter = Some(filter(|f| f.event_names = vec!["Get*".into()]));
        }),
        invalid("filter.event_sources[0]", |r| {
            r.filter = Some(filter(|f| f.event_sources = vec!["' OR 1=1 --".into()]));
        }),
        invalid("filter.source_ips[0]", |r| {
            r.filter = Some(filter(|f| f.source_ips = vec!["10.0.0.0/64".into()]));
        }),
        invalid("filter.error_codes[0]", |r| {
            r.filter = Some(filter(|f| f.error_codes = vec!["' OR 1=1 --".into()]));
        }),
        invalid("filter.resources[0]", |r| {
            r.filter = Some(filter(|f| f.resources = vec!["x".repeat(10_000)]));
        }),
        invalid("filter.event_ids[0]", |r| {
            r.filter = Some(filter(|f| f.event_ids = vec!["%".into()]));
        }),
        invalid("filter.access[0]", |r| {
            r.filter = Some(filter(|f| f.access = vec![0]));
        }),
        invalid("filter.categories[0]", |r| {
            r.filter = Some(filter(|f| f.categories = vec![77]));
        }),
        invalid_identity(
            "identities[0].access_key_id",
            Kind::AccessKeyId("AKIA".into()),
        ),
        invalid_identity(
            "identities[0].arn",
            Kind::Arn("arn:aws:iam::1:user/alice".into()),
        ),
        invalid_identity("identities[0].arn", Kind::Arn("arn:aws:s3:::bucket".into())),
        invalid_identity(
            "identities[0].role_session.session_name",
            Kind::RoleSession(RoleSession {
                role_name: "Admin".into(),
                session_name: "o'hara".into(),
            }),
        ),
    ];
    for name in [
        "",
        "o'brien",
        "a\"b",
        "a\\b",
        "dev'*",
        "x'; DROP TABLE t; --",
        &long,
    ] {
        list.push(invalid_identity(
            "identities[0].user_name",
            Kind::UserName(name.into()),
        ));
        list.push(invalid_identity(
            "identities[0].role_name",
            Kind::RoleName(name.into()),
        ));
        list.push(invalid_identity(
            "identities[0].session_name",
            Kind::SessionName(name.into()),
        ));
    }
    list
}

fn beyond_limits() -> Vec<Bad> {
    vec![
        bad(Code::ResourceExhausted, "account_ids", |r| {
            r.account_ids = vec![OTHER.into(); 5_001];
        }),
        bad(Code::ResourceExhausted, "identities", |r| {
            r.identities = vec![r.identities[0].clone(); 21];
        }),
        bad(Code::ResourceExhausted, "filter.event_names", |r| {
            r.filter = Some(filter(|f| f.event_names = vec!["RunInstances".into(); 51]));
        }),
        bad(Code::ResourceExhausted, "filter.source_ips", |r| {
            r.filter = Some(filter(|f| f.source_ips = vec!["10.0.0.1".into(); 51]));
        }),
        bad(Code::ResourceExhausted, "start_time", |r| {
            r.start_time = seconds(1_000);
        }),
    ]
}

/// The fields that a status names, in the detail that its code calls for.
fn named(status: &Status) -> Vec<String> {
    if status.code() == Code::ResourceExhausted {
        let quota = status.get_details_quota_failure().expect("QuotaFailure");
        quota.violations.into_iter().map(|v| v.subject).collect()
    } else {
        let bad = status.get_details_bad_request().expect("BadRequest");
        bad.field_violations.into_iter().map(|v| v.field).collect()
    }
}

#[tokio::test]
async fn bad_requests_are_refused_by_field_and_never_reach_aws() {
    let service = Service::start(&[record(1, "2026-10-31T10:00:00Z", "alice")]).await;
    let before = service.aws_calls();
    let lookups = || service.sandbox.stats().of("LookupEvents").received;
    let mut client = service.client();
    for case in malformed().into_iter().chain(beyond_limits()) {
        let asked = format!("{:.300}", format!("{:?}", case.request));
        let Err(status) = client.search_events(case.request).await else {
            panic!("not refused: {asked}");
        };
        assert_eq!(status.code(), case.code, "{asked}: {status:?}");
        assert_eq!(named(&status), case.fields, "{asked}");
        let info = status.get_details_error_info().expect("ErrorInfo");
        assert_eq!(info.domain, "identitytrail.v1");
        assert!(status.message().contains(case.fields[0]), "{status:?}");
    }
    // The readiness probe may ask STS who the hub is; nothing else was asked.
    let probes = service.sandbox.stats().of("GetCallerIdentity").received;
    assert!(service.aws_calls() - before <= probes);
    assert_eq!(lookups(), 0);
}

#[tokio::test]
async fn an_account_outside_the_federation_is_not_found() {
    let service = Service::start(&[]).await;
    let mut request = request();
    request.account_ids = vec![OTHER.into(), "999988887777".into()];
    let status = service.client().search_events(request).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(status.message(), "not in this federation: 999988887777");
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.reason, "ACCOUNT_NOT_FOUND");
    assert_eq!(info.metadata["account_ids"], "999988887777");
}

#[tokio::test]
async fn a_token_of_another_request_is_refused() {
    let service = Service::start(&[record(1, "2026-10-31T10:00:00Z", "alice")]).await;
    let items = service.search(request()).await;
    let Some(pb::search_events_response::Item::Plan(plan)) = items.into_iter().next() else {
        panic!("no plan");
    };
    let mut other = request();
    other.identities = vec![identity(Kind::UserName("bob".into()))];
    other.resume_token.clone_from(&plan.resume_token);
    let status = service.client().search_events(other).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(named(&status), ["resume_token"]);
    let mut same = request();
    same.resume_token = plan.resume_token;
    assert!(service.client().search_events(same).await.is_ok());
}

#[tokio::test]
async fn a_malformed_deadline_is_not_ignored() {
    let service = Service::start(&[]).await;
    let mut request = Request::new(request());
    request
        .metadata_mut()
        .insert("grpc-timeout", "5 minutes".parse().unwrap());
    let status = service.client().search_events(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(named(&status), ["grpc-timeout"]);
}

#[tokio::test]
async fn bad_pages_are_refused() {
    let service = Service::start(&[]).await;
    for (request, field) in [
        (
            ListAccountsRequest {
                page_size: -1,
                page_token: String::new(),
                account_selector: None,
            },
            "page_size",
        ),
        (
            ListAccountsRequest {
                page_size: 0,
                page_token: "222222222222".into(),
                account_selector: None,
            },
            "page_token",
        ),
    ] {
        let status = service.client().list_accounts(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(named(&status), [field]);
    }
}
