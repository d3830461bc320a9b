//! Section `accepted_gaps`: what is known to be unreadable, until when, and why.

use jiff::civil::Date;
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

use super::{Invalid, value};
use crate::query::{AccountId, Region};

/// Reasons are repeated in every answer that has such a gap.
const MAX_REASON_CHARS: usize = 500;

/// Accounts and Regions whose event history is known to be unreadable: it is not asked for, and
/// what nothing else holds of it does not make an answer incomplete.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcceptedGap {
    /// The accounts: `all` (`None`) or a list.
    #[serde(deserialize_with = "value::all_or_texts")]
    pub accounts: Option<Vec<AccountId>>,
    /// The Regions: `all` (`None`) or a list.
    #[serde(deserialize_with = "value::all_or_texts")]
    pub regions: Option<Vec<Region>>,
    /// Why it is accepted, for whoever reads an answer.
    #[serde(deserialize_with = "reason")]
    pub reason: String,
    /// The last day (UTC) on which it is.
    pub until: Date,
}

pub(super) fn check(gaps: &[Spanned<AcceptedGap>]) -> Result<(), Invalid> {
    for (index, entry) in gaps.iter().enumerate() {
        if entry.value.accounts.is_none() && entry.value.regions.is_none() {
            return Err(Invalid::new(
                format!("accepted_gaps[{index}]"),
                Some(entry.referenced.line()),
                "all Regions of all accounts would leave nothing to ask: name accounts or Regions",
            ));
        }
    }
    Ok(())
}

fn reason<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let reason = String::deserialize(deserializer)?;
    let length = reason.trim().chars().count();
    if (1..=MAX_REASON_CHARS).contains(&length) && !reason.chars().any(char::is_control) {
        Ok(reason.trim().to_owned())
    } else {
        Err(serde::de::Error::custom(format!(
            "a reason is 1 to {MAX_REASON_CHARS} characters on one line, for whoever reads an answer"
        )))
    }
}
