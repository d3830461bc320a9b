//! The one place for gRPC codes. Every error carries `ErrorInfo`; what a client may retry as it
//! stands is UNAVAILABLE and nothing else.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, QuotaViolation, StatusExt};

use super::convert::Rejection;
use super::convert::findings::{FieldFinding, MAX_TOLD};
use crate::audit::Unwritable;
use crate::authentication::Denial;
use crate::check::UnknownAccounts;
use crate::search::Refusal;

/// `ErrorInfo.domain` of every error of this service.
pub const ERROR_DOMAIN: &str = "identitytrail.v1";

/// What a caller waits before it asks again when the service is full.
const BUSY_RETRY_DELAY: Duration = Duration::from_secs(5);

impl From<Rejection> for Status {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Invalid(fields) => {
                let mut details = with_fields("INVALID_REQUEST", &fields);
                details.set_bad_request(fields.iter().map(violation).collect::<Vec<_>>());
                told(Code::InvalidArgument, &fields, details)
            }
            Rejection::Exceeded(fields) => {
                let mut details = with_fields("LIMIT_EXCEEDED", &fields);
                let quota = |f: &FieldFinding| QuotaViolation::new(&f.field, &f.description);
                details.set_quota_failure(fields.iter().map(quota).collect::<Vec<_>>());
                told(Code::ResourceExhausted, &fields, details)
            }
        }
    }
}

impl From<UnknownAccounts> for Status {
    fn from(unknown: UnknownAccounts) -> Self {
        Refusal::UnknownAccounts(unknown.0).into()
    }
}

impl From<Denial> for Status {
    fn from(denial: Denial) -> Self {
        let mut details = info(denial.reason(), []);
        let code = match denial {
            Denial::KeysNotLoaded => {
                details.set_retry_info(Some(BUSY_RETRY_DELAY));
                Code::Unavailable
            }
            _ => Code::Unauthenticated,
        };
        Status::with_error_details(code, denial.to_string(), details)
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::Denied(denial) => {
                let rpc = ("rpc".to_owned(), denial.rpc().as_str().to_owned());
                let details = info(denial.code(), [rpc]);
                Status::with_error_details(Code::PermissionDenied, message, details)
            }
            Refusal::UnknownAccounts(accounts) => {
                let ids: Vec<String> = (accounts.iter().take(MAX_TOLD))
                    .map(ToString::to_string)
                    .collect();
                let more = match accounts.len().checked_sub(MAX_TOLD) {
                    Some(more @ 1..) => format!(" and {more} more"),
                    _ => String::new(),
                };
                let ids = ids.join(", ");
                let message = format!("not in this federation: {ids}{more}");
                let details = info("ACCOUNT_NOT_FOUND", [("account_ids".into(), ids)]);
                Status::with_error_details(Code::NotFound, message, details)
            }
            Refusal::NothingSelected { field, .. } => {
                let mut details = info("NOTHING_SELECTED", [("field".into(), field.clone())]);
                details.add_bad_request_violation(field, message.clone());
                Status::with_error_details(Code::NotFound, message, details)
            }
            Refusal::AccountsNotKnown(_) => {
                let mut details = info("ACCOUNTS_NOT_KNOWN", []);
                details.set_retry_info(Some(BUSY_RETRY_DELAY));
                Status::with_error_details(Code::Unavailable, message, details)
            }
            Refusal::TooManyAccounts { .. } => {
                let field = ("fields".to_owned(), "account_ids".to_owned());
                let mut details = info("LIMIT_EXCEEDED", [field]);
                details.add_quota_failure_violation("account_ids", message.clone());
                Status::with_error_details(Code::ResourceExhausted, message, details)
            }
            Refusal::ScopeChanged => {
                let mut details = info("SCOPE_CHANGED", []);
                details.add_precondition_failure_violation(
                    "SCOPE_CHANGED",
                    "resume_token",
                    message.clone(),
                );
                Status::with_error_details(Code::FailedPrecondition, message, details)
            }
            Refusal::Exceeded(exceeded) => {
                let limit = ("limit".to_owned(), exceeded.key.to_owned());
                let mut details = info("QUOTA_EXCEEDED", [limit]);
                details.add_quota_failure_violation(exceeded.key, message.clone());
                details.set_retry_info(Some(exceeded.retry_after));
                Status::with_error_details(Code::ResourceExhausted, message, details)
            }
        }
    }
}

/// The service is shutting down: ask another replica.
#[must_use]
pub fn draining() -> Status {
    let mut details = info("DRAINING", []);
    details.set_retry_info(Some(Duration::from_secs(1)));
    let message = "the service is shutting down: ask again, another replica will answer";
    Status::with_error_details(Code::Unavailable, message, details)
}

/// What cannot be recorded is not served.
#[must_use]
pub fn unrecorded(unwritable: &Unwritable) -> Status {
    let mut details = info("AUDIT_LOG_UNWRITABLE", []);
    details.set_retry_info(Some(BUSY_RETRY_DELAY));
    Status::with_error_details(Code::Unavailable, unwritable.to_string(), details)
}

/// A message says that it is longer than any request needs to be.
#[must_use]
pub(super) fn message_too_large(bytes: usize, limit: usize) -> Status {
    let message = format!("the request has {bytes} bytes, at most {limit} are taken");
    let mut details = info("MESSAGE_TOO_LARGE", [("limit".into(), limit.to_string())]);
    details.add_quota_failure_violation("message size", message.clone());
    Status::with_error_details(Code::ResourceExhausted, message, details)
}

/// Others are sending so much at this moment that a large request has no room.
#[must_use]
pub(super) fn no_room() -> Status {
    let message = "too much is being received at this moment for a request of this size: try again";
    let mut details = info("REQUESTS_TOO_LARGE", []);
    details.add_quota_failure_violation("requests being received", message);
    details.set_retry_info(Some(BUSY_RETRY_DELAY));
    Status::with_error_details(Code::ResourceExhausted, message, details)
}

/// The request's end did not come.
#[must_use]
pub(super) fn not_received(patience: Duration) -> Status {
    let message = format!("the request was not received whole within {patience:?}");
    let details = info("REQUEST_NOT_RECEIVED", []);
    Status::with_error_details(Code::DeadlineExceeded, message, details)
}

/// A defect of the service: its details are in the log, not on the wire.
#[must_use]
pub fn defect() -> Status {
    let message =
        "a defect of the service ended the search: what was sent so far is right, but not whole";
    Status::with_error_details(Code::Internal, message, info("DEFECT", []))
}

/// The message tells a few of the findings; the details hold them all.
fn told(code: Code, fields: &[FieldFinding], details: ErrorDetails) -> Status {
    const IN_MESSAGE: usize = 3;
    let mut parts: Vec<String> = (fields.iter().take(IN_MESSAGE))
        .map(|f| format!("{}: {}", f.field, f.description))
        .collect();
    if let Some(more @ 1..) = fields.len().checked_sub(IN_MESSAGE) {
        parts.push(format!("{more} more in the details"));
    }
    Status::with_error_details(code, parts.join("; "), details)
}

fn violation(finding: &FieldFinding) -> FieldViolation {
    FieldViolation::new(&finding.field, &finding.description)
}

fn with_fields(reason: &str, fields: &[FieldFinding]) -> ErrorDetails {
    let names: Vec<&str> = fields.iter().map(|f| f.field.as_str()).collect();
    info(reason, [("fields".to_owned(), names.join(","))])
}

fn info<const N: usize>(reason: &str, metadata: [(String, String); N]) -> ErrorDetails {
    ErrorDetails::with_error_info(reason, ERROR_DOMAIN, HashMap::from(metadata))
}
