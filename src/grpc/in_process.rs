//! The service for one caller in this process: the same path as over the network, with no port that
//! others on the machine could reach.

use std::io;
use std::sync::Arc;

use futures::stream::{self, StreamExt};
use hyper_util::rt::TokioIo;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::Request;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use super::pb::identity_trail_service_server::IdentityTrailServiceServer;
use super::service::IdentityTrail;
use crate::caller::Caller;
use crate::check::Checker;
use crate::config::Limits;
use crate::search::Engine;

/// Bytes in flight in each direction.
const BUFFER_BYTES: usize = 256 * 1024;

/// A service with one caller. Dropping it ends its searches.
#[derive(Debug)]
pub struct InProcessServer {
    drain: CancellationToken,
    _serving: AbortOnDropHandle<Result<(), tonic::transport::Error>>,
}

/// Serves `engine` over a connection that never leaves this process, until the server is dropped;
/// then `drain`, the engine's own, is cancelled.
pub async fn connect(
    engine: Engine,
    checker: Arc<Checker>,
    limits: Limits,
    drain: CancellationToken,
) -> Result<(Channel, InProcessServer), tonic::transport::Error> {
    let (near, far) = tokio::io::duplex(BUFFER_BYTES);
    let service = IdentityTrail::new(engine, checker, limits, drain.clone());
    let caller = Arc::new(Caller::in_process());
    let service =
        IdentityTrailServiceServer::with_interceptor(service, move |mut request: Request<()>| {
            request.extensions_mut().insert(Arc::clone(&caller));
            Ok(request)
        });
    // One connection, and no end: the server ends when it is dropped.
    let connections = stream::iter([Ok::<_, io::Error>(far)]).chain(stream::pending());
    let serving = tonic::transport::Server::builder()
        .add_service(service)
        .serve_with_incoming(connections);
    let server = InProcessServer {
        drain,
        _serving: AbortOnDropHandle::new(tokio::spawn(serving)),
    };
    let mut near = Some(near);
    let connector = service_fn(move |_: Uri| {
        let near = near.take().map(TokioIo::new);
        async move { near.ok_or_else(|| io::Error::other("the connection in this process is closed")) }
    });
    let channel = Endpoint::from_static("http://in-process")
        .connect_with_connector(connector)
        .await?;
    Ok((channel, server))
}

impl Drop for InProcessServer {
    fn drop(&mut self) {
        self.drain.cancel();
    }
}
