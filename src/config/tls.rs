//! Section `tls`: the service's certificate, and whether callers show one of theirs.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Invalid;

/// TLS on the service's port. All files are PEM, and read again when they change.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The service's certificate, followed by its intermediates.
    pub cert_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
    /// The authorities that callers' certificates must come from.
    #[serde(default)]
    pub client_ca_file: Option<PathBuf>,
    /// Whether callers show a certificate. Default: required if there is a `client_ca_file`.
    #[serde(default)]
    client_auth: Option<ClientAuth>,
}

/// Whether callers show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// They are not asked.
    None,
    /// They may; a wrong one ends the connection.
    Optional,
    /// Without one there is no connection.
    Required,
}

impl Tls {
    /// The authorities of callers' certificates and whether one is required, unless none is asked for.
    #[must_use]
    pub fn client_ca(&self) -> Option<(&Path, ClientAuth)> {
        let file = self.client_ca_file.as_deref()?;
        Some((file, self.client_auth.unwrap_or(ClientAuth::Required)))
    }
}

pub(super) fn check(tls: Option<&Tls>) -> Result<(), Invalid> {
    let Some(tls) = tls else {
        return Ok(());
    };
    let invalid = |why| Err(Invalid::new("tls.client_auth", None, why));
    match (&tls.client_ca_file, tls.client_auth) {
        (None, Some(ClientAuth::Optional | ClientAuth::Required)) => {
            invalid("name the authorities of callers' certificates in tls.client_ca_file")
        }
        (Some(_), Some(ClientAuth::None)) => invalid(
            "with none nobody reads tls.client_ca_file: leave it out, or ask for certificates",
        ),
        _ => Ok(()),
    }
}
