//! Which accounts are meant, by what the organization knows of them. What matches is decided where
//! accounts are known ([`crate::plan::inventory`]).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::InvalidId;

/// Accounts by name, organizational unit and tag. Within a list any value will do, all lists must
/// be met; a selector without values means every account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccountSelector {
    /// Names of accounts.
    pub names: Vec<AccountNamePattern>,
    /// Organizational units; an account lies in one if it lies in one below it.
    pub organizational_units: Vec<OrganizationalUnitRef>,
    /// Tags. Of values given for one key any will do; every key must be met.
    pub tags: Vec<AccountTag>,
}

impl AccountSelector {
    /// Whether it asks nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.organizational_units.is_empty() && self.tags.is_empty()
    }
}

/// An account's name, in which `*` stands for any characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountNamePattern(Arc<str>);

impl AccountNamePattern {
    /// Whether an account of this name is meant; case counts.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let Some((first, others)) = self.0.split_once('*') else {
            return name == &*self.0;
        };
        let Some(mut rest) = name.strip_prefix(first) else {
            return false;
        };
        let (middle, last) = others.rsplit_once('*').unwrap_or(("", others));
        // The leftmost place for each part in the middle leaves the most to those after it.
        for part in middle.split('*') {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

impl FromStr for AccountNamePattern {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if (1..=64).contains(&text.len()) && text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidId {
                expected: "an account name is 1 to 64 printable ASCII characters, * for any",
            })
        }
    }
}

impl fmt::Display for AccountNamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An organizational unit: by its id, or by the names on the way to it from the root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum OrganizationalUnitRef {
    /// `ou-…`
    Id(Arc<str>),
    /// `Workloads/Prod`: the names, outermost first. Never empty.
    Path(Vec<Arc<str>>),
}

impl FromStr for OrganizationalUnitRef {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        const EXPECTED: InvalidId = InvalidId {
            expected: "an organizational unit is its id (ou-…) or its path of names from the root, such as \
                       Workloads/Prod",
        };
        if is_unit_id(text) {
            return Ok(Self::Id(text.into()));
        }
        // AWS: at most five levels of names of at most 128 characters.
        let path = text.strip_prefix('/').unwrap_or(text);
        let names: Vec<Arc<str>> = path.split('/').map(Arc::from).collect();
        let name = |name: &Arc<str>| {
            (1..=128).contains(&name.chars().count()) && !name.chars().any(char::is_control)
        };
        if names.len() <= 8 && names.iter().all(name) {
            Ok(Self::Path(names))
        } else {
            Err(EXPECTED)
        }
    }
}

/// `ou-` with the root's 4 to 32 characters, and 8 to 32 of its own.
fn is_unit_id(text: &str) -> bool {
    let part = |part: &str, least: usize| {
        (least..=32).contains(&part.len())
            && (part.bytes()).all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    let parts = text.strip_prefix("ou-").and_then(|id| id.split_once('-'));
    parts.is_some_and(|(root, own)| part(root, 4) && part(own, 8))
}

impl fmt::Display for OrganizationalUnitRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => f.write_str(id),
            Self::Path(names) => f.write_str(&names.join("/")),
        }
    }
}

/// A tag that accounts have: its key, and its value if that matters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountTag {
    /// The key; case counts.
    pub key: Arc<str>,
    /// The value; `None` is any.
    pub value: Option<Arc<str>>,
}

impl AccountTag {
    /// A tag of these, within AWS's lengths: keys of 1 to 128 characters, values of at most 256.
    pub fn new(key: &str, value: Option<&str>) -> Result<Self, InvalidId> {
        let fits = |text: &str, most: usize| {
            text.chars().count() <= most && !text.chars().any(char::is_control)
        };
        if !key.is_empty() && fits(key, 128) && value.is_none_or(|value| fits(value, 256)) {
            Ok(Self {
                key: key.into(),
                value: value.map(Arc::from),
            })
        } else {
            Err(InvalidId {
                expected: "a tag is a key of 1 to 128 characters and, if it matters, = and a value of at most 256",
            })
        }
    }
}

impl FromStr for AccountTag {
    type Err = InvalidId;

    /// `key`, or `key=value`.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match text.split_once('=') {
            Some((key, value)) => Self::new(key, Some(value)),
            None => Self::new(text, None),
        }
    }
}

impl fmt::Display for AccountTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        match &self.value {
            Some(value) => write!(f, "={value}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters_and_nothing_else_does() {
        let cases = [
            ("prod", "prod", true),
            ("prod", "prod-web", false),
            ("prod*", "prod", true),
            ("prod*", "prod-web", true),
            ("*web", "prod-web", true),
            ("*web", "web-prod", false),
            ("p*d*b", "prod-web", true),
            ("a*ba", "aba", true),
            ("ab*ba", "aba", false),
            ("*", "", true),
            ("p.od", "prod", false),
            ("Prod", "prod", false),
        ];
        for (pattern, name, matches) in cases {
            let pattern: AccountNamePattern = pattern.parse().unwrap();
            assert_eq!(pattern.matches(name), matches, "{pattern} {name}");
        }
        assert!("".parse::<AccountNamePattern>().is_err());
        assert!("a\nb".parse::<AccountNamePattern>().is_err());
    }

    #[test]
    fn a_unit_is_an_id_or_a_path_of_names() {
        let unit = |text: &str| text.parse::<OrganizationalUnitRef>();
        assert_eq!(
            unit("ou-ab12-cdefgh34"),
            Ok(OrganizationalUnitRef::Id("ou-ab12-cdefgh34".into()))
        );
        let path = OrganizationalUnitRef::Path(vec!["Workloads".into(), "Prod".into()]);
        assert_eq!(unit("Workloads/Prod"), Ok(path.clone()));
        assert_eq!(unit("/Workloads/Prod"), Ok(path));
        // Not an id, so a name.
        assert_eq!(
            unit("ou-dev"),
            Ok(OrganizationalUnitRef::Path(vec!["ou-dev".into()]))
        );
        for wrong in ["", "/", "a//b", "a/", &"x".repeat(129)] {
            assert!(unit(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_tag_has_a_key_and_perhaps_a_value() {
        let tag = |text: &str| text.parse::<AccountTag>().unwrap();
        assert_eq!(tag("team").value, None);
        assert_eq!(tag("team=").value.as_deref(), Some(""));
        assert_eq!(tag("a=b=c").value.as_deref(), Some("b=c"));
        assert_eq!(tag("a=b=c").to_string(), "a=b=c");
        assert!("=x".parse::<AccountTag>().is_err());
    }
}
