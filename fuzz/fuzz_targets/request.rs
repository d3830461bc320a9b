//! Bytes as a request: whatever is decoded is refused in bounded words, or is a question that says the
//! same when it is asked again.
#![no_main]

use identity_trail::config::Limits;
use identity_trail::grpc::convert::{Rejection, Rules, event_query, identity};
use identity_trail::grpc::{check, pb, plan_search};
use identity_trail::query::EventQuery;
use identity_trail::search::resume::request_digest;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use prost::Message;

const NOW: i64 = 1_793_491_200;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).expect("a time")
}

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else {
        return;
    };
    match kind % 3 {
        0 => {
            if let Ok(request) = pb::SearchEventsRequest::decode(bytes) {
                search(&request);
            }
        }
        1 => {
            if let Ok(request) = pb::PlanSearchRequest::decode(bytes) {
                if let Err(rejection) = plan_search::page_asked(&request, now()) {
                    bounded(&rejection);
                }
                search(&request.search.unwrap_or_default());
            }
        }
        _ => {
            if let Ok(request) = pb::CheckAccountsRequest::decode(bytes)
                && let Err(rejection) = check::request(&request, &Limits::default())
            {
                bounded(&rejection);
            }
        }
    }
});

fn search(request: &pb::SearchEventsRequest) {
    let limits = Limits::default();
    let rules = Rules {
        now: now(),
        limits: &limits,
    };
    match event_query(request, &rules) {
        Ok(query) => {
            valid(request, &query, &limits);
            let again = event_query(&written(request, &query), &rules).expect("what was taken is taken again");
            assert_eq!(request_digest(&query), request_digest(&again));
            assert_eq!(query.condition(), again.condition());
        }
        Err(rejection) => bounded(&rejection),
    }
}

/// What every accepted request is, whatever it was read from.
fn valid(request: &pb::SearchEventsRequest, query: &EventQuery, limits: &Limits) {
    assert!(query.range.start() < query.range.end());
    assert!(query.range.start().second() >= NOW - limits.max_lookback.as_secs() as i64 - 1);
    assert!(!query.identities.is_empty() || query.filter.names_events());
    assert!(query.identities.len() as u64 <= limits.max_identities);
    assert!(query.account_ids.len() as u64 <= limits.max_accounts);
    assert!(query.account_ids.is_sorted());
    assert_eq!(query.identities.len(), request.identities.len());
    // None of the characters that any backend's language reads as its own.
    for name in query.identities.iter().map(ToString::to_string) {
        assert!(name.len() < 1_100 && name.bytes().all(|b| b.is_ascii_graphic()), "{name:?}");
        assert!(!name.contains(['\'', '"', '\\']), "{name:?}");
    }
    let filter = &query.filter;
    let words = [&filter.event_names, &filter.event_sources, &filter.error_codes, &filter.event_ids];
    for word in words.into_iter().flatten() {
        assert!((1..=128).contains(&word.len()), "{word:?}");
        assert!(word.bytes().all(|b| b.is_ascii_alphanumeric() || b" ._:/#-".contains(&b)), "{word:?}");
    }
    for resource in &filter.resources {
        assert!((1..=2_048).contains(&resource.as_str().len()));
        assert!(!resource.as_str().chars().any(char::is_control));
    }
}

/// The same request with its identities as an answer would name them.
fn written(request: &pb::SearchEventsRequest, query: &EventQuery) -> pb::SearchEventsRequest {
    pb::SearchEventsRequest {
        identities: query.identities.iter().map(identity::to_wire).collect(),
        ..request.clone()
    }
}

/// Details travel in trailers: a refusal stays small whatever was sent.
fn bounded(rejection: &Rejection) {
    let (Rejection::Invalid(findings) | Rejection::Exceeded(findings)) = rejection;
    assert!((1..=16).contains(&findings.len()));
    let bytes: usize = findings.iter().map(|it| it.field.len() + it.description.len()).sum();
    assert!(bytes < 8_000, "{bytes}");
}
