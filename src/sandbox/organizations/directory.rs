//! The organization as AWS Organizations knows it: units, accounts, tags.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use crate::sandbox::Account;

/// Everything that the Organizations API tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// `o-…`
    pub id: String,
    /// The account that the organization belongs to.
    pub management_account_id: String,
    /// Accounts that may ask too.
    pub delegated_administrators: BTreeSet<String>,
    /// The root's id, `r-…`.
    pub root_id: String,
    /// All organizational units; a parent comes before its children.
    pub units: Vec<Unit>,
    /// All accounts, those that nobody can sign in to included.
    pub accounts: Vec<Member>,
}

/// An organizational unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// `ou-…`
    pub id: String,
    /// Its name.
    pub name: String,
    /// The root or the unit that it lies in.
    pub parent_id: String,
}

/// An account of the organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Twelve digits.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The root or the unit that it lies in.
    pub parent_id: String,
    /// AWS's `State`, such as `ACTIVE` or `SUSPENDED`.
    pub state: &'static str,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl Directory {
    /// An organization without units: all accounts under the root, `management` among them.
    #[must_use]
    pub fn flat(management: &Account, accounts: &[Account]) -> Self {
        let id = format!("o-{}", short_id("organization", &management.id, 10));
        let root_id = format!("r-{}", short_id("root", &management.id, 4));
        let mut directory = Self {
            id,
            management_account_id: management.id.clone(),
            delegated_administrators: BTreeSet::new(),
            root_id: root_id.clone(),
            units: Vec::new(),
            accounts: Vec::new(),
        };
        directory.add(management, &root_id);
        for account in accounts
            .iter()
            .filter(|account| account.id != management.id)
        {
            directory.add(account, &root_id);
        }
        directory
    }

    /// Adds an active account without tags.
    pub fn add(&mut self, account: &Account, parent_id: &str) -> &mut Member {
        let at = self.accounts.len();
        self.accounts.push(Member {
            id: account.id.clone(),
            name: account.name.clone(),
            parent_id: parent_id.to_owned(),
            state: "ACTIVE",
            tags: BTreeMap::new(),
        });
        &mut self.accounts[at]
    }

    /// The id of the unit at this path of names, made where there is none.
    pub fn unit(&mut self, path: &str) -> String {
        let mut parent_id = self.root_id.clone();
        let mut so_far = String::new();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            so_far = format!("{so_far}/{name}");
            let here = |unit: &&Unit| unit.parent_id == parent_id && unit.name == name;
            let known = self.units.iter().find(here).map(|unit| unit.id.clone());
            parent_id = known.unwrap_or_else(|| {
                let root = self.root_id.trim_start_matches("r-");
                let id = format!("ou-{root}-{}", short_id(&self.id, &so_far, 8));
                self.units.push(Unit {
                    id: id.clone(),
                    name: name.to_owned(),
                    parent_id: parent_id.clone(),
                });
                id
            });
        }
        parent_id
    }
}

fn short_id(kind: &str, of: &str, length: usize) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let digest = Sha256::new().chain_update(kind).chain_update(of).finalize();
    let letters = digest.iter().take(length);
    let letters = letters.map(|byte| char::from(ALPHABET[usize::from(byte & 31)]));
    letters.collect()
}
