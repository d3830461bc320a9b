//! Things that calls act upon, as a question names them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::Event;
use super::ids::InvalidId;
use super::record;

/// A thing acted upon: an ARN, or a name or id.
///
/// It is found where the record names it so, in `resources` or in a well-known request parameter; a
/// name is also found at the end of an ARN, after its last `/` or `:`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceRef(Arc<str>);

impl ResourceRef {
    /// As the caller wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the event acted upon it.
    #[must_use]
    pub fn is_named_by(&self, event: &Event) -> bool {
        record::names_target(event, |named| self.is(named))
    }

    fn is(&self, named: &str) -> bool {
        let wanted = &*self.0;
        if named == wanted {
            return true;
        }
        let of_arn = named.starts_with("arn:") && !wanted.starts_with("arn:");
        let before = named.strip_suffix(wanted).filter(|_| of_arn);
        before.is_some_and(|before| before.ends_with(['/', ':']))
    }
}

impl fmt::Display for ResourceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ResourceRef {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if (1..=2048).contains(&text.len()) && !text.chars().any(char::is_control) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidId {
                expected: "a resource is an ARN, a name or an id: 1 to 2,048 bytes without control \
                           characters",
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_at_the_end_of_an_arn() {
        let is = |wanted: &str, named: &str| wanted.parse::<ResourceRef>().unwrap().is(named);
        assert!(is("Alice", "Alice"));
        assert!(is("Alice", "arn:aws:iam::111122223333:user/team/Alice"));
        assert!(is(
            "team/Alice",
            "arn:aws:iam::111122223333:user/team/Alice"
        ));
        assert!(is("logs", "arn:aws:s3:::logs"));
        assert!(is("arn:aws:s3:::logs", "arn:aws:s3:::logs"));
        for (wanted, named) in [
            ("lice", "arn:aws:iam::111122223333:user/Alice"),
            ("Alice", "team/Alice"),
            ("alice", "Alice"),
            ("arn:aws:s3:::logs", "logs"),
            ("arn:aws:s3:::logs", "arn:aws:s3:::logs/key"),
        ] {
            assert!(!is(wanted, named), "{wanted} {named}");
        }
    }
}
