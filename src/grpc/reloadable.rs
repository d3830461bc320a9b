//! A service that is replaced as a whole while it serves: each request is answered by the one that was
//! there when it came.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tonic::{Request, Response, Status};

use super::pb;
use super::pb::identity_trail_service_server::IdentityTrailService;
use super::service::IdentityTrail;

/// Whatever the service is now. Clones are the same.
#[derive(Clone)]
pub(super) struct Reloadable(Arc<ArcSwap<IdentityTrail>>);

impl Reloadable {
    pub fn new(service: IdentityTrail) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(service)))
    }

    /// Answers requests that begin from now on by `service`.
    pub fn replace(&self, service: IdentityTrail) {
        self.0.store(Arc::new(service));
    }
}

impl fmt::Debug for Reloadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloadable").finish_non_exhaustive()
    }
}

#[tonic::async_trait]
impl IdentityTrailService for Reloadable {
    type SearchEventsStream = <IdentityTrail as IdentityTrailService>::SearchEventsStream;
    type CheckAccountsStream = <IdentityTrail as IdentityTrailService>::CheckAccountsStream;

    async fn search_events(
        &self,
        request: Request<pb::SearchEventsRequest>,
    ) -> Result<Response<Self::SearchEventsStream>, Status> {
        self.0.load_full().search_events(request).await
    }

    async fn plan_search(
        &self,
        request: Request<pb::PlanSearchRequest>,
    ) -> Result<Response<pb::PlanSearchResponse>, Status> {
        self.0.load_full().plan_search(request).await
    }

    async fn check_accounts(
        &self,
        request: Request<pb::CheckAccountsRequest>,
    ) -> Result<Response<Self::CheckAccountsStream>, Status> {
        self.0.load_full().check_accounts(request).await
    }

    async fn list_accounts(
        &self,
        request: Request<pb::ListAccountsRequest>,
    ) -> Result<Response<pb::ListAccountsResponse>, Status> {
        self.0.load_full().list_accounts(request).await
    }
}
