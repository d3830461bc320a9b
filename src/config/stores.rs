//! What sections `archives` and `log_groups` have in common: places that a trail delivers to.

use std::collections::HashSet;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

use super::accounts::AccessKeys;
use super::{Invalid, value};
use crate::query::{AccountId, EventCategory, Region};

/// A trail's ARN: `arn:PARTITION:cloudtrail:REGION:ACCOUNT:trail/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailArn {
    text: String,
    /// The account that owns it.
    pub account: AccountId,
    /// Its home Region.
    pub region: Region,
}

impl TrailArn {
    /// The ARN as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl std::str::FromStr for TrailArn {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str =
            "a trail's ARN is arn:PARTITION:cloudtrail:REGION:ACCOUNT:trail/NAME";
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", partition, "cloudtrail", region, account, resource] = parts[..] else {
            return Err(EXPECTED);
        };
        let named = resource.strip_prefix("trail/");
        if partition.is_empty() || named.is_none_or(str::is_empty) {
            return Err(EXPECTED);
        }
        Ok(Self {
            text: text.to_owned(),
            account: account.parse().map_err(|_| EXPECTED)?,
            region: region.parse().map_err(|_| EXPECTED)?,
        })
    }
}

/// An entry of either section.
pub(super) trait Store {
    /// The section.
    const SECTION: &'static str;
    /// What an entry is called.
    const KIND: &'static str;

    fn name(&self) -> &str;

    fn access_keys(&self) -> AccessKeys<'_>;

    /// Whether it declares to hold reads or writes.
    fn holds_anything(&self) -> bool;

    /// What else is wrong with what it declares to hold.
    fn misdeclared(&self) -> Option<&'static str> {
        None
    }
}

pub(super) fn check<S: Store>(stores: &[Spanned<S>]) -> Result<(), Invalid> {
    let kind = S::KIND;
    let mut names = HashSet::new();
    for (index, entry) in stores.iter().enumerate() {
        let store = &entry.value;
        let refuse = |key: &str, why: String| {
            let line = Some(entry.referenced.line());
            let key = format!("{}[{index}]{key}", S::SECTION);
            Err(Invalid::new(key, line, why))
        };
        if !names.insert(store.name()) {
            let why = format!("{kind} `{}` is listed twice", store.name());
            return refuse(".name", why);
        }
        if let Some(conflict) = store.access_keys().conflict() {
            return refuse("", conflict.into());
        }
        if !store.holds_anything() {
            let why = format!("the {kind} without reads and writes holds nothing: set one to true");
            return refuse(".holds", why);
        }
        if let Some(why) = store.misdeclared() {
            return refuse(".holds", why.into());
        }
    }
    Ok(())
}

pub(super) fn yes() -> bool {
    true
}

pub(super) fn management() -> Vec<EventCategory> {
    vec![EventCategory::Management]
}

pub(super) fn categories<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<EventCategory>, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Category {
        Management,
        Data,
        NetworkActivity,
    }
    let listed = Vec::<Category>::deserialize(deserializer)?;
    if listed.is_empty() {
        return Err(serde::de::Error::custom(
            "the list is empty: allowed are management, data and network_activity",
        ));
    }
    Ok(listed
        .into_iter()
        .map(|category| match category {
            Category::Management => EventCategory::Management,
            Category::Data => EventCategory::Data,
            Category::NetworkActivity => EventCategory::NetworkActivity,
        })
        .collect())
}

pub(super) fn configured_name<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<String, D::Error> {
    value::name(deserializer, 1..=64, "_-.")
}

pub(super) fn default_queries() -> u64 {
    5
}

/// Queries at the same time: AWS's own quota is `MOST`.
pub(super) fn queries<'de, D: Deserializer<'de>, const MOST: u64>(
    deserializer: D,
) -> Result<u64, D::Error> {
    value::count(deserializer, 1..=MOST)
}

/// AWS's own limit on a query.
pub(super) fn longest<const MINUTES: u64>() -> Duration {
    Duration::from_mins(MINUTES)
}

pub(super) fn query_timeout<'de, D: Deserializer<'de>, const MINUTES: u64>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    value::duration(deserializer, Duration::from_secs(1)..=longest::<MINUTES>())
}
