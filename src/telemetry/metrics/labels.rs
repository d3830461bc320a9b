//! What the labels of metrics may say. All are closed sets, but for AWS's own names of services and
//! operations: nothing that a caller sends becomes a label.

use std::fmt;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

macro_rules! label_values {
    ($(
        $(#[$meta:meta])*
        $name:ident { $($(#[$value_meta:meta])* $value:ident = $text:literal,)+ }
    )+) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$value_meta])* $value,)+
        }

        impl $name {
            /// Every value.
            pub const ALL: &[Self] = &[$(Self::$value,)+];

            /// As the label has it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$value => $text,)+
                }
            }
        }

        impl EncodeLabelValue for $name {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
                self.as_str().encode(encoder)
            }
        }
    )+};
}

label_values! {
    /// How the stream of a search ended.
    StreamOutcome {
        /// Everything that was asked for was read.
        Complete = "complete",
        /// All but what the configuration accepts to be unreadable.
        CompleteExceptAccepted = "complete_except_accepted",
        /// It ran to its end, and yet something is missing.
        Incomplete = "incomplete",
        /// Cut off by what the request allows: `max_events`, `max_scan_bytes`.
        Limited = "limited",
        /// Cut off by the caller's deadline.
        Deadline = "deadline",
        /// Cut off because the service shuts down.
        Drained = "drained",
        /// Cut off by a limit of the service for its callers.
        OverLimit = "over_limit",
        /// The caller went away before the summary.
        Cancelled = "cancelled",
        /// A defect of the service.
        Error = "error",
    }

    /// How a scan that had begun ended.
    ScanEnd {
        /// All of it was read.
        Complete = "complete",
        /// Cut off before its end.
        Truncated = "truncated",
        /// AWS refused or broke.
        Failed = "failed",
        /// What it could not read goes to an archive or a log group.
        HandedOver = "handed_over",
        /// There was nothing to ask: a disabled Region.
        NotApplicable = "not_applicable",
        /// Its search was dropped.
        Cancelled = "cancelled",
    }

    /// How an attempt to call AWS ended.
    AwsCallOutcome {
        /// With an answer.
        Ok = "ok",
        /// With a throttle.
        Throttled = "throttled",
        /// With another refusal (HTTP 4xx).
        Refused = "refused",
        /// With a fault of AWS's, a broken connection or none, or no answer in time.
        Failed = "failed",
        /// Nobody waited for it any more.
        Cancelled = "cancelled",
    }

    /// How the attempt to get or renew a session ended.
    SessionResult {
        /// With a session.
        Issued = "issued",
        /// AWS refused.
        Denied = "denied",
        /// No answer, or none that can be used.
        Failed = "failed",
    }

    /// What became of spans that were to be sent.
    SpanFate {
        /// They ended. Those that were then neither exported nor lost wait, or were dropped because too
        /// many waited.
        Finished = "finished",
        /// The collector has them.
        Exported = "exported",
        /// The collector did not take them.
        Lost = "lost",
    }

    /// An API whose calls take turns.
    PacedApi {
        /// CloudTrail.
        LookupEvents = "LookupEvents",
        /// CloudWatch Logs.
        FilterLogEvents = "FilterLogEvents",
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfRequest {
    pub rpc: &'static str,
    pub code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfRpc {
    pub rpc: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfStream {
    pub outcome: StreamOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfScan {
    pub backend: &'static str,
    pub outcome: ScanEnd,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfBackend {
    pub backend: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfAwsCall {
    /// Not `service`: Prometheus's operator says so to the Kubernetes service.
    pub aws_service: String,
    pub operation: String,
    pub outcome: AwsCallOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfApi {
    /// Not `service`: Prometheus's operator says so to the Kubernetes service.
    pub aws_service: String,
    pub operation: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfPacing {
    pub api: PacedApi,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfSession {
    pub result: SessionResult,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfBuild {
    pub version: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfSpan {
    pub fate: SpanFate,
}
