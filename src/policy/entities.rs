//! Callers, accounts and organizational units as policies see them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::LazyLock;

use cedar_policy::entities_errors::EntitiesError;
use cedar_policy::{Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression};

use super::load::SCHEMA;
use super::{entity_type, uid};
use crate::caller::{Authentication, Caller};
use crate::plan::Inventory;
use crate::plan::inventory::{Membership, OrganizationalUnit};
use crate::query::AccountId;

type Attributes = HashMap<String, RestrictedExpression>;

/// Asked for once for each account and decision: its type is parsed once.
pub(super) fn account_uid(account: AccountId) -> EntityUid {
    static ACCOUNT: LazyLock<EntityTypeName> = LazyLock::new(|| entity_type("Account"));
    EntityUid::from_type_name_and_id(ACCOUNT.clone(), EntityId::new(account.to_string()))
}

pub(super) fn caller_uid(caller: &Caller) -> EntityUid {
    uid("Caller", &caller.name)
}

pub(super) fn group_uids(caller: &Caller) -> HashSet<EntityUid> {
    caller
        .groups
        .iter()
        .map(|group| uid("Group", group))
        .collect()
}

/// The accounts of an inventory, those left out too, with the units that they lie in.
pub(super) fn accounts(inventory: &Inventory) -> Result<Entities, Box<EntitiesError>> {
    let searchable =
        (inventory.accounts.iter()).map(|it| (it.id, it.name.as_deref(), it.membership()));
    let left_out =
        (inventory.left_out.iter()).map(|it| (it.id, it.name.as_deref(), Some(&*it.membership)));
    let accounts = searchable.chain(left_out);
    let mut units: HashMap<EntityUid, HashSet<EntityUid>> = HashMap::new();
    let mut entities = Vec::new();
    for (id, name, membership) in accounts {
        let parents = match membership {
            Some(membership) => learn_units(&membership.organizational_units, &mut units),
            None => HashSet::new(),
        };
        entities.push(account(id, name, membership, parents));
    }
    entities.extend(
        units
            .into_iter()
            .map(|(id, parents)| Entity::new_no_attrs(id, parents)),
    );
    Ok(Entities::from_entities(entities, Some(&SCHEMA))?)
}

/// `accounts` and the caller.
pub(super) fn with_caller(
    accounts: &Entities,
    caller: &Caller,
) -> Result<Entities, Box<EntitiesError>> {
    let (authentication, issuer) = match &caller.authentication {
        Authentication::None => ("none", None),
        Authentication::InProcess => ("in_process", None),
        Authentication::Certificate => ("certificate", None),
        Authentication::Token { issuer } => ("token", Some(issuer)),
    };
    let authentication = uid("Authentication", authentication);
    let mut attributes = Attributes::from([
        ("name".to_owned(), text(&caller.name)),
        (
            "authentication".to_owned(),
            RestrictedExpression::new_entity_uid(authentication),
        ),
    ]);
    attributes.extend(issuer.map(|issuer| ("issuer".to_owned(), text(issuer))));
    let groups = group_uids(caller);
    let of_caller = Entity::new(caller_uid(caller), attributes, groups.clone())
        .expect("plain values need no evaluation");
    let groups = groups.into_iter().map(Entity::with_uid);
    Ok((accounts.clone()).add_entities(groups.chain([of_caller]), Some(&SCHEMA))?)
}

fn account(
    id: AccountId,
    name: Option<&str>,
    membership: Option<&Membership>,
    parents: HashSet<EntityUid>,
) -> Entity {
    let name = name.map(|name| ("name".to_owned(), text(name)));
    let tags = membership.into_iter().flat_map(|it| &it.tags);
    let tags = tags.map(|(key, value)| (key.to_string(), text(value)));
    Entity::new_with_tags(account_uid(id), name, parents, tags)
        .expect("plain values need no evaluation")
}

/// The units that an account lies in directly, each by its id and by its path: `units` learns these,
/// and those that they lie in.
///
/// Names may hold slashes: below a unit whose name does, none has a path, so that no path can mean
/// two units.
fn learn_units(
    way: &[OrganizationalUnit],
    units: &mut HashMap<EntityUid, HashSet<EntityUid>>,
) -> HashSet<EntityUid> {
    let mut parents = HashSet::new();
    let mut path = Some(String::new());
    for unit in way {
        path = path.filter(|_| !unit.name.contains('/'));
        if let Some(path) = &mut path {
            path.push('/');
            path.push_str(&unit.name);
        }
        let names: BTreeSet<&str> = [Some(&*unit.id), path.as_deref()]
            .into_iter()
            .flatten()
            .collect();
        let own: HashSet<EntityUid> = names
            .into_iter()
            .map(|name| uid("OrganizationalUnit", name))
            .collect();
        for name in &own {
            units.entry(name.clone()).or_insert_with(|| parents.clone());
        }
        parents = own;
    }
    parents
}

fn text(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}
