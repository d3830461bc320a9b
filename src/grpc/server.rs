//! The server: the service, reflection and health on one port, and its end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::server::TcpIncoming;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::HealthService;
use tower::layer::util::{Identity, Stack};

use super::authentication::AuthenticationLayer;
use super::connections::Connections;
use super::counted::CountRequests;
use super::edge::EdgeLayer;
use super::incoming::connections;
use super::open_calls::OpenCallsLayer;
use super::pb;
use super::pb::identity_trail_service_server::IdentityTrailServiceServer;
use super::places::Places;
use super::protection::Protection;
use super::readiness::{self, Probe, ReadinessPace};
use super::reloadable::Reloadable;
use super::request_body::{Bounded, RequestBounds};
use super::service::IdentityTrail;
use crate::audit::AuditLog;
use crate::check::Checker;
use crate::config::Limits;
use crate::search::Engine;
use crate::telemetry::Metrics;
use crate::tls::MaterialError;

/// Calls at once on one connection.
const MAX_CONCURRENT_STREAMS: u32 = 200;
/// How long a connection may take to say that it speaks HTTP/2.
const PREFACE_PATIENCE: Duration = Duration::from_secs(10);
/// What requests may hold together, and how long, until they have been received.
const REQUEST_BYTES_AT_ONCE: usize = 32 * 1024 * 1024;
const REQUEST_PATIENCE: Duration = Duration::from_secs(30);
/// A question about health names a service; one of reflection a symbol or a file.
const MAX_HEALTH_REQUEST_BYTES: usize = 1024;
const MAX_REFLECTION_REQUEST_BYTES: usize = 16 * 1024;
/// Headers of one request: a bearer token and little else.
const MAX_HEADER_LIST_BYTES: u32 = 16 * 1024;
/// A client that has reset so many calls before anybody looked at them is sent away.
const MAX_PENDING_RESETS: usize = 20;

/// What a server needs.
pub struct ServerParts {
    /// Runs the searches.
    pub engine: Engine,
    /// Probes accounts and archives.
    pub checker: Arc<Checker>,
    /// What one request may ask.
    pub limits: Limits,
    /// Where each request is recorded.
    pub audit: AuditLog,
    /// The engine's own: cancelling it shuts the server down, and ends its searches with a summary.
    pub drain: CancellationToken,
    /// Says whether the service is ready.
    pub probe: Probe,
    /// How often it is asked.
    pub pace: ReadinessPace,
    /// Where calls are counted.
    pub metrics: Metrics,
    /// Who gets as far as an RPC.
    pub protection: Protection,
}

/// A running server. Dropping it closes its port and ends its searches.
#[derive(Debug)]
pub struct Server {
    local_addr: SocketAddr,
    drain: CancellationToken,
    /// Cancelled when the service says that it is not ready though it serves, and with `drain`.
    leaving: CancellationToken,
    is_ready: watch::Receiver<bool>,
    answering: Reloadable,
    serving: AbortOnDropHandle<Result<(), tonic::transport::Error>>,
    _readiness: AbortOnDropHandle<()>,
    _protection: AbortOnDropHandle<()>,
}

/// Why a server does not run, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The port cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A certificate, a key or a key set cannot be used.
    #[error(transparent)]
    Material(#[from] MaterialError),
    /// It broke while it was serving.
    #[error("the server broke: {0}")]
    Serve(#[from] tonic::transport::Error),
    /// A task of it panicked.
    #[error("the server's task died: {0}")]
    Died(#[from] tokio::task::JoinError),
    /// Calls were still running when the time for shutting down was over; they were cut off.
    #[error("calls were cut off: they did not end within {0:?}")]
    CutOff(Duration),
}

impl Server {
    /// Binds `listen` (port 0 picks a free one) and serves on tasks that the returned value owns.
    pub async fn start(listen: SocketAddr, parts: ServerParts) -> Result<Self, ServerError> {
        let bind = |source| ServerError::Bind {
            address: listen,
            source,
        };
        let incoming = TcpIncoming::bind(listen)
            .map_err(bind)?
            .with_nodelay(Some(true));
        let local_addr = incoming.local_addr().map_err(bind)?;
        let most = usize::try_from(parts.limits.connections).unwrap_or(usize::MAX);
        let authenticated = parts.protection.authenticator.is_some();
        let incoming = Connections::new(incoming, Places::new(most, authenticated));
        let health = readiness::not_ready().await;
        let limits = parts.limits.clone();
        let answering = Reloadable::new(IdentityTrail::new(
            parts.engine,
            parts.checker,
            parts.limits,
            parts.drain.clone(),
        ));
        let router = router(
            &limits,
            answering.clone(),
            HealthServer::new(HealthService::from_health_reporter(health.clone())),
            parts.metrics,
            EdgeLayer::new(parts.audit),
            AuthenticationLayer(parts.protection.authenticator.clone()),
        );
        let (ready, is_ready) = watch::channel(false);
        let reporter = readiness::Reporter::new(health, ready);
        let stop = parts.drain.clone().cancelled_owned();
        let incoming = connections(incoming, parts.protection.tls.clone(), PREFACE_PATIENCE);
        let serving = router.serve_with_incoming_shutdown(incoming, stop);
        let protection = parts.protection.keep_current(parts.drain.clone());
        let (leaving, drain) = (parts.drain.child_token(), parts.drain.clone());
        let informed = leaving.clone();
        let readiness =
            readiness::keep_informed(reporter, parts.probe, parts.pace, informed, drain);
        Ok(Self {
            local_addr,
            drain: parts.drain,
            leaving,
            is_ready,
            answering,
            serving: AbortOnDropHandle::new(tokio::spawn(serving)),
            _readiness: AbortOnDropHandle::new(tokio::spawn(readiness)),
            _protection: AbortOnDropHandle::new(tokio::spawn(protection)),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Whether the service can do its work, as its health says.
    #[must_use]
    pub fn is_ready(&self) -> watch::Receiver<bool> {
        self.is_ready.clone()
    }

    /// Answers requests that begin from now on with these; those that run go on with what they have.
    pub fn answer_with(&self, engine: Engine, checker: Arc<Checker>, limits: Limits) {
        let service = IdentityTrail::new(engine, checker, limits, self.drain.clone());
        self.answering.replace(service);
    }

    /// Waits until the server ends by itself, which it does only when it is broken or drained.
    pub async fn ended(&mut self) -> Result<(), ServerError> {
        Ok((&mut self.serving).await??)
    }

    /// Says that it is not ready, and goes on serving for `delay`: until no new callers are sent here.
    pub async fn leave(&self, delay: Duration) {
        self.leaving.cancel();
        tokio::time::sleep(delay).await;
    }

    /// Takes no further calls, lets the running searches end with a summary and a resume token, and
    /// returns when all have, or after `grace` with [`ServerError::CutOff`].
    pub async fn shut_down(mut self, grace: Duration) -> Result<(), ServerError> {
        self.drain.cancel();
        match tokio::time::timeout(grace, self.ended()).await {
            Ok(ended) => ended,
            Err(_elapsed) => Err(ServerError::CutOff(grace)),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Connections outlive the accepting task; their searches end with this.
        self.drain.cancel();
    }
}

/// The RPCs, counted and recorded, behind the authentication of their callers, each of whom has only so
/// many calls open.
type Router = tonic::transport::server::Router<
    Stack<
        OpenCallsLayer,
        Stack<AuthenticationLayer, Stack<EdgeLayer, Stack<CountRequests, Identity>>>,
    >,
>;

fn router(
    limits: &Limits,
    service: Reloadable,
    health: HealthServer<HealthService>,
    metrics: Metrics,
    edge: EdgeLayer,
    authentication: AuthenticationLayer,
) -> Router {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // The details of errors: without them grpcurl shows base64.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let most = usize::try_from(limits.max_request_bytes).unwrap_or(usize::MAX);
    let bounds = RequestBounds {
        message_bytes: most,
        bytes_at_once: REQUEST_BYTES_AT_ONCE.max(most),
        patience: REQUEST_PATIENCE,
    };
    // Whoever reaches the port may ask for health: nothing of it is worth waiting for.
    let health_bounds = RequestBounds {
        message_bytes: MAX_HEALTH_REQUEST_BYTES,
        bytes_at_once: REQUEST_BYTES_AT_ONCE,
        patience: REQUEST_PATIENCE,
    };
    let valid = "the descriptors were compiled together with the code";
    tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(limits.keepalive_interval))
        .http2_keepalive_timeout(Some(limits.keepalive_timeout))
        .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
        .http2_max_header_list_size(MAX_HEADER_LIST_BYTES)
        .http2_max_pending_accept_reset_streams(Some(MAX_PENDING_RESETS))
        .layer(CountRequests(metrics))
        .layer(edge)
        .layer(authentication)
        .layer(OpenCallsLayer::new(limits.concurrent_searches))
        .add_service(Bounded::new(
            IdentityTrailServiceServer::new(service).max_decoding_message_size(most),
            bounds,
        ))
        .add_service(Bounded::new(
            health.max_decoding_message_size(MAX_HEALTH_REQUEST_BYTES),
            health_bounds,
        ))
        // Older grpcurl asks by the older version only.
        .add_service(
            reflection()
                .build_v1()
                .expect(valid)
                .max_decoding_message_size(MAX_REFLECTION_REQUEST_BYTES),
        )
        .add_service(
            reflection()
                .build_v1alpha()
                .expect(valid)
                .max_decoding_message_size(MAX_REFLECTION_REQUEST_BYTES),
        )
}
