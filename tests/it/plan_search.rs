//! `PlanSearch`: what it says, that it asks nothing, and that what it estimates is what is then
//! counted.

use std::fmt::Write as _;

use identity_trail::grpc::pb::identity::Kind;
use identity_trail::grpc::pb::search_events_response::Item;
use identity_trail::grpc::pb::{
    Backend, BytesBasis, EventFilter, OutcomeState, PlanSearchRequest, PlanSearchResponse,
    ReasonCode, SearchEventsRequest, SearchOrder,
};
use identity_trail::sandbox::{Denial, Sandbox};
use prost::Message;
use serde_json::Value;
use tonic::Code;

use crate::grpc_service::{NOW, Service, identity, request, service_config_with};
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
pub fn archive(first_day: &str, verify_days: bool) -> String {
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
    verify_days: {verify_days}
"
    )
}

async fn with_archive(records: &[Value], archive: &str, accounts: &str) -> Service {
    let sandbox = Sandbox::start(config(records, NOW)).await.unwrap();
    let config = service_config_with(&sandbox, accounts, archive);
    Service::over(sandbox, &config).await
}

fn days(days: i64) -> prost_types::Duration {
    prost_types::Duration {
        seconds: days * 86_400,
        nanos: 0,
    }
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
    // Nine pages of the one account, one of the other, and two to see that alice federated nobody.
    assert_eq!(counted, 12);
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
    let service = with_archive(
        &events(736, 360),
        &archive("2026-05-01", false),
        &two_accounts(),
    )
    .await;
    let search = SearchEventsRequest {
        backends: vec![Backend::Athena.into()],
        lookback: Some(days(183)),
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
async fn finding_out_about_log_files_is_planned_as_long_as_they_were_not_seen() {
    let service = with_archive(
        &events(120, 360),
        &archive("2026-10-01", true),
        &two_accounts(),
    )
    .await;
    let search = SearchEventsRequest {
        backends: vec![Backend::Athena.into()],
        account_ids: vec![OTHER.into()],
        // Whole days, whatever the clock says meanwhile.
        end_time: Some(prost_types::Timestamp {
            seconds: NOW.parse::<jiff::Timestamp>().unwrap().as_second(),
            nanos: 0,
        }),
        lookback: Some(days(28)),
        ..request()
    };
    let scanned = || service.sandbox.athena_stats().scanned_bytes;
    let first = plan(&service, planning(search.clone())).await;
    let [verification] = first.verifications.as_slice() else {
        panic!("{first:?}");
    };
    assert_eq!(verification.archive, "trail");
    assert_eq!(
        (verification.account_days, verification.unseen_account_days),
        (28, 28)
    );
    let asked = verification.estimate.as_ref().unwrap();
    let of_scans = first.scans.iter().filter_map(|scans| scans.estimate);
    let of_scans: i64 = of_scans.map(|it| it.requests_at_least).sum();
    let total = first.estimate.as_ref().unwrap();
    assert_eq!(asked.requests_at_least, 3);
    assert_eq!(total.requests_at_least, of_scans + 3);
    service.search(search.clone()).await;
    // The archive declares both accounts, of which one has no records: half of what is there is
    // taken for that one's.
    let (about, counted) = (total.bytes_scanned_about.unwrap(), scanned());
    let about = u64::try_from(about).unwrap() * 2;
    assert!(
        about.abs_diff(counted) * 10 <= counted,
        "{about} for {counted}"
    );

    let again = plan(&service, planning(search.clone())).await;
    assert_eq!(again.verifications[0].unseen_account_days, 0);
    let total_again = again.estimate.unwrap();
    assert_eq!(total_again.requests_at_least, of_scans);
    service.search(search).await;
    let about = u64::try_from(total_again.bytes_scanned_about.unwrap()).unwrap() * 2;
    let counted = scanned() - counted;
    assert!(
        about.abs_diff(counted) * 10 <= counted,
        "{about} for {counted}"
    );
}

#[tokio::test]
async fn a_role_is_planned_by_its_sessions_and_how_these_are_found() {
    let service = Service::start(&events(420, 3)).await;
    let search = SearchEventsRequest {
        identities: vec![identity(Kind::RoleName("deploy".into()))],
        account_ids: vec![OTHER.into()],
        ..request()
    };
    let unprobed = plan(&service, planning(search.clone())).await;
    let [scans] = unprobed.scans.as_slice() else {
        panic!("{unprobed:?}");
    };
    assert!(scans.lookups.is_empty());
    let [role] = scans.roles.as_slice() else {
        panic!("{scans:?}");
    };
    assert_eq!(role.identity, search.identities.first().cloned());
    assert_eq!(role.issued_by[0].attribute_key, "ResourceName");
    assert_eq!(
        role.issued_by[0].attribute_value,
        format!("arn:aws:iam::{OTHER}:role/deploy")
    );
    assert!(role.path_unknown);
    assert_eq!(role.regions, [REGION]);
    let from = role.assumed_from_time.unwrap().seconds;
    assert_eq!(from, scans.start_time.unwrap().seconds - 12 * 3600);
    assert_eq!(role.assumed_until_time, scans.end_time);
    assert_eq!(scans.checked_afterwards, ["identities"]);
    let estimate = unprobed.estimate.unwrap();
    assert_eq!(estimate.requests_at_least, 1);
    assert_eq!(
        (estimate.requests_about, estimate.requests_at_most_about),
        (None, None)
    );

    let probed = PlanSearchRequest {
        probe: true,
        ..planning(search.clone())
    };
    let estimate = plan(&service, probed).await.estimate.unwrap();
    // Nine or ten pages, if it is read whole.
    assert_eq!(estimate.requests_about, None);
    let most = estimate.requests_at_most_about.unwrap();
    assert!((18..=20).contains(&most), "{most}");
    let lookups = || service.sandbox.stats().of("LookupEvents").received;
    let before = lookups();
    service.search(search.clone()).await;
    let counted = i64::try_from(lookups() - before).unwrap();
    assert!(counted >= estimate.requests_at_least && counted <= most);

    let exact = SearchEventsRequest {
        exact_roles: true,
        ..search
    };
    let exact = plan(&service, planning(exact)).await;
    assert!(exact.scans[0].roles.is_empty());
}

#[tokio::test]
async fn oldest_first_is_planned_in_windows() {
    let service = Service::start(&events(420, 3)).await;
    let search = SearchEventsRequest {
        order: SearchOrder::OldestFirst.into(),
        account_ids: vec![OTHER.into()],
        ..request()
    };
    let unprobed = plan(&service, planning(search.clone())).await;
    let estimate = unprobed.estimate.unwrap();
    assert_eq!(
        (estimate.requests_at_least, estimate.windows_at_least),
        (1, 0),
        "a user who did nothing is looked at once"
    );
    assert_eq!(estimate.windows_requests_about, None);
    let probed = PlanSearchRequest {
        probe: true,
        ..planning(search.clone())
    };
    let estimate = plan(&service, probed).await.estimate.unwrap();
    let lookups = || service.sandbox.stats().of("LookupEvents").received;
    let before = lookups();
    service.search(search).await;
    let counted = i64::try_from(lookups() - before).unwrap();
    let about = estimate.requests_about.unwrap();
    assert!((about - counted).abs() <= 2, "{about} for {counted}");
    // Nine or ten pages newest first, and two to see that alice federated nobody.
    let extra = estimate.windows_requests_about.unwrap();
    assert!((11..=12).contains(&(about - extra)), "{extra} of {about}");
}

#[tokio::test]
async fn a_large_plan_comes_in_pages_below_a_megabyte() {
    let mut accounts = format!("    - {{id: \"{HUB}\", credentials: hub}}");
    for number in 0..3_000 {
        write!(accounts, "\n    - {{id: \"{:012}\"}}", 1_000 + number).unwrap();
    }
    let service = with_archive(&[], &archive("2026-01-01", false), &accounts).await;
    let search = SearchEventsRequest {
        lookback: Some(days(300)),
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
