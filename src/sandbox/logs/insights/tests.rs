//! The language on one event: what the documentation shows, and what is refused.

use std::fmt::Write;
use std::sync::Arc;

use crate::sandbox::log_file::LogRecord;
use crate::sandbox::logs::group::LogEvent;

use super::{Column, Fields, Order, Query};

const RECORD: &str = r#"{
    "eventName": "GetObject", "statusCode": 404, "duration": 2001, "readOnly": true,
    "errorMessage": null, "foo-bar": "x",
    "userIdentity": {"type": "IAMUser", "userName": "ada"},
    "resources": [{"ARN": "arn:aws:s3:::logs"}]
}"#;

fn event(json: &str) -> LogEvent {
    LogEvent {
        timestamp: 1_772_366_640_000,
        ingestion_time: 1_772_366_640_500,
        stream: "222222222222_CloudTrail_eu-west-1".into(),
        record: Arc::new(LogRecord::parse(json).unwrap()),
    }
}

#[track_caller]
fn query(text: &str) -> Query {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[track_caller]
fn passes(json: &str, filter: &str) -> bool {
    let event = event(json);
    let query = query(&format!("filter {filter}"));
    query.filters[0].passes(&Fields::of(&event))
}

#[test]
fn a_whole_query() {
    let query = query(
        r#"fields @message, @timestamp
        | filter userIdentity.userName = "ada"
        | filter eventName != 'ListObjects'
        | sort @timestamp asc
        | limit 20"#,
    );
    assert_eq!(query.columns, [Column::Message, Column::Timestamp]);
    assert_eq!(query.filters.len(), 2);
    assert_eq!(query.order, Order::OldestFirst);
    assert_eq!(query.limit, Some(20));
    let bare: Query = "filter (duration>2000)".parse().unwrap();
    assert_eq!(bare.columns, [Column::Timestamp, Column::Message]);
    assert_eq!((bare.order, bare.limit), (Order::NewestFirst, None));
}

#[test]
fn conditions() {
    for (filter, expected) in [
        (r#"eventName = "GetObject""#, true),
        (r#"eventName = "getobject""#, false),
        ("eventName != 'GetObject'", false),
        ("(duration>2000)", true),
        ("duration > 2001", false),
        ("duration >= 2001", true),
        ("duration < -1.5", false),
        ("duration <= 2001", true),
        (r#"eventName < "Put""#, true),
        ("eventName=\"x\" or duration>25", true),
        (
            "eventName = 'x' or duration = 1 and eventName = 'GetObject'",
            false,
        ),
        (
            "(eventName = 'GetObject' or duration = 1) and statusCode = 404",
            true,
        ),
        ("not eventName = 'GetObject' or statusCode = 404", true),
        ("not (eventName = 'GetObject' or statusCode = 404)", false),
        ("not not eventName = 'GetObject'", true),
        ("statusCode in [300, 400,404]", true),
        (r#"eventName in ["foo","GetObject",1]"#, true),
        (r#"eventName in ["Get"]"#, false),
        (r#"eventName not in ["foo","bar",1]"#, true),
        (r#"eventName like "Object""#, true),
        ("eventName like 'object'", false),
        ("eventName like /Obj/", true),
        ("eventName like /(?i)obj/", true),
        (r"resources.0.ARN like /^arn:aws:s3:::\w+$/", true),
        (r"resources.0.ARN like /s3\/logs/", false),
        ("eventName not like /Obj/", false),
        ("ispresent(userIdentity.userName)", true),
        ("ispresent(userIdentity.arn)", false),
        ("ispresent(userIdentity)", false),
        (
            "not ispresent(userIdentity.arn) and ispresent(readOnly)",
            true,
        ),
        ("`foo-bar` = 'x'", true),
        ("userIdentity.`userName` = 'ada'", true),
        ("@message like '\"userName\": \"ada\"'", true),
        ("@logStream like /^222222222222_/", true),
        ("@timestamp = 1772366640000", true),
        ("@timestamp < 1772366640000", false),
    ] {
        assert_eq!(passes(RECORD, filter), expected, "{filter}");
    }
}

/// A missing field is unequal to everything, as CloudWatch shows it (filter patterns differ);
/// values of other kinds are equal to nothing.
#[test]
fn what_is_missing_and_what_is_of_another_kind() {
    for (filter, expected) in [
        ("userIdentity.arn != 'x'", true),
        ("userIdentity.arn = 'x'", false),
        ("userIdentity.arn not in ['x']", true),
        ("userIdentity.arn not like 'x'", true),
        ("statusCode = '404'", false),
        ("statusCode != '404'", true),
        ("eventName > 1", false),
        ("readOnly = 'true'", false),
        ("readOnly = 1", false),
        ("errorMessage = 'null'", false),
        ("statusCode like '4'", false),
    ] {
        assert_eq!(passes(RECORD, filter), expected, "{filter}");
    }
}

#[test]
fn two_hundred_fields_are_discovered_and_the_message_is_whole() {
    let mut record = String::from("{");
    for number in 1..=201 {
        write!(record, r#""f{number}": "v{number}","#).unwrap();
    }
    record.push_str(r#""last": "x"}"#);
    assert!(passes(&record, "f200 = 'v200'"));
    assert!(!passes(&record, "ispresent(f201)"));
    assert!(!passes(&record, "last = 'x'"));
    assert!(passes(&record, r#"@message like '"last": "x"'"#));
}

#[test]
fn what_the_sandbox_does_not_run_is_refused() {
    for text in [
        "",
        "|",
        "fields @message |",
        "fields @message | ",
        "fields",
        "fields userIdentity.userName",
        "fields @message as m",
        "fields @message, @message",
        "fields concat(a, b)",
        "stats count(*) by eventName",
        "parse @message \"*\" as x",
        "display @message",
        "dedup eventName",
        "SOURCE logGroups()",
        "# comment\nfields @message",
        "fields @message | fields @timestamp",
        "filter a = 1 | fields @message",
        "limit 5 | filter a = 1",
        "limit 5 | limit 6",
        "limit 0",
        "limit 100001",
        "limit x",
        "sort @timestamp",
        "sort eventName desc",
        "sort @timestamp desc, @message asc",
        "filter",
        "filter a",
        "filter a =",
        "filter a == 1",
        "filter a = b",
        "filter a = true",
        "filter a = \"x",
        r#"filter a = "x\"y""#,
        "filter a =~ /x/",
        "filter a like x",
        "filter a like 1",
        "filter a like /x",
        "filter a like /(/",
        "filter a not = 1",
        "filter a in []",
        "filter a in 'x'",
        "filter a in ['x'",
        "filter (a = 1",
        "filter a = 1)",
        "filter a = 1 && b = 2",
        "filter foo-bar = 'x'",
        "filter foo_bar = 'x'",
        "filter `a = 'x'",
        "filter ispresent(a, b)",
        "filter isempty(a)",
        "filter abs(a) = 1",
        "filter a + 1 = 2",
        "filter a = 1 and",
    ] {
        assert!(text.parse::<Query>().is_err(), "{text}");
    }
    let deep = format!("filter {}a = 1{}", "(".repeat(500), ")".repeat(500));
    assert!(deep.parse::<Query>().is_err());
}
