//! How often AWS may be asked.

use std::fmt;

use serde::de::{Deserializer, Error, Visitor};

/// How often one account and Region may be asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RequestRate {
    /// At most this many requests a second.
    Paced(f64),
    /// As fast as answers come: for a sandbox.
    Off,
}

/// A rate above 0 and at most `most` (AWS's quota), or `off`.
pub(super) fn rate<'de, D: Deserializer<'de>>(
    deserializer: D,
    most: f64,
) -> Result<RequestRate, D::Error> {
    deserializer.deserialize_any(Rate { most })
}

struct Rate {
    most: f64,
}

impl Rate {
    fn checked<E: Error>(&self, rate: f64) -> Result<RequestRate, E> {
        if rate > 0.0 && rate <= self.most {
            Ok(RequestRate::Paced(rate))
        } else {
            Err(E::custom(format!("{rate} is out of range: {self}")))
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = self.most;
        write!(
            f,
            "allowed is a number above 0, at most {most} (AWS's quota), or `off` for a sandbox"
        )
    }
}

impl Visitor<'_> for Rate {
    type Value = RequestRate;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of requests a second, or `off`")
    }

    fn visit_f64<E: Error>(self, rate: f64) -> Result<RequestRate, E> {
        self.checked(rate)
    }

    #[allow(clippy::cast_precision_loss)] // Anything that large is refused anyway.
    fn visit_u64<E: Error>(self, rate: u64) -> Result<RequestRate, E> {
        self.checked(rate as f64)
    }

    #[allow(clippy::cast_precision_loss)]
    fn visit_i64<E: Error>(self, rate: i64) -> Result<RequestRate, E> {
        self.checked(rate as f64)
    }

    // YAML 1.1 reads a bare `off` as false.
    fn visit_bool<E: Error>(self, on: bool) -> Result<RequestRate, E> {
        if on {
            Err(E::custom(format!("not a rate: {self}")))
        } else {
            Ok(RequestRate::Off)
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<RequestRate, E> {
        match text.parse() {
            _ if text == "off" => Ok(RequestRate::Off),
            Ok(rate) => self.checked(rate),
            Err(_) => Err(E::custom(format!("`{text}` is not a rate: {self}"))),
        }
    }
}
