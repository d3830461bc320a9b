//! The admin port: what machines in the same place ask about the process. Plain HTTP without
//! authentication, so nothing that is said there is anybody's secret.
//!
//! | path | says |
//! |---|---|
//! | `/metrics` | the numbers, as Prometheus reads them |
//! | `/healthz` | 200 as long as the process answers |
//! | `/readyz` | 200 if the service can do its work, else 503 |

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::Metrics;

/// What the text format is called.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A running admin port. Dropping it closes the port.
#[derive(Debug)]
pub struct Admin {
    local_addr: SocketAddr,
    _serving: AbortOnDropHandle<io::Result<()>>,
}

/// Why there is no admin port.
#[derive(Debug, thiserror::Error)]
#[error("telemetry.admin_listen: cannot listen on {address}: {source}")]
pub struct AdminError {
    /// Where.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

#[derive(Clone)]
struct Asked {
    metrics: Metrics,
    is_ready: watch::Receiver<bool>,
}

impl Admin {
    /// Binds `listen` (port 0 picks a free one) and answers on a task that the returned value owns.
    pub async fn start(
        listen: SocketAddr,
        metrics: Metrics,
        is_ready: watch::Receiver<bool>,
    ) -> Result<Self, AdminError> {
        let failed = |source| AdminError {
            address: listen,
            source,
        };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let local_addr = listener.local_addr().map_err(failed)?;
        let seen = is_ready.clone();
        metrics.sample(
            "identity_trail_ready",
            "Whether the service can do its work: its credentials are good and the accounts are known",
            None,
            move || u64::from(*seen.borrow()),
        );
        let router = Router::new()
            .route("/metrics", get(scrape))
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .with_state(Asked { metrics, is_ready });
        let serving = axum::serve(listener, router).into_future();
        Ok(Self {
            local_addr,
            _serving: AbortOnDropHandle::new(tokio::spawn(serving)),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }
}

async fn scrape(State(asked): State<Asked>) -> Response {
    ([(CONTENT_TYPE, OPEN_METRICS)], asked.metrics.render()).into_response()
}

async fn ready(State(asked): State<Asked>) -> (StatusCode, &'static str) {
    if *asked.is_ready.borrow() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}
