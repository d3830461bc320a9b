//! Section `auth`: who may call, and what callers may ask.

use std::path::PathBuf;

use serde::Deserialize;

/// Who may call, and what callers may ask.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// Cedar policies that say what each caller may ask: a file, or a folder of `.cedar` files. Without
    /// them everybody who may call may ask everything.
    pub policies: Option<PathBuf>,
}
