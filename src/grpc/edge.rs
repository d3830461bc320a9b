//! What surrounds every call: its request id, its line in the audit log, and the end of a panic.
//!
//! The layer is the outermost, so that what is refused before it reaches the service (a caller who is
//! not known, a message that is too large) has its line too. Health and reflection have none.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, HeaderValue, Request, Response};
use tonic::codegen::{Bytes, StdError};
use tonic_types::StatusExt;
use tower::{Layer, Service};
use uuid::Uuid;

use super::pb::identity_trail_service_server::SERVICE_NAME;
use super::peer::Peer;
use super::{counted, status};
use crate::audit::{AuditLog, Entry, Record};

/// The response header that names a request.
const REQUEST_ID: &str = "x-request-id";

/// Puts [`Edge`] around a service.
#[derive(Debug, Clone)]
pub struct EdgeLayer {
    audit: AuditLog,
}

impl EdgeLayer {
    /// With this audit log.
    #[must_use]
    pub fn new(audit: AuditLog) -> Self {
        Self { audit }
    }
}

impl<S> Layer<S> for EdgeLayer {
    type Service = Edge<S>;

    fn layer(&self, inner: S) -> Edge<S> {
        Edge {
            audit: self.audit.clone(),
            inner,
        }
    }
}

/// A service whose calls are recorded and whose panics end one call only.
#[derive(Debug, Clone)]
pub struct Edge<S> {
    audit: AuditLog,
    inner: S,
}

impl<S, B> Service<Request<Body>> for Edge<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<StdError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let Some(rpc) = own_rpc(request.uri().path()) else {
            return contained(self.inner.call(request), None);
        };
        let id = Uuid::new_v4().to_string();
        let entry = Entry::begin(id.clone(), rpc, peer(&request));
        let record = match self.audit.begin(entry) {
            Ok(record) => record,
            Err(unwritable) => {
                let refused = status::unrecorded(&unwritable).into_http();
                return futures::future::ready(Ok(refused)).boxed();
            }
        };
        request.extensions_mut().insert(Arc::clone(&record));
        let named = HeaderValue::try_from(id).ok();
        let answer = contained(self.inner.call(request), Some(record));
        async move {
            let mut response = answer.await?;
            if let Some(id) = named {
                response.headers_mut().insert(REQUEST_ID, id);
            }
            Ok(response)
        }
        .boxed()
    }
}

/// The RPC of this service that a path names, known or not; none of reflection and health.
pub(super) fn own_rpc(path: &str) -> Option<&str> {
    (path.strip_prefix('/')?.strip_prefix(SERVICE_NAME)?).strip_prefix('/')
}

/// Where the connection comes from.
fn peer(request: &Request<Body>) -> Option<String> {
    let address = request.extensions().get::<Peer>()?.tcp.remote_addr()?;
    Some(address.to_string())
}

/// The answer, whose status is noted in `record`; INTERNAL if making it panics.
fn contained<F, B>(
    answer: F,
    record: Option<Arc<Record>>,
) -> BoxFuture<'static, Result<Response<Body>, Infallible>>
where
    F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<StdError>,
{
    async move {
        let response = match AssertUnwindSafe(answer).catch_unwind().await {
            Ok(response) => response?.map(Body::new),
            // The hook has logged it.
            Err(_panic) => status::defect().into_http(),
        };
        let Some(record) = record else {
            return Ok(response);
        };
        note(&record, response.headers());
        // Dropped before its trailers, the body is that of a call that was cancelled.
        let noted = move |frame: Frame<Bytes>| {
            if let Some(trailers) = frame.trailers_ref() {
                note(&record, trailers);
            }
            frame
        };
        Ok(response.map(|body| Body::new(body.map_frame(noted))))
    }
    .boxed()
}

/// Notes how a call ended, if that is what these say.
fn note(record: &Record, headers: &HeaderMap) {
    let Some(status) = Status::from_header_map(headers) else {
        return;
    };
    let reason = status.get_details_error_info().map(|info| info.reason);
    record.note(|entry| {
        entry.ended.status = Some(counted::name(status.code()));
        entry.ended.reason = reason;
    });
}

/// What the audit log is told about a request; nobody hears of it where no log is kept.
pub(super) fn record<T>(request: &tonic::Request<T>, rpc: &str) -> Arc<Record> {
    match request.extensions().get::<Arc<Record>>() {
        Some(record) => Arc::clone(record),
        None => Arc::new(Record::unwritten(Entry::begin(String::new(), rpc, None))),
    }
}
