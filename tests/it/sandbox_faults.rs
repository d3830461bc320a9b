//! The sandbox's faults on the wire.

use aws_sdk_cloudtrail::error::{ProvideErrorMetadata, SdkError};
use futures::FutureExt;
use identity_trail::sandbox::{Percent, Sandbox, StartError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::sandbox::{OTHER, REGION, cloudtrail, config, hub, record, sdk};

async fn start() -> Sandbox {
    let records = [record(1, "2026-03-01T11:00:00Z", "ada")];
    Sandbox::start(config(&records, "2026-03-01T12:00:00Z"))
        .await
        .unwrap()
}

#[tokio::test]
async fn throttles_speak_each_protocol() {
    let sandbox = start().await;
    let client = cloudtrail(&sandbox, OTHER, REGION).await;
    sandbox
        .faults()
        .change(|faults| faults.throttle = Percent::ALWAYS);
    let error = client.lookup_events().send().await.unwrap_err();
    assert_eq!(
        error.as_service_error().unwrap().code(),
        Some("ThrottlingException")
    );
    let sts = aws_sdk_sts::Client::new(&sdk(&sandbox, hub(&sandbox), REGION));
    let error = sts.get_caller_identity().send().await.unwrap_err();
    assert_eq!(error.as_service_error().unwrap().code(), Some("Throttling"));
}

#[tokio::test]
async fn a_connection_can_be_reset() {
    let sandbox = start().await;
    let client = cloudtrail(&sandbox, OTHER, REGION).await;
    sandbox
        .faults()
        .change(|faults| faults.reset = Percent::ALWAYS);
    let error = client.lookup_events().send().await.unwrap_err();
    assert!(matches!(error, SdkError::DispatchFailure(_)), "{error:?}");
    sandbox
        .faults()
        .change(|faults| faults.reset = Percent::NEVER);
    client.lookup_events().send().await.unwrap();
}

#[tokio::test]
async fn a_dead_region_takes_calls_and_holds_up_no_other() {
    let sandbox = start().await;
    let dead = cloudtrail(&sandbox, OTHER, "ap-south-1").await;
    let alive = cloudtrail(&sandbox, OTHER, REGION).await;
    sandbox.faults().change(|faults| {
        faults.dead_regions.insert("ap-south-1".to_owned());
    });
    let mut waiting = Box::pin(dead.lookup_events().send());
    let received = || {
        sandbox
            .stats()
            .sum(|call| call.region == "ap-south-1" && call.service == "cloudtrail")
            .received
    };
    while received() == 0 {
        assert!(waiting.as_mut().now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    alive.lookup_events().send().await.unwrap();
    assert!(waiting.now_or_never().is_none());
}

#[tokio::test]
async fn a_disabled_region_knows_no_credentials() {
    let sandbox = start().await;
    let client = cloudtrail(&sandbox, OTHER, REGION).await;
    sandbox.faults().change(|faults| {
        faults.disabled_regions.insert(REGION.to_owned());
    });
    let error = client.lookup_events().send().await.unwrap_err();
    assert_eq!(
        error.as_service_error().unwrap().code(),
        Some("UnrecognizedClientException")
    );
}

#[tokio::test]
async fn what_is_no_aws_call_is_told_so() {
    let sandbox = start().await;
    let answer = async |request: String| {
        let address = sandbox.endpoint().replace("http://", "");
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let head = "Host: x\r\nConnection: close";
    let healthy = answer(format!("GET /healthz HTTP/1.1\r\n{head}\r\n\r\n")).await;
    assert!(healthy.starts_with("HTTP/1.1 200"), "{healthy}");
    let elsewhere = answer(format!("GET /bucket HTTP/1.1\r\n{head}\r\n\r\n")).await;
    assert!(elsewhere.starts_with("HTTP/1.1 404"), "{elsewhere}");
    let unsigned = answer(format!(
        "POST / HTTP/1.1\r\n{head}\r\nX-Amz-Target: CloudTrail_20131101.LookupEvents\r\nContent-Length: 2\r\n\r\n{{}}"
    ));
    let unsigned = unsigned.await;
    assert!(unsigned.starts_with("HTTP/1.1 400"), "{unsigned}");
    assert!(
        unsigned.contains("MissingAuthenticationTokenException"),
        "{unsigned}"
    );
    let form = "Action=GetCallerIdentity&Version=2011-06-15";
    let unsigned = answer(format!(
        "POST / HTTP/1.1\r\n{head}\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    ));
    let unsigned = unsigned.await;
    assert!(unsigned.starts_with("HTTP/1.1 403"), "{unsigned}");
    assert!(
        unsigned.contains("<Code>MissingAuthenticationToken</Code>"),
        "{unsigned}"
    );
}

#[tokio::test]
async fn dropping_it_closes_port_and_connections() {
    let sandbox = start().await;
    let address = sandbox.endpoint().replace("http://", "");
    let mut open = TcpStream::connect(&address).await.unwrap();
    open.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    assert_ne!(open.read(&mut [0; 1024]).await.unwrap(), 0);
    drop(sandbox);
    assert_eq!(open.read(&mut [0; 1024]).await.unwrap_or(0), 0);
    assert!(TcpStream::connect(&address).await.is_err());
}

#[tokio::test]
async fn only_loopback_is_bound() {
    let mut config = config(&[], "2026-03-01T12:00:00Z");
    config.listen = "0.0.0.0:0".parse().unwrap();
    let error = Sandbox::start(config).await.unwrap_err();
    assert!(matches!(error, StartError::NotLoopback(_)));
}
