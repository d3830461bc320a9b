//! Section `event_history`: how CloudTrail's `LookupEvents` is read.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

/// How `LookupEvents` is read.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventHistory {
    /// Requests a second for each account and Region. AWS allows 2, shared with everyone else in
    /// the account: less leaves them some. `off` does not pace at all, for a sandbox only.
    pub requests_per_second: LookupRate,
}

impl Default for EventHistory {
    fn default() -> Self {
        Self {
            requests_per_second: LookupRate::Paced(LookupRate::QUOTA),
        }
    }
}

/// How often one account and Region may be asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LookupRate {
    /// At most this many requests a second: more than 0, at most [`QUOTA`](Self::QUOTA).
    Paced(f64),
    /// As fast as answers come: for a sandbox.
    Off,
}

impl LookupRate {
    /// AWS's quota, in requests a second, for each account and Region.
    pub const QUOTA: f64 = 2.0;
}

impl<'de> Deserialize<'de> for LookupRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rate;

        impl Rate {
            const ALLOWED: &str =
                "allowed is a number above 0, at most 2 (AWS's quota), or `off` for a sandbox";

            fn checked<E: Error>(rate: f64) -> Result<LookupRate, E> {
                if rate > 0.0 && rate <= LookupRate::QUOTA {
                    Ok(LookupRate::Paced(rate))
                } else {
                    Err(E::custom(format!(
                        "{rate} is out of range: {}",
                        Self::ALLOWED
                    )))
                }
            }
        }

        impl Visitor<'_> for Rate {
            type Value = LookupRate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of requests a second, or `off`")
            }

            fn visit_f64<E: Error>(self, rate: f64) -> Result<LookupRate, E> {
                Self::checked(rate)
            }

            #[allow(clippy::cast_precision_loss)] // Anything that large is refused anyway.
            fn visit_u64<E: Error>(self, rate: u64) -> Result<LookupRate, E> {
                Self::checked(rate as f64)
            }

            #[allow(clippy::cast_precision_loss)]
            fn visit_i64<E: Error>(self, rate: i64) -> Result<LookupRate, E> {
                Self::checked(rate as f64)
            }

            // YAML 1.1 reads a bare `off` as false.
            fn visit_bool<E: Error>(self, on: bool) -> Result<LookupRate, E> {
                if on {
                    Err(E::custom(format!("not a rate: {}", Self::ALLOWED)))
                } else {
                    Ok(LookupRate::Off)
                }
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<LookupRate, E> {
                match text.parse() {
                    _ if text == "off" => Ok(LookupRate::Off),
                    Ok(rate) => Self::checked(rate),
                    Err(_) => Err(E::custom(format!(
                        "`{text}` is not a rate: {}",
                        Self::ALLOWED
                    ))),
                }
            }
        }

        deserializer.deserialize_any(Rate)
    }
}
