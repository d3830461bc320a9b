//! Traces: spans sent to an OpenTelemetry collector over OTLP/gRPC.
//!
//! Spans wait in a bounded queue and are sent by a thread of their own: a collector that is slow or
//! away costs spans and never a search. That is said once in the log, and counted.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, Span, SpanData,
    SpanExporter, SpanProcessor,
};
use tracing::level_filters::LevelFilter;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

use super::TelemetryError;
use super::metrics::{Metrics, SpanFate};
use crate::config::Otlp;

/// Spans that wait to be sent. A search of thousands of scans ends them all at once.
const QUEUE: usize = 16_384;
/// Spans in one message: with all their events below gRPC's usual limit of 4 MB.
const BATCH: usize = 512;
/// A span waits no longer than this.
const SEND_EVERY: Duration = Duration::from_secs(2);
/// What one message may take, retries included.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// AWS calls that one scan's span shows; further ones are counted in it.
const EVENTS_IN_SPAN: u32 = 128;

/// The target of the events in spans: one for each AWS call. What is logged for people stays in the
/// log, since it may name them.
pub const AWS_CALLS: &str = "identity_trail::aws";

/// Sends spans until it is flushed.
#[derive(Debug)]
pub(super) struct Exporter {
    provider: SdkTracerProvider,
}

impl Exporter {
    /// Sends nothing yet, and does not try whether anybody is there.
    pub fn new(config: &Otlp, metrics: &Metrics) -> Result<Self, TelemetryError> {
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_endpoint(config.endpoint.as_str())
            .with_timeout(EXPORT_TIMEOUT)
            .build()
            .map_err(|error| TelemetryError::Otlp(error.to_string()))?;
        Ok(Self::over(exporter, config.sample_ratio, metrics))
    }

    fn over(exporter: impl SpanExporter + 'static, ratio: f64, metrics: &Metrics) -> Self {
        let said = SaidOnce {
            exporter,
            metrics: metrics.clone(),
            away: AtomicBool::new(false),
        };
        let batches = BatchSpanProcessor::builder(said)
            .with_batch_config(
                BatchConfigBuilder::default()
                    .with_max_queue_size(QUEUE)
                    .with_max_export_batch_size(BATCH)
                    .with_scheduled_delay(SEND_EVERY)
                    .build(),
            )
            .build();
        let counted = Counted {
            batches,
            metrics: metrics.clone(),
        };
        let provider = SdkTracerProvider::builder()
            .with_span_processor(counted)
            // A caller that has decided for its whole trace is followed.
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
                ratio,
            ))))
            .with_max_events_per_span(EVENTS_IN_SPAN)
            .with_resource(resource())
            .build();
        Self { provider }
    }

    /// Turns the spans of this crate into what is sent.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("identity-trail"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_filter(filter_fn(is_shown).with_max_level_hint(LevelFilter::DEBUG))
    }

    /// Sends what waits, for `patience` at most.
    pub async fn flush(self, patience: Duration) {
        let provider = self.provider;
        let flushed =
            tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(patience)).await;
        match flushed {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("the last traces were not sent: {error}"),
            Err(error) => tracing::error!("sending the last traces died: {error}"),
        }
    }
}

/// Who sends: `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` have the last word.
fn resource() -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder().with_attribute(version);
    match std::env::var_os("OTEL_SERVICE_NAME") {
        Some(_) => resource.build(),
        None => resource.with_service_name("identity-trail").build(),
    }
}

fn is_shown(seen: &Metadata<'_>) -> bool {
    let of_this_crate = seen.target().starts_with(env!("CARGO_CRATE_NAME"));
    (seen.is_span() && of_this_crate) || seen.target() == AWS_CALLS
}

/// Calls `run` as a part of the trace that the caller's `traceparent` names, if it names one.
pub fn continuing<T>(header: impl Fn(&str) -> Option<String>, run: impl FnOnce() -> T) -> T {
    let headers = Headers {
        parent: header("traceparent"),
        state: header("tracestate"),
    };
    let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &headers);
    if !parent.span().span_context().is_valid() {
        return run();
    }
    let _attached = parent.attach();
    run()
}

struct Headers {
    parent: Option<String>,
    state: Option<String>,
}

impl Extractor for Headers {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => self.parent.as_deref(),
            "tracestate" => self.state.as_deref(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

/// Counts what is to be sent.
#[derive(Debug)]
struct Counted {
    batches: BatchSpanProcessor,
    metrics: Metrics,
}

impl SpanProcessor for Counted {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        self.metrics.spans(SpanFate::Finished, 1);
        self.batches.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// Says once that the collector does not answer, and once that it does again.
struct SaidOnce<E> {
    exporter: E,
    metrics: Metrics,
    away: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for SaidOnce<E> {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        let spans = batch.len() as u64;
        let export = self.exporter.export(batch);
        async move {
            let exported = export.await;
            match &exported {
                Ok(()) => {
                    self.metrics.spans(SpanFate::Exported, spans);
                    if self.away.swap(false, Ordering::Relaxed) {
                        tracing::info!("the collector takes traces again");
                    }
                }
                Err(error) => {
                    self.metrics.spans(SpanFate::Lost, spans);
                    if !self.away.swap(true, Ordering::Relaxed) {
                        tracing::warn!(
                            "traces cannot be sent and are lost until the collector takes them \
                             again (telemetry.otlp): {error}"
                        );
                    }
                }
            }
            exported
        }
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl<E> fmt::Debug for SaidOnce<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SaidOnce").finish_non_exhaustive()
    }
}
