//! Callers who do what callers should not, each beside one who asks as usual: that one is served, and
//! nothing is left when they are gone.

mod raw_http2;
mod strangers;

use std::time::Duration;

use futures::future::join_all;
use identity_trail::grpc::pb::identity_trail_service_client::IdentityTrailServiceClient;
use identity_trail::grpc::pb::search_events_response::Item;
use identity_trail::grpc::pb::{
    Completeness, EventFilter, ListAccountsRequest, SearchEventsRequest, SearchEventsResponse,
};
use identity_trail::sandbox::Sandbox;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;

use crate::grpc_service::{NOW, Service, request, service_config_with};
use crate::sandbox::{HUB, OTHER, config, record};
use raw_http2::{END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, frame, kind};

/// Alice's events, one a second.
fn events(count: u32) -> Vec<Value> {
    let time = |n: u32| format!("2026-10-31T10:{:02}:{:02}Z", n / 60, n % 60);
    (0..count)
        .map(|number| record(number * 2, &time(number), "alice"))
        .collect()
}

/// A service over so many events, within these limits.
async fn service(events_held: u32, limits: &str) -> Service {
    let sandbox = Sandbox::start(config(&events(events_held), NOW))
        .await
        .unwrap();
    let accounts = format!("    - {{id: \"{HUB}\", credentials: hub}}\n    - {{id: \"{OTHER}\"}}");
    let config = service_config_with(&sandbox, &accounts, &format!("limits: {{{limits}}}"));
    Service::over(sandbox, &config).await
}

/// What takes one lookup: by the API's name, in the account that holds something.
fn by_event_name() -> SearchEventsRequest {
    SearchEventsRequest {
        account_ids: vec![OTHER.into()],
        filter: Some(EventFilter {
            event_names: vec!["DescribeInstances".into()],
            ..EventFilter::default()
        }),
        ..SearchEventsRequest::default()
    }
}

/// A caller whose window takes next to nothing, and who therefore decides how fast the service reads.
async fn narrow(service: &Service) -> IdentityTrailServiceClient<Channel> {
    let endpoint = Endpoint::from_shared(service.endpoint()).unwrap();
    let endpoint = endpoint.initial_stream_window_size(1024);
    IdentityTrailServiceClient::new(endpoint.connect().await.unwrap())
}

/// Reads a stream to its end: how many events, and whether that is all.
async fn read(mut stream: Streaming<SearchEventsResponse>) -> (usize, bool) {
    let (mut events, mut complete) = (0, false);
    while let Some(response) = stream.message().await.unwrap() {
        match response.item.unwrap() {
            Item::Event(_) => events += 1,
            Item::Summary(summary) => {
                let coverage = summary.coverage.unwrap();
                complete = coverage.completeness() == Completeness::Complete;
            }
            _ => {}
        }
    }
    (events, complete)
}

/// The caller who asks as usual gets the whole answer.
async fn serves_others(service: &Service, events: usize) {
    let answer = service
        .client()
        .search_events(by_event_name())
        .await
        .unwrap();
    assert_eq!(read(answer.into_inner()).await, (events, true));
}

/// What the service says of itself.
fn gauge(service: &Service, name: &str) -> u64 {
    let metrics = service.assembly.federation.metrics().render();
    let lines = metrics.lines().filter_map(|line| line.split_once(' '));
    let (_, value) = { lines }.find(|(series, _)| *series == name).expect(name);
    value.parse().unwrap()
}

/// No stream is open any more, and no page waits for anybody.
async fn until_nothing_is_left(service: &Service) {
    let left = || {
        let streams = gauge(service, "identity_trail_open_streams{rpc=\"SearchEvents\"}");
        (streams, gauge(service, "identity_trail_page_memory_bytes"))
    };
    for _ in 0..3_000 {
        if left() == (0, 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("left over: {:?}", left());
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_and_the_connection_lives_on() {
    let service = service(3, "").await;
    let mut client = service.client();
    let large = SearchEventsRequest {
        account_ids: vec![OTHER.into(); 200_000],
        ..request()
    };
    for _ in 0..3 {
        let refused = client.search_events(large.clone()).await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
        assert_eq!(
            refused.get_details_error_info().unwrap().reason,
            "MESSAGE_TOO_LARGE"
        );
        let violations = refused.get_details_quota_failure().unwrap().violations;
        assert_eq!(violations[0].subject, "message size");
    }
    // On the same connection.
    let answer = client.search_events(by_event_name()).await.unwrap();
    assert_eq!(read(answer.into_inner()).await, (3, true));
}

/// Health is open to strangers: what they send is not kept.
#[tokio::test]
async fn a_question_about_health_is_short_or_refused() {
    let service = service(3, "").await;
    let channel = Endpoint::from_shared(service.endpoint()).unwrap();
    let mut health = HealthClient::new(channel.connect().await.unwrap());
    let long = HealthCheckRequest {
        service: "x".repeat(4096),
    };
    let refused = health.check(long.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    let refused = health.watch(long).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    health.check(HealthCheckRequest::default()).await.unwrap();
}

#[tokio::test]
async fn headers_that_are_too_large_are_refused_and_the_connection_lives_on() {
    let service = service(3, "").await;
    let mut client = service.client();
    let mut large = Request::new(by_event_name());
    for number in 0..200 {
        let name: tonic::metadata::AsciiMetadataKey = format!("x-{number}").parse().unwrap();
        large
            .metadata_mut()
            .insert(name, "x".repeat(400).parse().unwrap());
    }
    client.search_events(large).await.unwrap_err();
    let answer = client.search_events(by_event_name()).await.unwrap();
    assert_eq!(read(answer.into_inner()).await, (3, true));
}

/// Headers that never end are not collected for ever.
#[tokio::test]
async fn a_flood_of_continuations_ends_the_connection() {
    let service = service(3, "").await;
    let (mut sender, receiver) = raw_http2::connect(&service.endpoint()).await;
    let flood = async {
        let begin = frame(kind::HEADERS, 0, 1, &raw_http2::search_headers());
        sender.send(&begin).await.unwrap();
        let more: Vec<u8> = (0..100)
            .flat_map(|_| raw_http2::field("x-more", &"x".repeat(120)))
            .collect();
        let more = frame(kind::CONTINUATION, 0, 1, &more);
        // Until the server has had enough; 100 MB are more than it may ever take.
        for sent in 0.. {
            assert!(sent < 8_000, "all of it was taken");
            if sender.send(&more).await.is_err() {
                return;
            }
        }
    };
    let (reason, ()) = tokio::join!(receiver.until_sent_away(), flood);
    println!("sent away with {reason:?}");
    serves_others(&service, 3).await;
}

/// Calls that are opened and given up in one breath, as fast as a socket takes them.
#[tokio::test]
async fn a_reset_storm_ends_its_connection_and_no_other() {
    let service = service(3, "concurrent_searches: 4").await;
    let (mut sender, receiver) = raw_http2::connect(&service.endpoint()).await;
    let headers = raw_http2::search_headers();
    let storm = async {
        let mut stream = 1;
        for sent in 0.. {
            assert!(sent < 1_000, "it went on for ever");
            let mut burst = Vec::new();
            for _ in 0..100 {
                burst.extend(frame(kind::HEADERS, END_HEADERS, stream, &headers));
                burst.extend(raw_http2::reset(stream));
                stream += 2;
            }
            if sender.send(&burst).await.is_err() {
                return;
            }
        }
    };
    let beside = async {
        for _ in 0..3 {
            serves_others(&service, 3).await;
        }
    };
    let (reason, (), ()) = tokio::join!(receiver.until_sent_away(), storm, beside);
    assert!(
        matches!(reason, Some(ENHANCE_YOUR_CALM) | None),
        "{reason:?}"
    );
    until_nothing_is_left(&service).await;
}

/// Searches that are begun, each with a whole request, and given up before their first message.
#[tokio::test]
async fn searches_that_are_given_up_at_once_leave_nothing() {
    let service = service(20, "concurrent_searches: 4").await;
    let mut client = narrow(&service).await;
    let mut begun = 0;
    while begun < 200 {
        match client.search_events(by_event_name()).await {
            Ok(stream) => {
                drop(stream);
                begun += 1;
            }
            Err(refused) => assert_eq!(refused.code(), Code::ResourceExhausted),
        }
    }
    until_nothing_is_left(&service).await;
    serves_others(&service, 20).await;
}

/// A request that begins and never ends holds a stream, and nothing that others need.
#[tokio::test]
async fn requests_that_never_end_are_no_searches() {
    let service = service(3, "concurrent_searches: 1").await;
    let (mut sender, _receiver) = raw_http2::connect(&service.endpoint()).await;
    let headers = raw_http2::search_headers();
    for call in 0..150 {
        let stream = 1 + 2 * call;
        sender
            .send(&frame(kind::HEADERS, END_HEADERS, stream, &headers))
            .await
            .unwrap();
        // It says that two megabytes follow.
        let begin = [0, 0, 0x1f, 0xff, 0xff, 7, 7, 7];
        sender
            .send(&frame(kind::DATA, 0, stream, &begin))
            .await
            .unwrap();
    }
    for _ in 0..3 {
        serves_others(&service, 3).await;
    }
}

/// Streams that nobody reads: searches, each of which stops where nobody takes what it has, and those
/// that would say something only if it changed.
#[tokio::test]
async fn a_thousand_idle_streams_hold_up_nobody() {
    const SEARCHES: usize = 100;
    const WATCHES: usize = 900;
    let service = service(120, &format!("concurrent_searches: {}", SEARCHES + 1)).await;
    let client = narrow(&service).await;
    let opening = (0..SEARCHES).map(|_| {
        let mut client = client.clone();
        async move { client.search_events(by_event_name()).await.unwrap() }
    });
    let mut searches = join_all(opening).await;
    let mut watches = Vec::new();
    for _ in 0..WATCHES / 180 {
        let channel = Endpoint::from_shared(service.endpoint())
            .unwrap()
            .connect()
            .await
            .unwrap();
        let opening = (0..180).map(|_| {
            let mut health = HealthClient::new(channel.clone());
            async move { health.watch(HealthCheckRequest::default()).await.unwrap() }
        });
        watches.extend(join_all(opening).await);
    }
    assert_eq!((searches.len(), watches.len()), (SEARCHES, WATCHES));
    // There is one place for the caller who asks as usual, as often as they like, and no second.
    for _ in 0..3 {
        serves_others(&service, 120).await;
    }
    let mut second = narrow(&service).await;
    let last = second.search_events(by_event_name()).await.unwrap();
    let refused = second.search_events(by_event_name()).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let list = service
        .client()
        .list_accounts(ListAccountsRequest::default())
        .await;
    assert_eq!(list.unwrap().into_inner().accounts.len(), 2);
    let held = gauge(&service, "identity_trail_page_memory_bytes");
    assert!(held <= 64 * 1024 * 1024, "{held}");
    // Whoever reads on gets everything.
    for late in [last, searches.pop().unwrap()] {
        assert_eq!(read(late.into_inner()).await, (120, true));
    }
    drop((searches, watches));
    until_nothing_is_left(&service).await;
    serves_others(&service, 120).await;
}

#[tokio::test]
async fn who_reads_slowly_slows_down_nobody_else_and_loses_nothing() {
    let service = service(300, "").await;
    let mut client = narrow(&service).await;
    let mut slow = client
        .search_events(by_event_name())
        .await
        .unwrap()
        .into_inner();
    let mut taken = 0;
    while let Some(response) = slow.message().await.unwrap() {
        let Some(Item::Event(_)) = response.item else {
            continue;
        };
        taken += 1;
        // The fast one has the whole answer between two events of the slow one.
        if taken % 60 == 0 {
            serves_others(&service, 300).await;
        }
    }
    assert_eq!(taken, 300);
}

/// Connections that say nothing, or too little to be any.
#[tokio::test]
async fn silent_connections_take_places_that_are_limited_and_given_back() {
    const PLACES: usize = 100;
    let service = service(3, &format!("connections: {PLACES}")).await;
    let address = service.endpoint().trim_start_matches("http://").to_owned();
    // One place is taken by the caller who asks as usual.
    let mut silent = Vec::new();
    for number in 1..PLACES {
        let mut connection = TcpStream::connect(&address).await.unwrap();
        if number % 2 == 0 {
            connection.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
        }
        silent.push(connection);
    }
    // Connections are accepted in order: the next one finds no place and is closed, and those before are not.
    let mut one_more = TcpStream::connect(&address).await.unwrap();
    let closed = one_more.read(&mut [0; 1]).await;
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    serves_others(&service, 3).await;
    drop(silent);
    let free = async {
        loop {
            let endpoint = Endpoint::from_shared(service.endpoint()).unwrap();
            if let Ok(channel) = endpoint.connect().await {
                let mut client = IdentityTrailServiceClient::new(channel);
                if let Ok(answer) = client.search_events(by_event_name()).await {
                    return read(answer.into_inner()).await;
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let free = tokio::time::timeout(Duration::from_secs(30), free).await;
    assert_eq!(free.expect("a place"), (3, true));
}

/// What is no HTTP/2 at all.
#[tokio::test]
async fn noise_ends_its_connection_and_no_other() {
    let service = service(3, "").await;
    let address = service.endpoint().trim_start_matches("http://").to_owned();
    for noise in [
        &b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        &[0xff; 4096],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x04\x00\x00\x00\x00\x00",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    ] {
        let mut connection = TcpStream::connect(&address).await.unwrap();
        connection.write_all(noise).await.unwrap();
        let mut answer = Vec::new();
        // It ends by itself; what it says before does not matter.
        let _ = connection.read_to_end(&mut answer).await;
    }
    let (mut sender, receiver) = raw_http2::connect(&service.endpoint()).await;
    let garbage = frame(kind::HEADERS, END_HEADERS | END_STREAM, 1, &[0xff; 64]);
    sender.send(&garbage).await.unwrap();
    assert!(receiver.until_sent_away().await.is_some());
    serves_others(&service, 3).await;
}
