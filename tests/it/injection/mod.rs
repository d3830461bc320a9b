//! Hostile texts: each is refused by its field, or reaches the backend as exactly that literal.

mod corpus;
mod found;
mod words;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use identity_trail::backend::Words;
use identity_trail::caller::Caller;
use identity_trail::config::Limits;
use identity_trail::grpc::convert::{Rejection, Rules, event_query};
use identity_trail::grpc::pb::{PlanSearchRequest, SearchEventsRequest};
use identity_trail::policy::Question;
use identity_trail::query::{BackendKind, EventQuery};
use identity_trail::search::{PlannedSearch, Refusal};
use serde_json::Value;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::grpc_service::Service;
use crate::sandbox::{config, record};
use crate::world::{ArchiveSetup, LogGroupSetup, Setup, World};
use corpus::{Field, fields, hostile};

const NOW: &str = "2026-11-01T00:00:00Z";

fn read(request: &SearchEventsRequest) -> Result<EventQuery, Rejection> {
    let limits = Limits::default();
    let rules = Rules {
        now: NOW.parse().unwrap(),
        limits: &limits,
    };
    event_query(request, &rules)
}

/// Every text in every field: the refused ones are refused for that field, in words that are safe to
/// print, and some are taken.
#[test]
fn what_is_refused_is_refused_by_its_field() {
    let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
    for field in fields() {
        for text in hostile() {
            let Err(refused) = read(&field.request(&text)) else {
                *taken.entry(field.path).or_default() += 1;
                continue;
            };
            let Rejection::Invalid(findings) = &refused else {
                panic!("{}: {text:?}: {refused:?}", field.path);
            };
            let of_field = findings.iter().all(|finding| finding.field == field.path);
            assert!(of_field && !findings.is_empty(), "{text:?}: {findings:?}");
            let status = Status::from(refused);
            assert_eq!(status.code(), Code::InvalidArgument);
            let printable = |text: &str| !text.chars().any(|c| c.is_control() || turns_text(c));
            let details = status.get_details_bad_request().unwrap();
            for violation in &details.field_violations {
                assert!(printable(&violation.description), "{violation:?}");
                assert!(violation.description.len() < 1_000, "{violation:?}");
            }
            assert!(printable(status.message()), "{status:?}");
        }
    }
    // Few of them are names that AWS allows; where any text may stand, nearly all of it is taken.
    assert_eq!(taken["identities[0].access_key_id"], 1, "{taken:?}");
    assert!(!taken.contains_key("account_ids[0]") && !taken.contains_key("resume_token"));
    assert!(
        (10..30).contains(&taken["identities[0].user_name"]),
        "{taken:?}"
    );
    assert!(taken["filter.resources[0]"] > 80, "{taken:?}");
}

/// Characters that reorder or hide what stands around them.
fn turns_text(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A world whose records are read by each backend.
async fn world(read_with: &'static str) -> World {
    let setup = Setup {
        archive: Some(ArchiveSetup::of("cloudtrail_by_account")),
        ..Setup::with_log_group(LogGroupSetup::read_with(read_with))
    };
    World::start(config(&records(), NOW), &setup).await
}

fn records() -> [Value; 1] {
    [record(1, "2026-10-20T00:00:00Z", "alice")]
}

/// What would be sent for a request.
async fn planned(world: &World, request: &SearchEventsRequest, backend: BackendKind) -> Vec<Words> {
    let mut query = read(request).unwrap();
    query.backends = vec![backend];
    let groups = plan(world, query).await.unwrap().groups.into_iter();
    groups.map(|group| group.asks.unwrap().words).collect()
}

async fn plan(world: &World, query: EventQuery) -> Result<PlannedSearch, Refusal> {
    let engine = &world.assembly.engine;
    let caller = Arc::new(Caller::in_process());
    let scope = engine.scope(query, caller, Question::PlanSearch)?;
    engine.plan(scope, NOW.parse().unwrap(), false, None).await
}

/// The same request with a harmless text: letters that occur nowhere else, with the wildcards and the
/// slashes where they were.
fn harmless(text: &str) -> String {
    let letter = |c| if matches!(c, '*' | '/') { c } else { 'q' };
    text.chars().map(letter).collect()
}

#[tokio::test]
async fn what_is_taken_is_one_literal_wherever_it_is_sent() {
    let (by_filter, by_insights) = tokio::join!(world("filter"), world("insights"));
    let worlds = [
        (&by_filter, BackendKind::EventHistory),
        (&by_filter, BackendKind::Athena),
        (&by_filter, BackendKind::Logs),
        (&by_insights, BackendKind::Logs),
    ];
    let mut compared = 0;
    for field in fields().into_iter().filter(Field::reaches_aws) {
        // Many texts have the same twin.
        let mut twins: BTreeMap<(String, usize), Vec<Words>> = BTreeMap::new();
        for text in hostile() {
            let twin = harmless(&text);
            let hostile = field.request(&text);
            if text == twin || read(&hostile).is_err() {
                continue;
            }
            let harmless = field.request(&twin);
            assert!(read(&harmless).is_ok(), "{}: {twin:?}", field.path);
            for (at, (world, backend)) in worlds.into_iter().enumerate() {
                let sent = planned(world, &hostile, backend).await;
                let beside = match twins.entry((twin.clone(), at)) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) => new.insert(planned(world, &harmless, backend).await),
                };
                words::compare(field.path, (&text, &twin), &sent, beside);
                compared += 1;
            }
        }
    }
    assert!(compared > 500, "{compared}");
}

/// Selectors are held against what is known of accounts, and reach nobody else.
#[tokio::test]
async fn a_selector_selects_or_says_that_it_selects_nothing() {
    let world = World::start(config(&records(), NOW), &Setup::default()).await;
    let calls = world.sandbox.stats().sum(|_| true).received;
    for field in fields() {
        if field.reaches_aws() {
            continue;
        }
        for text in hostile() {
            let Ok(query) = read(&field.request(&text)) else {
                continue;
            };
            match plan(&world, query).await {
                Ok(planned) => {
                    assert!(text.contains('*'), "{text:?}");
                    assert_eq!(planned.plan.accounts.len(), 2, "{text:?}");
                }
                Err(Refusal::NothingSelected { .. }) => {}
                Err(refusal) => panic!("{text:?}: {refusal}"),
            }
        }
    }
    assert_eq!(world.sandbox.stats().sum(|_| true).received, calls);
}

/// The same over the wire, where headers and trailers carry what was wrong.
#[tokio::test]
async fn a_hostile_request_leaves_the_connection_as_it_was() {
    let service = Service::start(&[]).await;
    let mut client = service.client();
    for text in hostile().into_iter().filter(|text| text.len() < 100) {
        let field = fields()
            .into_iter()
            .find(|it| it.path.ends_with("arn"))
            .unwrap();
        let refused = client
            .search_events(field.request(&text))
            .await
            .unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{text:?}");
        let details = refused.get_details_bad_request().unwrap();
        assert_eq!(details.field_violations[0].field, field.path);
        let page = PlanSearchRequest {
            search: Some(SearchEventsRequest::default()),
            page_token: text.clone(),
            ..PlanSearchRequest::default()
        };
        let refused = client.plan_search(page).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{text:?}");
    }
    assert_eq!(service.sandbox.stats().of("LookupEvents").received, 0);
}
