//! Counts gRPC calls by how they end, streams included: the code is in the trailers, and a call whose
//! caller goes away before them was cancelled.

use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http_body_util::BodyExt;
use hyper::body::Frame;
use tonic::Code;
use tonic::body::Body;
use tonic::codegen::Bytes;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tower::{Layer, Service};

use super::pb::identity_trail_service_server::SERVICE_NAME;
use crate::telemetry::metrics::Metrics;

/// The RPCs that have a series each.
const RPCS: [&str; 4] = [
    "SearchEvents",
    "PlanSearch",
    "ListAccounts",
    "CheckAccounts",
];

/// Counts the calls of the service behind it.
#[derive(Debug, Clone)]
pub(super) struct CountRequests(pub Metrics);

impl<S> Layer<S> for CountRequests {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted {
            inner,
            metrics: self.0.clone(),
        }
    }
}

/// A service whose calls are counted.
#[derive(Debug, Clone)]
pub(super) struct Counted<S> {
    inner: S,
    metrics: Metrics,
}

impl<S, B> Service<Request<B>> for Counted<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut open = self.metrics.request(rpc(request.uri().path()));
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = answer.await?;
            // An error without a stream has its code in the head.
            if let Some(code) = code_in(response.headers()) {
                open.ended(code);
                return Ok(response);
            }
            // Counted with its trailers, so that whoever has seen these finds it counted; without them
            // when the body is dropped.
            let mut open = Some(open);
            let counted = move |frame: Frame<Bytes>| {
                if let Some(code) = frame.trailers_ref().and_then(code_in)
                    && let Some(mut open) = open.take()
                {
                    open.ended(code);
                }
                frame
            };
            Ok(response.map(|body| Body::new(body.map_frame(counted))))
        })
    }
}

/// The label for a path: what nobody serves has one label together, so that no caller makes series.
fn rpc(path: &str) -> &'static str {
    let Some((service, method)) = path.strip_prefix('/').and_then(|path| path.split_once('/'))
    else {
        return "unknown";
    };
    match service {
        SERVICE_NAME => (RPCS.into_iter().find(|rpc| *rpc == method)).unwrap_or("unknown"),
        "grpc.health.v1.Health" => "Health",
        "grpc.reflection.v1.ServerReflection" | "grpc.reflection.v1alpha.ServerReflection" => {
            "ServerReflection"
        }
        _ => "unknown",
    }
}

fn code_in(headers: &HeaderMap) -> Option<&'static str> {
    let code = headers.get("grpc-status")?;
    Some(name(Code::from_bytes(code.as_bytes())))
}

/// The code as the gRPC specification spells it.
pub(super) fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::executor::block_on;
    use http_body_util::Full;
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::grpc::pb;

    #[test]
    fn every_rpc_of_the_service_has_a_series() {
        let files = prost_reflect::DescriptorPool::decode(pb::FILE_DESCRIPTOR_SET).unwrap();
        let service = files.get_service_by_name(SERVICE_NAME).unwrap();
        for method in service.methods() {
            let path = format!("/{SERVICE_NAME}/{}", method.name());
            assert_eq!(rpc(&path), method.name());
        }
        assert_eq!(rpc("/no/such"), "unknown");
        assert_eq!(rpc(""), "unknown");
    }

    fn status(code: Code) -> HeaderMap {
        let value = (code as i32).to_string().parse().unwrap();
        HeaderMap::from_iter([("grpc-status".parse().unwrap(), value)])
    }

    /// A message, and trailers with this code.
    fn stream(code: Code) -> Response<Body> {
        let message = Full::new(Bytes::from_static(b"message"));
        let trailers = async move { Some(Ok::<_, Infallible>(status(code))) };
        Response::new(Body::new(message.with_trailers(trailers)))
    }

    /// What is counted after `read` has seen the answer to a search.
    fn counted(answer: fn() -> Response<Body>, read: impl AsyncFnOnce(Body)) -> String {
        let metrics = Metrics::new();
        let inner = service_fn(move |_: Request<()>| async move { Ok::<_, Infallible>(answer()) });
        let service = CountRequests(metrics.clone()).layer(inner);
        let path = format!("/{SERVICE_NAME}/SearchEvents");
        let request = Request::builder().uri(path).body(()).unwrap();
        block_on(async {
            let response = service.oneshot(request).await.unwrap();
            read(response.into_body()).await;
        });
        let text = metrics.render();
        let total = "identity_trail_grpc_requests_total{rpc=\"SearchEvents\",code=\"";
        let code = text.lines().find_map(|line| line.strip_prefix(total));
        code.unwrap().to_owned()
    }

    #[test]
    fn the_code_of_a_stream_is_the_one_in_its_trailers() {
        let ended = async |body: Body| drop(body.collect().await.unwrap());
        assert_eq!(counted(|| stream(Code::Ok), ended), "OK\"} 1");
        assert_eq!(counted(|| stream(Code::Internal), ended), "INTERNAL\"} 1");
    }

    #[test]
    fn whoever_has_seen_the_trailers_finds_the_call_counted() {
        let (metrics, answers) = (Metrics::new(), || stream(Code::Ok));
        let inner = service_fn(move |_: Request<()>| async move { Ok::<_, Infallible>(answers()) });
        let service = CountRequests(metrics.clone()).layer(inner);
        let uri = format!("/{SERVICE_NAME}/SearchEvents");
        let request = Request::builder().uri(uri).body(()).unwrap();
        block_on(async {
            let mut body = service.oneshot(request).await.unwrap().into_body();
            while let Some(frame) = body.frame().await {
                let counted = metrics.render().contains("code=\"OK\"} 1");
                assert_eq!(counted, frame.unwrap().is_trailers());
            }
        });
    }

    #[test]
    fn a_stream_that_is_dropped_before_its_trailers_is_cancelled() {
        let left = async |mut body: Body| {
            let message = body.frame().await.unwrap().unwrap();
            assert!(message.is_data());
        };
        assert_eq!(counted(|| stream(Code::Ok), left), "CANCELLED\"} 1");
    }

    #[test]
    fn the_code_of_a_refusal_is_in_its_head() {
        let refusal = || {
            let mut response = Response::new(Body::empty());
            *response.headers_mut() = status(Code::PermissionDenied);
            response
        };
        assert_eq!(counted(refusal, async |_| ()), "PERMISSION_DENIED\"} 1");
    }
}
