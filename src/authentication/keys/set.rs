//! A JSON Web Key Set, of which only the keys that could check an accepted token are kept.

use std::sync::Arc;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::FetchError;

/// The keys that can be used.
#[derive(Debug)]
pub(super) struct KeySet {
    keys: Vec<Key>,
    /// Of the text that it was read from.
    pub digest: [u8; 32],
}

#[derive(Debug)]
struct Key {
    id: Option<String>,
    /// What it may check: of its kind, and accepted.
    algorithms: Vec<Algorithm>,
    decoding: Arc<DecodingKey>,
}

impl KeySet {
    /// Reads the set in `json`. Keys of other kinds, for other uses or of no accepted algorithm are
    /// left out; a set without any other is an error.
    pub fn parse(json: &[u8], accepted: &[Algorithm]) -> Result<Self, FetchError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(json)
            .map_err(|_| FetchError::Content("is not a JSON Web Key Set"))?;
        let keys: Vec<Key> = (set.keys.into_iter())
            .filter_map(|key| usable(&serde_json::from_value(key).ok()?, accepted))
            .collect();
        if keys.is_empty() {
            return Err(FetchError::Content(
                "has no key for any of auth.jwt.algorithms",
            ));
        }
        Ok(Self {
            keys,
            digest: Sha256::digest(json).into(),
        })
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// The key with this id; without an id the only one for this algorithm.
    pub fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<Arc<DecodingKey>> {
        let mut keys = (self.keys.iter())
            .filter(|key| key.algorithms.contains(&algorithm))
            .filter(|key| id.is_none() || key.id.as_deref() == id);
        let key = keys.next()?;
        keys.next().is_none().then(|| Arc::clone(&key.decoding))
    }
}

fn usable(jwk: &Jwk, accepted: &[Algorithm]) -> Option<Key> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    let common = &jwk.common;
    let signs = (common.public_key_use.as_ref()).is_none_or(|it| *it == PublicKeyUse::Signature);
    let verifies = (common.key_operations.as_ref())
        .is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    let of_its_kind: &[Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => &[RS256, RS384, RS512, PS256, PS384, PS512],
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => &[ES256],
            EllipticCurve::P384 => &[ES384],
            _ => &[],
        },
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => &[EdDSA],
        // Symmetric keys: whoever may check could also sign.
        _ => &[],
    };
    let own = match common.key_algorithm {
        Some(name) => Some(Algorithm::try_from(name).ok()?),
        None => None,
    };
    let algorithms: Vec<Algorithm> = (of_its_kind.iter().copied())
        .filter(|it| accepted.contains(it) && own.is_none_or(|own| own == *it))
        .collect();
    if !signs || !verifies || algorithms.is_empty() {
        return None;
    }
    Some(Key {
        id: common.key_id.clone(),
        algorithms,
        decoding: Arc::new(DecodingKey::from_jwk(jwk).ok()?),
    })
}
