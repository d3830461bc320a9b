//! Callers, accounts and policies that the tests share.

mod decisions;
mod loading;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::caller::Authentication;
use crate::plan::facts::AccountFacts;
use crate::plan::inventory::{
    AccountState, LeftOutAccount, Membership, NotSelected, OrganizationalUnit,
};
use crate::query::{AccountSelector, RecordView};

const EVERYTHING: KnownOfAccounts = KnownOfAccounts {
    tags: true,
    organizational_units: true,
};

fn id(number: u64) -> AccountId {
    AccountId::from_u64(number).unwrap()
}

fn membership(units: &[&str], tags: &[(&str, &str)]) -> Arc<Membership> {
    let unit = |(depth, name): (usize, &&str)| OrganizationalUnit {
        id: format!("ou-root-{depth}{:0>8}", name.to_lowercase()).into(),
        name: (*name).into(),
    };
    Arc::new(Membership {
        state: AccountState::Active,
        organizational_units: units.iter().enumerate().map(unit).collect(),
        tags: tags
            .iter()
            .map(|&(key, value)| (key.into(), value.into()))
            .collect(),
    })
}

/// Accounts 1 and 2 in production, 3 in development, 4 right below the root, 5 closed.
fn inventory() -> Arc<Inventory> {
    let account = |number, name: &str, units: &[&str], tags: &[(&str, &str)]| {
        let mut facts = AccountFacts::new(id(number), Vec::new());
        facts.name = Some(name.into());
        facts.membership = Some(membership(units, tags));
        facts
    };
    let env = |value: &'static str| [("env", value)];
    let mut inventory = Inventory::of_list(vec![
        account(1, "prod-web", &["Workloads", "Prod"], &env("prod")),
        account(2, "prod-data", &["Workloads", "Prod"], &env("prod")),
        account(3, "dev", &["Workloads", "Dev"], &env("dev")),
        account(4, "management", &[], &[]),
    ]);
    inventory.left_out = vec![LeftOutAccount {
        id: id(5),
        name: Some("retired".into()),
        membership: membership(&["Workloads", "Dev"], &[]),
    }];
    Arc::new(inventory)
}

fn caller(name: &str, groups: &[&str]) -> Arc<Caller> {
    Arc::new(Caller {
        name: name.into(),
        authentication: Authentication::Token {
            issuer: "https://issuer.example".into(),
        },
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
    })
}

/// A search for a user, a day back.
fn search() -> SearchQuestion {
    SearchQuestion {
        identity_kinds: BTreeSet::from(["user_name"]),
        lookback_seconds: 86_400,
        record_view: RecordView::Fields,
    }
}

fn authorizer(text: &str) -> Authorizer {
    let file = written(text);
    Authorizer::open(&file.path().join("one.cedar"), EVERYTHING)
        .unwrap_or_else(|error| panic!("{error}"))
}

/// A folder with one policy file.
fn written(text: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    write(folder.path(), "one.cedar", text);
    folder
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

/// The numbers of the accounts about which the question is allowed, of those that `ids` name (none:
/// all).
fn asked(
    authorizer: &Authorizer,
    caller: &Arc<Caller>,
    question: &Question,
    ids: &[u64],
) -> Result<Vec<u64>, Refused<NotSelected>> {
    let ids: Vec<AccountId> = ids.iter().map(|&number| id(number)).collect();
    let selected = |inventory: &Inventory| inventory.select(&ids, &AccountSelector::default());
    let meant = |inventory: &Inventory| {
        let selected = selected(inventory)?;
        Ok(selected.iter().map(|account| account.id).collect())
    };
    let access = authorizer.access(caller, question, &inventory(), meant)?;
    let accounts = selected(&access.inventory).unwrap();
    Ok(accounts.iter().map(|account| account.id.as_u64()).collect())
}

/// The same of a search for everything that the caller may read.
fn readable(text: &str, caller: &Arc<Caller>, search: SearchQuestion) -> Result<Vec<u64>, Denial> {
    let question = Question::SearchEvents(search);
    asked(&authorizer(text), caller, &question, &[]).map_err(denial)
}

fn denial(refused: Refused<NotSelected>) -> Denial {
    match refused {
        Refused::Denied(denial) => denial,
        Refused::NotFound(why) => panic!("{why:?}"),
    }
}

fn rpc_denied() -> Denial {
    Denial::Rpc(Rpc::SearchEvents)
}

fn aspect(aspect: Aspect) -> Denial {
    Denial::Aspect(Rpc::SearchEvents, aspect)
}
