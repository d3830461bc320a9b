//! How the sandbox refuses: AWS's error code, message and HTTP status.

/// An error as an AWS service returns it. The front door writes it as JSON 1.1 or query XML,
/// whichever the request spoke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct AwsError {
    /// AWS's code, such as `ThrottlingException`.
    pub code: &'static str,
    /// What AWS would say.
    pub message: String,
    /// HTTP status: 400 for most, throttles included; 403 for access, 500 for AWS's own faults.
    pub status: u16,
    /// Further members of the error's JSON body, such as Athena's `Reason`.
    pub members: Vec<(&'static str, String)>,
}

impl AwsError {
    /// An error with HTTP status 400, which is what AWS uses for nearly all of them.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            status: 400,
            members: Vec::new(),
        }
    }

    /// The same with another HTTP status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The same with one more member in the JSON body.
    #[must_use]
    pub fn with_member(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.members.push((name, value.into()));
        self
    }
}
