//! What a record must at least be, in terms that both of CloudWatch Logs' languages have.
//!
//! Written from the question's own [`Condition`]s, and from what a log group holds beyond what the
//! scan is about. What neither language can say is left out: more is read then, and the search
//! checks every event anyway.

use std::net::IpAddr;

use crate::plan::facts::LogGroupFacts;
use crate::plan::{Scan, ScanTarget};
use crate::query::pattern::{Part, TextPattern};
use crate::query::{Case, Condition, EventFilter, EventQuery, Member, Network, ResourceRef};

/// A condition that every record of the answer fulfils.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Need {
    /// All of these.
    All(Vec<Need>),
    /// Any of these; never empty.
    Any(Vec<Need>),
    /// The member at this path is a text of this form.
    Text(&'static str, TextPattern),
    /// The member is this truth value, or a text: some records write it as one.
    Flag(&'static str, bool),
    /// The member is missing or null.
    Missing(&'static str),
    /// These texts stand in the record in this order, wherever.
    Mentions(Vec<String>),
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
    let who = query.identities.iter().map(|it| it.condition(query.case));
    let who: Vec<Condition> = who.collect();
    let mut needs = Vec::new();
    if !who.is_empty() {
        needs.extend(Need::of(&Condition::Any(who)));
    }
    match query.filter.condition() {
        Condition::All(parts) => needs.extend(parts.iter().filter_map(Need::of)),
        other => needs.extend(Need::of(&other)),
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

/// The conditions of a question, by their fields, that what is sent does not narrow by. `says` tells
/// whether it narrows by a need.
pub(super) fn not_in(query: &EventQuery, says: impl Fn(&Need) -> bool) -> Vec<&'static str> {
    // Named one by one, so that a condition that is added here cannot be forgotten.
    let EventFilter {
        event_names,
        event_sources,
        access,
        error_codes,
        errors_only,
        source_ips,
        resources,
        event_ids,
        categories: _,
    } = query.filter.clone();
    let none = EventFilter::default;
    let who = query.identities.iter().map(|it| it.condition(query.case));
    let who: Vec<Condition> = who.collect();
    let only = |filter: EventFilter| match filter.condition() {
        Condition::All(mut parts) => parts.pop(),
        other => Some(other),
    };
    let conditions = [
        (
            "identities",
            (!who.is_empty()).then_some(Condition::Any(who)),
        ),
        (
            "filter.event_names",
            only(EventFilter {
                event_names,
                ..none()
            }),
        ),
        (
            "filter.event_sources",
            only(EventFilter {
                event_sources,
                ..none()
            }),
        ),
        ("filter.access", only(EventFilter { access, ..none() })),
        (
            "filter.error_codes",
            only(EventFilter {
                error_codes,
                ..none()
            }),
        ),
        (
            "filter.errors_only",
            only(EventFilter {
                errors_only,
                ..none()
            }),
        ),
        (
            "filter.source_ips",
            only(EventFilter {
                source_ips,
                ..none()
            }),
        ),
        (
            "filter.resources",
            only(EventFilter {
                resources,
                ..none()
            }),
        ),
        (
            "filter.event_ids",
            only(EventFilter {
                event_ids,
                ..none()
            }),
        ),
    ];
    let unsaid = conditions.into_iter().filter_map(|(field, condition)| {
        let said = Need::of(&condition?).is_some_and(|need| says(&need));
        (!said).then_some(field)
    });
    unsaid.collect()
}

impl Need {
    /// What a record that the condition holds for must be; none if it can be anything.
    pub fn of(condition: &Condition) -> Option<Self> {
        match condition {
            Condition::All(parts) => {
                let mut needs: Vec<Self> = parts.iter().filter_map(Self::of).collect();
                match needs.len() {
                    0 => None,
                    1 => needs.pop(),
                    _ => Some(Self::All(needs)),
                }
            }
            Condition::Any(parts) => {
                let mut needs = parts.iter().map(Self::of).collect::<Option<Vec<_>>>()?;
                match needs.len() {
                    // Nothing fulfils it; the check afterwards says so, no pattern does.
                    0 => None,
                    1 => needs.pop(),
                    _ => Some(Self::Any(needs)),
                }
            }
            Condition::Is(Member::ReadOnly, value) => {
                let is = |flag: bool| value.matches(if flag { "true" } else { "false" });
                match (is(true), is(false)) {
                    (true, false) => Some(Self::Flag(Member::ReadOnly.path(), true)),
                    (false, true) => Some(Self::Flag(Member::ReadOnly.path(), false)),
                    _ => None,
                }
            }
            Condition::Is(member, text) => Some(Self::Text(member.path(), text.clone())),
            // Always beside something that narrows more, and cheap to check.
            Condition::Absent(_) => None,
            Condition::Present(member) => Some(Self::Text(member.path(), anything())),
            Condition::From(network) => Some(Self::Text(
                Member::SourceIpAddress.path(),
                written(*network),
            )),
            Condition::Names(resource) => Some(Self::Mentions(in_json(resource))),
        }
    }

    /// The alternatives, any of which will do; of what has none, itself.
    pub fn alternatives(self) -> Vec<Self> {
        match self {
            Self::Any(needs) => needs,
            other => vec![other],
        }
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

fn anything() -> TextPattern {
    TextPattern {
        parts: vec![Part::Anything],
        case: Case::Kept,
    }
}

/// Texts that begin like an address of the network.
fn written(network: Network) -> TextPattern {
    let begins = |text: String| TextPattern {
        parts: vec![Part::Text(text), Part::Anything],
        case: Case::Kept,
    };
    match network.first() {
        IpAddr::V4(first) if network.is_single() => TextPattern::exact(first.to_string()),
        IpAddr::V4(first) => {
            let whole_octets = usize::from(network.prefix() / 8);
            let octets = &first.octets()[..whole_octets];
            let octets: Vec<String> = octets.iter().map(ToString::to_string).collect();
            if octets.is_empty() {
                anything()
            } else {
                begins(octets.join(".") + ".")
            }
        }
        IpAddr::V6(first) => {
            // Letters may be written large, and zeros left out, but not those of a first group that
            // has all of its digits.
            let group = format!("{:x}", first.segments()[0]);
            let digits_only = group.bytes().all(|byte| byte.is_ascii_digit());
            if network.prefix() >= 16 && group.len() == 4 && digits_only {
                begins(format!("{group}:"))
            } else {
                anything()
            }
        }
    }
}

/// What of a resource's name stands in JSON as it is: writers of JSON differ in which characters
/// they escape.
fn in_json(resource: &ResourceRef) -> Vec<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.:@+,*()! ".contains(c);
    let pieces = resource.as_str().split(|c| !plain(c));
    pieces
        .filter(|piece| !piece.is_empty())
        .map(str::to_owned)
        .collect()
}
