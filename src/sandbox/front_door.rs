//! The HTTP server: every service on one port, at `/`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::error::AwsError;
use super::protocol::{LIST_REGIONS, Protocol};
use super::services::{Answer, Services};

/// AWS's services take less than this.
const MAX_REQUEST_BYTES: usize = 1 << 20;

/// A listening server. Dropping it closes the port and every connection.
#[derive(Debug)]
pub struct FrontDoor {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl FrontDoor {
    /// Binds `listen` and serves.
    pub async fn open(listen: SocketAddr, services: Arc<Services>) -> std::io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(accept(listener, services));
        Ok(Self { address, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for FrontDoor {
    fn drop(&mut self) {
        // The task owns the connections.
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, services: Arc<Services>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, Arc::clone(&services)));
                }
                Err(error) => {
                    tracing::warn!(%error, "sandbox: a connection could not be accepted");
                    // Out of file descriptors: accepting again at once would spin.
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            },
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "sandbox: a connection's task died");
                }
            }
        }
    }
}

async fn serve(stream: TcpStream, services: Arc<Services>) {
    let _best_effort = stream.set_nodelay(true);
    let reset = CancellationToken::new();
    let service = service_fn(|request| respond(request, &services, &reset));
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let reset_asked = tokio::select! {
        ended = &mut connection => {
            if let Err(error) = ended {
                tracing::debug!(%error, "sandbox: a connection ended early");
            }
            false
        }
        () = reset.cancelled() => true,
    };
    if reset_asked {
        let stream = connection.into_parts().io.into_inner();
        // With no time to linger, closing sends RST.
        if let Err(error) = stream.set_zero_linger() {
            tracing::warn!(%error, "sandbox: the connection is closed, not reset");
        }
    }
}

async fn respond(
    request: Request<Incoming>,
    services: &Services,
    reset: &CancellationToken,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let answer = match (&head.method, head.uri.path()) {
        (&Method::GET, "/healthz") => return Ok(plain(StatusCode::OK, "ok")),
        (&Method::POST, "/" | LIST_REGIONS) => {
            match Limited::new(body, MAX_REQUEST_BYTES).collect().await {
                Ok(body) => services.answer(&head, &body.to_bytes()).await,
                Err(error) => {
                    tracing::debug!(%error, "sandbox: a request's body was not read");
                    let error = AwsError::new("RequestEntityTooLarge", error.to_string());
                    Answer::Response(Protocol::Json, Err(error.with_status(413)))
                }
            }
        }
        _ => {
            let what = "the sandbox takes POST / only, and POST /listRegions of the Account API";
            return Ok(plain(StatusCode::NOT_FOUND, what));
        }
    };
    match answer {
        Answer::Response(protocol, result) => Ok(write(protocol, result)),
        Answer::Reset => {
            reset.cancel();
            std::future::pending().await
        }
    }
}

fn write(protocol: Protocol, result: Result<String, AwsError>) -> Response<Full<Bytes>> {
    let request_id = Uuid::new_v4().to_string();
    let (status, body) = match result {
        Ok(body) => (StatusCode::OK, body),
        Err(error) => {
            let status = StatusCode::from_u16(error.status);
            let body = protocol.error_body(&error, &request_id);
            (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body)
        }
    };
    Response::builder()
        .status(status)
        .header("content-type", protocol.content_type())
        .header("x-amzn-requestid", request_id)
        .body(Full::new(Bytes::from(body)))
        .expect("the header values are plain text")
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}
