//! A defect that panics costs its own call and nothing else.

use futures::stream::{self, BoxStream};
use identity_trail::audit::AuditLog;
use identity_trail::config::AuditTarget;
use identity_trail::grpc::edge::EdgeLayer;
use identity_trail::grpc::pb;
use identity_trail::grpc::pb::identity_trail_service_client::IdentityTrailServiceClient;
use identity_trail::grpc::pb::identity_trail_service_server::{
    IdentityTrailService, IdentityTrailServiceServer,
};
use serde_json::Value;
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::Channel;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status};

/// A service with a defect in one of its calls.
struct Defective;

#[tonic::async_trait]
impl IdentityTrailService for Defective {
    type SearchEventsStream = BoxStream<'static, Result<pb::SearchEventsResponse, Status>>;
    type CheckAccountsStream = BoxStream<'static, Result<pb::CheckAccountsResponse, Status>>;

    async fn search_events(
        &self,
        _request: Request<pb::SearchEventsRequest>,
    ) -> Result<Response<Self::SearchEventsStream>, Status> {
        Ok(Response::new(Box::pin(stream::pending())))
    }

    async fn plan_search(
        &self,
        _request: Request<pb::PlanSearchRequest>,
    ) -> Result<Response<pb::PlanSearchResponse>, Status> {
        panic!("on purpose");
    }

    async fn check_accounts(
        &self,
        _request: Request<pb::CheckAccountsRequest>,
    ) -> Result<Response<Self::CheckAccountsStream>, Status> {
        Ok(Response::new(Box::pin(stream::empty())))
    }

    async fn list_accounts(
        &self,
        _request: Request<pb::ListAccountsRequest>,
    ) -> Result<Response<pb::ListAccountsResponse>, Status> {
        Ok(Response::new(pb::ListAccountsResponse::default()))
    }
}

#[tokio::test]
async fn a_call_that_panics_ends_as_internal_and_its_connection_goes_on() {
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("audit.jsonl");
    let audit = AuditLog::open(&AuditTarget::File(file.clone())).unwrap();
    let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let endpoint = format!("http://{}", incoming.local_addr().unwrap());
    let serving = tonic::transport::Server::builder()
        .layer(EdgeLayer::new(audit.clone()))
        .add_service(IdentityTrailServiceServer::new(Defective))
        .serve_with_incoming(incoming);
    let _serving = AbortOnDropHandle::new(tokio::spawn(serving));
    let channel = Channel::from_shared(endpoint)
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut client = IdentityTrailServiceClient::new(channel);
    // A call of the same connection that runs meanwhile.
    let search = client
        .search_events(pb::SearchEventsRequest::default())
        .await;
    let mut search = search.unwrap().into_inner();

    let defect = client.plan_search(pb::PlanSearchRequest::default()).await;
    assert_eq!(defect.unwrap_err().code(), Code::Internal);
    client
        .list_accounts(pb::ListAccountsRequest::default())
        .await
        .unwrap();
    assert!(futures::poll!(Box::pin(search.message())).is_pending());

    drop(search);
    audit.finish(std::time::Duration::from_mins(1)).await;
    let lines = std::fs::read_to_string(&file).unwrap();
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let plan: Vec<Value> = lines.filter(|line| line["rpc"] == "PlanSearch").collect();
    assert_eq!(plan.len(), 1);
    assert_eq!(plan[0]["ended"]["status"], "INTERNAL");
}
