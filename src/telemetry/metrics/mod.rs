//! Numbers for Prometheus: one handle, cheap to clone, that whoever does something counts it with.
//!
//! Metric names, units and labels are an interface: the dashboard and the alerts of
//! `helm/identity-trail` name them, and so does what operators build themselves.

mod labels;
mod process;
mod sampled;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
pub use prometheus_client::registry::Unit;

pub use labels::{AwsCallOutcome, PacedApi, ScanEnd, SessionResult, SpanFate, StreamOutcome};
use labels::{
    OfApi, OfAwsCall, OfBackend, OfBuild, OfPacing, OfRequest, OfRpc, OfScan, OfSession, OfSpan,
    OfStream,
};
use sampled::Sampled;

use crate::query::BackendKind;

/// The numbers of one process (or, in tests, of one service). All clones count together.
#[derive(Clone)]
pub struct Metrics {
    shared: Arc<Shared>,
}

struct Shared {
    registry: Mutex<Registry>,
    requests: Family<OfRequest, Counter>,
    open_streams: Family<OfRpc, Gauge>,
    searches: Family<OfStream, Counter>,
    search_duration: Histogram,
    events_sent: Counter,
    scans: Family<OfScan, Counter>,
    aws_calls: Family<OfAwsCall, Counter>,
    aws_call_duration: Family<OfApi, Histogram, fn() -> Histogram>,
    pacing_wait: Family<OfPacing, Histogram, fn() -> Histogram>,
    session_refreshes: Family<OfSession, Counter>,
    scanned_bytes: Family<OfBackend, Counter>,
    spans: Family<OfSpan, Counter>,
}

/// Waits in the pacing: at 2 requests a second a turn comes every half second, and a long queue takes
/// minutes.
fn pacing_wait() -> Histogram {
    Histogram::new([0.01, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0])
}

/// What AWS takes to answer: up to `limits.scan_stall_timeout`.
fn aws_call_duration() -> Histogram {
    Histogram::new([0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0])
}

/// Searches: from a lookup to a role that is read whole.
const SEARCH_SECONDS: [f64; 11] = [
    0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0,
];

impl Metrics {
    /// All at zero.
    #[must_use]
    pub fn new() -> Self {
        let shared = Shared {
            registry: Mutex::new(Registry::default()),
            requests: Family::default(),
            open_streams: Family::default(),
            searches: Family::default(),
            search_duration: Histogram::new(SEARCH_SECONDS),
            events_sent: Counter::default(),
            scans: Family::default(),
            aws_calls: Family::default(),
            aws_call_duration: Family::new_with_constructor(aws_call_duration),
            pacing_wait: Family::new_with_constructor(pacing_wait),
            session_refreshes: Family::default(),
            scanned_bytes: Family::default(),
            spans: Family::default(),
        };
        shared.register();
        shared.begin_at_zero();
        Self {
            shared: Arc::new(shared),
        }
    }

    /// A gRPC call has begun; what is returned counts how it ends.
    #[must_use]
    pub fn request(&self, rpc: &'static str) -> OpenRequest {
        let open = self.shared.open_streams.get_or_create_owned(&OfRpc { rpc });
        open.inc();
        OpenRequest {
            metrics: self.clone(),
            open,
            rpc,
            code: None,
        }
    }

    /// The stream of a search has ended.
    pub fn search_ended(&self, outcome: StreamOutcome, took: Duration) {
        let of = OfStream { outcome };
        self.shared.searches.get_or_create(&of).inc();
        self.shared.search_duration.observe(took.as_secs_f64());
    }

    /// An event has been sent.
    pub fn event_sent(&self) {
        self.shared.events_sent.inc();
    }

    /// A scan that had begun has ended.
    pub fn scan_ended(&self, backend: BackendKind, outcome: ScanEnd) {
        let backend = backend.as_str();
        let of = OfScan { backend, outcome };
        self.shared.scans.get_or_create(&of).inc();
    }

    /// An attempt to call AWS has ended.
    pub fn aws_call_ended(
        &self,
        service: &str,
        operation: &str,
        outcome: AwsCallOutcome,
        took: Duration,
    ) {
        let api = OfApi {
            aws_service: service.to_owned(),
            operation: operation.to_owned(),
        };
        let durations = self.shared.aws_call_duration.get_or_create_owned(&api);
        durations.observe(took.as_secs_f64());
        let of = OfAwsCall {
            aws_service: api.aws_service,
            operation: api.operation,
            outcome,
        };
        self.shared.aws_calls.get_or_create(&of).inc();
    }

    /// Where waits for a turn of `api` are counted.
    #[must_use]
    pub fn pacing_wait(&self, api: PacedApi) -> Durations {
        let of = OfPacing { api };
        Durations(self.shared.pacing_wait.get_or_create_owned(&of))
    }

    /// A role was assumed, or could not be.
    pub fn session_refreshed(&self, result: SessionResult) {
        let of = OfSession { result };
        self.shared.session_refreshes.get_or_create(&of).inc();
    }

    /// Queries have scanned so many bytes more.
    pub fn scanned(&self, backend: BackendKind, bytes: u64) {
        let backend = backend.as_str();
        let of = OfBackend { backend };
        self.shared.scanned_bytes.get_or_create(&of).inc_by(bytes);
    }

    /// So many spans of traces came to this.
    pub fn spans(&self, fate: SpanFate, spans: u64) {
        self.shared
            .spans
            .get_or_create(&OfSpan { fate })
            .inc_by(spans);
    }

    /// Adds a gauge whose value is asked for at each scrape. `read` is called while the metrics are
    /// written: it must not wait.
    pub fn sample(
        &self,
        name: &'static str,
        help: &'static str,
        unit: Option<Unit>,
        read: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        let sampled = Sampled::new(read);
        match unit {
            Some(unit) => self
                .registry()
                .register_with_unit(name, help, unit, sampled),
            None => self.registry().register(name, help, sampled),
        }
    }

    /// All numbers, in the OpenMetrics text format.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Fails only where a metric or a `String` refuses to be written: neither does.
        if prometheus_client::encoding::text::encode(&mut text, &self.registry()).is_err() {
            tracing::error!("the metrics could not be written");
        }
        text
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        // A panic while it is read or added to leaves it as it was.
        (self.shared.registry.lock()).unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Shared {
    fn register(&self) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let registry = &mut *registry;
        registry.register(
            "identity_trail_build",
            "The version that runs",
            Info::new(OfBuild {
                version: env!("CARGO_PKG_VERSION"),
            }),
        );
        registry.register(
            "identity_trail_grpc_requests",
            "gRPC calls that have ended, by code: a stream that its caller drops counts as CANCELLED",
            self.requests.clone(),
        );
        registry.register(
            "identity_trail_open_streams",
            "gRPC calls that are open",
            self.open_streams.clone(),
        );
        registry.register(
            "identity_trail_searches",
            "Streams of SearchEvents that have ended, by how",
            self.searches.clone(),
        );
        registry.register_with_unit(
            "identity_trail_search_duration",
            "How long streams of SearchEvents lasted",
            Unit::Seconds,
            self.search_duration.clone(),
        );
        registry.register(
            "identity_trail_events_sent",
            "Events sent to callers",
            self.events_sent.clone(),
        );
        registry.register(
            "identity_trail_scans",
            "Scans that had begun and have ended, by backend and by how",
            self.scans.clone(),
        );
        registry.register(
            "identity_trail_aws_calls",
            "Attempts to call AWS, by API and by how they ended: retries count each, throttles too",
            self.aws_calls.clone(),
        );
        registry.register_with_unit(
            "identity_trail_aws_call_duration",
            "How long AWS took to answer one attempt",
            Unit::Seconds,
            self.aws_call_duration.clone(),
        );
        registry.register_with_unit(
            "identity_trail_pacing_wait",
            "How long calls waited for their turn in the queue of an account and Region",
            Unit::Seconds,
            self.pacing_wait.clone(),
        );
        registry.register(
            "identity_trail_session_refreshes",
            "Attempts to assume a role, by result",
            self.session_refreshes.clone(),
        );
        registry.register_with_unit(
            "identity_trail_query_scanned",
            "Bytes that Athena and Logs Insights report as scanned",
            Unit::Bytes,
            self.scanned_bytes.clone(),
        );
        registry.register(
            "identity_trail_trace_spans",
            "Spans of traces, by what became of them: finished, and then exported or lost",
            self.spans.clone(),
        );
        process::register(registry);
    }

    /// What can be known to occur is there from the start: a rate sees its first occurrence.
    fn begin_at_zero(&self) {
        for &outcome in StreamOutcome::ALL {
            drop(self.searches.get_or_create(&OfStream { outcome }));
        }
        let backends = [
            BackendKind::EventHistory,
            BackendKind::Logs,
            BackendKind::Athena,
        ];
        for backend in backends {
            let charges = backend != BackendKind::EventHistory;
            let backend = backend.as_str();
            for &outcome in ScanEnd::ALL {
                drop(self.scans.get_or_create(&OfScan { backend, outcome }));
            }
            if charges {
                drop(self.scanned_bytes.get_or_create(&OfBackend { backend }));
            }
        }
        for &result in SessionResult::ALL {
            drop(self.session_refreshes.get_or_create(&OfSession { result }));
        }
        for &fate in SpanFate::ALL {
            drop(self.spans.get_or_create(&OfSpan { fate }));
        }
        for &api in PacedApi::ALL {
            drop(self.pacing_wait.get_or_create(&OfPacing { api }));
        }
    }
}

/// Where lengths of time are counted. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Durations(Histogram);

impl Durations {
    /// Counts one.
    pub fn observe(&self, took: Duration) {
        self.0.observe(took.as_secs_f64());
    }
}

/// A gRPC call that is open. Dropping it counts it: with the code that was noted, else as cancelled.
#[derive(Debug)]
pub struct OpenRequest {
    metrics: Metrics,
    open: Gauge,
    rpc: &'static str,
    code: Option<&'static str>,
}

impl OpenRequest {
    /// The call has this gRPC code.
    pub fn ended(&mut self, code: &'static str) {
        self.code = Some(code);
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.open.dec();
        let of = OfRequest {
            rpc: self.rpc,
            code: self.code.unwrap_or("CANCELLED"),
        };
        self.metrics.shared.requests.get_or_create(&of).inc();
    }
}

#[cfg(test)]
mod tests;
