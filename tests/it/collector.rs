//! An OpenTelemetry collector that keeps what it is sent, as far as tests look at it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use prost::Message;
use tokio_util::task::AbortOnDropHandle;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, HeaderValue, Request, Response};
use tonic::server::NamedService;
use tonic::transport::server::TcpIncoming;
use tower::Service;

/// A running collector. Dropping it closes its port.
pub struct Collector {
    address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
    _serving: AbortOnDropHandle<Result<(), tonic::transport::Error>>,
}

#[derive(Default)]
struct Kept {
    requests: Vec<Vec<u8>>,
    authorizations: Vec<String>,
}

impl Collector {
    pub fn start() -> Self {
        let kept = Arc::<Mutex<Kept>>::default();
        let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = incoming.local_addr().unwrap();
        let serving = tonic::transport::Server::builder()
            .add_service(TraceService(Arc::clone(&kept)))
            .serve_with_incoming(incoming);
        Self {
            address,
            kept,
            _serving: AbortOnDropHandle::new(tokio::spawn(serving)),
        }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request, as it came.
    pub fn requests(&self) -> Vec<Vec<u8>> {
        self.kept.lock().unwrap().requests.clone()
    }

    /// The `authorization` of every request that had one.
    pub fn authorizations(&self) -> Vec<String> {
        self.kept.lock().unwrap().authorizations.clone()
    }

    pub fn spans(&self) -> Vec<Span> {
        let decoded = self.requests().into_iter();
        let requests = decoded.map(|bytes| ExportRequest::decode(&bytes[..]).unwrap());
        requests
            .flat_map(|request| request.resource_spans)
            .flat_map(|resource| resource.scope_spans)
            .flat_map(|scope| scope.spans)
            .collect()
    }
}

#[derive(Clone)]
struct TraceService(Arc<Mutex<Kept>>);

impl NamedService for TraceService {
    const NAME: &'static str = "opentelemetry.proto.collector.trace.v1.TraceService";
}

impl Service<Request<Body>> for TraceService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let kept = Arc::clone(&self.0);
        async move {
            let (head, body) = request.into_parts();
            let bytes = body.collect().await.unwrap().to_bytes();
            {
                let mut kept = kept.lock().unwrap();
                // A flag and a length, then the message.
                kept.requests.push(bytes[5..].to_vec());
                let authorization = head.headers.get("authorization");
                kept.authorizations
                    .extend(authorization.map(|it| it.to_str().unwrap().to_owned()));
            }
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            let empty = Full::new(tonic::codegen::Bytes::from_static(&[0; 5]));
            let body = empty.with_trailers(async move { Some(Ok(trailers)) });
            let response = Response::builder()
                .header("content-type", "application/grpc")
                .body(Body::new(body));
            Ok(response.unwrap())
        }
        .boxed()
    }
}

#[derive(Clone, PartialEq, Message)]
struct ExportRequest {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

/// A span, as `opentelemetry.proto.trace.v1` has it.
#[derive(Clone, PartialEq, Message)]
pub struct Span {
    #[prost(bytes = "vec", tag = "1")]
    pub trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    pub name: String,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, repeated, tag = "11")]
    pub events: Vec<Event>,
}

/// What happened in a span.
#[derive(Clone, PartialEq, Message)]
pub struct Event {
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(message, repeated, tag = "3")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "Value", tags = "1, 2, 3, 4")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Value {
    #[prost(string, tag = "1")]
    String(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(int64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Double(f64),
}

impl Span {
    pub fn get(&self, key: &str) -> Option<String> {
        get(&self.attributes, key)
    }
}

impl Event {
    pub fn get(&self, key: &str) -> Option<String> {
        get(&self.attributes, key)
    }
}

fn get(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    Some(match found.value.as_ref()?.value.as_ref()? {
        Value::String(text) => text.clone(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Double(value) => value.to_string(),
    })
}
