//! Access keys: whose they are, what they sign with, and until when.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// What a caller signs with. The sandbox is the only thing that takes them.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// `AKIA…` or `ASIA…`.
    pub access_key_id: String,
    /// The secret half.
    pub secret_access_key: String,
    /// Present with temporary credentials only.
    pub session_token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// Who signed a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The account that the key belongs to.
    pub account_id: String,
    /// The user's or the session's ARN.
    pub arn: String,
    /// `AIDA…`, or `AROA…:session`.
    pub user_id: String,
    /// Whether this is a role session, for which role chaining is limited to an hour.
    pub is_session: bool,
}

/// One key that the sandbox knows.
#[derive(Debug)]
pub struct Key {
    /// What it signs with.
    pub credentials: Credentials,
    /// Whose it is.
    pub principal: Principal,
    /// When it ends, in real time; never for a user's key.
    pub expires_at: Option<Timestamp>,
}

/// All keys that the sandbox has issued. Ended ones are kept, so that they are refused as expired
/// and not as unknown; an entry is a few hundred bytes for each AssumeRole.
#[derive(Debug)]
pub struct Keyring {
    seed: u64,
    keys: RwLock<HashMap<String, Arc<Key>>>,
}

impl Keyring {
    /// A keyring whose secrets follow from `seed`, so that printed lines work again after a restart.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            keys: RwLock::default(),
        }
    }

    /// The key named `access_key_id`.
    pub fn get(&self, access_key_id: &str) -> Option<Arc<Key>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(access_key_id).cloned()
    }

    /// Issues a key to `principal`: an `ASIA` key with a session token if it expires, else an `AKIA` key.
    pub fn issue(&self, principal: Principal, expires_at: Option<Timestamp>) -> Arc<Key> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let number = keys.len();
        let part = |name: &str| {
            Sha256::new()
                .chain_update(self.seed.to_be_bytes())
                .chain_update(number.to_be_bytes())
                .chain_update(name)
                .chain_update(&principal.arn)
                .finalize()
        };
        let prefix = if expires_at.is_some() { "ASIA" } else { "AKIA" };
        let credentials = Credentials {
            access_key_id: unique_id(prefix, &part("id")),
            secret_access_key: STANDARD.encode(&part("secret")[..30]),
            session_token: expires_at.map(|_| {
                let halves = [part("token 1"), part("token 2"), part("token 3")];
                STANDARD.encode(halves.concat())
            }),
        };
        let key = Arc::new(Key {
            credentials,
            principal,
            expires_at,
        });
        keys.insert(key.credentials.access_key_id.clone(), Arc::clone(&key));
        key
    }

    /// Every key that was ever issued.
    pub fn all(&self) -> Vec<Arc<Key>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.values().cloned().collect()
    }

    #[cfg(test)]
    pub fn insert(&self, key: Key) {
        let id = key.credentials.access_key_id.clone();
        self.keys.write().unwrap().insert(id, Arc::new(key));
    }
}

/// An IAM unique id: the prefix that says of what, and 16 characters of base 32.
pub fn unique_id(prefix: &str, digest: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let tail = digest.iter().take(16);
    let tail = tail.map(|byte| char::from(ALPHABET[usize::from(byte & 31)]));
    prefix.chars().chain(tail).collect()
}
