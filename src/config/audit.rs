//! Section `audit`: who asked what, one line for each request.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer};

/// The audit log, on standard error where nothing else is said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// Where its lines go.
    #[serde(deserialize_with = "target")]
    pub to: AuditTarget,
}

/// Where the audit log is written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AuditTarget {
    /// Standard error, beside the service's own log.
    #[default]
    Stderr,
    /// Standard output.
    Stdout,
    /// A file that is appended to, made if it is not there; opened anew on SIGHUP.
    File(PathBuf),
}

impl fmt::Display for AuditTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stderr => f.write_str("stderr"),
            Self::Stdout => f.write_str("stdout"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

fn target<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AuditTarget, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.as_str() {
        "stderr" => Ok(AuditTarget::Stderr),
        "stdout" => Ok(AuditTarget::Stdout),
        path if path.starts_with('/') => Ok(AuditTarget::File(path.into())),
        _ => Err(serde::de::Error::custom(format!(
            "`{text}`: allowed are stderr, stdout and the absolute path of a file"
        ))),
    }
}
