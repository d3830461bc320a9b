use serde_json::{Value, json};

use super::*;
use crate::query::record::{MAX_TARGETS, ReadFrom, TextOrigin, parse_record};
use crate::query::{BackendKind, Event, Provenance};

fn event(members: &Value) -> Event {
    let mut record = json!({
        "eventTime": "2023-07-10T11:42:17Z",
        "eventSource": "iam.amazonaws.com",
        "eventName": "DeleteUser",
        "eventID": "b8f2a9f5-7e3c-4e8b-9a55-1f0d3a4c2e11",
        "sourceIPAddress": "203.0.113.77",
        "readOnly": false,
    });
    for (name, value) in members.as_object().unwrap() {
        record[name] = value.clone();
    }
    let read_from = ReadFrom {
        provenance: Provenance {
            backend: BackendKind::EventHistory,
            account_id: "111122223333".parse().unwrap(),
            account_name: None,
            region: None,
            archive: None,
            log_group: None,
            aws_request_id: None,
            log_file: None,
        },
        origin: TextOrigin::Delivered,
        keep_record: false,
    };
    parse_record(&record.to_string(), &read_from).unwrap()
}

fn passes(change: impl FnOnce(&mut EventFilter), members: &Value) -> bool {
    let mut filter = EventFilter::default();
    change(&mut filter);
    filter.condition().holds(&event(members))
}

fn texts<T: std::str::FromStr<Err: std::fmt::Debug>>(texts: &[&str]) -> Vec<T> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn an_empty_filter_asks_nothing() {
    assert!(passes(|_| {}, &json!({})));
}

#[test]
fn a_write_is_whatever_does_not_say_that_it_reads() {
    let write = |f: &mut EventFilter| f.access = vec![Access::Write];
    let read = |f: &mut EventFilter| f.access = vec![Access::Read];
    for (read_only, writes) in [
        (json!(false), true),
        (json!(true), false),
        (json!("True"), false),
        (json!(null), true),
    ] {
        let members = json!({"readOnly": read_only});
        assert_eq!(passes(write, &members), writes, "{members}");
        assert_eq!(passes(read, &members), !writes, "{members}");
    }
}

#[test]
fn issuing_credentials_is_more_than_reading() {
    let issues = |f: &mut EventFilter| f.access = vec![Access::IssuesCredentials];
    let call = |source: &str, name: &str| json!({"eventSource": source, "eventName": name, "readOnly": true});
    assert!(passes(issues, &call("sts.amazonaws.com", "AssumeRole")));
    assert!(passes(
        issues,
        &call("iam.amazonaws.com", "CreateAccessKey")
    ));
    assert!(!passes(
        issues,
        &call("sts.amazonaws.com", "GetCallerIdentity")
    ));
    // Of another service, not everything of this name does.
    assert!(!passes(
        issues,
        &call("ssm.amazonaws.com", "GetSessionToken")
    ));
    let changes = |f: &mut EventFilter| f.access = vec![Access::Write, Access::IssuesCredentials];
    assert!(passes(changes, &call("sts.amazonaws.com", "AssumeRole")));
    assert!(passes(changes, &json!({})));
    assert!(!passes(changes, &call("s3.amazonaws.com", "ListBuckets")));
}

#[test]
fn errors_are_codes_that_say_something() {
    let only = |f: &mut EventFilter| f.errors_only = true;
    let denied = |f: &mut EventFilter| f.error_codes = vec!["AccessDenied".into()];
    for (members, failed, was_denied) in [
        (json!({}), false, false),
        (json!({"errorCode": ""}), false, false),
        (json!({"errorCode": "AccessDenied"}), true, true),
        (json!({"errorCode": "AccessDeniedException"}), true, false),
    ] {
        assert_eq!(passes(only, &members), failed, "{members}");
        assert_eq!(passes(denied, &members), was_denied, "{members}");
    }
}

#[test]
fn a_call_comes_from_an_address_a_network_or_a_service() {
    let from = |asked: &str, recorded: &Value| {
        let asked = texts(&[asked]);
        passes(
            |f| f.source_ips = asked,
            &json!({"sourceIPAddress": recorded}),
        )
    };
    assert!(from("203.0.113.77", &json!("203.0.113.77")));
    assert!(from("203.0.113.0/24", &json!("203.0.113.77")));
    assert!(!from("203.0.112.0/24", &json!("203.0.113.77")));
    assert!(from("2001:db8::/32", &json!("2001:DB8:0:1::7")));
    assert!(from("AWS Internal", &json!("AWS Internal")));
    assert!(from("eks.amazonaws.com", &json!("eks.amazonaws.com")));
    assert!(!from("0.0.0.0/0", &json!("eks.amazonaws.com")));
    assert!(!from("AWS Internal", &json!(null)));
}

#[test]
fn what_was_acted_upon_is_named_by_parameters_and_resources() {
    let on = |asked: &str, members: &Value| {
        let asked = texts(&[asked]);
        passes(|f| f.resources = asked, members)
    };
    // The how-to's case.
    assert!(on(
        "Alice",
        &json!({"requestParameters": {"userName": "Alice"}})
    ));
    assert!(!on(
        "alice",
        &json!({"requestParameters": {"userName": "Alice"}})
    ));
    // Not every text is a target.
    assert!(!on(
        "Alice",
        &json!({"requestParameters": {"description": "Alice"}})
    ));
    let resources =
        json!({"resources": [{"ARN": "arn:aws:s3:::logs/key", "type": "AWS::S3::Object"}]});
    assert!(on("arn:aws:s3:::logs/key", &resources) && on("key", &resources));
}

#[test]
fn targets_beyond_those_listed_are_found_too() {
    let ids: Vec<String> = (0..MAX_TARGETS + 3).map(|n| format!("i-{n}")).collect();
    let last = ids.last().unwrap().clone();
    let members = json!({"requestParameters": {"instanceIds": ids}});
    assert!(
        event(&members)
            .targets
            .iter()
            .all(|target| target.value != last)
    );
    let wanted = texts(&[&last]);
    assert!(passes(|f| f.resources = wanted, &members));
}

#[test]
fn all_of_several_filters_and_any_of_several_values() {
    let both = |f: &mut EventFilter| {
        f.event_ids = vec![
            "other".into(),
            "b8f2a9f5-7e3c-4e8b-9a55-1f0d3a4c2e11".into(),
        ];
        f.access = vec![Access::Write];
    };
    assert!(passes(both, &json!({})));
    assert!(!passes(both, &json!({"readOnly": true})));
    assert!(!passes(
        both,
        &json!({"eventID": "b8f2a9f5-7e3c-4e8b-9a55-1f0d3a4c2e12"})
    ));
}

#[test]
fn only_some_filters_stand_without_an_identity() {
    let names = |change: fn(&mut EventFilter)| {
        let mut filter = EventFilter::default();
        change(&mut filter);
        filter.names_events()
    };
    assert!(names(|f| f.event_names = vec!["CreateUser".into()]));
    assert!(names(|f| f.source_ips = texts(&["0.0.0.0/0"])));
    assert!(names(|f| f.resources = texts(&["Alice"])));
    assert!(names(|f| f.event_ids = vec!["x".into()]));
    assert!(!names(|f| f.errors_only = true));
    assert!(!names(
        |f| f.event_sources = vec!["iam.amazonaws.com".into()]
    ));
}
