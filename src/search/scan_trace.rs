//! What the scans of a search tell of themselves to metrics and traces.

use std::collections::BTreeMap;

use tracing::Span;
use tracing::field::{Empty, display};

use super::merge::Lane;
use crate::backend::ScanError;
use crate::plan::outcome::ScanCounts;
use crate::plan::{ReasonCode, Scan, ScanTarget};
use crate::query::BackendKind;
use crate::telemetry::metrics::{Metrics, ScanEnd};

/// The scans of one search that have begun and have not ended. Dropping it ends them as cancelled.
pub struct ScanTraces {
    search: Span,
    metrics: Metrics,
    open: BTreeMap<Lane, OpenScan>,
}

struct OpenScan {
    backend: BackendKind,
    span: Span,
    events: u64,
}

impl ScanTraces {
    /// For the scans of the search that has this span.
    pub fn new(search: Span, metrics: Metrics) -> Self {
        Self {
            search,
            metrics,
            open: BTreeMap::new(),
        }
    }

    /// The span in which a step of the scan is taken: its own, which begins with the first, or the
    /// search's where scans are not traced.
    pub fn step(&mut self, lane: Lane, scan: &Scan) -> Span {
        let open = self.open.entry(lane).or_insert_with(|| OpenScan {
            span: span(&self.search, &scan.target),
            backend: scan.target.backend(),
            events: 0,
        });
        if open.span.is_disabled() {
            self.search.clone()
        } else {
            open.span.clone()
        }
    }

    /// The scan has read so many events of the answer.
    pub fn read(&mut self, lane: Lane, events: usize) {
        if let Some(open) = self.open.get_mut(&lane) {
            open.events += events as u64;
        }
    }

    /// The scan has ended, if it had begun.
    pub fn end(&mut self, lane: Lane, end: ScanEnd, counts: &ScanCounts) {
        let Some(open) = self.open.remove(&lane) else {
            return;
        };
        open.span.record("requests", counts.requests);
        open.span.record("throttles", counts.throttles);
        open.span.record("events_read", counts.events_read);
        open.span.record("bytes_scanned", counts.bytes_scanned);
        self.close(&open, end);
    }

    fn close(&self, open: &OpenScan, end: ScanEnd) {
        open.span.record("events", open.events);
        open.span.record("outcome", display(end.as_str()));
        if end == ScanEnd::Failed {
            open.span.record("otel.status_code", "ERROR");
        }
        self.metrics.scan_ended(open.backend, end);
    }
}

impl Drop for ScanTraces {
    fn drop(&mut self) {
        for open in std::mem::take(&mut self.open).into_values() {
            self.close(&open, ScanEnd::Cancelled);
        }
    }
}

/// How a scan ends that this breaks.
pub(super) fn end_of(error: &ScanError) -> ScanEnd {
    match error.reason.code {
        _ if error.not_applicable => ScanEnd::NotApplicable,
        ReasonCode::MaxScanBytes | ReasonCode::Quota | ReasonCode::AgedOut => ScanEnd::Truncated,
        _ => ScanEnd::Failed,
    }
}

fn span(search: &Span, scan: &ScanTarget) -> Span {
    let span = tracing::debug_span!(
        parent: search,
        "scan",
        otel.kind = "client",
        otel.status_code = Empty,
        backend = scan.backend().as_str(),
        cloud.account.id = Empty,
        cloud.region = Empty,
        store = Empty,
        accounts = Empty,
        outcome = Empty,
        events = Empty,
        events_read = Empty,
        requests = Empty,
        throttles = Empty,
        bytes_scanned = Empty,
    );
    if span.is_disabled() {
        return span;
    }
    match scan {
        ScanTarget::EventHistory {
            account, region, ..
        } => {
            span.record("cloud.account.id", display(account));
            span.record("cloud.region", display(region));
        }
        ScanTarget::Logs {
            log_group,
            accounts,
            ..
        } => {
            span.record("store", &*log_group.name);
            span.record("accounts", accounts.len());
        }
        ScanTarget::Athena {
            archive, accounts, ..
        } => {
            span.record("store", &*archive.name);
            span.record("accounts", accounts.len());
        }
    }
    span
}
