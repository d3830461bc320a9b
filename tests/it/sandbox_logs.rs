//! The sandbox's CloudWatch Logs behind its front door, as the real SDK sees it.

use std::collections::BTreeSet;

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::error::ProvideErrorMetadata;
use aws_sdk_cloudwatchlogs::operation::filter_log_events::FilterLogEventsOutput;
use aws_sdk_cloudwatchlogs::operation::filter_log_events::builders::FilterLogEventsFluentBuilder;
use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;
use identity_trail::sandbox::logs::{LOG_GROUP_NAME, LOG_GROUP_REGION};
use identity_trail::sandbox::{Percent, Sandbox, SandboxConfig};
use serde_json::{Value, json};

use crate::sandbox::{HUB, OTHER, REGION, config, hub, record, sdk, session};

const NOW: &str = "2026-03-01T12:00:00Z";

/// Two hundred events of 2026-03-01 from ten o'clock on, each delivered four minutes later; every
/// tenth by ada, the others by grace.
fn morning() -> Vec<Value> {
    (0..200)
        .map(|number: u32| {
            let (minute, second) = (number / 60, number % 60);
            let user = if number.is_multiple_of(10) {
                "ada"
            } else {
                "grace"
            };
            record(
                number,
                &format!("2026-03-01T10:{minute:02}:{second:02}Z"),
                user,
            )
        })
        .collect()
}

fn millis(time: &str) -> i64 {
    time.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

fn logs(sandbox: &Sandbox) -> Client {
    Client::new(&sdk(sandbox, hub(sandbox), LOG_GROUP_REGION))
}

async fn start(config: SandboxConfig) -> (Sandbox, Client) {
    let sandbox = Sandbox::start(config).await.unwrap();
    let client = logs(&sandbox);
    (sandbox, client)
}

/// A sandbox of `records` whose FilterLogEvents looks at `scan` events at a time.
async fn with_pages(records: &[Value], scan: usize) -> (Sandbox, Client) {
    let mut config = config(records, NOW);
    config.logs.scanned_events_per_page = scan;
    config.logs.filter_rate = None;
    start(config).await
}

/// All pages of a reading.
async fn pages(reading: FilterLogEventsFluentBuilder) -> Vec<FilterLogEventsOutput> {
    let mut pages = Vec::new();
    let mut token = None;
    loop {
        let reading = reading.clone().set_next_token(token.take());
        let page = reading.send().await.unwrap();
        token.clone_from(&page.next_token);
        pages.push(page);
        if token.is_none() {
            return pages;
        }
    }
}

async fn drain(reading: FilterLogEventsFluentBuilder) -> Vec<FilteredLogEvent> {
    let pages = pages(reading).await.into_iter();
    pages
        .flat_map(|page| page.events.unwrap_or_default())
        .collect()
}

/// The event ids of the records in the messages.
fn ids(events: &[FilteredLogEvent]) -> Vec<String> {
    let id = |event: &FilteredLogEvent| {
        let record: Value = serde_json::from_str(event.message().unwrap()).unwrap();
        record["eventID"].as_str().unwrap().to_owned()
    };
    events.iter().map(id).collect()
}

fn id_of(record: &Value) -> &str {
    record["eventID"].as_str().unwrap()
}

async fn refusal(reading: FilterLogEventsFluentBuilder) -> String {
    let error = reading.send().await.unwrap_err();
    error.as_service_error().unwrap().code().unwrap().to_owned()
}

#[tokio::test]
async fn an_event_is_a_record_at_the_time_of_its_delivery() {
    let records = [record(1, "2026-03-01T11:00:00Z", "ada")];
    let (sandbox, client) = start(config(&records, NOW)).await;
    let reading = client.filter_log_events().log_group_name(LOG_GROUP_NAME);
    let events = drain(reading).await;
    let [event] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(event.timestamp(), Some(millis("2026-03-01T11:04:00Z")));
    assert!(event.ingestion_time() >= event.timestamp());
    assert_eq!(
        event.log_stream_name(),
        Some(&*format!("{OTHER}_CloudTrail_{REGION}"))
    );
    let message: Value = serde_json::from_str(event.message().unwrap()).unwrap();
    assert_eq!(message, records[0]);
    assert_eq!(event.event_id().map(str::len), Some(56));
    assert_eq!(sandbox.stats().of("FilterLogEvents").succeeded, 1);
}

#[tokio::test]
async fn every_event_comes_once_in_either_order_whatever_the_pages() {
    let records = morning();
    let start = millis("2026-03-01T00:00:00Z");
    let oldest_first: Vec<&str> = records.iter().map(id_of).collect();
    let newest_first: Vec<&str> = oldest_first.iter().rev().copied().collect();
    for (scan, limit) in [
        (3, None),
        (7, Some(3)),
        (200, None),
        (10_000, Some(13)),
        (10_000, None),
    ] {
        let (_sandbox, client) = with_pages(&records, scan).await;
        let reading = client
            .filter_log_events()
            .log_group_name(LOG_GROUP_NAME)
            .start_time(start)
            .set_limit(limit);
        let head = drain(reading.clone()).await;
        assert_eq!(ids(&head), oldest_first, "{scan} {limit:?}");
        let tail = drain(reading.start_from_head(false)).await;
        assert_eq!(ids(&tail), newest_first, "{scan} {limit:?}");
    }
}

#[tokio::test]
async fn a_pattern_that_seldom_matches_has_empty_pages() {
    let records = morning();
    let (sandbox, client) = with_pages(&records, 5).await;
    let reading = client
        .filter_log_events()
        .log_group_identifier(sandbox.log_group_arn())
        .filter_pattern(r#"{ $.userIdentity.userName = "ada" }"#);
    let pages = pages(reading).await;
    let sizes: Vec<usize> = pages.iter().map(|page| page.events().len()).collect();
    assert_eq!(sizes, [1, 0].repeat(20));
    let events = pages
        .into_iter()
        .flat_map(|page| page.events.unwrap_or_default());
    let by_ada = records.iter().step_by(10).map(id_of);
    assert_eq!(ids(&events.collect::<Vec<_>>()), by_ada.collect::<Vec<_>>());
}

#[tokio::test]
async fn both_ends_of_the_interval_are_in_it() {
    let records = morning();
    let (_sandbox, client) = with_pages(&records, 50).await;
    let at = |second: u32| millis(&format!("2026-03-01T10:04:{second:02}Z"));
    let reading = client
        .filter_log_events()
        .log_group_name(LOG_GROUP_NAME)
        .start_time(at(10))
        .end_time(at(12));
    let events = drain(reading).await;
    let expected: Vec<&str> = records[10..=12].iter().map(id_of).collect();
    assert_eq!(ids(&events), expected);
}

#[tokio::test]
async fn a_page_has_at_most_a_megabyte() {
    let large = |number: u32| {
        let mut record = record(number, "2026-03-01T10:00:00Z", "ada");
        record["requestParameters"] = json!({"blob": "x".repeat(200_000)});
        record
    };
    let records: Vec<Value> = (0..12).map(large).collect();
    let (_sandbox, client) = with_pages(&records, 10_000).await;
    let reading = client.filter_log_events().log_group_name(LOG_GROUP_NAME);
    let pages = pages(reading).await;
    let sizes: Vec<usize> = pages.iter().map(|page| page.events().len()).collect();
    assert_eq!(sizes, [5, 5, 2]);
}

#[tokio::test]
async fn what_is_too_large_too_old_or_still_on_its_way_is_not_there() {
    let mut large = record(1, "2026-03-01T10:00:00Z", "ada");
    large["requestParameters"] = json!({"blob": "x".repeat(256 * 1024)});
    let records = [
        large,
        record(2, "2025-03-01T11:55:59Z", "ada"), // delivered a year and a second ago
        record(3, "2025-03-01T11:56:00Z", "ada"),
        record(4, "2026-03-01T11:55:00Z", "ada"),
        record(5, "2026-03-01T11:58:00Z", "ada"), // delivered at 12:02
    ];
    let (_sandbox, client) = start(config(&records, "2026-03-01T11:59:59Z")).await;
    let reading = client.filter_log_events().log_group_name(LOG_GROUP_NAME);
    let expected = [id_of(&records[2]), id_of(&records[3])];
    assert_eq!(ids(&drain(reading.clone()).await), expected);

    let mut shorter = config(&records, "2026-03-01T11:59:59Z");
    shorter.logs.retention_days = 1;
    let (_sandbox, client) = start(shorter).await;
    let reading = client.filter_log_events().log_group_name(LOG_GROUP_NAME);
    assert_eq!(ids(&drain(reading).await), expected[1..]);
}

#[tokio::test]
async fn streams_can_be_picked() {
    let mut records = config(&[], NOW);
    let account = |id: &str, file: &mut identity_trail::sandbox::log_file::LogFile| {
        id.clone_into(&mut file.account_id);
        file.key = format!("AWSLogs/o-abcdefghij/{id}/CloudTrail/{REGION}/2026/03/01/x.json.gz");
    };
    let mut files = crate::sandbox::files(&[
        record(1, "2026-03-01T10:00:00Z", "ada"),
        record(2, "2026-03-01T10:00:01Z", "ada"),
    ]);
    account(HUB, &mut files[0]);
    account(OTHER, &mut files[1]);
    let identity_trail::sandbox::Data::Files { files: held, .. } = &mut records.data else {
        panic!("not files")
    };
    *held = files;
    let (_sandbox, client) = start(records).await;
    let all = client.filter_log_events().log_group_name(LOG_GROUP_NAME);
    let streams = async |reading: FilterLogEventsFluentBuilder| {
        let events = drain(reading).await;
        let names = events
            .iter()
            .map(|event| event.log_stream_name().unwrap().to_owned());
        names.collect::<BTreeSet<_>>()
    };
    let name = |account: &str| format!("o-abcdefghij_{account}_CloudTrail_{REGION}");
    assert_eq!(
        streams(all.clone()).await,
        BTreeSet::from([name(HUB), name(OTHER)])
    );
    let named = all.clone().log_stream_names(name(HUB));
    assert_eq!(streams(named).await, BTreeSet::from([name(HUB)]));
    let prefix = format!("o-abcdefghij_{OTHER}_");
    let prefixed = all.clone().log_stream_name_prefix(prefix);
    assert_eq!(
        streams(prefixed.clone()).await,
        BTreeSet::from([name(OTHER)])
    );
    let both = prefixed.log_stream_names(name(HUB));
    assert_eq!(refusal(both).await, "InvalidParameterException");
    let none = all.log_stream_names("none");
    assert_eq!(refusal(none).await, "ResourceNotFoundException");
}

#[tokio::test]
async fn a_token_is_of_its_request_and_keeps_its_direction() {
    let records = morning();
    let (_sandbox, client) = with_pages(&records, 150).await;
    let reading = client
        .filter_log_events()
        .log_group_name(LOG_GROUP_NAME)
        .start_time(millis("2026-03-01T00:00:00Z"));
    let first = reading.clone().start_from_head(false).send().await.unwrap();
    let token = first.next_token.unwrap();
    let next = reading.clone().next_token(&token).start_from_head(true);
    let next = next.send().await.unwrap().events.unwrap();
    let expected: Vec<&str> = records[..50].iter().rev().map(id_of).collect();
    assert_eq!(ids(&next), expected);
    for other in [
        reading.clone().next_token("made up"),
        reading.clone().next_token(&token).limit(7),
        reading
            .clone()
            .next_token(&token)
            .filter_pattern("{ $.a = b }"),
        reading.next_token(&token).start_time(0),
    ] {
        assert_eq!(refusal(other).await, "InvalidParameterException");
    }
}

#[tokio::test]
async fn what_aws_refuses_is_refused() {
    let (sandbox, client) = start(config(&morning(), NOW)).await;
    let bare = client.filter_log_events();
    let named = bare.clone().log_group_name(LOG_GROUP_NAME);
    let long = format!("{{ $.a = \"{}\" }}", "x".repeat(1_024));
    for reading in [
        bare.clone(),
        named.clone().log_group_identifier(sandbox.log_group_arn()),
        bare.clone().log_group_name(sandbox.log_group_arn()),
        bare.clone()
            .log_group_identifier(format!("{}:*", sandbox.log_group_arn())),
        named.clone().limit(0),
        named.clone().limit(10_001),
        named.clone().start_time(-1),
        named.clone().start_time(2).end_time(1),
        named.clone().filter_pattern("ERROR"),
        named.clone().filter_pattern(long),
        // Newest first is for times since 2024 only.
        named.clone().start_from_head(false),
        named
            .clone()
            .start_from_head(false)
            .start_time(millis("2023-12-31T23:59:59Z")),
    ] {
        assert_eq!(refusal(reading).await, "InvalidParameterException");
    }
    let unknown = bare.log_group_name("cloudtrail/other");
    assert_eq!(refusal(unknown).await, "ResourceNotFoundException");
}

#[tokio::test]
async fn the_log_group_is_in_the_hubs_account_and_region_only() {
    let (sandbox, _) = start(config(&morning(), NOW)).await;
    let member = session(&sandbox, OTHER).await;
    for (credentials, region, expected) in [
        (member, LOG_GROUP_REGION, "ResourceNotFoundException"),
        (hub(&sandbox), REGION, "ResourceNotFoundException"),
        (hub(&sandbox), LOG_GROUP_REGION, "InvalidParameterException"),
    ] {
        let client = Client::new(&sdk(&sandbox, credentials, region));
        let reading = client.filter_log_events().log_group_name(LOG_GROUP_NAME);
        assert_eq!(refusal(reading.limit(0)).await, expected);
    }
    // A role in the hub's account reads it, too.
    let reader = Client::new(&sdk(
        &sandbox,
        session(&sandbox, HUB).await,
        LOG_GROUP_REGION,
    ));
    let reading = reader.filter_log_events().log_group_name(LOG_GROUP_NAME);
    assert_eq!(drain(reading).await.len(), 200);
}

#[tokio::test]
async fn calls_have_a_quota_and_faults_reach_them() {
    let mut quota = config(&morning(), NOW);
    quota.logs.filter_rate = Some(0.001);
    let (sandbox, client) = start(quota).await;
    let reading = client.filter_log_events().log_group_name(LOG_GROUP_NAME);
    reading.clone().send().await.unwrap();
    assert_eq!(refusal(reading.clone()).await, "ThrottlingException");
    assert_eq!(sandbox.stats().of("FilterLogEvents").throttled, 1);

    let (sandbox, client) = start(config(&morning(), NOW)).await;
    let reading = client.filter_log_events().log_group_name(LOG_GROUP_NAME);
    sandbox
        .faults()
        .change(|faults| faults.throttle = Percent::ALWAYS);
    assert_eq!(refusal(reading).await, "ThrottlingException");
}
