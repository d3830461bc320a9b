//! What an AWS error means, told from AWS's own code and message, in one place.

use std::error::Error;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::request_id::RequestId;

use super::session::SessionFailed;
use crate::plan::{Reason, ReasonCode};

/// A failed AWS call: what kind of failure, and the reason to give for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsFailure {
    /// What the caller may do about it.
    pub kind: FailureKind,
    /// What to tell, with AWS's own code, message and request id.
    pub reason: Reason,
}

/// The kinds of failures that a caller reacts to differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// No permission; trying again is of no use.
    Denied,
    /// AWS throttles: later.
    Throttled,
    /// The session has expired: another may do.
    Expired,
    /// AWS does not know the key: it is gone, or the Region is not enabled in the account.
    UnknownClient,
    /// No answer in time.
    TimedOut,
    /// No connection, or one that broke: perhaps again.
    Connection,
    /// AWS's own fault (5xx, an answer that cannot be read): perhaps again.
    Transient,
    /// No session to call with; the reason is the session's own.
    NoSession,
    /// Anything else that AWS refuses.
    Refused,
}

/// Reads the failure of a call that was made to `action` (such as "look up events").
pub fn failure<E>(action: &str, error: &SdkError<E, HttpResponse>) -> AwsFailure
where
    E: ProvideErrorMetadata + Error + 'static,
{
    if let Some(reason) = session_failure(error) {
        let kind = FailureKind::NoSession;
        return AwsFailure { kind, reason };
    }
    let meta = error.as_service_error().map(ProvideErrorMetadata::meta);
    let aws_code = meta.and_then(|meta| meta.code());
    let aws_message = meta.and_then(|meta| meta.message());
    let status = error
        .raw_response()
        .map(|response| response.status().as_u16());
    let kind = match error {
        SdkError::TimeoutError(_) => FailureKind::TimedOut,
        SdkError::DispatchFailure(dispatch) if dispatch.is_timeout() => FailureKind::TimedOut,
        SdkError::DispatchFailure(dispatch) if dispatch.is_io() => FailureKind::Connection,
        SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_) => FailureKind::Refused,
        SdkError::ServiceError(_) => kind_of_code(aws_code.unwrap_or_default(), status),
        _ => FailureKind::Transient,
    };
    let code = reason_code(kind, aws_message.unwrap_or_default());
    let what = match (aws_code, aws_message) {
        (Some(aws_code), Some(message)) => format!("{aws_code}: {message}"),
        (Some(aws_code), None) => aws_code.to_owned(),
        // Errors of the SDK: the causes say more than the outermost one.
        _ => causes(error),
    };
    AwsFailure {
        kind,
        reason: Reason {
            code,
            message: format!("could not {action}: {what}{}", advice(code)),
            aws_code: aws_code.map(str::to_owned),
            aws_message: aws_message.map(str::to_owned),
            aws_request_id: error.request_id().map(str::to_owned),
        },
    }
}

fn kind_of_code(code: &str, status: Option<u16>) -> FailureKind {
    match code {
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" | "NotAuthorized" => {
            FailureKind::Denied
        }
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => FailureKind::Expired,
        "UnrecognizedClientException" | "InvalidClientTokenId" => FailureKind::UnknownClient,
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottledException"
        | "RequestThrottled"
        | "RequestLimitExceeded"
        | "TooManyRequestsException"
        | "SlowDown"
        // Logs Insights: too many queries run.
        | "LimitExceededException" => FailureKind::Throttled,
        _ if status.is_some_and(|status| status >= 500) => FailureKind::Transient,
        _ => FailureKind::Refused,
    }
}

fn reason_code(kind: FailureKind, aws_message: &str) -> ReasonCode {
    match kind {
        FailureKind::Denied if names_control_policy(aws_message) => {
            ReasonCode::DeniedByServiceControlPolicy
        }
        FailureKind::Denied => ReasonCode::AccessDenied,
        FailureKind::Throttled => ReasonCode::Throttled,
        FailureKind::Expired | FailureKind::UnknownClient => ReasonCode::CredentialsExpired,
        FailureKind::TimedOut => ReasonCode::Unresponsive,
        FailureKind::Connection => ReasonCode::Unreachable,
        FailureKind::Transient | FailureKind::NoSession | FailureKind::Refused => {
            ReasonCode::AwsError
        }
    }
}

/// AWS says "with an explicit deny in a service control policy".
fn names_control_policy(aws_message: &str) -> bool {
    aws_message.contains("service control policy")
}

fn advice(code: ReasonCode) -> &'static str {
    match code {
        ReasonCode::AccessDenied => {
            "; give the role that permission, or check its permissions boundary"
        }
        ReasonCode::DeniedByServiceControlPolicy => {
            "; the organization forbids it: exempt the role in the service control policy"
        }
        ReasonCode::Throttled => "; others spend the same quota: try again later",
        ReasonCode::Unresponsive | ReasonCode::Unreachable => {
            "; check the network path and the endpoint, and try again"
        }
        ReasonCode::CredentialsExpired => {
            "; check that the role and the hub's credentials still exist"
        }
        _ => "",
    }
}

/// The session's own reason, if the call failed for want of a session.
fn session_failure(error: &(dyn Error + 'static)) -> Option<Reason> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(SessionFailed(reason)) = error.downcast_ref() {
            return Some(reason.clone());
        }
        next = error.source();
    }
    None
}

fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let line = error.to_string();
        if !text.ends_with(&line) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&line);
        }
        next = error.source();
    }
    text
}
