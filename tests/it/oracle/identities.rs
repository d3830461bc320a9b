//! Everybody who occurs in the records, read from `userIdentity` as the design's table has it.

use std::collections::BTreeSet;

use identity_trail::query::Identity;
use serde_json::Value;

/// Whom a question is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    User(String),
    Session(String),
    Role(String),
    RoleSession(String, String),
    PermissionSet(String),
    Key(String),
    /// A principal's id.
    Principal(String),
    SourceIdentity(String),
    /// An Identity Center user's id.
    CenterUser(String),
    Root,
    Arn(String),
}

/// The attribute that event history can be narrowed by.
#[derive(Debug, PartialEq, Eq)]
pub enum Lookup<'a> {
    Username(&'a str),
    Key(&'a str),
}

impl Who {
    /// Everybody in `records`, and nobody.
    pub fn all<'a>(records: impl IntoIterator<Item = &'a Value>) -> BTreeSet<Self> {
        let mut all = BTreeSet::from([Self::Root, Self::User("nobody-of-this-name".into())]);
        for record in records {
            let who = &record["userIdentity"];
            let text = |value: &Value| value.as_str().map(str::to_owned);
            all.extend(text(&who["userName"]).map(Self::User));
            all.extend(text(&who["accessKeyId"]).map(Self::Key));
            all.extend(text(&who["arn"]).map(Self::Arn));
            all.extend(text(&issuer(who)["arn"]).map(Self::Arn));
            all.extend(text(&who["principalId"]).map(Self::Principal));
            all.extend(text(&issuer(who)["principalId"]).map(Self::Principal));
            all.extend(text(&who["sessionContext"]["sourceIdentity"]).map(Self::SourceIdentity));
            all.extend(text(&who["onBehalfOf"]["userId"]).map(Self::CenterUser));
            let (role, session) = (role_name(who), session_name(who));
            let set = role.and_then(|role| role.strip_prefix("AWSReservedSSO_"));
            let set = set.and_then(|rest| rest.rsplit_once('_'));
            all.extend(set.map(|(set, _)| Self::PermissionSet(set.to_owned())));
            all.extend(who["userName"].as_str().and_then(wild).map(Self::User));
            all.extend(role.and_then(wild).map(Self::Role));
            all.extend(session.and_then(wild).map(Self::Session));
            for arn in [&who["arn"], &issuer(who)["arn"]] {
                let name = arn.as_str().and_then(|arn| arn.rsplit_once('/'));
                let wild =
                    name.and_then(|(before, name)| Some(format!("{before}/{}", wild(name)?)));
                all.extend(wild.map(Self::Arn));
            }
            all.extend(role.map(|role| Self::Role(role.to_owned())));
            all.extend(session.map(|session| Self::Session(session.to_owned())));
            if let (Some(role), Some(session)) = (role, session) {
                all.insert(Self::RoleSession(role.to_owned(), session.to_owned()));
            }
        }
        all
    }

    /// A name for the kind of identity.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::User(name) if name.contains('*') => "users",
            Self::Session(name) if name.contains('*') => "sessions",
            Self::Role(name) if name.contains('*') => "roles",
            Self::Arn(arn) if arn.contains('*') => "ARNs",
            Self::PermissionSet(_) => "permission set",
            Self::Principal(_) => "principal",
            Self::SourceIdentity(_) => "source identity",
            Self::CenterUser(_) => "Identity Center user",
            Self::User(_) => "user",
            Self::Session(_) => "session",
            Self::Role(_) => "role",
            Self::RoleSession(..) => "role session",
            Self::Key(_) => "key",
            Self::Root => "root",
            Self::Arn(arn) if arn.contains(":role/") => "role ARN",
            Self::Arn(arn) if arn.contains(":user/") => "user ARN",
            Self::Arn(_) => "other ARN",
        }
    }

    /// The identity as the service reads it; `None` if it refuses the value.
    pub fn identity(&self) -> Option<Identity> {
        Some(match self {
            Self::User(name) => Identity::UserName(name.parse().ok()?),
            Self::Session(name) => Identity::SessionName(name.parse().ok()?),
            Self::Role(name) => Identity::RoleName(name.parse().ok()?),
            Self::RoleSession(role, session) => Identity::RoleSession {
                role_name: role.parse().ok()?,
                session_name: session.parse().ok()?,
            },
            Self::PermissionSet(name) => Identity::PermissionSet(name.parse().ok()?),
            Self::Key(key) => Identity::AccessKeyId(key.parse().ok()?),
            Self::Principal(id) => Identity::PrincipalId(id.parse().ok()?),
            Self::SourceIdentity(name) => Identity::SourceIdentity(name.parse().ok()?),
            Self::CenterUser(id) => Identity::IdentityCenterUserId(id.parse().ok()?),
            Self::Root => Identity::Root,
            Self::Arn(arn) => Identity::Arn(arn.parse().ok()?),
        })
    }

    /// Whether AWS's own patterns allow the value.
    pub fn allowed(&self) -> bool {
        match self {
            Self::User(name) | Self::Role(name) => is_name(name, 1),
            Self::Session(name) | Self::SourceIdentity(name) => is_name(name, 2),
            Self::RoleSession(role, session) => is_name(role, 1) && is_name(session, 2),
            Self::Key(key) => {
                (16..=128).contains(&key.len())
                    && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            }
            Self::PermissionSet(name) => is_name(name, 1) && name.replace('*', "").len() <= 32,
            Self::Principal(id) => {
                (2..=256).contains(&id.len())
                    && id
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || "_+=,.@:/-".contains(c))
            }
            Self::CenterUser(id) => {
                (1..=47).contains(&id.len())
                    && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            }
            Self::Root => true,
            Self::Arn(arn) => is_arn(arn),
        }
    }

    /// What event history can be narrowed by to find them, if by anything.
    pub fn lookup(&self) -> Option<Lookup<'_>> {
        let last = |arn: &'_ str| arn.rfind('/').map(|slash| slash + 1);
        match self {
            Self::User(name) | Self::Session(name) | Self::RoleSession(_, name) => {
                (!name.contains('*')).then_some(Lookup::Username(name))
            }
            Self::Role(_)
            | Self::PermissionSet(_)
            | Self::Principal(_)
            | Self::SourceIdentity(_)
            | Self::CenterUser(_) => None,
            Self::Arn(arn)
                if arn
                    .rsplit_once('/')
                    .is_some_and(|(_, name)| name.contains('*')) =>
            {
                None
            }
            Self::Key(key) => Some(Lookup::Key(key)),
            Self::Root => Some(Lookup::Username("root")),
            Self::Arn(arn) if arn.ends_with(":root") => Some(Lookup::Username("root")),
            Self::Arn(arn) if arn.contains(":role/") || arn.contains(":federated-user/") => None,
            Self::Arn(arn) => last(arn).map(|start| Lookup::Username(&arn[start..])),
        }
    }

    /// Whether they did what the record says.
    pub fn did(&self, record: &Value) -> bool {
        let who = &record["userIdentity"];
        match self {
            Self::User(name) => {
                let issued = who["type"] == "FederatedUser"
                    && issuer(who)["type"] == "IAMUser"
                    && is_like(name, &issuer(who)["userName"]);
                issued || who["type"] == "IAMUser" && is_like(name, &who["userName"])
            }
            Self::Session(name) => session_name(who).is_some_and(|session| like(name, session)),
            Self::Role(name) => role_name(who).is_some_and(|role| like(name, role)),
            Self::RoleSession(role, session) => {
                role_name(who).is_some_and(|name| like(role, name))
                    && session_name(who).is_some_and(|name| like(session, name))
            }
            Self::PermissionSet(set) => {
                let parts = role_name(who).and_then(|role| role.rsplit_once('_'));
                parts.is_some_and(|(role, hash)| {
                    let is_hash = hash.len() == 16 && hash.chars().all(|c| c.is_ascii_hexdigit());
                    let name = role.strip_prefix("AWSReservedSSO_");
                    is_hash && name.is_some_and(|name| like(set, name))
                })
            }
            Self::Principal(id) => {
                let principal = who["principalId"].as_str().unwrap_or_default();
                let of_session = who["type"] == "AssumedRole"
                    && principal
                        .split_once(':')
                        .is_some_and(|(role, _)| role == id);
                principal == id || of_session || issuer(who)["principalId"] == **id
            }
            Self::SourceIdentity(name) => is_like(name, &who["sessionContext"]["sourceIdentity"]),
            Self::CenterUser(id) => who["onBehalfOf"]["userId"] == **id,
            Self::Key(key) => who["accessKeyId"] == **key,
            Self::Root => who["type"] == "Root",
            Self::Arn(arn) => did_by_arn(arn, who),
        }
    }
}

fn did_by_arn(arn: &str, who: &Value) -> bool {
    let fields: Vec<&str> = arn.splitn(6, ':').collect();
    let (partition, account, resource) = (fields[1], fields[4], fields[5]);
    if resource == "root" {
        return who["type"] == "Root" && who["accountId"] == account;
    }
    if resource.starts_with("user/") {
        let issued = who["type"] == "FederatedUser" && is_like(arn, &issuer(who)["arn"]);
        return issued || who["type"] == "IAMUser" && is_like(arn, &who["arn"]);
    }
    let Some((_, role)) = resource
        .rsplit_once('/')
        .filter(|_| resource.starts_with("role/"))
    else {
        return is_like(arn, &who["arn"]);
    };
    if let Some(issuer) = issuer(who)["arn"].as_str() {
        return like(arn, issuer);
    }
    let role = role.rfind('*').map_or(role, |star| &role[star..]);
    let session = format!("arn:{partition}:sts::{account}:assumed-role/{role}/*");
    who["type"] == "AssumedRole" && is_like(&session, &who["arn"])
}

fn is_like(pattern: &str, value: &Value) -> bool {
    value.as_str().is_some_and(|text| like(pattern, text))
}

/// Whether `text` is `pattern`, whose `*` stand for anything: whatever way there is, it is tried.
pub fn like(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            let after = after.trim_start_matches('*');
            let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            ends.into_iter().any(|at| like(after, &rest[at..]))
        }),
    }
}

/// A pattern that a name fits, if it is long enough to leave something out.
fn wild(name: &str) -> Option<String> {
    let inner = name.len() >= 4 && name.is_ascii() && !name.contains('*');
    inner.then(|| format!("{}*{}", &name[..2], &name[name.len() - 1..]))
}

fn issuer(who: &Value) -> &Value {
    &who["sessionContext"]["sessionIssuer"]
}

/// What follows the colon of an assumed role's principal id.
pub fn session_name(who: &Value) -> Option<&str> {
    let principal = who["principalId"].as_str()?;
    let (_, name) = principal.split_once(':')?;
    (who["type"] == "AssumedRole").then_some(name)
}

/// The session issuer's name; where the record has none, the role in the session's ARN.
fn role_name(who: &Value) -> Option<&str> {
    let issuer = issuer(who);
    if let Some(name) = issuer["userName"].as_str() {
        let of_role = issuer["type"] == "Role" || issuer["type"].is_null();
        return Some(name).filter(|_| of_role);
    }
    if who["type"] != "AssumedRole" {
        return None;
    }
    let (_, of_session) = who["arn"].as_str()?.split_once(":assumed-role/")?;
    Some(of_session.split_once('/')?.0)
}

/// Whether it is a name, or with a `*` what a part of one could be.
fn is_name(name: &str, shortest: usize) -> bool {
    let stars = name.matches('*').count();
    let fits = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-*".contains(c);
    let letters = name.len() - stars;
    let shortest = if stars > 0 { 0 } else { shortest };
    (shortest..=64).contains(&letters) && stars <= 64 && name.chars().all(fits)
}

fn is_arn(arn: &str) -> bool {
    let fields: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", partition, service, "", account, resource] = fields[..] else {
        return false;
    };
    let in_aws = partition == "aws" || partition.starts_with("aws-");
    if !in_aws || account.len() != 12 || !account.chars().all(|c| c.is_ascii_digit()) {
        return false;
    }
    let parts: Vec<&str> = resource.split('/').collect();
    match (service, &parts[..]) {
        ("iam", ["root"]) => true,
        ("iam", ["user" | "role", path @ .., name]) => {
            is_name(name, 1)
                && path
                    .iter()
                    .all(|part| part.chars().all(|c| c.is_ascii_graphic()))
        }
        ("sts", ["assumed-role", role, session]) => is_name(role, 1) && is_name(session, 2),
        ("sts", ["federated-user", name]) => is_name(name, 2) && name.replace('*', "").len() <= 32,
        _ => false,
    }
}
