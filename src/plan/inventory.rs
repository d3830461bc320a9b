//! The federation's accounts at one moment, and which of them a question means.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::facts::AccountFacts;
use super::outcome::Reason;
use crate::query::AccountId;
use crate::query::selector::{AccountSelector, AccountTag, OrganizationalUnitRef};

/// The accounts at one moment. A search takes one, and keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inventory {
    /// The accounts that can be searched, by id, each once.
    pub accounts: Vec<AccountFacts>,
    /// Accounts of the organization that AWS has closed or suspended, or not opened yet, by id:
    /// nobody can be asked there.
    pub left_out: Vec<LeftOutAccount>,
    /// When the organization was read; `None` for a configured list.
    pub discovered_at: Option<Timestamp>,
}

/// What is known of the federation's accounts.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The accounts as last read; `None` until they have been read once.
    pub inventory: Option<Arc<Inventory>>,
    /// Why the last attempt to read them failed; `None` after one that went well.
    pub failure: Option<Reason>,
}

/// An account that belongs to the federation but cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOutAccount {
    /// Its id.
    pub id: AccountId,
    /// Its name in the organization.
    pub name: Option<Arc<str>>,
    /// What the organization knows of it; the state says why it is left out.
    pub membership: Arc<Membership>,
}

/// What an organization knows of one of its accounts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Membership {
    /// The account's state.
    pub state: AccountState,
    /// The units that it lies in, outermost first; empty for an account directly under the root.
    pub organizational_units: Vec<OrganizationalUnit>,
    /// Its tags.
    pub tags: BTreeMap<Arc<str>, Arc<str>>,
}

/// An organizational unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrganizationalUnit {
    /// `ou-…`
    pub id: Arc<str>,
    /// What people call it; unique among those with the same parent.
    pub name: Arc<str>,
}

/// The states of an account in AWS Organizations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccountState {
    /// In use; also where AWS names no state, or one that is not known here.
    #[default]
    Active,
    /// AWS has suspended it, or its owner has closed it less than 90 days ago.
    Suspended,
    /// Its closure was asked for.
    PendingClosure,
    /// Closed.
    Closed,
    /// Its creation is not finished.
    PendingActivation,
}

impl AccountState {
    /// Whether roles in it can be assumed.
    #[must_use]
    pub fn can_be_read(self) -> bool {
        self == Self::Active
    }
}

/// Why a selection has no accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotSelected {
    /// These ids are none of ours.
    Unknown(Vec<AccountId>),
    /// This part of the selector means no account.
    Nothing {
        /// The part, such as `organizational_units[0]`; empty for the whole.
        field: String,
        /// Its value, as written.
        value: String,
    },
}

impl Inventory {
    /// A list that never changes.
    #[must_use]
    pub fn of_list(mut accounts: Vec<AccountFacts>) -> Self {
        accounts.sort_by_key(|account| account.id);
        Self {
            accounts,
            ..Self::default()
        }
    }

    /// What is known of one account that can be searched.
    #[must_use]
    pub fn account(&self, id: AccountId) -> Option<&AccountFacts> {
        let at = self
            .accounts
            .binary_search_by_key(&id, |account| account.id);
        at.ok().map(|at| &self.accounts[at])
    }

    /// The accounts with one of `ids` (empty: any) that `selector` means, by id. Every id and every
    /// value of the selector must mean some account: a name that is misspelt is told, not ignored.
    pub fn select(
        &self,
        ids: &[AccountId],
        selector: &AccountSelector,
    ) -> Result<Vec<AccountFacts>, NotSelected> {
        let asked: BTreeSet<AccountId> = ids.iter().copied().collect();
        let unknown: Vec<AccountId> = (asked.iter().copied())
            .filter(|id| self.account(*id).is_none())
            .collect();
        if !unknown.is_empty() {
            return Err(NotSelected::Unknown(unknown));
        }
        self.check_each_value(selector)?;
        let selected: Vec<AccountFacts> = (self.accounts.iter())
            .filter(|account| asked.is_empty() || asked.contains(&account.id))
            .filter(|account| selects(selector, account.name.as_deref(), account.membership()))
            .cloned()
            .collect();
        if selected.is_empty() && !selector.is_empty() {
            return Err(NotSelected::Nothing {
                field: String::new(),
                value: "its lists together".into(),
            });
        }
        Ok(selected)
    }

    fn check_each_value(&self, selector: &AccountSelector) -> Result<(), NotSelected> {
        let nothing = |field: &str, at: usize, value: String| {
            let field = format!("{field}[{at}]");
            Err(NotSelected::Nothing { field, value })
        };
        let any = |meant: &dyn Fn(&AccountFacts) -> bool| self.accounts.iter().any(meant);
        for (at, name) in selector.names.iter().enumerate() {
            if !any(&|a| a.name.as_deref().is_some_and(|own| name.matches(own))) {
                return nothing("names", at, name.to_string());
            }
        }
        for (at, unit) in selector.organizational_units.iter().enumerate() {
            if !any(&|a| lies_in(a.membership(), unit)) {
                return nothing("organizational_units", at, unit.to_string());
            }
        }
        for (at, tag) in selector.tags.iter().enumerate() {
            if !any(&|a| has_tag(a.membership(), tag)) {
                return nothing("tags", at, tag.to_string());
            }
        }
        Ok(())
    }
}

/// Whether `selector` means an account of this name and place.
#[must_use]
pub fn selects(
    selector: &AccountSelector,
    name: Option<&str>,
    membership: Option<&Membership>,
) -> bool {
    let AccountSelector {
        names,
        organizational_units,
        tags,
    } = selector;
    let by_name = names.is_empty()
        || name.is_some_and(|name| names.iter().any(|pattern| pattern.matches(name)));
    let by_unit = organizational_units.is_empty()
        || (organizational_units.iter()).any(|unit| lies_in(membership, unit));
    let by_tag = tags.iter().all(|tag| {
        let same_key = tags.iter().filter(|other| other.key == tag.key);
        same_key.into_iter().any(|tag| has_tag(membership, tag))
    });
    by_name && by_unit && by_tag
}

fn lies_in(membership: Option<&Membership>, unit: &OrganizationalUnitRef) -> bool {
    let Some(membership) = membership else {
        return false;
    };
    let units = &membership.organizational_units;
    match unit {
        OrganizationalUnitRef::Id(id) => units.iter().any(|unit| unit.id == *id),
        OrganizationalUnitRef::Path(names) => {
            let own = units.iter().map(|unit| &unit.name);
            units.len() >= names.len() && own.zip(names).all(|(own, name)| own == name)
        }
    }
}

fn has_tag(membership: Option<&Membership>, tag: &AccountTag) -> bool {
    let own = membership.and_then(|membership| membership.tags.get(&tag.key));
    own.is_some_and(|own| tag.value.as_ref().is_none_or(|value| value == own))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(number: u64, name: &str, units: &[&str], tags: &[(&str, &str)]) -> AccountFacts {
        let unit = |(depth, name): (usize, &&str)| OrganizationalUnit {
            id: format!("ou-root-{depth}{:0>8}", name.to_lowercase()).into(),
            name: (*name).into(),
        };
        let mut facts = AccountFacts::new(AccountId::from_u64(number).unwrap(), Vec::new());
        facts.name = Some(name.into());
        facts.membership = Some(Arc::new(Membership {
            state: AccountState::Active,
            organizational_units: units.iter().enumerate().map(unit).collect(),
            tags: tags.iter().map(|&(k, v)| (k.into(), v.into())).collect(),
        }));
        facts
    }

    fn inventory() -> Inventory {
        Inventory::of_list(vec![
            account(4, "root-level", &[], &[]),
            account(
                1,
                "prod-web",
                &["Workloads", "Prod"],
                &[("env", "prod"), ("team", "web")],
            ),
            account(
                2,
                "prod-data",
                &["Workloads", "Prod", "Data"],
                &[("env", "prod")],
            ),
            account(
                3,
                "dev",
                &["Workloads", "Dev"],
                &[("env", "dev"), ("team", "web")],
            ),
        ])
    }

    fn selector(names: &[&str], units: &[&str], tags: &[&str]) -> AccountSelector {
        AccountSelector {
            names: names.iter().map(|text| text.parse().unwrap()).collect(),
            organizational_units: units.iter().map(|text| text.parse().unwrap()).collect(),
            tags: tags.iter().map(|text| text.parse().unwrap()).collect(),
        }
    }

    fn selected(ids: &[u64], selector: &AccountSelector) -> Result<Vec<u64>, NotSelected> {
        let ids: Vec<_> = (ids.iter())
            .map(|&id| AccountId::from_u64(id).unwrap())
            .collect();
        let selected = inventory().select(&ids, selector)?;
        Ok(selected.iter().map(|account| account.id.as_u64()).collect())
    }

    #[test]
    fn lists_narrow_each_other_and_values_of_a_list_widen_it() {
        for (names, units, tags, expected) in [
            (&[][..], &[][..], &[][..], &[1, 2, 3, 4][..]),
            (&["prod-*"], &[], &[], &[1, 2]),
            (&["prod-*", "dev"], &[], &[], &[1, 2, 3]),
            (&[], &["Workloads"], &[], &[1, 2, 3]),
            (&[], &["Workloads/Prod"], &[], &[1, 2]),
            (&[], &["Workloads/Prod/Data"], &[], &[2]),
            (&[], &["ou-root-1000prod"], &[], &[]),
            (&[], &["ou-root-10000prod"], &[], &[1, 2]),
            (&[], &["Workloads/Dev", "Workloads/Prod/Data"], &[], &[2, 3]),
            (&[], &[], &["env=prod"], &[1, 2]),
            (&[], &[], &["env=prod", "env=dev"], &[1, 2, 3]),
            (&[], &[], &["env=prod", "team"], &[1]),
            (&["*web"], &["Workloads/Prod"], &["env=prod"], &[1]),
        ] {
            match selected(&[], &selector(names, units, tags)) {
                Ok(ids) => assert_eq!(ids, expected, "{names:?} {units:?} {tags:?}"),
                Err(_) => assert!(expected.is_empty(), "{names:?} {units:?} {tags:?}"),
            }
        }
        assert_eq!(
            selected(&[2, 3], &selector(&[], &["Workloads/Prod"], &[])),
            Ok(vec![2])
        );
    }

    #[test]
    fn what_means_nothing_is_told_by_its_place() {
        let nothing = |field: &str, value: &str| {
            Err(NotSelected::Nothing {
                field: field.into(),
                value: value.into(),
            })
        };
        for (selector, field, value) in [
            (selector(&["dev", "prd-*"], &[], &[]), "names[1]", "prd-*"),
            // A unit is found from the root only, so that a name means one place.
            (
                selector(&[], &["Prod"], &[]),
                "organizational_units[0]",
                "Prod",
            ),
            (
                selector(&[], &[], &["env=prod", "env=test"]),
                "tags[1]",
                "env=test",
            ),
            (
                selector(&["dev"], &[], &["env=prod"]),
                "",
                "its lists together",
            ),
        ] {
            assert_eq!(selected(&[], &selector), nothing(field, value));
        }
        let unknown = vec![AccountId::from_u64(9).unwrap()];
        assert_eq!(
            selected(&[1, 9], &AccountSelector::default()),
            Err(NotSelected::Unknown(unknown))
        );
        assert_eq!(
            selected(&[3], &selector(&["prod-*"], &[], &[])),
            nothing("", "its lists together")
        );
    }
}
