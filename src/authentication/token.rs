//! The caller out of a bearer token.

use std::collections::BTreeSet;
use std::sync::Arc;

use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, Validation};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::Denial;
use super::keys::{Keys, Lookup};
use crate::caller::{Authentication, Caller};
use crate::config::{Jwt, JwtAlgorithm};
use crate::plan::Reason;
use crate::tls::MaterialError;

/// No caller's or group's name is longer.
const MAX_NAME_BYTES: usize = 512;

/// What tells callers apart by their tokens.
#[derive(Debug)]
pub(super) struct Tokens {
    keys: Keys,
    issuer: Arc<str>,
    name_claim: String,
    groups_claim: Option<String>,
    /// Of the claims; the algorithm is each token's.
    validation: Validation,
}

impl Tokens {
    pub fn load(config: &Jwt) -> Result<Self, MaterialError> {
        let algorithms: Vec<Algorithm> = config.algorithms.iter().copied().map(algorithm).collect();
        // Replaced for each token.
        let mut validation = Validation::new(algorithms[0]);
        validation.set_issuer(&[&config.issuer]);
        validation.set_audience(&config.audience);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.validate_nbf = true;
        validation.leeway = config.leeway.as_secs();
        Ok(Self {
            keys: Keys::load(&config.jwks, algorithms)?,
            issuer: config.issuer.as_str().into(),
            name_claim: config.name_claim.clone(),
            groups_claim: config.groups_claim.clone(),
            validation,
        })
    }

    /// The caller whom the value of `authorization` names.
    pub async fn caller(&self, authorization: &[u8]) -> Result<Caller, Denial> {
        let token = bearer(authorization)?;
        // `alg: none` and what else has no algorithm that can be checked fails here.
        let header = jsonwebtoken::decode_header(token)
            .map_err(|_| Denial::TokenInvalid("it is no signed JWT"))?;
        if header.crit.is_some() {
            return Err(Denial::TokenInvalid(
                "its header demands what is not known here",
            ));
        }
        let key = match self.keys.find(header.kid.as_deref(), header.alg).await {
            Lookup::Found(key) => key,
            Lookup::NotPinned => {
                return Err(Denial::TokenInvalid(
                    "its algorithm is not one that is accepted",
                ));
            }
            Lookup::Unknown => {
                return Err(Denial::TokenInvalid(
                    "the issuer has no such key for its algorithm",
                ));
            }
            Lookup::NotLoaded => return Err(Denial::KeysNotLoaded),
        };
        let mut validation = self.validation.clone();
        validation.algorithms = vec![header.alg];
        let decoded = jsonwebtoken::decode::<Map<String, Value>>(token, &key, &validation);
        self.named(&decoded.map_err(|error| denial(&error))?.claims)
    }

    fn named(&self, claims: &Map<String, Value>) -> Result<Caller, Denial> {
        // A list of issuers would pass the check above.
        if claims.get("iss").and_then(Value::as_str) != Some(&*self.issuer) {
            return Err(Denial::TokenWrongIssuer);
        }
        let name = claims.get(&self.name_claim).and_then(Value::as_str);
        let Some(name) = name.filter(|name| is_name(name)) else {
            return Err(Denial::TokenInvalid("it names no caller"));
        };
        let groups = match self.groups_claim.as_ref().and_then(|it| claims.get(it)) {
            None | Some(Value::Null) => Some(BTreeSet::new()),
            Some(Value::String(group)) => Some(BTreeSet::from([group.clone()])),
            Some(Value::Array(groups)) => (groups.iter())
                .map(|group| group.as_str().map(str::to_owned))
                .collect(),
            Some(_) => None,
        };
        let groups = groups.filter(|groups| groups.iter().all(|group| is_name(group)));
        let groups = groups.ok_or(Denial::TokenInvalid("its groups are not a list of names"))?;
        Ok(Caller {
            name: name.into(),
            authentication: Authentication::Token {
                issuer: Arc::clone(&self.issuer),
            },
            groups,
        })
    }

    pub fn ready(&self) -> Result<(), Reason> {
        self.keys.ready()
    }

    pub async fn keep_current(&self, drain: &CancellationToken) {
        self.keys.keep_current(drain).await;
    }
}

fn bearer(authorization: &[u8]) -> Result<&str, Denial> {
    let text = std::str::from_utf8(authorization).ok();
    match text.and_then(|text| text.split_once(' ')) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(Denial::TokenInvalid(
            "authorization is not `Bearer` and a token",
        )),
    }
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len()) && !name.chars().any(char::is_control)
}

fn denial(error: &Error) -> Denial {
    match error.kind() {
        ErrorKind::ExpiredSignature => Denial::TokenExpired,
        ErrorKind::ImmatureSignature => Denial::TokenNotYetValid,
        ErrorKind::InvalidIssuer => Denial::TokenWrongIssuer,
        ErrorKind::InvalidAudience => Denial::TokenWrongAudience,
        ErrorKind::MissingRequiredClaim(claim) => match claim.as_str() {
            "exp" => Denial::TokenInvalid("it has no expiry (`exp`)"),
            "iss" => Denial::TokenWrongIssuer,
            _ => Denial::TokenWrongAudience,
        },
        ErrorKind::InvalidSignature => Denial::TokenInvalid("its signature is wrong"),
        _ => Denial::TokenInvalid("it is no signed JWT"),
    }
}

fn algorithm(name: JwtAlgorithm) -> Algorithm {
    match name {
        JwtAlgorithm::RS256 => Algorithm::RS256,
        JwtAlgorithm::RS384 => Algorithm::RS384,
        JwtAlgorithm::RS512 => Algorithm::RS512,
        JwtAlgorithm::PS256 => Algorithm::PS256,
        JwtAlgorithm::PS384 => Algorithm::PS384,
        JwtAlgorithm::PS512 => Algorithm::PS512,
        JwtAlgorithm::ES256 => Algorithm::ES256,
        JwtAlgorithm::ES384 => Algorithm::ES384,
        JwtAlgorithm::EdDSA => Algorithm::EdDSA,
    }
}
