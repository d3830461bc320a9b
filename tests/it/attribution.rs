//! In whose name the service assumes roles, as AWS sees it.

use identity_trail::config::hub::Attribution;
use identity_trail::grpc::pb::identity_trail_service_client::IdentityTrailServiceClient;
use identity_trail::grpc::pb::{ReasonCode, ScanOutcome};
use identity_trail::sandbox::{AssumedRole, Denial, Sandbox};
use tonic::transport::Channel;

use crate::grpc_service::{NOW, Service, request, service_config};
use crate::lifecycle::rest;
use crate::limits::from;
use crate::sandbox::{HUB, OTHER, config};

async fn service(attribution: Attribution) -> Service {
    let sandbox = Sandbox::start(config(&[], NOW)).await.unwrap();
    let list = format!("    - {{id: \"{HUB}\", credentials: hub}}\n    - {{id: \"{OTHER}\"}}");
    let mut config = service_config(&sandbox, &list);
    config.hub.attribution = attribution;
    config.hub.session_name = Some("audit-service".into());
    Service::over(sandbox, &config).await
}

/// The outcomes of a search.
async fn ask(mut client: IdentityTrailServiceClient<Channel>) -> Vec<ScanOutcome> {
    let answer = client.search_events(request()).await.unwrap();
    let (_, summary) = rest(&mut answer.into_inner()).await;
    summary.coverage.unwrap().outcomes
}

fn assumed(session_name: &str, source_identity: Option<&str>) -> AssumedRole {
    AssumedRole {
        account_id: OTHER.into(),
        session_name: session_name.into(),
        source_identity: source_identity.map(str::to_owned),
    }
}

#[tokio::test]
async fn each_callers_sessions_carry_its_name() {
    let service = service(Attribution::PerCaller).await;
    for address in ["127.0.0.2", "127.0.0.3", "127.0.0.2"] {
        ask(from(&service, address).await).await;
    }
    let mine = assumed("127.0.0.2", Some("127.0.0.2"));
    let others = assumed("127.0.0.3", Some("127.0.0.3"));
    assert_eq!(service.sandbox.assumed_roles(), [mine, others]);
}

#[tokio::test]
async fn shared_sessions_have_one_name_and_no_source_identity() {
    let service = service(Attribution::Shared).await;
    for address in ["127.0.0.2", "127.0.0.3"] {
        ask(from(&service, address).await).await;
    }
    assert_eq!(
        service.sandbox.assumed_roles(),
        [assumed("audit-service", None)]
    );
}

#[tokio::test]
async fn a_role_that_does_not_let_the_hub_name_the_caller_says_so() {
    let service = service(Attribution::PerCaller).await;
    service.sandbox.faults().change(|faults| {
        let action = "sts:SetSourceIdentity".to_owned();
        faults.denied_actions.insert(action, Denial::NotAllowed);
    });
    let outcomes = ask(service.client()).await;
    let mut reasons = outcomes
        .iter()
        .filter_map(|outcome| outcome.reason.as_ref());
    let reason = reasons.next_back().unwrap();
    assert_eq!(reason.code(), ReasonCode::AssumeRoleDenied);
    assert!(
        reason.message.contains("trust policy"),
        "{}",
        reason.message
    );
    assert!(
        reason.message.contains("sts:SetSourceIdentity"),
        "{}",
        reason.message
    );
}
