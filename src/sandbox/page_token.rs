//! Page tokens: bound to their request, signed so that nobody makes them up, and mortal.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// What page tokens stand for, and when they end.
#[derive(Debug)]
pub struct PageTokens {
    seed: u64,
    started: Instant,
    lifetime: Duration,
    /// How often one token may be used; no limit if none.
    uses: Option<u32>,
    used: Mutex<HashMap<u64, u32>>,
    issued: AtomicU64,
}

/// What a token that is good says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// The place to go on from.
    pub from: u32,
    /// The token's own number.
    pub number: u64,
}

/// Why a token is refused: LookupEvents says the same for all of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// Not a token of this sandbox, or one given for another request.
    #[error("Invalid NextToken: it was not returned by this request.")]
    NotOfThisRequest,
    /// Too old or used too often.
    #[error("Invalid NextToken: it has expired.")]
    Expired,
}

const BODY: usize = 4 + 8 + 8;
const MAC: usize = 16;

impl PageTokens {
    /// Tokens that live for `lifetime` (real time) and may each be used `uses` times.
    pub fn new(seed: u64, lifetime: Duration, uses: Option<u32>) -> Self {
        Self {
            seed,
            started: Instant::now(),
            lifetime,
            uses,
            used: Mutex::default(),
            issued: AtomicU64::new(0),
        }
    }

    /// A token with which the request written out as `request` goes on from place `from`.
    pub fn seal(&self, request: &str, from: u32, now: Instant) -> String {
        let number = self.issued.fetch_add(1, Ordering::Relaxed);
        let mut token = Vec::with_capacity(BODY + MAC);
        token.extend(from.to_be_bytes());
        token.extend(number.to_be_bytes());
        token.extend(self.millis(now).to_be_bytes());
        let mac = self.mac(&token, request);
        token.extend(mac);
        STANDARD.encode(token)
    }

    /// What `token` says to the request written out as `request`.
    pub fn open(&self, token: &str, request: &str, now: Instant) -> Result<Opened, BadToken> {
        let bytes = STANDARD
            .decode(token)
            .map_err(|_| BadToken::NotOfThisRequest)?;
        let (body, mac) = bytes
            .split_at_checked(BODY)
            .ok_or(BadToken::NotOfThisRequest)?;
        if mac != self.mac(body, request) {
            return Err(BadToken::NotOfThisRequest);
        }
        let number = |range: std::ops::Range<usize>| {
            body[range]
                .iter()
                .fold(0u64, |sum, byte| sum << 8 | u64::from(*byte))
        };
        let (from, number, issued) = (number(0..4), number(4..12), number(12..20));
        if u128::from(self.millis(now).saturating_sub(issued)) > self.lifetime.as_millis() {
            return Err(BadToken::Expired);
        }
        if let Some(allowed) = self.uses {
            let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
            let uses = used.entry(number).or_default();
            if *uses >= allowed {
                return Err(BadToken::Expired);
            }
            *uses += 1;
        }
        let from = u32::try_from(from).map_err(|_| BadToken::NotOfThisRequest)?;
        Ok(Opened { from, number })
    }

    fn millis(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.started);
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
    }

    fn mac(&self, body: &[u8], request: &str) -> [u8; MAC] {
        let digest = Sha256::new()
            .chain_update(self.seed.to_be_bytes())
            .chain_update(body)
            .chain_update(request)
            .finalize();
        let mut mac = [0; MAC];
        mac.copy_from_slice(&digest[..MAC]);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_request_only_and_not_forever() {
        let tokens = PageTokens::new(1, Duration::from_secs(10), None);
        let now = Instant::now();
        let token = tokens.seal("a", 77, now);
        assert_eq!(tokens.open(&token, "a", now).unwrap().from, 77);
        assert_eq!(
            tokens.open(&token, "b", now),
            Err(BadToken::NotOfThisRequest)
        );
        assert_eq!(tokens.open("", "a", now), Err(BadToken::NotOfThisRequest));
        assert_eq!(tokens.open("x", "a", now), Err(BadToken::NotOfThisRequest));
        let later = now + Duration::from_secs(11);
        assert_eq!(tokens.open(&token, "a", later), Err(BadToken::Expired));
    }

    #[test]
    fn a_token_can_be_used_up() {
        let tokens = PageTokens::new(1, Duration::from_secs(10), Some(1));
        let now = Instant::now();
        let token = tokens.seal("a", 5, now);
        assert!(tokens.open(&token, "a", now).is_ok());
        assert_eq!(tokens.open(&token, "a", now), Err(BadToken::Expired));
    }
}
