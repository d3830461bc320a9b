//! One AWS call, made until it succeeds or is surely of no use. The SDK's own retries are off for
//! what is called here, so that every attempt is counted.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use tokio::time::Instant;

use crate::backend::PageCost;
use crate::federation::aws_error::{self, AwsFailure, FailureKind};

/// Attempts after failures that are not throttles.
const ATTEMPTS: u32 = 3;

/// How long a call that AWS throttles is repeated, where nothing else is said.
const THROTTLED_FOR: Duration = Duration::from_secs(25);

/// Calls made, and those that were throttled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub requests: u64,
    pub throttles: u64,
}

impl Tally {
    pub fn add_to(self, cost: &mut PageCost) {
        cost.requests += self.requests;
        cost.throttles += self.throttles;
    }
}

/// Delays that double from the first to the longest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self {
            next: first,
            longest,
        }
    }

    /// The next delay.
    pub fn delay(&mut self) -> Duration {
        let delay = self.next.min(self.longest);
        self.next = delay * 2;
        delay
    }
}

/// When a call that failed is made again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Again<W = fn() -> bool> {
    throttled_for: Duration,
    attempts: u32,
    wanted: W,
}

impl Default for Again {
    /// After three failures of other kinds, or throttles for [`THROTTLED_FOR`], it is given up.
    fn default() -> Self {
        Self {
            throttled_for: THROTTLED_FOR,
            attempts: ATTEMPTS,
            wanted: || true,
        }
    }
}

impl<W> Again<W> {
    /// How long it is repeated while AWS throttles it.
    pub fn throttled_for(self, throttled_for: Duration) -> Self {
        Self {
            throttled_for,
            ..self
        }
    }

    /// Only if it was throttled: a call that failed otherwise may have begun something.
    pub fn only_if_throttled(self) -> Self {
        Self {
            attempts: 1,
            ..self
        }
    }

    /// A throttled call, which AWS surely has not acted on, is repeated only while it is wanted. One
    /// that failed otherwise is repeated nevertheless: what it began must become known.
    pub fn while_wanted<V: Fn() -> bool>(self, wanted: V) -> Again<V> {
        Again {
            throttled_for: self.throttled_for,
            attempts: self.attempts,
            wanted,
        }
    }
}

/// Calls until it succeeds, AWS refuses, or it is not to be made `again`. Counts into `tally`.
/// Dropping the future ends it between attempts or breaks the one under way off.
pub(super) async fn repeat<T, E, F>(
    action: &str,
    again: Again<impl Fn() -> bool>,
    tally: &mut Tally,
    mut call: impl FnMut() -> F,
) -> Result<T, AwsFailure>
where
    E: ProvideErrorMetadata + Error + 'static,
    F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
{
    let give_up = Instant::now() + again.throttled_for;
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(3));
    let mut failures = 0;
    loop {
        tally.requests += 1;
        let failure = match call().await {
            Ok(answer) => return Ok(answer),
            Err(error) => aws_error::failure(action, &error),
        };
        let repeat = match failure.kind {
            FailureKind::Throttled => {
                tally.throttles += 1;
                Instant::now() < give_up
            }
            // A request for which an expired session was taken gets a new one the next time.
            FailureKind::TimedOut
            | FailureKind::Connection
            | FailureKind::Transient
            | FailureKind::Expired => {
                failures += 1;
                failures < again.attempts
            }
            FailureKind::Denied
            | FailureKind::UnknownClient
            | FailureKind::NoSession
            | FailureKind::Refused => false,
        };
        if !repeat {
            return Err(failure);
        }
        tokio::time::sleep(backoff.delay()).await;
        if failure.kind == FailureKind::Throttled && !(again.wanted)() {
            return Err(failure);
        }
    }
}
