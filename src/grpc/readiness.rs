//! grpc.health.v1: SERVING once the hub's credentials have been seen to work and the accounts are
//! known. Under the name `accounts` it says whether they are also up to date, and under `live` it is
//! SERVING until the process drains.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::pb::identity_trail_service_server::SERVICE_NAME;
use crate::plan::Reason;

/// Tries whether the service can do its work at all: one call to AWS with its own credentials, and
/// a look at the accounts.
pub type Probe = Box<dyn Fn() -> BoxFuture<'static, Result<Readiness, Reason>> + Send + Sync>;

/// How well a service that can do its work does it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// As it should.
    Ready,
    /// Over accounts that may be out of date, for this reason.
    Degraded(Reason),
}

/// How often readiness is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadinessPace {
    /// After a probe that went well.
    pub recheck: Duration,
    /// After one that failed.
    pub retry: Duration,
    /// A probe without an answer for this long has failed.
    pub timeout: Duration,
    /// So many failures in a row make a service not ready that was: one lost packet does not.
    pub failures: u32,
}

impl Default for ReadinessPace {
    fn default() -> Self {
        Self {
            recheck: Duration::from_mins(1),
            retry: Duration::from_secs(5),
            timeout: Duration::from_secs(10),
            failures: 3,
        }
    }
}

/// The names under which health is asked for: the whole server, and its one service.
const NAMES: [&str; 2] = ["", SERVICE_NAME];
/// The name under which health says whether the accounts are up to date.
pub const ACCOUNTS: &str = "accounts";
/// The name for whoever restarts what hangs: SERVING until the process drains, whatever AWS says. A
/// restart would not mend credentials.
pub const LIVE: &str = "live";

/// A reporter that says NOT_SERVING under every name but [`LIVE`].
pub(super) async fn not_ready() -> HealthReporter {
    let health = HealthReporter::new();
    report(&health, ServingStatus::NotServing).await;
    health
        .set_service_status(ACCOUNTS, ServingStatus::NotServing)
        .await;
    health
        .set_service_status(LIVE, ServingStatus::Serving)
        .await;
    health
}

/// Tells whether the service is ready: whoever asks the health service, and this process.
#[derive(Debug)]
pub(super) struct Reporter {
    health: HealthReporter,
    ready: watch::Sender<bool>,
}

impl Reporter {
    pub fn new(health: HealthReporter, ready: watch::Sender<bool>) -> Self {
        Self { health, ready }
    }

    async fn report(&self, status: ServingStatus) {
        self.ready.send_replace(status == ServingStatus::Serving);
        report(&self.health, status).await;
    }
}

/// Keeps the health service informed until `leaving` is cancelled, then reports NOT_SERVING, and once
/// `drain` is cancelled ends the streams of those who watch.
pub(super) async fn keep_informed(
    mut reporter: Reporter,
    probe: Probe,
    pace: ReadinessPace,
    leaving: CancellationToken,
    drain: CancellationToken,
) {
    leaving
        .run_until_cancelled(watch(&reporter, &probe, pace))
        .await;
    reporter.report(ServingStatus::NotServing).await;
    drain.cancelled().await;
    for name in NAMES.into_iter().chain([ACCOUNTS, LIVE]) {
        reporter.health.clear_service_status(name).await;
    }
}

async fn watch(reporter: &Reporter, probe: &Probe, pace: ReadinessPace) {
    let mut ready = false;
    let mut failures = 0;
    loop {
        let answer = AssertUnwindSafe(probe()).catch_unwind();
        let failure = match tokio::time::timeout(pace.timeout, answer).await {
            Ok(Err(_panic)) => Some("a defect of the service".to_owned()),
            Ok(Ok(Ok(readiness))) => {
                report_accounts(&reporter.health, &readiness).await;
                None
            }
            Ok(Ok(Err(reason))) => Some(reason.message),
            Err(_elapsed) => Some(format!("no answer within {:?}", pace.timeout)),
        };
        let wait = match failure {
            None => {
                if !ready {
                    tracing::info!(
                        "ready: the service's own credentials work, and its accounts are known"
                    );
                    reporter.report(ServingStatus::Serving).await;
                }
                (ready, failures) = (true, 0);
                pace.recheck
            }
            Some(message) => {
                failures += 1;
                tracing::warn!(failures, "the service cannot do its work: {message}");
                if ready && failures >= pace.failures {
                    ready = false;
                    reporter.report(ServingStatus::NotServing).await;
                }
                pace.retry
            }
        };
        tokio::time::sleep(wait).await;
    }
}

async fn report_accounts(health: &HealthReporter, readiness: &Readiness) {
    let status = match readiness {
        Readiness::Ready => ServingStatus::Serving,
        Readiness::Degraded(reason) => {
            tracing::warn!("the accounts may be out of date: {}", reason.message);
            ServingStatus::NotServing
        }
    };
    health.set_service_status(ACCOUNTS, status).await;
}

async fn report(health: &HealthReporter, status: ServingStatus) {
    for name in NAMES {
        health.set_service_status(name, status).await;
    }
}
