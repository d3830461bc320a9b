//! Section `auth`: who calls, by a token, a certificate or both, and what callers may ask.

use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;
use serde::{Deserialize, Deserializer};

use super::tls::Tls;
use super::{Invalid, value};

/// How callers are told apart (with neither way nobody knows who they are), and what they may ask.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// By a bearer token. Where there is one, it says who the caller is.
    pub jwt: Option<Box<Jwt>>,
    /// By the certificate of the connection, where there is no token.
    pub mtls: Option<Mtls>,
    /// Cedar policies that say what each caller may ask: a file, or a folder of `.cedar` files. Without
    /// them everybody who may call may ask everything.
    pub policies: Option<PathBuf>,
}

impl Auth {
    /// Whether a request without a known caller is refused.
    #[must_use]
    pub fn authenticates(&self) -> bool {
        self.jwt.is_some() || self.mtls.is_some()
    }
}

/// JSON Web Tokens in `authorization: Bearer …`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    /// `iss`, to the letter.
    #[serde(deserialize_with = "text")]
    pub issuer: String,
    /// `aud` has at least one of these.
    #[serde(deserialize_with = "one_or_more")]
    pub audience: Vec<String>,
    /// The issuer's keys.
    pub jwks: Jwks,
    /// What tokens are signed with; nothing else is looked at.
    #[serde(default = "rs256", deserialize_with = "algorithms")]
    pub algorithms: Vec<JwtAlgorithm>,
    /// The claim that is the caller's name.
    #[serde(default = "sub", deserialize_with = "text")]
    pub name_claim: String,
    /// The claim that lists the caller's groups.
    #[serde(default, deserialize_with = "optional_text")]
    pub groups_claim: Option<String>,
    /// How far the issuer's clock may be off, for `exp` and `nbf`.
    #[serde(default = "half_a_minute", deserialize_with = "leeway")]
    pub leeway: Duration,
}

/// Where the issuer's keys are: a file or a URL.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwks {
    /// A JSON Web Key Set, read again when it changes.
    #[serde(default)]
    pub file: Option<PathBuf>,
    /// The same at a URL: https, or http on loopback.
    #[serde(default, deserialize_with = "jwks_url")]
    pub url: Option<Uri>,
    /// The authorities of the URL's server (PEM), instead of the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// How often the URL is read.
    #[serde(default, deserialize_with = "refresh")]
    refresh: Option<Duration>,
}

/// A signature algorithm. There is no symmetric one: a key that can check could also sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "RFC 7518 and RFC 8037 have the names")]
pub enum JwtAlgorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

/// Callers by the certificate of their connection.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mtls {
    /// Only SPIFFE IDs of this trust domain are callers. Without it the name is the certificate's
    /// SPIFFE ID, else its first DNS name.
    #[serde(default, deserialize_with = "trust_domain")]
    pub trust_domain: Option<String>,
}

impl Jwks {
    /// How often a URL is read.
    #[must_use]
    pub fn refresh(&self) -> Duration {
        self.refresh.unwrap_or(Duration::from_mins(10))
    }
}

pub(super) fn check(auth: &Auth, tls: Option<&Tls>) -> Result<(), Invalid> {
    let invalid = |key: &str, why| Err(Invalid::new(key, None, why));
    if auth.mtls.is_some() && tls.and_then(Tls::client_ca).is_none() {
        return invalid(
            "auth.mtls",
            "callers are not asked for certificates: set tls.client_ca_file",
        );
    }
    let Some(jwt) = &auth.jwt else {
        return Ok(());
    };
    let jwks = &jwt.jwks;
    match (&jwks.file, &jwks.url) {
        (None, None) => invalid("auth.jwt.jwks", "say where the keys are: file or url"),
        (Some(_), Some(_)) => invalid("auth.jwt.jwks", "either file or url, not both"),
        (Some(_), None) if jwks.ca_file.is_some() || jwks.refresh.is_some() => invalid(
            "auth.jwt.jwks",
            "ca_file and refresh are for a url: a file is read again when it changes",
        ),
        (None, Some(url)) if jwks.ca_file.is_some() && url.scheme_str() != Some("https") => {
            invalid("auth.jwt.jwks.ca_file", "it is for an https url")
        }
        _ => Ok(()),
    }
}

/// Whether a URL's host is this machine, by name or address.
#[must_use]
pub fn is_loopback(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || (address.parse::<std::net::IpAddr>()).is_ok_and(|address| address.is_loopback())
}

fn jwks_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Uri>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let refuse = |why: &str| Err(serde::de::Error::custom(format!("`{text}` {why}")));
    let Ok(url) = text.parse::<Uri>() else {
        return refuse("is not a URL");
    };
    if url.authority().is_some_and(|it| it.as_str().contains('@')) {
        return Err(serde::de::Error::custom(
            "a URL with credentials in it is not taken",
        ));
    }
    match url.scheme_str() {
        Some("https") if url.host().is_some() => Ok(Some(url)),
        Some("http") if is_loopback(&url) => Ok(Some(url)),
        Some("http") => refuse(
            "is not protected: whoever is on the way could hand out keys of their own; https is \
             wanted, or http on loopback",
        ),
        _ => refuse("is not an https URL"),
    }
}

/// A SPIFFE trust domain's characters, as its specification has them.
fn trust_domain<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_".contains(c);
    if (1..=255).contains(&text.len()) && text.chars().all(allowed) {
        Ok(Some(text))
    } else {
        Err(serde::de::Error::custom(format!(
            "`{text}` is not a SPIFFE trust domain, such as prod.example.com: lower-case letters, \
             digits and any of .-_"
        )))
    }
}

fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a text or a list of texts")]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    let texts = match OneOrMore::deserialize(deserializer)? {
        OneOrMore::One(text) => vec![text],
        OneOrMore::More(texts) => texts,
    };
    if texts.is_empty() || texts.iter().any(|text| text.trim().is_empty()) {
        return Err(serde::de::Error::custom(
            "name at least one, and none empty",
        ));
    }
    Ok(texts)
}

fn algorithms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<JwtAlgorithm>, D::Error> {
    let algorithms = Vec::<JwtAlgorithm>::deserialize(deserializer)?;
    if algorithms.is_empty() {
        return Err(serde::de::Error::custom(
            "the list is empty: name at least one",
        ));
    }
    Ok(algorithms)
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.trim().is_empty() {
        return Err(serde::de::Error::custom("is empty"));
    }
    Ok(text)
}

fn optional_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    text(deserializer).map(Some)
}

fn refresh<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let allowed = Duration::from_secs(1)..=Duration::from_hours(24);
    value::duration(deserializer, allowed).map(Some)
}

fn leeway<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    value::duration(deserializer, Duration::ZERO..=Duration::from_mins(5))
}

fn rs256() -> Vec<JwtAlgorithm> {
    vec![JwtAlgorithm::RS256]
}

fn sub() -> String {
    "sub".to_owned()
}

fn half_a_minute() -> Duration {
    Duration::from_secs(30)
}
