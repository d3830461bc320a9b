//! Watches every attempt to call AWS, whichever client makes it: counts it, and leaves an event with
//! AWS's request id in the trace of whoever waits for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, Metadata};
use aws_smithy_runtime_api::client::retries::classifiers::{
    ClassifyRetry, RetryAction, RetryReason,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use aws_smithy_types::retry::ErrorKind;

use crate::telemetry::AWS_CALLS;
use crate::telemetry::metrics::{AwsCallOutcome, Metrics};

/// To be given to every client.
#[derive(Debug, Clone)]
pub struct CallWatch(Metrics);

impl CallWatch {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self(metrics)
    }
}

/// One attempt under way. Dropped before it has ended, it was cancelled.
#[derive(Debug)]
struct Attempt {
    metrics: Metrics,
    metadata: Option<Metadata>,
    began: Instant,
    ended: AtomicBool,
}

impl Storable for Attempt {
    type Storer = StoreReplace<Self>;
}

impl Attempt {
    fn end(&self, outcome: AwsCallOutcome, request_id: Option<&str>) {
        if self.ended.swap(true, Ordering::Relaxed) {
            return;
        }
        let (service, operation) = match &self.metadata {
            Some(metadata) => (metadata.service(), metadata.name()),
            None => ("unknown", "unknown"),
        };
        self.metrics
            .aws_call_ended(service, operation, outcome, self.began.elapsed());
        tracing::debug!(
            target: AWS_CALLS,
            {
                rpc.service = service,
                rpc.method = operation,
                outcome = outcome.as_str(),
                aws.request_id = request_id,
            },
            "AWS call"
        );
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.end(AwsCallOutcome::Cancelled, None);
    }
}

impl Intercept for CallWatch {
    fn name(&self) -> &'static str {
        "CallWatch"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let attempt = Attempt {
            metrics: self.0.clone(),
            metadata: cfg.load::<Metadata>().cloned(),
            began: Instant::now(),
            ended: AtomicBool::new(false),
        };
        cfg.interceptor_state().store_put(attempt);
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        components: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // None if it failed before anything was sent: no call of AWS then.
        if let Some(attempt) = cfg.load::<Attempt>() {
            let headers = context.response().map(HttpResponse::headers);
            let request_id = headers.and_then(|headers| headers.get("x-amzn-requestid"));
            attempt.end(outcome(context, components), request_id);
        }
        Ok(())
    }
}

fn outcome(
    context: &FinalizerInterceptorContextRef<'_>,
    components: &RuntimeComponents,
) -> AwsCallOutcome {
    let Some(Err(_)) = context.output_or_error() else {
        return AwsCallOutcome::Ok;
    };
    // The SDK's own opinion, from AWS's error codes.
    let is_throttle = |action: &RetryAction| match action {
        RetryAction::RetryIndicated(RetryReason::RetryableError { kind, .. }) => {
            *kind == ErrorKind::ThrottlingError
        }
        _ => false,
    };
    let mut opinions =
        (components.retry_classifiers()).map(|it| it.classify_retry(context.inner()));
    if opinions.any(|action| is_throttle(&action)) {
        return AwsCallOutcome::Throttled;
    }
    match context.response().map(HttpResponse::status) {
        Some(status) if status.is_client_error() => AwsCallOutcome::Refused,
        _ => AwsCallOutcome::Failed,
    }
}
