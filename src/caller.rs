//! Who asks: what every part that treats callers apart knows of them.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// One caller, as it was authenticated. Two requests are of the same caller if the names are equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// What pacing, limits and the audit log go by: a SPIFFE ID, a certificate's name, a token's
    /// subject, or the peer's address where nobody authenticates. Unique in the service.
    pub name: Arc<str>,
    /// How the service knows.
    pub authentication: Authentication,
    /// The groups that the token's claims name; empty for every other caller.
    pub groups: BTreeSet<String>,
}

/// How the service knows who a caller is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authentication {
    /// It does not: the name is where the connection comes from.
    None,
    /// The caller is this process.
    InProcess,
    /// A client certificate that a trusted CA signed.
    Certificate,
    /// A bearer token of this issuer.
    Token {
        /// The token's `iss`.
        issuer: Arc<str>,
    },
}

impl Caller {
    /// Somebody at this address, as far as anybody knows.
    #[must_use]
    pub fn at(address: Option<IpAddr>) -> Self {
        Self {
            name: match address {
                Some(address) => address.to_string().into(),
                None => "unknown".into(),
            },
            authentication: Authentication::None,
            groups: BTreeSet::new(),
        }
    }

    /// This process itself.
    #[must_use]
    pub fn in_process() -> Self {
        Self {
            name: "in-process".into(),
            authentication: Authentication::InProcess,
            groups: BTreeSet::new(),
        }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
