//! Who calls: the caller out of a bearer token or of the certificate of its connection.
//!
//! Each request is looked at anew, also on a connection that is open for long. Where a request has a
//! token, the token says who the caller is, whatever certificate the connection has (a proxy's, for
//! one), and a token that is wrong is never made up for by a certificate.

mod certificate;
mod denial;
mod keys;
mod token;

use std::sync::Arc;

use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_util::sync::CancellationToken;

pub use denial::Denial;

use crate::caller::Caller;
use crate::config::Auth;
use crate::plan::Reason;
use crate::tls::{MaterialError, ServerTls};
use certificate::Certificates;
use token::Tokens;

/// Tells callers apart, as section `auth` says.
#[derive(Debug)]
pub struct Authenticator {
    tokens: Option<Tokens>,
    certificates: Option<Certificates>,
}

/// What a request shows of its caller.
#[derive(Debug, Clone, Copy)]
pub struct Credentials<'a> {
    /// The values of `authorization`, of which there may be one.
    pub authorization: &'a [&'a [u8]],
    /// The certificates of its connection, the caller's own first.
    pub certificates: Option<&'a [CertificateDer<'static>]>,
}

impl Authenticator {
    /// Reads the files that `config` names; a URL is not asked yet. `tls` is what checks certificates.
    /// `None` if callers are not to be told apart.
    pub fn load(
        config: &Auth,
        tls: Option<&Arc<ServerTls>>,
    ) -> Result<Option<Self>, MaterialError> {
        if !config.authenticates() {
            return Ok(None);
        }
        let certificates = match (&config.mtls, tls) {
            (Some(mtls), Some(tls)) => Some(Certificates::new(mtls, Arc::clone(tls))),
            // The configuration's own check refuses certificates without TLS.
            _ => None,
        };
        Ok(Some(Self {
            tokens: config.jwt.as_deref().map(Tokens::load).transpose()?,
            certificates,
        }))
    }

    /// The caller, or why there is none. Waits only where a token names a key that may be new, and
    /// then no longer than five seconds.
    pub async fn caller(&self, shown: Credentials<'_>) -> Result<Caller, Denial> {
        match (shown.authorization, &self.tokens) {
            ([], tokens) => match (&self.certificates, shown.certificates) {
                (Some(certificates), Some(chain)) => certificates.caller(chain),
                (Some(_), None) if tokens.is_none() => Err(Denial::CertificateMissing),
                _ => Err(Denial::TokenMissing),
            },
            (_, None) => Err(Denial::TokenNotAccepted),
            ([authorization], Some(tokens)) => tokens.caller(authorization).await,
            (_, Some(_)) => Err(Denial::TokenInvalid(
                "authorization is there more than once",
            )),
        }
    }

    /// Whether callers can be told apart at all: not before the issuer's keys were read once.
    pub fn ready(&self) -> Result<(), Reason> {
        self.tokens.as_ref().map_or(Ok(()), Tokens::ready)
    }

    /// Keeps the issuer's keys current until `drain` is cancelled.
    pub async fn keep_current(&self, drain: &CancellationToken) {
        match &self.tokens {
            Some(tokens) => tokens.keep_current(drain).await,
            None => drain.cancelled().await,
        }
    }
}
