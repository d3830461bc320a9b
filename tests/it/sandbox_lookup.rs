//! The sandbox's event history, as the real SDK sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_cloudtrail::error::ProvideErrorMetadata;
use aws_sdk_cloudtrail::operation::lookup_events::builders::LookupEventsFluentBuilder;
use aws_sdk_cloudtrail::primitives::DateTime;
use aws_sdk_cloudtrail::types::{Event, EventCategory, LookupAttribute, LookupAttributeKey as Key};
use identity_trail::sandbox::{Data, OrganizationSpec, Percent, Sandbox, SandboxConfig};
use serde_json::{Value, json};

use crate::sandbox::{OTHER, REGION, cloudtrail, config, corpus, counts, hub, record, sdk};

const NOW: &str = "2026-03-01T12:00:00Z";

/// All pages of a lookup.
async fn drain(lookup: LookupEventsFluentBuilder) -> Vec<Event> {
    let mut events = Vec::new();
    let mut token = None;
    loop {
        let page = lookup.clone().set_next_token(token).send().await.unwrap();
        events.extend(page.events.unwrap_or_default());
        token = page.next_token;
        if token.is_none() {
            return events;
        }
    }
}

fn ids(events: &[Event]) -> Vec<&str> {
    events.iter().filter_map(Event::event_id).collect()
}

fn times(events: &[Event]) -> Vec<i64> {
    events
        .iter()
        .map(|event| event.event_time().unwrap().secs())
        .collect()
}

fn by(key: Key, value: &str) -> LookupAttribute {
    LookupAttribute::builder()
        .attribute_key(key)
        .attribute_value(value)
        .build()
        .unwrap()
}

/// 130 events, up to seven in a second.
fn busy_morning() -> Vec<Value> {
    let time = |number: u32| format!("2026-03-01T09:00:{:02}Z", number / 7);
    let user = |number: u32| {
        if number.is_multiple_of(3) {
            "ada"
        } else {
            "grace"
        }
    };
    (0..130)
        .map(|number| record(number, &time(number), user(number)))
        .collect()
}

async fn code(lookup: LookupEventsFluentBuilder) -> String {
    let error = lookup.send().await.unwrap_err();
    error.as_service_error().unwrap().code().unwrap().to_owned()
}

#[tokio::test]
async fn paging_to_the_end_shows_every_event_once_newest_first() {
    let records = busy_morning();
    let sandbox = Sandbox::start(config(&records, NOW)).await.unwrap();
    let client = cloudtrail(&sandbox, OTHER, REGION).await;
    let expected: BTreeSet<&str> = records
        .iter()
        .filter_map(|record| record["eventID"].as_str())
        .collect();
    for page_size in [None, Some(1), Some(7), Some(13), Some(50)] {
        let events = drain(client.lookup_events().set_max_results(page_size)).await;
        assert_eq!(events.len(), records.len());
        assert_eq!(BTreeSet::from_iter(ids(&events)), expected);
        assert!(times(&events).is_sorted_by(|a, b| a >= b));
        assert!(
            !ids(&events).is_sorted_by(|a, b| a >= b),
            "a second's events come in no order"
        );
    }
    let calls = sandbox.stats().of("LookupEvents");
    assert_eq!(calls.received, 3 + 130 + 19 + 10 + 3);
    assert_eq!(calls.succeeded, calls.received);
}

#[tokio::test]
async fn an_event_is_shown_as_cloudtrail_shows_it() {
    let records = [record(4, "2026-03-01T11:00:00Z", "ada")];
    let sandbox = Sandbox::start(config(&records, NOW)).await.unwrap();
    let client = cloudtrail(&sandbox, OTHER, REGION).await;
    let events = drain(client.lookup_events()).await;
    let [event] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(event.event_name(), Some("DescribeInstances"));
    assert_eq!(event.read_only(), Some("true"));
    assert_eq!(event.username(), Some("ada"));
    assert_eq!(event.event_source(), Some("ec2.amazonaws.com"));
    assert_eq!(event.access_key_id(), Some("AKIA0000000000000ADA"));
    let shown: Value = serde_json::from_str(event.cloud_trail_event().unwrap()).unwrap();
    assert_eq!(shown, records[0]);
}

#[tokio::test]
async fn each_attribute_is_compared_in_full() {
    let role = "arn:aws:iam::222222222222:role/team/deployer";
    let mut assume = record(1, "2026-03-01T10:00:00Z", "ada");
    assume["eventName"] = json!("AssumeRole");
    assume["eventSource"] = json!("sts.amazonaws.com");
    assume["requestParameters"] = json!({"roleArn": role, "roleSessionName": "release-7"});
    assume["responseElements"] = json!({"credentials": {"accessKeyId": "ASIAISSUED0000000001"}});
    let mut session = record(2, "2026-03-01T10:01:00Z", "ada");
    session["userIdentity"] = json!({"type": "AssumedRole", "principalId": "AROAX:release-7"});
    let records = [assume, session, record(4, "2026-03-01T10:02:00Z", "grace")];
    let sandbox = Sandbox::start(config(&records, NOW)).await.unwrap();
    let client = cloudtrail(&sandbox, OTHER, REGION).await;
    let cases: [(Key, &str, &[u32]); 13] = [
        (Key::EventId, "00000000-0000-4000-8000-000000000002", &[2]),
        (Key::EventName, "AssumeRole", &[1]),
        (Key::EventName, "AssumeRol", &[]),
        (Key::EventName, "assumerole", &[]),
        (Key::ReadOnly, "true", &[4, 2]),
        (Key::Username, "release-7", &[2]),
        (Key::Username, "ada", &[1]),
        (Key::ResourceType, "AWS::IAM::AccessKey", &[1]),
        (Key::ResourceName, role, &[1]),
        (Key::ResourceName, "ASIAISSUED0000000001", &[1]),
        (Key::EventSource, "ec2.amazonaws.com", &[4, 2]),
        (Key::AccessKeyId, "AKIA0000000000000ADA", &[1]),
        (Key::AccessKeyId, "ASIAISSUED0000000001", &[]),
    ];
    for (key, value, expected) in cases {
        let events = drain(
            client
                .lookup_events()
                .lookup_attributes(by(key.clone(), value)),
        )
        .await;
        let expected: Vec<_> = expected
            .iter()
            .map(|id| format!("00000000-0000-4000-8000-{id:012}"))
            .collect();
        assert_eq!(ids(&events), expected, "{key} {value}");
    }
}

#[tokio::test]
async fn only_management_events_of_90_days_that_were_delivered_are_there() {
    let mut data = record(3, "2026-03-01T10:00:00Z", "ada");
    data["eventCategory"] = json!("Data");
    let mut unclassed_data = record(4, "2026-03-01T10:00:00Z", "ada");
    unclassed_data
        .as_object_mut()
        .unwrap()
        .remove("eventCategory");
    unclassed_data["managementEvent"] = json!(false);
    let mut insight = record(5, "2026-03-01T10:00:00Z", "ada");
    insight["eventCategory"] = json!("Insight");
    let mut bare = json!({"eventTime": "2026-03-01T10:00:00Z", "awsRegion": REGION});
    let records = [
        record(0, "2025-12-01T11:59:00Z", "ada"), // just over 90 days
        record(1, "2025-12-01T12:01:00Z", "ada"),
        record(2, "2026-03-01T11:57:00Z", "ada"), // delivered at 12:01
        data,
        unclassed_data,
        insight,
        bare.take(),
        json!({"eventID": "no time"}),
    ];
    let sandbox = Sandbox::start(config(&records, NOW)).await.unwrap();
    let client = cloudtrail(&sandbox, OTHER, REGION).await;
    let events = drain(client.lookup_events()).await;
    assert_eq!(times(&events), [1_772_359_200, 1_764_590_460]);
    assert_eq!(ids(&events), ["00000000-0000-4000-8000-000000000001"]);
    let insights = drain(
        client
            .lookup_events()
            .event_category(EventCategory::Insight),
    )
    .await;
    assert_eq!(ids(&insights), ["00000000-0000-4000-8000-000000000005"]);
}

#[tokio::test]
async fn both_ends_of_the_interval_are_inside_it() {
    let times = ["10:00:00", "10:00:01", "10:00:02", "10:00:03"];
    let records: Vec<_> = (0..)
        .zip(times)
        .map(|(n, time)| record(n, &format!("2026-03-01T{time}Z"), "ada"))
        .collect();
    let sandbox = Sandbox::start(config(&records, NOW)).await.unwrap();
    let client = cloudtrail(&sandbox, OTHER, REGION).await;
    let start = DateTime::from_secs(1_772_359_201);
    let middle = client
        .lookup_events()
        .start_time(start)
        .end_time(DateTime::from_secs(1_772_359_202));
    assert_eq!(
        self::times(&drain(middle).await),
        [1_772_359_202, 1_772_359_201]
    );
    let fractions = client
        .lookup_events()
        .start_time(DateTime::from_millis(1_772_359_200_500))
        .end_time(DateTime::from_millis(1_772_359_201_900));
    assert_eq!(self::times(&drain(fractions).await), [1_772_359_201]);
}

#[tokio::test]
async fn accounts_and_regions_have_their_own_histories_and_an_event_id_is_one_event() {
    let mut global = record(1, "2026-03-01T10:00:00Z", "ada");
    global["awsRegion"] = json!("us-east-1");
    let mut again = record(2, "2026-03-01T10:00:00Z", "ada");
    again["eventName"] = json!("Changed");
    let mut nowhere = record(3, "2026-03-01T10:00:01Z", "ada");
    nowhere.as_object_mut().unwrap().remove("awsRegion");
    let records = [
        global,
        record(2, "2026-03-01T10:00:00Z", "ada"),
        again,
        nowhere,
    ];
    let sandbox = Sandbox::start(config(&records, NOW)).await.unwrap();
    for (account, region, expected) in [
        (OTHER, "us-east-1", &["RunInstances"][..]),
        (OTHER, REGION, &["RunInstances", "DescribeInstances"]),
        (OTHER, "eu-north-1", &[]),
        (crate::sandbox::HUB, REGION, &[]),
    ] {
        let events = drain(cloudtrail(&sandbox, account, region).await.lookup_events()).await;
        let names: Vec<_> = events.iter().filter_map(Event::event_name).collect();
        assert_eq!(names, expected, "{account} {region}");
    }
}

#[tokio::test]
async fn a_token_is_good_for_the_request_that_it_was_given_to() {
    let sandbox = Sandbox::start(config(&busy_morning(), NOW)).await.unwrap();
    let client = cloudtrail(&sandbox, OTHER, REGION).await;
    let lookup = client
        .lookup_events()
        .lookup_attributes(by(Key::Username, "grace"));
    let token = lookup.clone().send().await.unwrap().next_token.unwrap();
    lookup.clone().next_token(&token).send().await.unwrap();

    let elsewhere = cloudtrail(&sandbox, OTHER, "us-east-1").await;
    for other in [
        client.lookup_events(),
        client
            .lookup_events()
            .lookup_attributes(by(Key::Username, "ada")),
        lookup.clone().max_results(10),
        lookup.clone().end_time(DateTime::from_secs(1_772_359_200)),
        elsewhere
            .lookup_events()
            .lookup_attributes(by(Key::Username, "grace")),
    ] {
        assert_eq!(
            code(other.next_token(&token)).await,
            "InvalidNextTokenException"
        );
    }
    assert_eq!(
        code(lookup.next_token("made up")).await,
        "InvalidNextTokenException"
    );
}

#[tokio::test]
async fn a_token_ends() {
    let mut config = config(&busy_morning(), NOW);
    config.page_token_uses = Some(1);
    let sandbox = Sandbox::start(config).await.unwrap();
    let client = cloudtrail(&sandbox, OTHER, REGION).await;
    assert_eq!(drain(client.lookup_events()).await.len(), 130);
    let token = client
        .lookup_events()
        .send()
        .await
        .unwrap()
        .next_token
        .unwrap();
    let second = client.lookup_events().next_token(token);
    second.clone().send().await.unwrap();
    assert_eq!(code(second).await, "InvalidNextTokenException");

    sandbox
        .faults()
        .change(|faults| faults.stale_token = Percent::ALWAYS);
    let token = client
        .lookup_events()
        .send()
        .await
        .unwrap()
        .next_token
        .unwrap();
    let stale = client.lookup_events().next_token(token);
    assert_eq!(code(stale).await, "InvalidNextTokenException");
}

#[tokio::test]
async fn what_aws_refuses_is_refused() {
    let sandbox = Sandbox::start(config(&busy_morning(), NOW)).await.unwrap();
    let client = cloudtrail(&sandbox, OTHER, REGION).await;
    let lookup = || client.lookup_events();
    let ada = || by(Key::Username, "ada");
    let early = DateTime::from_secs(1_772_359_200);
    let late = DateTime::from_secs(1_772_359_201);
    let cases = [
        (lookup().max_results(0), "InvalidMaxResultsException"),
        (lookup().max_results(51), "InvalidMaxResultsException"),
        (
            lookup().start_time(late).end_time(early),
            "InvalidTimeRangeException",
        ),
        (
            lookup().lookup_attributes(ada()).lookup_attributes(ada()),
            "InvalidLookupAttributesException",
        ),
        (
            lookup().lookup_attributes(by(Key::Username, "")),
            "InvalidLookupAttributesException",
        ),
        (
            lookup().lookup_attributes(by(Key::from("RoleName"), "x")),
            "ValidationException",
        ),
        (
            lookup().event_category(EventCategory::from("data")),
            "InvalidEventCategoryException",
        ),
    ];
    for (lookup, expected) in cases {
        assert_eq!(code(lookup).await, expected);
    }
    let other = client.list_trails().send().await.unwrap_err();
    assert_eq!(
        other.as_service_error().unwrap().code(),
        Some("UnknownOperationException")
    );
}

#[tokio::test]
async fn the_quota_is_each_regions_own() {
    let mut config = config(&busy_morning(), NOW);
    // The second call would pass after a quarter of an hour.
    config.lookup_rate = Some(0.001);
    let sandbox = Sandbox::start(config).await.unwrap();
    for region in [REGION, "us-east-1"] {
        let client = cloudtrail(&sandbox, OTHER, region).await;
        client.lookup_events().send().await.unwrap();
        assert_eq!(code(client.lookup_events()).await, "ThrottlingException");
    }
    let calls = sandbox.stats().of("LookupEvents");
    assert_eq!((calls.received, calls.throttled), (4, 2));
}

#[tokio::test]
async fn a_page_can_be_out_of_order() {
    let mut config = config(&busy_morning(), NOW);
    config.faults.out_of_order = Percent::ALWAYS;
    let sandbox = Sandbox::start(config).await.unwrap();
    let client = cloudtrail(&sandbox, OTHER, REGION).await;
    let events = drain(client.lookup_events()).await;
    assert_eq!(counts(ids(&events)).len(), 130);
    let backwards = times(&events)
        .windows(2)
        .filter(|pair| pair[0] < pair[1])
        .count();
    assert_eq!(backwards, 3);
}

#[tokio::test]
async fn rendered_events_are_the_same_when_they_are_kept() {
    let mut config = config(&busy_morning(), NOW);
    config.prerender = true;
    let sandbox = Sandbox::start(config).await.unwrap();
    let client = cloudtrail(&sandbox, OTHER, REGION).await;
    let first = drain(client.lookup_events()).await;
    assert_eq!(first, drain(client.lookup_events()).await);
    assert_eq!(first.len(), 130);
}

#[tokio::test]
async fn real_records_come_back_as_they_are() {
    for set in [
        "invictus",
        "stratus",
        "panther-fixtures",
        "traildiscover",
        "otrf-s3-breach",
        "custodian-fixtures",
    ] {
        let Some(logs) = corpus(set) else { return };
        let loaded = Sandbox::start(SandboxConfig::new(Data::Logs(vec![logs])))
            .await
            .unwrap();
        assert!(loaded.load_problems().is_empty(), "{set}");
        // Each month of the set in turn is the present.
        let records = loaded.files().iter().flat_map(|file| &file.records);
        let months = records.filter_map(|record| Some(record.event_time()? / MONTH));
        for month in counts(months).into_keys() {
            compare_with_a_naive_scan(&loaded, (month + 1) * MONTH).await;
        }
    }
}

#[tokio::test]
async fn a_generated_organization_has_event_histories() {
    let now = NOW.parse().unwrap();
    let config = SandboxConfig::new(Data::Organization(OrganizationSpec {
        days: 4,
        accounts: 5,
        events_per_day: 50,
        ..OrganizationSpec::new(now)
    }));
    let sandbox = Sandbox::start(config).await.unwrap();
    assert_eq!(sandbox.hub_account_id(), sandbox.accounts()[0].id);
    assert!(sandbox.clock().now() >= now);
    let leaked = &sandbox.story().unwrap().leaked_access_key_id;
    let sts = aws_sdk_sts::Client::new(&sdk(&sandbox, hub(&sandbox), REGION));
    let owner = sts.get_access_key_info().access_key_id(leaked);
    let owner = owner.send().await.unwrap();
    assert_eq!(
        owner.account(),
        Some(&*sandbox.story().unwrap().account_ids[0])
    );
    compare_with_a_naive_scan(&sandbox, now.as_second()).await;
}

const MONTH: i64 = 30 * 24 * 60 * 60;

async fn compare_with_a_naive_scan(loaded: &Sandbox, now: i64) {
    let mut config = SandboxConfig::new(Data::Files {
        accounts: loaded.accounts().to_vec(),
        files: loaded.files().to_vec(),
    });
    config.lookup_rate = None;
    config.now = Some(jiff::Timestamp::from_second(now).unwrap());

    let mut histories: BTreeMap<(String, String), BTreeMap<String, usize>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for file in loaded.files() {
        for record in &file.records {
            let value = record.value();
            let management = match value["eventCategory"].as_str() {
                Some(category) => category == "Management",
                None => value["managementEvent"] != json!(false),
            };
            let times = now - 90 * 86_400..=now;
            if !management
                || !times.contains(&record.event_time().unwrap())
                || file.delivered_at.as_second() > now
            {
                continue;
            }
            let region = value["awsRegion"].as_str().unwrap().to_owned();
            let history = (file.account_id.clone(), region);
            let copy = value["eventID"]
                .as_str()
                .is_some_and(|id| !seen.insert((history.clone(), id.to_owned())));
            if !copy {
                let shown = histories.entry(history).or_default();
                *shown.entry(record.json().to_owned()).or_default() += 1;
            }
        }
    }

    let sandbox = Sandbox::start(config).await.unwrap();
    for ((account, region), expected) in histories {
        let client = cloudtrail(&sandbox, &account, &region).await;
        let events = drain(client.lookup_events()).await;
        assert!(times(&events).is_sorted_by(|a, b| a >= b));
        let shown = events
            .into_iter()
            .filter_map(|event| event.cloud_trail_event);
        assert_eq!(counts(shown), expected, "{account} {region} {now}");
    }
}

#[tokio::test]
async fn benjamin_has_105_matches() {
    let Some(logs) = corpus("invictus") else {
        return;
    };
    let mut config = SandboxConfig::new(Data::Logs(vec![logs]));
    config.now = Some("2023-07-10T14:00:00Z".parse().unwrap());
    config.lookup_rate = None;
    config.page_token_lifetime = Duration::from_mins(10);
    let sandbox = Sandbox::start(config).await.unwrap();
    let account = sandbox.accounts()[0].id.clone();
    let regions: BTreeSet<String> = sandbox
        .files()
        .iter()
        .map(|file| file.region.clone())
        .collect();
    let mut matches = 0;
    for region in regions {
        let client = cloudtrail(&sandbox, &account, &region).await;
        matches += drain(
            client
                .lookup_events()
                .lookup_attributes(by(Key::Username, "benjamin")),
        )
        .await
        .len();
    }
    assert_eq!(matches, 105);
}
