//! `PlanSearch`: what it says, that it asks nothing, and that what it estimates is what is then
//! counted.

use std::fmt::Write as _;

use identity_trail::grpc::pb::search_events_response::Item;
use identity_trail::grpc::pb::{
    Backend, BytesBasis, EventFilter, OutcomeState, PlanSearchRequest, PlanSearchResponse,
    ReasonCode, SearchEventsRequest,
};
use identity_trail::sandbox::{Denial, Sandbox};
use prost::Message;
use serde_json::Value;
use tonic::Code;

use crate::grpc_service::{NOW, Service, request, service_config_with};
use crate::sandbox::{HUB, OTHER, REGION, config, record};

/// Alice's events, this many, this many minutes apart, the newest just now.
fn events(count: u32, minutes: i64) -> Vec<Value> {
    let now: jiff::Timestamp = NOW.parse().unwrap();
    let time =
        |number: u32| now - jiff::SignedDuration::from_mins(minutes * i64::from(number) + 10);
    let events = (0..count).map(|number| record(number, &time(number).to_string(), "alice"));
    events.collect()
}

fn planning(search: SearchEventsRequest) -> PlanSearchRequest {
    PlanSearchRequest {
        search: Some(search),
        ..PlanSearchRequest::default()
    }
}

async fn plan(service: &Service, request: PlanSearchRequest) -> PlanSearchResponse {
    let answer = service.client().plan_search(request).await;
    answer.unwrap().into_inner()
}

/// An archive over everything, from this day on.
fn archive(first_day: &str) -> String {
    format!(
        "archives:
  - name: trail
    account: \"{HUB}\"
    region: {REGION}
    credentials: hub
    database: cloudtrail_logs
    table: cloudtrail_by_account
    output_location: s3://results/
    partitions: {{layout: account_region_date}}
    holds: {{accounts: all, first_day: {first_day}}}
    # Finding these out reads everything once more, in the first search of a process only.
    verify_days: false
"
    )
}

async fn with_archive(records: &[Value], first_day: &str, accounts: &str) -> Service {
    let sandbox = Sandbox::start(config(records, NOW)).await.unwrap();
    let config = service_config_with(&sandbox, accounts, &archive(first_day));
    Service::over(sandbox, &config).await
}

fn two_accounts() -> String {
    format!("    - {{id: \"{HUB}\", credentials: hub}}\n    - {{id: \"{OTHER}\"}}")
}

#[tokio::test]
async fn a_plan_says_what_is_asked_and_asks_nothing() {
    let service = Service::start(&events(3, 60)).await;
    let search = SearchEventsRequest {
        filter: Some(EventFilter {
            event_names: vec!["RunInstances".into()],
            ..EventFilter::default()
        }),
        ..request()
    };
    let plan = plan(&service, planning(search)).await;
    let [scans] = plan.scans.as_slice() else {
        panic!("{plan:?}");
    };
    assert_eq!(scans.backend(), Backend::EventHistory);
    assert_eq!(scans.account_ids, [HUB, OTHER]);
    assert_eq!(scans.regions, [REGION]);
    assert_eq!((scans.scans, plan.scans_total), (2, 2));
    assert_eq!(scans.lookups[0].attribute_key, "Username");
    assert_eq!(scans.lookups[0].attribute_value, "alice");
    assert_eq!(scans.checked_afterwards, ["filter.event_names"]);
    let estimate = plan.estimate.as_ref().unwrap();
    assert_eq!(estimate.requests_at_least, 2);
    assert_eq!(estimate.requests_about, None);
    assert_eq!(estimate.bytes_scanned_about, Some(0));
    assert_eq!((plan.probe, plan.next_page_token.as_str()), (None, ""));
    assert_eq!(service.sandbox.stats().of("LookupEvents").received, 0);
}

#[tokio::test]
async fn a_probed_plan_meets_what_is_then_counted() {
    let service = Service::start(&events(420, 3)).await;
    let probed = PlanSearchRequest {
        probe: true,
        ..planning(request())
    };
    let plan = plan(&service, probed).await;
    let lookups = || service.sandbox.stats().of("LookupEvents").received;
    let probes = lookups();
    assert_eq!(probes, 2);
    assert_eq!(plan.probe.unwrap().requests, 2);
    let estimate = plan.estimate.unwrap();
    assert_eq!((estimate.lookups, estimate.lookups_probed), (2, 2));
    service.search(request()).await;
    let counted = i64::try_from(lookups() - probes).unwrap();
    // Nine pages of the one account, one of the other.
    assert_eq!(counted, 10);
    assert!(estimate.requests_at_least <= counted, "{estimate:?}");
    let about = estimate.requests_about.unwrap();
    assert!((about - counted).abs() <= 1, "{about} for {counted}");
}

#[tokio::test]
async fn a_probe_says_where_a_search_would_fail() {
    let mut config = config(&[], NOW);
    let denied = (OTHER.to_owned(), Denial::NotAllowed);
    config.faults.denied_accounts.extend([denied]);
    let sandbox = Sandbox::start(config).await.unwrap();
    let config = service_config_with(&sandbox, &two_accounts(), "");
    let service = Service::over(sandbox, &config).await;
    let probed = PlanSearchRequest {
        probe: true,
        ..planning(request())
    };
    let plan = plan(&service, probed).await;
    let [failure] = plan.probe_failures.as_slice() else {
        panic!("{plan:?}");
    };
    assert_eq!(failure.state(), OutcomeState::Failed);
    assert_eq!(failure.account_ids, [OTHER]);
    let code = failure.reason.as_ref().unwrap().code();
    assert_eq!(code, ReasonCode::AssumeRoleDenied);
    let estimate = plan.estimate.unwrap();
    assert_eq!((estimate.lookups, estimate.lookups_probed), (2, 1));
}

#[tokio::test]
async fn the_statements_and_their_bytes_are_told_beforehand() {
    // Half a year, four a day.
    let service = with_archive(&events(736, 360), "2026-05-01", &two_accounts()).await;
    let search = SearchEventsRequest {
        backends: vec![Backend::Athena.into()],
        lookback: Some(prost_types::Duration {
            seconds: 183 * 86_400,
            nanos: 0,
        }),
        ..request()
    };
    let plan = plan(&service, planning(search.clone())).await;
    assert_eq!(service.sandbox.athena_stats().started, 0);
    assert!(plan.scans.len() > 5, "{plan:?}");
    for scans in &plan.scans {
        assert_eq!(scans.archive.as_deref(), Some("trail"));
        let sql = scans.sql.as_deref().unwrap();
        assert!(
            sql.contains("\"cloudtrail_by_account\"") && sql.contains("'alice'"),
            "{sql}"
        );
        assert_eq!(scans.checked_afterwards, [""; 0]);
    }
    let estimate = plan.estimate.unwrap();
    assert_eq!(estimate.bytes_basis(), BytesBasis::TableStatistics);
    let items = service.search(search).await;
    let Some(Item::Summary(summary)) = items.last() else {
        panic!("{items:?}");
    };
    let counts = summary.counts.as_ref().unwrap();
    assert_eq!(counts.events_sent, 732);
    assert!(estimate.requests_at_least <= counts.requests);
    let about = estimate.bytes_scanned_about.unwrap();
    let difference = (about - counts.bytes_scanned).abs();
    assert!(
        difference * 10 <= counts.bytes_scanned,
        "{about} for {}",
        counts.bytes_scanned
    );
}

#[tokio::test]
async fn a_large_plan_comes_in_pages_below_a_megabyte() {
    let mut accounts = format!("    - {{id: \"{HUB}\", credentials: hub}}");
    for number in 0..3_000 {
        write!(accounts, "\n    - {{id: \"{:012}\"}}", 1_000 + number).unwrap();
    }
    let service = with_archive(&[], "2026-01-01", &accounts).await;
    let search = SearchEventsRequest {
        lookback: Some(prost_types::Duration {
            seconds: 300 * 86_400,
            nanos: 0,
        }),
        backends: vec![Backend::Athena.into()],
        ..request()
    };
    let mut request = planning(search);
    let first = plan(&service, request.clone()).await;
    let mut page = first.clone();
    let (mut pages, mut scans) = (0, 0);
    loop {
        pages += 1;
        assert!(page.encoded_len() < 1_000_000);
        assert_eq!(page.service_time, first.service_time);
        assert_eq!(page.estimate.is_some(), pages == 1);
        scans += page.scans.iter().map(|group| group.scans).sum::<i64>();
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
        page = plan(&service, request.clone()).await;
    }
    assert!(pages > 1);
    assert_eq!(scans, first.scans_total);

    // A token is for its own search, and is not to be made up.
    request.page_token = first.next_page_token;
    request.search.as_mut().unwrap().account_ids = vec![HUB.into()];
    for token in [request.page_token.clone(), "made-up".into()] {
        request.page_token = token;
        let refused = service.client().plan_search(request.clone()).await;
        assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
    }
}

#[tokio::test]
async fn a_search_that_would_be_refused_is_not_planned() {
    let service = Service::start(&[]).await;
    let refusals = [
        (PlanSearchRequest::default(), Code::InvalidArgument),
        (
            planning(SearchEventsRequest::default()),
            Code::InvalidArgument,
        ),
        (
            planning(SearchEventsRequest {
                account_ids: vec!["999988887777".into()],
                ..request()
            }),
            Code::NotFound,
        ),
        (
            PlanSearchRequest {
                page_size: -1,
                ..planning(request())
            },
            Code::InvalidArgument,
        ),
    ];
    for (request, code) in refusals {
        let refused = service.client().plan_search(request.clone()).await;
        assert_eq!(refused.unwrap_err().code(), code, "{request:?}");
    }
}
