//! What a search tells of itself to metrics and traces.

use std::time::Instant;

use tracing::Span;
use tracing::field::{Empty, display};

use super::item::{StopReason, Summary};
use crate::caller::Caller;
use crate::plan::{Completeness, QueryPlan};
use crate::query::EventQuery;
use crate::telemetry::metrics::{Metrics, StreamOutcome};

/// The span of a search, a part of whichever trace is current. Who asks, and about whom, is in it only
/// if `identities` says so.
pub(super) fn span(caller: &Caller, query: &EventQuery, identities: bool) -> Span {
    let span = tracing::info_span!(
        "search",
        otel.kind = "server",
        otel.status_code = Empty,
        caller = Empty,
        identities = Empty,
        accounts = Empty,
        scans = Empty,
        outcome = Empty,
        events = Empty,
        requests = Empty,
        throttles = Empty,
        bytes_scanned = Empty,
    );
    if identities {
        span.record("caller", display(caller));
        let asked: Vec<String> = query.identities.iter().map(ToString::to_string).collect();
        span.record("identities", asked.join(", "));
    }
    span
}

/// One search, watched from its begin to its end, whatever that is.
pub(super) struct Observed {
    pub span: Span,
    metrics: Metrics,
    began: Instant,
    outcome: Option<StreamOutcome>,
}

impl Observed {
    pub fn new(span: Span, metrics: Metrics) -> Self {
        Self {
            span,
            metrics,
            began: Instant::now(),
            outcome: None,
        }
    }

    pub fn planned(&self, plan: &QueryPlan) {
        self.span.record("accounts", plan.accounts.len());
        self.span.record("scans", plan.scans.len());
    }

    pub fn sent_event(&self) {
        self.metrics.event_sent();
    }

    pub fn ended(&mut self, summary: &Summary) {
        self.outcome = Some(outcome(summary));
        self.span.record("events", summary.events_sent);
        self.span.record("requests", summary.requests);
        self.span.record("throttles", summary.throttles);
        self.span.record("bytes_scanned", summary.bytes_scanned);
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        let outcome = self.outcome.unwrap_or_else(|| {
            if std::thread::panicking() {
                StreamOutcome::Error
            } else {
                StreamOutcome::Cancelled
            }
        });
        self.metrics.search_ended(outcome, self.began.elapsed());
        self.span.record("outcome", display(outcome.as_str()));
        if outcome == StreamOutcome::Error {
            self.span.record("otel.status_code", "ERROR");
        }
    }
}

fn outcome(summary: &Summary) -> StreamOutcome {
    match summary.stop_reason {
        StopReason::End => match summary.coverage.completeness() {
            Completeness::Complete => StreamOutcome::Complete,
            Completeness::CompleteExceptAccepted => StreamOutcome::CompleteExceptAccepted,
            Completeness::Incomplete => StreamOutcome::Incomplete,
        },
        StopReason::MaxEvents | StopReason::MaxScanBytes => StreamOutcome::Limited,
        StopReason::Quota => StreamOutcome::OverLimit,
        StopReason::Deadline => StreamOutcome::Deadline,
        StopReason::Drain => StreamOutcome::Drained,
        // The caller was still there, but as good as gone.
        StopReason::Idle => StreamOutcome::Cancelled,
    }
}
