//! Seeded chance: every choice, and every identifier that AWS would have made up.

use base64::Engine as _;
use rand::rngs::SmallRng;
use rand::{Rng as _, RngCore as _, SeedableRng as _};

/// One stream of random choices. The same seed and the same questions give the same answers.
pub(super) struct Dice(SmallRng);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(SmallRng::seed_from_u64(seed))
    }

    /// A whole number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        self.0.random_range(low..=high)
    }

    /// True in `percent` of 100 cases.
    pub(super) fn chance(&mut self, percent: u32) -> bool {
        self.0.random_range(0..100) < percent
    }

    /// One of `items`, each equally likely.
    pub(super) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.0.random_range(0..items.len())]
    }

    /// A random UUID in lower case.
    pub(super) fn uuid(&mut self) -> String {
        let mut bytes = [0; 16];
        self.0.fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes)
            .into_uuid()
            .to_string()
    }

    /// `digits` hexadecimal digits.
    pub(super) fn hex(&mut self, digits: usize) -> String {
        self.letters(b"0123456789abcdef", digits)
    }

    /// `length` letters of `alphabet`, which is ASCII.
    pub(super) fn letters(&mut self, alphabet: &[u8], length: usize) -> String {
        (0..length)
            .map(|_| char::from(*self.pick(alphabet)))
            .collect()
    }

    /// An id such as `AKIA…` or `AROA…` of an account. As in AWS, the account can be read from it:
    /// 40 bits after the first of what its last 16 letters say in base 32.
    pub(super) fn unique_id(&mut self, prefix: &str, account_id: &str) -> String {
        const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let account: u128 = account_id.parse().expect("account ids are digits");
        let noise = u128::from(self.0.next_u64() >> 25);
        let bits = (1 << 79) | (account << 39) | noise;
        let mut id = String::from(prefix);
        id.extend(
            (0..16)
                .rev()
                .map(|place| char::from(BASE32[((bits >> (place * 5)) & 31) as usize])),
        );
        id
    }

    /// What looks like a session token and opens nothing.
    pub(super) fn session_token(&mut self) -> String {
        let mut bytes = [0; 150];
        self.0.fill_bytes(&mut bytes);
        let mut token = String::from("IQoJ");
        base64::engine::general_purpose::STANDARD.encode_string(bytes, &mut token);
        token
    }
}
