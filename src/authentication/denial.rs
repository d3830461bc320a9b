//! Why a request has no caller.

/// Why a request has no caller. The text is for the caller, and never repeats what it sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// Nothing says who calls.
    #[error(
        "who calls? A bearer token is wanted in the metadata `authorization` (`--token-file` of this \
         command line)"
    )]
    TokenMissing,
    /// Nothing says who calls, and only a certificate could.
    #[error(
        "who calls? A client certificate is wanted (`--tls-cert` and `--tls-key` of this command line)"
    )]
    CertificateMissing,
    /// A token where none is looked at.
    #[error("this service takes no tokens: callers are known by their certificates alone")]
    TokenNotAccepted,
    /// It is over.
    #[error("the token has expired: get a new one")]
    TokenExpired,
    /// It is for later.
    #[error("the token is not valid yet: its `nbf` lies ahead")]
    TokenNotYetValid,
    /// Somebody else issued it.
    #[error("the token's issuer (`iss`) is not the one that this service trusts")]
    TokenWrongIssuer,
    /// It is meant for somebody else.
    #[error("the token's audience (`aud`) is not this service: ask the issuer for one that is")]
    TokenWrongAudience,
    /// It is none, or was not signed by the issuer.
    #[error("the token is not valid: {0}")]
    TokenInvalid(&'static str),
    /// The issuer's keys are not known.
    #[error("tokens cannot be checked yet: the issuer's keys have not been read")]
    KeysNotLoaded,
    /// It was valid when the connection began.
    #[error("the client certificate has expired: connect again with a new one")]
    CertificateExpired,
    /// It is not from an authority that is trusted by now.
    #[error(
        "the client certificate is not, or no longer, from an authority that this service trusts"
    )]
    CertificateInvalid,
    /// It has no name that is looked for.
    #[error("the client certificate names no caller: {0}")]
    CertificateNameless(&'static str),
}

impl Denial {
    /// `ErrorInfo.reason`.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::TokenMissing => "TOKEN_MISSING",
            Self::CertificateMissing => "CERTIFICATE_MISSING",
            Self::TokenNotAccepted => "TOKEN_NOT_ACCEPTED",
            Self::TokenExpired => "TOKEN_EXPIRED",
            Self::TokenNotYetValid => "TOKEN_NOT_YET_VALID",
            Self::TokenWrongIssuer => "TOKEN_WRONG_ISSUER",
            Self::TokenWrongAudience => "TOKEN_WRONG_AUDIENCE",
            Self::TokenInvalid(_) => "TOKEN_INVALID",
            Self::KeysNotLoaded => "KEYS_NOT_LOADED",
            Self::CertificateExpired => "CERTIFICATE_EXPIRED",
            Self::CertificateInvalid => "CERTIFICATE_INVALID",
            Self::CertificateNameless(_) => "CERTIFICATE_NAMELESS",
        }
    }
}
