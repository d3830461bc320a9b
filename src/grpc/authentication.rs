//! Every request gets its caller here, before any RPC sees it: `Arc<Caller>` among its extensions.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use hyper::header::AUTHORIZATION;
use hyper::{HeaderMap, Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use super::peer::Peer;
use crate::authentication::{Authenticator, Credentials, Denial};

/// Health is asked by kubelets and load balancers, which have no credentials.
const OPEN: &str = "/grpc.health.v1.Health/";

/// Lets through only whose caller is known; without an authenticator everybody, with no caller.
#[derive(Debug, Clone)]
pub(super) struct AuthenticationLayer(pub Option<Arc<Authenticator>>);

impl<S> Layer<S> for AuthenticationLayer {
    type Service = Authenticate<S>;

    fn layer(&self, inner: S) -> Authenticate<S> {
        Authenticate {
            inner,
            authenticator: self.0.clone(),
        }
    }
}

/// What the layer makes of a service.
#[derive(Debug, Clone)]
pub(super) struct Authenticate<S> {
    inner: S,
    authenticator: Option<Arc<Authenticator>>,
}

impl<S> Service<Request<Body>> for Authenticate<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // The clone that is ready answers; the new one is asked whether it is.
        let ready = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, ready);
        // Nothing behind this can log a token.
        let authorization = take_authorization(request.headers_mut());
        let peer = request.extensions().get::<Peer>().cloned();
        if let Some(peer) = &peer {
            // Where tonic looks for the address.
            request.extensions_mut().insert(peer.tcp.clone());
        }
        let open = request.uri().path().starts_with(OPEN);
        let authenticator = self.authenticator.clone().filter(|_| !open);
        Box::pin(async move {
            if let Some(authenticator) = authenticator {
                let values: Vec<&[u8]> = authorization.iter().map(Vec::as_slice).collect();
                let shown = Credentials {
                    authorization: &values,
                    certificates: peer.as_ref().and_then(|peer| peer.certificates.as_deref()),
                };
                match authenticator.caller(shown).await {
                    Ok(caller) => {
                        if let Some(peer) = &peer {
                            peer.visitor.becomes_caller();
                        }
                        request.extensions_mut().insert(Arc::new(caller));
                    }
                    Err(denial) => return Ok(refused(denial, peer.as_ref())),
                }
            }
            inner.call(request).await
        })
    }
}

fn take_authorization(headers: &mut HeaderMap) -> Vec<Vec<u8>> {
    let values = headers.get_all(AUTHORIZATION).iter();
    let values = values.map(|value| value.as_bytes().to_vec()).collect();
    headers.remove(AUTHORIZATION);
    values
}

fn refused(denial: Denial, peer: Option<&Peer>) -> Response<Body> {
    let address = peer.and_then(|peer| peer.tcp.remote_addr());
    // Anybody can cause these.
    tracing::debug!(
        address = address.map(tracing::field::display),
        reason = denial.reason(),
        "a request without a caller: {denial}"
    );
    Status::from(denial).into_http()
}
