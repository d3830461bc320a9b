//! How the service ends and changes while it is used, as a process.

use identity_trail::grpc::pb::search_events_response::Item;
use identity_trail::grpc::pb::{
    Completeness, SearchEventsRequest, SearchEventsResponse, SearchSummary, StopReason,
};
use identity_trail::sandbox::Sandbox;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::Streaming;

use crate::grpc_service::request;
use crate::process::{Process, yaml};
use crate::sandbox::{config, record};

/// Events of alice, one a second, all of them settled.
fn records(count: u32) -> Vec<Value> {
    let newest = Timestamp::now() - SignedDuration::from_hours(2);
    let time = |age: u32| {
        let time = newest - SignedDuration::from_secs(age.into());
        format!("{time:.0}")
    };
    (0..count)
        .map(|number| record(number, &time(number), "alice"))
        .collect()
}

pub async fn sandbox(count: u32) -> Sandbox {
    let now = Timestamp::now().to_string();
    Sandbox::start(config(&records(count), &now)).await.unwrap()
}

type Stream = Streaming<SearchEventsResponse>;

/// The next event's id, or the summary.
async fn next(stream: &mut Stream) -> Result<String, Box<SearchSummary>> {
    loop {
        match stream.message().await.unwrap().unwrap().item.unwrap() {
            Item::Event(event) => return Ok(event.event_id),
            Item::Summary(summary) => return Err(summary),
            Item::Plan(_) | Item::Outcome(_) | Item::Progress(_) => {}
        }
    }
}

/// All that is left of a stream.
pub async fn rest(stream: &mut Stream) -> (Vec<String>, Box<SearchSummary>) {
    let mut ids = Vec::new();
    loop {
        match next(stream).await {
            Ok(id) => ids.push(id),
            Err(summary) => return (ids, summary),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_goes_on_with_exactly_the_rest_on_another_process_after_sigterm() {
    let sandbox = sandbox(300).await;
    // At this rate the six pages take seconds, of which the first is here at once.
    let mut first = Process::start(&sandbox, "event_history: {requests_per_second: 1}");
    let answer = first.client().await.search_events(request()).await.unwrap();
    let mut stream = answer.into_inner();
    let mut ids = vec![next(&mut stream).await.unwrap()];
    first.signal("TERM");
    let (more, summary) = rest(&mut stream).await;
    ids.extend(more);
    assert_eq!(summary.stop_reason(), StopReason::Drain);
    assert!(
        ids.len() < 300,
        "the search was over before the signal came"
    );
    assert!(first.wait().success());

    let second = Process::start(&sandbox, "event_history: {requests_per_second: off}");
    let resumed = SearchEventsRequest {
        resume_token: summary.resume_token.clone(),
        ..request()
    };
    let answer = second.client().await.search_events(resumed).await.unwrap();
    let (more, summary) = rest(&mut answer.into_inner()).await;
    assert_eq!(summary.stop_reason(), StopReason::End);
    let coverage = summary.coverage.as_ref().unwrap();
    assert_eq!(coverage.completeness(), Completeness::Complete);
    ids.extend(more);
    let all: Vec<String> = (0..300)
        .map(|n| format!("00000000-0000-4000-8000-{n:012}"))
        .collect();
    assert_eq!(ids, all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_the_service_at_once_and_what_it_cuts_off_is_recorded() {
    let sandbox = sandbox(300).await;
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("audit.jsonl");
    // Nothing ends by itself while it waits to leave.
    let sections = format!(
        "event_history: {{requests_per_second: 1}}
shutdown: {{delay: 1m}}
audit: {{to: {}}}",
        file.display()
    );
    for (running, status) in [(true, 1), (false, 0)] {
        let mut service = Process::start(&sandbox, &sections);
        let mut client = service.client().await;
        let mut streams = Vec::new();
        if running {
            let answer = client.search_events(request()).await.unwrap();
            let mut stream = answer.into_inner();
            next(&mut stream).await.unwrap();
            streams.push(stream);
        }
        service.signal("TERM");
        service.logged("shutting down");
        service.signal("TERM");
        assert_eq!(service.wait().code(), Some(status));
        let lines = std::fs::read_to_string(&file).unwrap();
        let [line] = lines.lines().collect::<Vec<_>>()[..] else {
            panic!("{lines}")
        };
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["rpc"], "SearchEvents");
        let ended = json!({"status": "CANCELLED", "reason": "CUT_OFF", "cancelled": true});
        assert_eq!(line["ended"], ended);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sighup_brings_a_new_configuration_for_new_requests_and_keeps_the_old_one_if_it_is_wrong() {
    // At this rate it takes a minute.
    let sandbox = sandbox(3_000).await;
    let slow = "event_history: {requests_per_second: 1}\n";
    let mut service = Process::start(&sandbox, slow);
    let mut client = service.client().await;
    let began_before = client.search_events(request()).await.unwrap();
    let mut old = began_before.into_inner();
    let first = next(&mut old).await.unwrap();

    // A new bound for new requests; what only a start reads is named and stays.
    let limited = "limits: {per_caller: {events_per_search: 1}}\n";
    let faster = "event_history: {requests_per_second: 2}\n";
    service.configure(&yaml(&sandbox, &format!("{faster}{limited}")));
    service.signal("HUP");
    let kept = service.logged("what changed here takes a restart");
    assert_eq!(kept["fields"]["keys"], "event_history.requests_per_second");
    service.logged("the configuration was reloaded");
    let one = client.search_events(request()).await.unwrap();
    let (ids, summary) = rest(&mut one.into_inner()).await;
    assert_eq!((ids.len(), summary.stop_reason()), (1, StopReason::Quota));

    service.configure("limits: {max_accounts: 0}\n");
    service.signal("HUP");
    let refused = service.logged("the configuration was not reloaded");
    assert!(
        refused["fields"]["message"]
            .as_str()
            .unwrap()
            .contains("max_accounts")
    );
    let one = client.search_events(request()).await.unwrap();
    assert_eq!(rest(&mut one.into_inner()).await.0.len(), 1);

    // What began before goes on, and ends well.
    service.signal("TERM");
    let (ids, summary) = rest(&mut old).await;
    assert_eq!(summary.stop_reason(), StopReason::Drain);
    assert!(!ids.contains(&first));
    assert!(service.wait().success());
}
