//! Reflection, health, and the end of a server.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use identity_trail::config::{Auth, Limits};
use identity_trail::grpc::{Probe, Protection, Readiness, ReadinessPace, Server, ServerParts};
use identity_trail::plan::{Reason, ReasonCode};
use identity_trail::telemetry::Metrics;
use prost::Message;
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::transport::Channel;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::grpc_service::{Service, connect};

const SERVICE: &str = "identitytrail.v1.IdentityTrailService";

/// Both versions say the same; only their types differ.
macro_rules! reflection_test {
    ($name:ident, $version:ident) => {
        #[tokio::test]
        async fn $name() {
            use tonic_reflection::pb::$version::ServerReflectionRequest;
            use tonic_reflection::pb::$version::server_reflection_client::ServerReflectionClient;
            use tonic_reflection::pb::$version::server_reflection_request::MessageRequest;
            use tonic_reflection::pb::$version::server_reflection_response::MessageResponse;

            let service = Service::start(&[]).await;
            let ask = |question| {
                let request = ServerReflectionRequest {
                    host: String::new(),
                    message_request: Some(question),
                };
                let mut client = ServerReflectionClient::new(service.channel.clone());
                async move {
                    let questions = futures::stream::iter([request]);
                    let answers = client.server_reflection_info(questions).await.unwrap();
                    let answer = answers.into_inner().message().await.unwrap().unwrap();
                    answer.message_response.unwrap()
                }
            };
            let MessageResponse::ListServicesResponse(listed) =
                ask(MessageRequest::ListServices(String::new())).await
            else {
                panic!("no list");
            };
            let names: BTreeSet<_> = listed.service.into_iter().map(|s| s.name).collect();
            assert!(names.contains(SERVICE) && names.contains("grpc.health.v1.Health"));
            let MessageResponse::FileDescriptorResponse(files) =
                ask(MessageRequest::FileContainingSymbol(SERVICE.into())).await
            else {
                panic!("no file");
            };
            let described = files.file_descriptor_proto.iter().any(|bytes| {
                let file = prost_types::FileDescriptorProto::decode(&bytes[..]).unwrap();
                file.name() == "identitytrail/v1/identity_trail.proto"
            });
            assert!(described);
            // So that generic clients can show the details of errors.
            let details = MessageRequest::FileContainingSymbol("google.rpc.BadRequest".into());
            assert!(matches!(
                ask(details).await,
                MessageResponse::FileDescriptorResponse(_)
            ));
        }
    };
}

reflection_test!(reflection_answers_in_v1, v1);
reflection_test!(reflection_answers_in_v1alpha, v1alpha);

/// A server whose readiness the test decides, probe by probe.
async fn scripted() -> (Service, Server, mpsc::Sender<Result<Readiness, Reason>>) {
    let service = Service::start(&[]).await;
    let (script, results) = mpsc::channel(1);
    let results = Arc::new(Mutex::new(results));
    let probe: Probe = Box::new(move || {
        let results = Arc::clone(&results);
        async move {
            let mut results = results.lock().await;
            match results.recv().await {
                Some(result) => result,
                None => std::future::pending().await,
            }
        }
        .boxed()
    });
    let parts = ServerParts {
        engine: service.assembly.engine.clone(),
        checker: Arc::clone(&service.assembly.checker),
        limits: Limits::default(),
        audit: identity_trail::audit::AuditLog::none(),
        drain: CancellationToken::new(),
        probe,
        pace: ReadinessPace {
            recheck: Duration::from_millis(1),
            retry: Duration::from_millis(1),
            timeout: Duration::from_mins(1),
            failures: 2,
        },
        metrics: Metrics::new(),
        protection: Protection::load(None, &Auth::default()).unwrap(),
    };
    let server = Server::start(([127, 0, 0, 1], 0).into(), parts)
        .await
        .unwrap();
    (service, server, script)
}

async fn watch(channel: Channel, name: &str) -> tonic::Streaming<HealthCheckResponse> {
    let request = HealthCheckRequest {
        service: name.to_owned(),
    };
    let answer = HealthClient::new(channel).watch(request).await.unwrap();
    answer.into_inner()
}

async fn next(stream: &mut tonic::Streaming<HealthCheckResponse>) -> Option<ServingStatus> {
    let response = stream.message().await.unwrap()?;
    Some(response.status())
}

#[tokio::test]
async fn a_service_is_ready_once_its_credentials_have_been_seen_to_work() {
    let failed = || Err(Reason::new(ReasonCode::AccessDenied, "no"));
    let (_service, server, script) = scripted().await;
    let mut health = watch(connect(&server).await, SERVICE).await;
    assert_eq!(next(&mut health).await, Some(ServingStatus::NotServing));
    script.send(failed()).await.unwrap();
    script.send(Ok(Readiness::Ready)).await.unwrap();
    assert_eq!(next(&mut health).await, Some(ServingStatus::Serving));
    // One failure is forgiven, two in a row are not.
    for result in [failed(), Ok(Readiness::Ready), failed(), failed()] {
        script.send(result).await.unwrap();
    }
    assert_eq!(next(&mut health).await, Some(ServingStatus::NotServing));
    // Nobody should restart it for that.
    let mut live = watch(connect(&server).await, "live").await;
    assert_eq!(next(&mut live).await, Some(ServingStatus::Serving));
    script.send(Ok(Readiness::Ready)).await.unwrap();
    assert_eq!(next(&mut health).await, Some(ServingStatus::Serving));
}

#[tokio::test]
async fn accounts_that_may_be_out_of_date_show_under_a_name_of_their_own() {
    let (_service, server, script) = scripted().await;
    let channel = connect(&server).await;
    let mut accounts = watch(channel.clone(), "accounts").await;
    assert_eq!(next(&mut accounts).await, Some(ServingStatus::NotServing));
    script.send(Ok(Readiness::Ready)).await.unwrap();
    assert_eq!(next(&mut accounts).await, Some(ServingStatus::Serving));
    let stale = Reason::new(ReasonCode::Unreachable, "no way to AWS Organizations");
    script.send(Ok(Readiness::Degraded(stale))).await.unwrap();
    assert_eq!(next(&mut accounts).await, Some(ServingStatus::NotServing));
    // The service itself goes on serving what it knew last.
    let mut whole = watch(channel, "").await;
    assert_eq!(next(&mut whole).await, Some(ServingStatus::Serving));
}

#[tokio::test]
async fn shutting_down_ends_those_who_watch() {
    let (_service, server, script) = scripted().await;
    let mut whole = watch(connect(&server).await, "").await;
    assert_eq!(next(&mut whole).await, Some(ServingStatus::NotServing));
    script.send(Ok(Readiness::Ready)).await.unwrap();
    assert_eq!(next(&mut whole).await, Some(ServingStatus::Serving));
    let shut_down = tokio::spawn(server.shut_down(Duration::from_mins(1)));
    assert_eq!(next(&mut whole).await, Some(ServingStatus::NotServing));
    assert_eq!(next(&mut whole).await, None);
    shut_down.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_hubs_credentials_make_a_service_ready() {
    let service = Service::start(&[]).await;
    let mut health = watch(service.channel.clone(), SERVICE).await;
    while next(&mut health).await != Some(ServingStatus::Serving) {}
    assert!(service.sandbox.stats().of("GetCallerIdentity").received >= 1);
}

#[tokio::test]
async fn a_service_that_is_not_ours_is_unknown_to_health() {
    let service = Service::start(&[]).await;
    let request = HealthCheckRequest {
        service: "someone.else".into(),
    };
    let mut client = HealthClient::new(service.channel.clone());
    let status = client.check(request).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}
