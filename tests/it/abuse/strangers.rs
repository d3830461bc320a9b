//! Whoever reaches the port and is no caller, beside callers.

use std::io;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use super::raw_http2;
use crate::guarded::{Files, Guarded, list};
use crate::jwt::{Key, auth, claims, set};

const PLACES: usize = 3;

/// A channel that never connects twice.
async fn once(port: u16) -> Channel {
    let mut connections = Some(());
    let connector = service_fn(move |_: Uri| {
        let first = connections.take();
        async move {
            first.ok_or_else(|| io::Error::other("the connection was lost"))?;
            let connection = TcpStream::connect(("127.0.0.1", port)).await?;
            Ok::<_, io::Error>(TokioIo::new(connection))
        }
    });
    let endpoint = Endpoint::from_static("http://localhost");
    endpoint.connect_with_connector(connector).await.unwrap()
}

#[tokio::test]
async fn strangers_make_room_for_callers_and_callers_for_nobody() {
    let key = Key::es256("key");
    let files = Files::new();
    files.write("keys.json", &set(&[&key]));
    let sections = auth("{file: DIR/keys.json}") + &format!("limits: {{connections: {PLACES}}}");
    let service = Guarded::start(files, &sections).await;
    let token = key.sign(&claims(&serde_json::json!({})));
    let endpoint = format!("http://127.0.0.1:{}", service.port());

    let caller = once(service.port()).await;
    list(caller.clone(), Some(&token)).await.unwrap();
    // What is refused makes nobody a caller.
    let refused = once(service.port()).await;
    list(refused.clone(), Some("no token")).await.unwrap_err();
    let mut strangers = Vec::new();
    for _ in 0..2 * PLACES {
        strangers.push(raw_http2::connect(&endpoint).await);
    }
    // The first ones had to go.
    let gone = async {
        for (_sender, receiver) in strangers.drain(..PLACES) {
            receiver.until_sent_away().await;
        }
    };
    let gone = tokio::time::timeout(Duration::from_secs(30), gone).await;
    gone.expect("the connections end");
    list(refused, Some(&token)).await.unwrap_err();

    let second = once(service.port()).await;
    let third = once(service.port()).await;
    for caller in [&caller, &second, &third] {
        list(caller.clone(), Some(&token)).await.unwrap();
    }
    // Now all places are callers'.
    let (_sender, receiver) = raw_http2::connect(&endpoint).await;
    assert_eq!(receiver.until_sent_away().await, None);
    for caller in [caller, second, third] {
        list(caller, Some(&token)).await.unwrap();
    }
}
