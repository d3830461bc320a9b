//! What a record must at least be, in terms that both of CloudWatch Logs' languages have.
//!
//! Written from the question, and from what a log group holds beyond what the scan is about. What neither language can say is left out: more is read then, and the search
//! checks every event anyway.

use crate::plan::facts::LogGroupFacts;
use crate::plan::{Scan, ScanTarget};
use crate::query::identity::ArnPrincipal;
use crate::query::{EventQuery, Identity};

/// Whether the case of letters counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Kept,
}

/// The form of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TextPattern {
    pub parts: Vec<Part>,
    pub case: Case,
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// Exactly this.
    Text(String),
    /// Any characters, also none.
    Anything,
}

impl TextPattern {
    pub fn exact(text: impl Into<String>) -> Self {
        Self::of(vec![Part::Text(text.into())])
    }

    fn of(parts: Vec<Part>) -> Self {
        let case = Case::Kept;
        Self { parts, case }
    }
}

/// A condition that every record of the answer fulfils.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Need {
    /// All of these.
    All(Vec<Need>),
    /// Any of these; never empty.
    Any(Vec<Need>),
    /// The member at this path is a text of this form.
    Text(&'static str, TextPattern),
    /// The member is missing or null.
    Missing(&'static str),
}

/// What the records of a scan must be, all of it: the narrowest first.
pub(super) fn needs(scan: &Scan, query: &EventQuery) -> Vec<Need> {
    let ScanTarget::Logs {
        log_group,
        accounts,
        regions,
        ..
    } = &scan.target
    else {
        return Vec::new();
    };
    let mut needs = vec![Need::Any(
        query.identities.iter().map(of_identity).collect(),
    )];
    for (path, texts) in [
        ("eventName", &query.filter.event_names),
        ("eventSource", &query.filter.event_sources),
    ] {
        if !texts.is_empty() {
            let among = texts.iter().map(|text| exactly(path, text.as_str()));
            needs.push(Need::Any(among.collect()));
        }
    }
    let LogGroupFacts { holds, .. } = &**log_group;
    let all_accounts = (holds.accounts.as_ref()).is_some_and(|held| held.is_subset(accounts));
    if !all_accounts {
        let ids = accounts.iter().map(ToString::to_string);
        needs.push(one_of_or_missing("recipientAccountId", ids));
    }
    let all_regions = (holds.regions.as_ref()).is_some_and(|held| held.is_subset(regions));
    if !all_regions {
        let names = regions.iter().map(ToString::to_string);
        needs.push(Need::Any(
            names.map(|name| exactly("awsRegion", name)).collect(),
        ));
    }
    if !holds.categories.is_subset(&scan.categories) {
        let names = scan.categories.iter().map(|it| it.as_str().to_owned());
        needs.push(one_of_or_missing("eventCategory", names));
    }
    needs
}

impl Need {
    /// The alternatives, any of which will do; of what has none, itself.
    pub fn alternatives(self) -> Vec<Self> {
        match self {
            Self::Any(needs) => needs,
            other => vec![other],
        }
    }
}

fn of_identity(identity: &Identity) -> Need {
    let kind = |kind: &str| exactly("userIdentity.type", kind);
    let arn = |parts| Need::Text("userIdentity.arn", TextPattern::of(parts));
    let text = |text: &str| Part::Text(text.to_owned());
    let session = |name: &str| {
        let parts = vec![Part::Anything, text(&format!(":{name}"))];
        let principal = Need::Text("userIdentity.principalId", TextPattern::of(parts));
        Need::All(vec![kind("AssumedRole"), principal])
    };
    let role = |name: &str| {
        let of_role = text(&format!(":assumed-role/{name}/"));
        Need::Any(vec![
            exactly("userIdentity.sessionContext.sessionIssuer.userName", name),
            Need::All(vec![
                kind("AssumedRole"),
                arn(vec![Part::Anything, of_role, Part::Anything]),
            ]),
        ])
    };
    match identity {
        Identity::UserName(name) => Need::All(vec![
            kind("IAMUser"),
            exactly("userIdentity.userName", name.as_str()),
        ]),
        Identity::SessionName(name) => session(name.as_str()),
        Identity::RoleSession {
            role_name,
            session_name,
        } => Need::All(vec![
            session(session_name.as_str()),
            role(role_name.as_str()),
        ]),
        Identity::RoleName(name) => role(name.as_str()),
        Identity::AccessKeyId(key) => exactly("userIdentity.accessKeyId", key.as_str()),
        Identity::Root => kind("Root"),
        Identity::Arn(named) => match &named.principal {
            ArnPrincipal::User { .. } | ArnPrincipal::AssumedRole { .. } => {
                exactly("userIdentity.arn", named.to_string())
            }
            ArnPrincipal::Role { name, .. } => {
                let issuer = "userIdentity.sessionContext.sessionIssuer.arn";
                let of_role = text(&format!(":assumed-role/{name}/"));
                Need::Any(vec![
                    exactly(issuer, named.to_string()),
                    Need::All(vec![
                        kind("AssumedRole"),
                        arn(vec![Part::Anything, of_role, Part::Anything]),
                    ]),
                ])
            }
            ArnPrincipal::Root => Need::All(vec![
                kind("Root"),
                exactly("userIdentity.accountId", named.account.to_string()),
            ]),
        },
    }
}

fn exactly(path: &'static str, text: impl Into<String>) -> Need {
    Need::Text(path, TextPattern::exact(text))
}

/// Old records lack members that later ones have.
fn one_of_or_missing(path: &'static str, texts: impl Iterator<Item = String>) -> Need {
    let among = texts.map(|text| exactly(path, text));
    Need::Any(among.chain([Need::Missing(path)]).collect())
}
