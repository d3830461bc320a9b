use super::*;
use crate::grpc::pb::identity::Kind;
use crate::query::{Access, EventId, EventKey, Identity};
use crate::search::resume::TokenWriter;

const NOW: i64 = 1_700_000_000;

fn request() -> pb::SearchEventsRequest {
    pb::SearchEventsRequest {
        identities: vec![pb::Identity {
            kind: Some(Kind::UserName("alice".into())),
        }],
        ..pb::SearchEventsRequest::default()
    }
}

fn read_at(now: i64, request: &pb::SearchEventsRequest) -> Result<EventQuery, Rejection> {
    let rules = Rules {
        now: Timestamp::from_second(now).unwrap(),
        limits: &Limits::default(),
    };
    event_query(request, &rules)
}

fn read(request: &pb::SearchEventsRequest) -> Result<EventQuery, Rejection> {
    read_at(NOW, request)
}

#[derive(Debug, PartialEq)]
enum Verdict {
    Invalid,
    Exceeded,
}

fn verdict(request: &pb::SearchEventsRequest) -> (Verdict, Vec<String>) {
    let (verdict, fields) = match read(request).expect_err("refused") {
        Rejection::Invalid(fields) => (Verdict::Invalid, fields),
        Rejection::Exceeded(fields) => (Verdict::Exceeded, fields),
    };
    (verdict, fields.into_iter().map(|f| f.field).collect())
}

#[test]
fn a_plain_question_has_every_default() {
    let query = read(&request()).unwrap();
    assert_eq!(
        query.identities,
        [Identity::UserName("alice".parse().unwrap())]
    );
    assert_eq!(query.range.end().second(), NOW);
    assert_eq!(query.range.duration().as_secs(), 86_400);
    assert_eq!(query.asked_range, AskedRange::default());
    assert_eq!(query.record_view, RecordView::Fields);
    assert!(query.account_ids.is_empty() && query.regions.is_empty());
    assert_eq!(query.max_events, None);
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let mut wrong = request();
    wrong.identities[0].kind = None;
    wrong.account_ids = vec!["111122223333".into(), "1234".into()];
    wrong.regions = vec!["eu-west-1'--".into()];
    wrong.filter = Some(pb::EventFilter {
        event_names: vec!["Get*".into(), "CreateUser".into()],
        event_sources: vec!["iam\"".into(), String::new()],
        categories: vec![0, 99],
        ..pb::EventFilter::default()
    });
    wrong.order = 7;
    wrong.record_view = 7;
    wrong.backends = vec![0];
    wrong.max_events = Some(0);
    wrong.max_scan_bytes = Some(-1);
    wrong.resume_token = "nonsense".into();
    let (verdict, fields) = verdict(&wrong);
    assert_eq!(verdict, Verdict::Invalid);
    assert_eq!(
        fields,
        [
            "identities[0]",
            "account_ids[1]",
            "regions[0]",
            "filter.event_names[0]",
            "filter.event_sources[0]",
            "filter.event_sources[1]",
            "filter.categories[0]",
            "filter.categories[1]",
            "order",
            "record_view",
            "backends[0]",
            "max_events",
            "max_scan_bytes",
            "resume_token",
        ]
    );
}

#[test]
fn every_filter_is_read() {
    let mut asked = request();
    asked.ignore_case = true;
    asked.identities.push(asked.identities[0].clone());
    asked.filter = Some(pb::EventFilter {
        event_names: vec!["CreateUser".into()],
        event_sources: vec!["iam.amazonaws.com".into()],
        access: vec![
            pb::Access::IssuesCredentials.into(),
            pb::Access::Write.into(),
            pb::Access::Write.into(),
        ],
        error_codes: vec!["Client.UnauthorizedOperation".into()],
        errors_only: true,
        source_ips: vec!["AWS Internal".into(), "198.51.100.7/24".into()],
        resources: vec!["arn:aws:s3:::logs/it's a key".into()],
        event_ids: vec!["b8f2a9f5-7e3c-4e8b-9a55-1f0d3a4c2e11".into()],
        categories: vec![pb::EventCategory::Data.into()],
    });
    let query = read(&asked).unwrap();
    assert_eq!(query.case, Case::Ignored);
    assert_eq!(query.identities.len(), 2);
    let filter = &query.filter;
    assert_eq!(filter.access, [Access::Write, Access::IssuesCredentials]);
    assert_eq!(filter.error_codes, ["Client.UnauthorizedOperation"]);
    assert!(filter.errors_only);
    let ips: Vec<_> = filter.source_ips.iter().map(ToString::to_string).collect();
    assert_eq!(ips, ["198.51.100.0/24", "AWS Internal"]);
    assert_eq!(filter.resources[0].as_str(), "arn:aws:s3:::logs/it's a key");
    assert_eq!(filter.event_ids.len(), 1);
}

#[test]
fn a_filter_that_names_events_needs_no_identity() {
    let without = |filter: pb::EventFilter| {
        let mut asked = request();
        asked.identities.clear();
        asked.filter = Some(filter);
        read(&asked)
    };
    let none = pb::EventFilter::default;
    let names: [fn(&mut pb::EventFilter); 4] = [
        |f| f.source_ips = vec!["203.0.113.77".into()],
        |f| f.event_names = vec!["CreateUser".into()],
        |f| f.resources = vec!["Alice".into()],
        |f| f.event_ids = vec!["b8f2a9f5-7e3c-4e8b-9a55-1f0d3a4c2e11".into()],
    ];
    for change in names {
        let mut filter = none();
        change(&mut filter);
        assert!(without(filter).unwrap().identities.is_empty());
    }
    for filter in [
        none(),
        pb::EventFilter {
            errors_only: true,
            access: vec![pb::Access::Write.into()],
            event_sources: vec!["iam.amazonaws.com".into()],
            error_codes: vec!["AccessDenied".into()],
            ..none()
        },
    ] {
        assert!(matches!(without(filter), Err(Rejection::Invalid(_))));
    }
}

#[test]
fn filters_are_checked_value_by_value() {
    let mut wrong = request();
    wrong.filter = Some(pb::EventFilter {
        access: vec![0, 9],
        error_codes: vec!["Access'Denied".into(), String::new()],
        source_ips: vec!["10.0.0.0/33".into(), "300.1.1.1".into(), "x'y".into()],
        resources: vec![String::new(), "a\nb".into(), "x".repeat(2_049)],
        event_ids: vec!["sha256:00-0".into()],
        ..pb::EventFilter::default()
    });
    let (verdict, fields) = verdict(&wrong);
    assert_eq!(verdict, Verdict::Invalid);
    assert_eq!(
        fields,
        [
            "filter.access[0]",
            "filter.access[1]",
            "filter.error_codes[0]",
            "filter.error_codes[1]",
            "filter.source_ips[0]",
            "filter.source_ips[1]",
            "filter.source_ips[2]",
            "filter.resources[0]",
            "filter.resources[1]",
            "filter.resources[2]",
            "filter.event_ids[0]",
        ]
    );
}

#[test]
fn limits_hold_for_every_list() {
    let many = |value: &str| vec![value.to_owned(); 6_000];
    let mut large = request();
    large.account_ids = many("111122223333");
    large.regions = many("eu-west-1");
    large.filter = Some(pb::EventFilter {
        event_names: many("CreateUser"),
        event_sources: many("iam.amazonaws.com"),
        error_codes: many("AccessDenied"),
        source_ips: many("10.0.0.1"),
        resources: many("Alice"),
        event_ids: many("e-1"),
        ..pb::EventFilter::default()
    });
    large.identities = vec![large.identities[0].clone(); 21];
    let (verdict, fields) = verdict(&large);
    assert_eq!(verdict, Verdict::Exceeded);
    assert_eq!(
        fields,
        [
            "identities",
            "account_ids",
            "regions",
            "filter.event_names",
            "filter.event_sources",
            "filter.error_codes",
            "filter.source_ips",
            "filter.resources",
            "filter.event_ids",
        ]
    );
}

/// The token that the stream of `request`, begun at `now`, sends with an event.
fn token(request: &pb::SearchEventsRequest, now: i64, event_time: i64) -> String {
    let query = read_at(now, request).unwrap();
    let position = EventKey {
        time: EventTime::from_second(event_time).unwrap(),
        account: "111122223333".parse().unwrap(),
        id: EventId::Recorded("e".into()),
    };
    let horizon = EventTime::from_second(now - 90 * 86_400).unwrap();
    TokenWriter::new(&query, [7; 16], horizon)
        .write(Some(&position))
        .to_string()
}

#[test]
fn a_resumed_search_keeps_its_interval_while_now_moves_on() {
    let first = request();
    let mut again = request();
    again.resume_token = token(&first, NOW - 3_600, NOW - 7_200);
    again.max_events = Some(10);
    again.record_view = pb::RecordView::Full.into();
    let query = read(&again).unwrap();
    assert_eq!(query.range.end().second(), NOW - 3_600);
    let resume = query.resume.unwrap();
    assert_eq!(resume.scope_digest, [7; 16]);
    assert_eq!(resume.position.unwrap().time.second(), NOW - 7_200);
}

#[test]
fn a_token_belongs_to_its_request() {
    let good = token(&request(), NOW, NOW - 10);
    let mut other_identity = request();
    other_identity.identities[0].kind = Some(Kind::SessionName("alice".into()));
    let mut other_interval = request();
    other_interval.lookback = Some(prost_types::Duration {
        seconds: 60,
        nanos: 0,
    });
    let mut other_account = request();
    other_account.account_ids = vec!["111122223333".into()];
    for mut other in [other_identity, other_interval, other_account] {
        other.resume_token.clone_from(&good);
        assert_eq!(
            verdict(&other),
            (Verdict::Invalid, vec!["resume_token".into()])
        );
    }
    for broken in [
        &good[1..],
        &good[..good.len() - 1],
        "'; --",
        &"A".repeat(10_000),
    ] {
        let mut again = request();
        again.resume_token = broken.into();
        assert_eq!(
            verdict(&again),
            (Verdict::Invalid, vec!["resume_token".into()])
        );
    }
}

#[test]
fn a_token_cannot_widen_its_request() {
    // Written by someone who can compute checksums: right digest, another interval.
    let time = |second| EventTime::from_second(second).unwrap();
    let mut honest = request();
    honest.start_time = Some(prost_types::Timestamp {
        seconds: NOW - 100,
        nanos: 0,
    });
    for (start, end) in [(NOW - 200, NOW), (NOW - 100, NOW + 86_400)] {
        let mut query = read(&honest).unwrap();
        query.range = TimeRange::new(time(start), time(end)).unwrap();
        let mut forged = honest.clone();
        forged.resume_token = TokenWriter::new(&query, [7; 16], time(NOW))
            .write(None)
            .to_string();
        assert_eq!(
            verdict(&forged),
            (Verdict::Invalid, vec!["resume_token".into()])
        );
    }
}
