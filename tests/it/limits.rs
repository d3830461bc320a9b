//! What the process and its callers may use, over real sockets.

use std::net::IpAddr;
use std::time::Duration;

use identity_trail::grpc::pb::identity_trail_service_client::IdentityTrailServiceClient;
use identity_trail::grpc::pb::search_events_response::Item;
use identity_trail::grpc::pb::{
    CheckAccountsRequest, ListAccountsRequest, RecordView, SearchEventsRequest,
    SearchEventsResponse, SearchSummary, StopReason,
};
use identity_trail::sandbox::logs::{LOG_GROUP_NAME, LOG_GROUP_REGION};
use identity_trail::sandbox::{Call, Sandbox};
use serde_json::Value;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};
use tonic_types::StatusExt;

use crate::grpc_service::{NOW, Service, request, service_config_with};
use crate::lifecycle::rest;
use crate::sandbox::{HUB, OTHER, REGION, config, record};

/// The service over so many events of alice, one a second, with these `limits`.
async fn service(events: u32, limits: &str) -> Service {
    let records: Vec<Value> = (0..events)
        .map(|number| {
            let age = events - number;
            let time = format!(
                "2026-10-31T{:02}:{:02}:{:02}Z",
                age / 3600,
                age / 60 % 60,
                age % 60
            );
            record(number, &time, "alice")
        })
        .collect();
    let sandbox = Sandbox::start(config(&records, NOW)).await.unwrap();
    let list = format!("    - {{id: \"{HUB}\", credentials: hub}}\n    - {{id: \"{OTHER}\"}}");
    let config = service_config_with(&sandbox, &list, &format!("limits: {limits}"));
    Service::over(sandbox, &config).await
}

fn all(events: u32) -> Vec<String> {
    (0..events)
        .map(|n| format!("00000000-0000-4000-8000-{n:012}"))
        .collect()
}

/// The same machine by another of its addresses: without authentication another caller.
pub async fn from(service: &Service, address: &str) -> IdentityTrailServiceClient<Channel> {
    let endpoint = Endpoint::from_shared(service.endpoint()).unwrap();
    let address: IpAddr = address.parse().unwrap();
    let channel = endpoint
        .local_address(Some(address))
        .connect()
        .await
        .unwrap();
    IdentityTrailServiceClient::new(channel)
}

type Stream = Streaming<SearchEventsResponse>;

async fn begin(
    client: &mut IdentityTrailServiceClient<Channel>,
    token: &str,
) -> Result<Stream, Status> {
    let request = SearchEventsRequest {
        resume_token: token.to_owned(),
        ..request()
    };
    Ok(client.search_events(request).await?.into_inner())
}

fn assert_quota(status: &Status, key: &str) {
    assert_eq!(status.code(), Code::ResourceExhausted);
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, "QUOTA_EXCEEDED");
    let violation = &details.quota_failure().unwrap().violations[0];
    assert_eq!(violation.subject, key);
    assert!(details.retry_info().unwrap().retry_delay.unwrap() >= Duration::from_secs(1));
}

fn limit(summary: &SearchSummary) -> &str {
    assert_eq!(summary.stop_reason(), StopReason::Quota);
    &summary.quota.as_ref().unwrap().limit
}

#[tokio::test]
async fn one_search_too_many_of_a_caller_is_refused_and_another_callers_is_not() {
    let service = service(1, "{per_caller: {concurrent_searches: 1}}").await;
    // The first one cannot end.
    service.sandbox.faults().change(|faults| {
        faults.dead_regions.insert(REGION.into());
    });
    let mut client = service.client();
    let mut running = begin(&mut client, "").await.unwrap();
    running.message().await.unwrap().unwrap();
    let refused = begin(&mut client, "").await.unwrap_err();
    assert_quota(&refused, "limits.per_caller.concurrent_searches");
    client
        .list_accounts(ListAccountsRequest::default())
        .await
        .unwrap();
    let mut other = from(&service, "127.0.0.2").await;
    begin(&mut other, "").await.unwrap();
}

#[tokio::test]
async fn a_search_with_too_many_events_goes_on_with_exactly_the_rest() {
    let service = service(100, "{per_caller: {events_per_search: 40}}").await;
    let (mut ids, mut token, mut streams) = (Vec::new(), String::new(), 0);
    loop {
        let mut stream = begin(&mut service.client(), &token).await.unwrap();
        let (some, summary) = rest(&mut stream).await;
        ids.extend(some);
        streams += 1;
        if summary.stop_reason() == StopReason::End {
            break;
        }
        assert_eq!(limit(&summary), "limits.per_caller.events_per_search");
        token = summary.resume_token.clone();
    }
    assert_eq!(streams, 3);
    assert_eq!(ids, all(100));
}

#[tokio::test]
async fn a_callers_events_of_the_minute_end_its_search_and_refuse_the_next() {
    let service = service(100, "{per_caller: {events_per_minute: 30}}").await;
    let mut stream = begin(&mut service.client(), "").await.unwrap();
    let (ids, summary) = rest(&mut stream).await;
    assert_eq!(ids, all(30));
    assert_eq!(limit(&summary), "limits.per_caller.events_per_minute");
    assert!(!summary.resume_token.is_empty());
    let delay = summary.quota.as_ref().unwrap().retry_delay.unwrap();
    assert!(delay.seconds > 0);
    let refused = begin(&mut service.client(), &summary.resume_token)
        .await
        .unwrap_err();
    assert_quota(&refused, "limits.per_caller.events_per_minute");
    let mut other = from(&service, "127.0.0.2").await;
    let mut stream = begin(&mut other, &summary.resume_token).await.unwrap();
    assert_eq!(rest(&mut stream).await.0, all(60)[30..]);
}

#[tokio::test]
async fn a_callers_bytes_of_the_day_end_its_search_and_others_go_on_with_exactly_the_rest() {
    let days = ["2026-07-20", "2026-05-02", "2026-05-01", "2026-01-01"];
    let records: Vec<Value> = (0..)
        .zip(days)
        .map(|(number, day)| record(number, &format!("{day}T10:00:00Z"), "alice"))
        .collect();
    let sandbox = Sandbox::start(config(&records, NOW)).await.unwrap();
    let list = format!("    - {{id: \"{HUB}\", credentials: hub}}\n    - {{id: \"{OTHER}\"}}");
    let archive = crate::plan_search::archive("2025-11-01", false);
    let sections = format!("{archive}limits: {{per_caller: {{scan_bytes_per_day: 1}}}}");
    let config = service_config_with(&sandbox, &list, &sections);
    let service = Service::over(sandbox, &config).await;
    let (mut ids, mut token) = (Vec::new(), String::new());
    for caller in 1..50 {
        let asked = SearchEventsRequest {
            lookback: Some(prost_types::Duration {
                seconds: 360 * 86_400,
                nanos: 0,
            }),
            resume_token: token,
            ..request()
        };
        let mut client = from(&service, &format!("127.0.0.{caller}")).await;
        let answer = client.search_events(asked.clone()).await.unwrap();
        let (some, summary) = rest(&mut answer.into_inner()).await;
        ids.extend(some);
        if summary.stop_reason() == StopReason::End {
            assert!(caller > 2, "one query reads it all");
            assert_eq!(ids, all(4));
            return;
        }
        assert_eq!(limit(&summary), "limits.per_caller.scan_bytes_per_day");
        token = summary.resume_token;
        // The same caller gets no further today, and nothing is asked of Athena for it.
        let started = service.sandbox.athena_stats().started;
        let again = SearchEventsRequest {
            resume_token: token.clone(),
            ..asked
        };
        let answer = client.search_events(again).await.unwrap();
        let (none, summary) = rest(&mut answer.into_inner()).await;
        assert_eq!(none, [""; 0]);
        assert_eq!(limit(&summary), "limits.per_caller.scan_bytes_per_day");
        assert_eq!(service.sandbox.athena_stats().started, started);
    }
    panic!("it never ends");
}

#[tokio::test]
async fn fewer_scans_and_calls_at_once_make_a_search_slower_but_not_smaller() {
    let limits = "{open_scans: 1, per_caller: {open_scans: 1, aws_calls: 1}}";
    let service = service(120, limits).await;
    let mut first = begin(&mut service.client(), "").await.unwrap();
    let mut second = begin(&mut service.client(), "").await.unwrap();
    let (first, second) = tokio::join!(rest(&mut first), rest(&mut second));
    assert_eq!((first.0, second.0), (all(120), all(120)));
}

#[tokio::test]
async fn a_check_has_no_more_calls_at_once_than_its_caller_may() {
    const DEAD: &str = "eu-south-1";
    let sandbox = Sandbox::start(config(&[], NOW)).await.unwrap();
    sandbox.faults().change(|faults| {
        faults.dead_regions.insert(DEAD.into());
    });
    let list = format!(
        "    - {{id: \"{HUB}\", credentials: hub, regions: [{DEAD}]}}\n    - {{id: \"{OTHER}\"}}"
    );
    let sections = format!(
        "limits: {{per_caller: {{aws_calls: 1}}}}
log_groups:
  - name: group
    account: \"{HUB}\"
    region: {LOG_GROUP_REGION}
    credentials: hub
    log_group: {LOG_GROUP_NAME}
    read_with: filter
    holds: {{accounts: all, first_day: 2026-10-26}}
"
    );
    let config = service_config_with(&sandbox, &list, &sections);
    let service = Service::over(sandbox, &config).await;
    let lookups = |account: &str| {
        let calls = service.sandbox.stats();
        let of = |call: &Call| call.operation == "LookupEvents" && call.account_id == account;
        calls.sum(of).received
    };
    let filters = || service.sandbox.stats().of("FilterLogEvents").received;
    // The one call that its caller may have: that Region never answers.
    let asked = SearchEventsRequest {
        account_ids: vec![HUB.into()],
        ..request()
    };
    let search = service.client().search_events(asked).await.unwrap();
    while lookups(HUB) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let asked = CheckAccountsRequest {
        account_ids: vec![OTHER.into()],
        ..CheckAccountsRequest::default()
    };
    let check = service.client().check_accounts(asked.clone()).await;
    let mut check = check.unwrap().into_inner();
    check.message().await.unwrap().unwrap();
    // Another's check is not held up, and ends after what this one could have asked.
    let mut other = from(&service, "127.0.0.2").await;
    let mut others = other.check_accounts(asked).await.unwrap().into_inner();
    while others.message().await.unwrap().is_some() {}
    let (alone, filtered) = (lookups(OTHER), filters());
    assert_eq!(alone, 1);
    drop(search);
    while check.message().await.unwrap().is_some() {}
    assert_eq!((lookups(OTHER), filters()), (2, 2 * filtered));
}

#[tokio::test]
async fn a_call_without_a_deadline_has_one_and_a_far_one_is_shortened() {
    for limits in ["{default_deadline: 1s}", "{max_deadline: 1s}"] {
        let service = service(1, limits).await;
        service.sandbox.faults().change(|faults| {
            faults.dead_regions.insert(REGION.into());
        });
        let mut asked = Request::new(request());
        if limits.contains("max") {
            asked.set_timeout(Duration::from_mins(10));
        }
        let answer = service.client().search_events(asked).await.unwrap();
        let (_, summary) = rest(&mut answer.into_inner()).await;
        assert_eq!(summary.stop_reason(), StopReason::Deadline);
        assert!(!summary.resume_token.is_empty());
    }
}

#[tokio::test]
async fn a_stream_that_nobody_reads_gives_its_place_up_and_can_be_resumed() {
    let limits = "{idle_timeout: 100ms, per_caller: {concurrent_searches: 1}}";
    let service = service(1000, limits).await;
    // So little that the service has to wait for its reader.
    let channel = Endpoint::from_shared(service.endpoint())
        .unwrap()
        .initial_stream_window_size(Some(65_535))
        .initial_connection_window_size(Some(65_535))
        .connect()
        .await
        .unwrap();
    let mut slow = IdentityTrailServiceClient::new(channel);
    let full = |token: &str| SearchEventsRequest {
        record_view: RecordView::Full.into(),
        resume_token: token.to_owned(),
        ..request()
    };
    let mut stream = slow.search_events(full("")).await.unwrap().into_inner();
    stream.message().await.unwrap().unwrap();
    let mut resumed = loop {
        match service.client().search_events(full("")).await {
            Ok(answer) => break answer.into_inner(),
            Err(refused) => assert_quota(&refused, "limits.per_caller.concurrent_searches"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    rest(&mut resumed).await;
    let (mut ids, summary) = rest(&mut stream).await;
    assert_eq!(summary.stop_reason(), StopReason::Idle);
    let answer = service
        .client()
        .search_events(full(&summary.resume_token))
        .await
        .unwrap();
    ids.extend(rest(&mut answer.into_inner()).await.0);
    assert_eq!(ids, all(1000));
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused() {
    let service = service(0, "{max_request_bytes: 65536}").await;
    let large = SearchEventsRequest {
        account_ids: vec![OTHER.into(); 10_000],
        ..request()
    };
    let refused = service.client().search_events(large).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let mut stream = begin(&mut service.client(), "").await.unwrap();
    let first = stream.message().await.unwrap().unwrap().item.unwrap();
    assert!(matches!(first, Item::Plan(_)));
}
