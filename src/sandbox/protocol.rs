//! The wire protocols: which call a request is, and how answers and errors are written.

use hyper::HeaderMap;
use hyper::http::request::Parts;
use serde::Serialize;
use serde_json::{Value, json};

use super::error::AwsError;
use super::sigv4::Refusal;
use super::sts::{Form, NAMESPACE};

/// The one path of the Account API that the sandbox has.
pub const LIST_REGIONS: &str = "/listRegions";

/// One call, as the request names it.
#[derive(Debug)]
pub enum Operation {
    /// STS speaks the query protocol.
    Sts {
        /// The `Action`.
        action: String,
        /// All form fields.
        form: Form,
    },
    /// CloudTrail speaks JSON 1.1.
    CloudTrail {
        /// The part of `X-Amz-Target` after the last dot.
        name: String,
        /// The body.
        body: Value,
    },
    /// Organizations speaks JSON 1.1.
    Organizations {
        /// The part of `X-Amz-Target` after the last dot.
        name: String,
        /// The body.
        body: Value,
    },
    /// The Account API speaks JSON with a path for each operation.
    ListRegions {
        /// The body.
        body: Value,
    },
    /// Athena speaks JSON 1.1.
    Athena {
        /// The part of `X-Amz-Target` after the last dot.
        name: String,
        /// The body.
        body: Value,
    },
    /// CloudWatch Logs speaks JSON 1.1.
    Logs {
        /// The part of `X-Amz-Target` after the last dot.
        name: String,
        /// The body.
        body: Value,
    },
}

/// How a call's answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `application/x-amz-json-1.1`.
    Json,
    /// `application/json`, the operation in the path.
    RestJson,
    /// XML, as the query protocol answers.
    Query,
}

impl Operation {
    /// Reads which call a request is.
    pub fn of(head: &Parts, body: &[u8]) -> Result<Self, (Protocol, AwsError)> {
        if head.uri.path() == LIST_REGIONS {
            let body = serde_json::from_slice(body)
                .map_err(|error| AwsError::new("ValidationException", error.to_string()));
            return match body {
                Ok(body) => Ok(Self::ListRegions { body }),
                Err(error) => Err((Protocol::RestJson, error)),
            };
        }
        match text(&head.headers, "x-amz-target") {
            Some(target) => Self::json(target, body).map_err(|error| (Protocol::Json, error)),
            None => Self::query(body).map_err(|error| (Protocol::Query, error)),
        }
    }

    fn json(target: &str, body: &[u8]) -> Result<Self, AwsError> {
        let unknown = || {
            let message = format!("Unknown operation: {target}");
            AwsError::new("UnknownOperationException", message)
        };
        let (service, name) = target.rsplit_once('.').ok_or_else(unknown)?;
        let name = name.to_owned();
        let parse = || {
            serde_json::from_slice(body)
                .map_err(|error| AwsError::new("SerializationException", error.to_string()))
        };
        match service {
            "CloudTrail_20131101" | "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101" => {
                let body = parse()?;
                Ok(Self::CloudTrail { name, body })
            }
            "AWSOrganizationsV20161128" => {
                let body = parse()?;
                Ok(Self::Organizations { name, body })
            }
            "AmazonAthena" => {
                let body = parse()?;
                Ok(Self::Athena { name, body })
            }
            "Logs_20140328" => {
                let body = parse()?;
                Ok(Self::Logs { name, body })
            }
            _ => Err(unknown()),
        }
    }

    fn query(body: &[u8]) -> Result<Self, AwsError> {
        let form: Form = serde_urlencoded::from_bytes(body)
            .map_err(|error| AwsError::new("MalformedQueryString", error.to_string()))?;
        let action = form.get("Action").cloned().ok_or_else(|| {
            let message = "neither an X-Amz-Target header nor an Action parameter names the call";
            AwsError::new("MissingAction", message)
        })?;
        Ok(Self::Sts { action, form })
    }

    /// The service's name, as it is signed for.
    pub fn service(&self) -> &'static str {
        match self {
            Self::Sts { .. } => "sts",
            Self::CloudTrail { .. } => "cloudtrail",
            Self::Athena { .. } => "athena",
            Self::Organizations { .. } => "organizations",
            Self::ListRegions { .. } => "account",
            Self::Logs { .. } => "logs",
        }
    }

    /// The call's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Sts { action: name, .. }
            | Self::CloudTrail { name, .. }
            | Self::Organizations { name, .. }
            | Self::Athena { name, .. }
            | Self::Logs { name, .. } => name,
            Self::ListRegions { .. } => "ListRegions",
        }
    }

    /// How the call's answer is written.
    pub fn protocol(&self) -> Protocol {
        match self {
            Self::Sts { .. } => Protocol::Query,
            Self::ListRegions { .. } => Protocol::RestJson,
            Self::Organizations { .. }
            | Self::CloudTrail { .. }
            | Self::Athena { .. }
            | Self::Logs { .. } => Protocol::Json,
        }
    }
}

impl Protocol {
    /// The content type of answers.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/x-amz-json-1.1",
            Self::RestJson => "application/json",
            Self::Query => "text/xml",
        }
    }

    /// What AWS answers to a refused signature.
    pub fn refusal(self, refusal: &Refusal) -> AwsError {
        let (code, status) = match (self, refusal) {
            (Self::RestJson, Refusal::Missing) => ("MissingAuthenticationTokenException", 403),
            (Self::RestJson, Refusal::Incomplete(_)) => ("IncompleteSignatureException", 403),
            (Self::RestJson, Refusal::UnknownKey) => ("UnrecognizedClientException", 403),
            (Self::RestJson, Refusal::Expired) => ("ExpiredTokenException", 403),
            (Self::RestJson, Refusal::Wrong(_)) => ("InvalidSignatureException", 403),
            (Self::Json, Refusal::Missing) => ("MissingAuthenticationTokenException", 400),
            (Self::Json, Refusal::Incomplete(_)) => ("IncompleteSignatureException", 400),
            (Self::Json, Refusal::UnknownKey) => ("UnrecognizedClientException", 400),
            (Self::Json, Refusal::Expired) => ("ExpiredTokenException", 400),
            (Self::Json, Refusal::Wrong(_)) => ("InvalidSignatureException", 400),
            (Self::Query, Refusal::Missing) => ("MissingAuthenticationToken", 403),
            (Self::Query, Refusal::Incomplete(_)) => ("IncompleteSignature", 400),
            (Self::Query, Refusal::UnknownKey) => ("InvalidClientTokenId", 403),
            (Self::Query, Refusal::Expired) => ("ExpiredToken", 403),
            (Self::Query, Refusal::Wrong(_)) => ("SignatureDoesNotMatch", 403),
        };
        AwsError::new(code, refusal.to_string()).with_status(status)
    }

    /// What AWS answers when there were too many calls.
    pub fn throttle(self) -> AwsError {
        match self {
            Self::Json => AwsError::new("ThrottlingException", "Rate exceeded"),
            Self::RestJson => {
                AwsError::new("TooManyRequestsException", "Rate exceeded").with_status(429)
            }
            Self::Query => AwsError::new("Throttling", "Rate exceeded"),
        }
    }

    /// An error's body.
    pub fn error_body(self, error: &AwsError, request_id: &str) -> String {
        match self {
            Self::Json | Self::RestJson => {
                let mut body = json!({"__type": error.code, "Message": error.message});
                for (name, value) in &error.members {
                    body[*name] = json!(value);
                }
                body.to_string()
            }
            Self::Query => {
                let response = ErrorResponse {
                    xmlns: NAMESPACE,
                    error: ErrorBody {
                        r#type: if error.status < 500 {
                            "Sender"
                        } else {
                            "Receiver"
                        },
                        code: error.code,
                        message: &error.message,
                    },
                    request_id,
                };
                quick_xml::se::to_string(&response).expect("structs of text are always XML")
            }
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorResponse<'a> {
    #[serde(rename = "@xmlns")]
    xmlns: &'a str,
    error: ErrorBody<'a>,
    request_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorBody<'a> {
    r#type: &'a str,
    code: &'a str,
    message: &'a str,
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
