//! Section `regions`: where searches read.

use serde::{Deserialize, Deserializer, de};

use super::value;
use crate::query::Region;

/// The Regions that searches read in every account that does not say otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Regions {
    /// These, in every account.
    Listed(Vec<Region>),
    /// Those that are enabled in each account, as its Account API lists them.
    Enabled {
        /// What is read where the account does not tell; the others are then a gap all the same.
        fallback: Vec<Region>,
    },
}

impl<'de> Deserialize<'de> for Regions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "expected the word `all`, a list of Regions, or {fallback: [list]}"
        )]
        enum Written {
            Word(String),
            List(Vec<String>),
            Fallback(Fallback),
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fallback {
            fallback: Vec<String>,
        }
        let list = |texts: &[String]| {
            if texts.is_empty() {
                return Err(de::Error::custom("the list is empty: name at least one"));
            }
            value::parse_all(texts).map_err(de::Error::custom)
        };
        match Written::deserialize(deserializer)? {
            Written::Word(word) if word == "all" => Ok(Self::Enabled {
                fallback: Vec::new(),
            }),
            Written::Word(word) => Err(de::Error::custom(format!(
                "`{word}` is neither the word `all` nor a list of Regions"
            ))),
            Written::List(texts) => list(&texts).map(Self::Listed),
            Written::Fallback(written) => Ok(Self::Enabled {
                fallback: list(&written.fallback)?,
            }),
        }
    }
}
