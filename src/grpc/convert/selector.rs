//! Account selectors: the request's lists → the domain's checked values.

use super::Findings;
use crate::grpc::pb;
use crate::query::AccountSelector;
use crate::query::selector::AccountTag;

/// A selector is written by hand: what is longer is meant to be a list of account ids.
const MAX_VALUES: u64 = 100;

/// Reads which accounts are meant; none is all.
pub(in crate::grpc) fn account_selector(
    wire: Option<&pb::AccountSelector>,
    findings: &mut Findings,
) -> AccountSelector {
    let Some(wire) = wire else {
        return AccountSelector::default();
    };
    AccountSelector {
        names: each(&wire.names, "names", |text| text.parse(), findings),
        organizational_units: each(
            &wire.organizational_units,
            "organizational_units",
            |text| text.parse(),
            findings,
        ),
        tags: each(
            &wire.tags,
            "tags",
            |tag| AccountTag::new(&tag.key, tag.value.as_deref()),
            findings,
        ),
    }
}

fn each<W: Shown, T>(
    list: &[W],
    name: &str,
    read: impl Fn(&W) -> Result<T, crate::query::InvalidId>,
    findings: &mut Findings,
) -> Vec<T> {
    let field = format!("account_selector.{name}");
    findings.check_length(&field, list.len(), MAX_VALUES, "fixed");
    let mut values = Vec::new();
    for (index, wire) in list.iter().enumerate() {
        match read(wire) {
            Ok(value) => values.push(value),
            Err(expected) => {
                findings.malformed(format!("{field}[{index}]"), wire.shown(), expected);
            }
        }
    }
    values
}

/// What of a value is repeated when it is refused.
trait Shown {
    fn shown(&self) -> &str;
}

impl Shown for String {
    fn shown(&self) -> &str {
        self
    }
}

impl Shown for pb::AccountTag {
    fn shown(&self) -> &str {
        &self.key
    }
}
