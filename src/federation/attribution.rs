//! In whose name sessions are made: what the accounts' own trails will show.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::caller::Caller;
use crate::config::hub::Attribution as Mode;

/// The longest `RoleSessionName` and `SourceIdentity`, and the shortest.
const LONGEST: usize = 64;
const SHORTEST: usize = 2;
/// Characters of a hash: of names that had to be changed none comes twice.
const HASH: usize = 12;

/// For whom a session is made.
#[derive(Debug, Clone, Copy)]
pub enum Behalf<'a> {
    /// For the service itself: what it reads for all callers.
    Service,
    /// For this caller.
    Caller(&'a Caller),
}

/// What a session is called.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SessionNames {
    /// `RoleSessionName`.
    pub session_name: Arc<str>,
    /// `SourceIdentity`; stays with all that is done in the session, other roles assumed from it
    /// included. The role's trust policy must allow `sts:SetSourceIdentity`.
    pub source_identity: Option<Arc<str>>,
}

/// How sessions are called.
#[derive(Debug)]
pub(super) struct Attribution {
    mode: Mode,
    own: Arc<str>,
}

impl Attribution {
    /// `own` is what sessions are called that are nobody's.
    pub fn new(mode: Mode, own: &str) -> Self {
        Self {
            mode,
            own: own.into(),
        }
    }

    pub fn names(&self, behalf: Behalf<'_>) -> SessionNames {
        let name: Arc<str> = match (self.mode, behalf) {
            (Mode::Shared, _) | (_, Behalf::Service) => Arc::clone(&self.own),
            (Mode::PerCaller, Behalf::Caller(caller)) => sts_name(&caller.name).into(),
        };
        let source_identity = match self.mode {
            Mode::Shared => None,
            Mode::PerCaller => Some(Arc::clone(&name)),
        };
        SessionNames {
            session_name: name,
            source_identity,
        }
    }
}

/// A caller's name as STS takes it: 2 to 64 of `[\w+=,.@-]`. Different names stay different: what has to
/// be changed ends in `=` and a hash of the whole, and whatever has a `=` is changed.
fn sts_name(name: &str) -> String {
    let kept = |c: char| c.is_ascii_alphanumeric() || "_+,.@-".contains(c);
    if name.chars().all(kept) && (SHORTEST..=LONGEST).contains(&name.len()) {
        return name.to_owned();
    }
    let hash = hex::encode(Sha256::digest(name));
    // The end tells more than the begin: a SPIFFE ID's last part, a path's.
    let readable: Vec<char> = name
        .chars()
        .map(|c| if kept(c) { c } else { '-' })
        .collect();
    let from = readable.len().saturating_sub(LONGEST - 1 - HASH);
    let readable: String = readable[from..].iter().collect();
    format!("{}={}", readable.trim_start_matches('-'), &hash[..HASH])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::query::SessionName;

    proptest! {
        #[test]
        fn any_name_becomes_one_that_sts_takes_and_no_two_the_same(
            one in ".{0,100}", other in "[a/=-]{1,5}", another in "[a/=-]{1,5}"
        ) {
            for name in [&one, &other] {
                prop_assert!(sts_name(name).parse::<SessionName>().is_ok(), "{name}");
            }
            prop_assert_eq!(other == another, sts_name(&other) == sts_name(&another));
        }
    }

    #[test]
    fn names_stay_readable() {
        assert_eq!(sts_name("alice@example.com"), "alice@example.com");
        insta::assert_snapshot!(
            sts_name("spiffe://prod.example/ns/security/sa/investigator"),
            @"spiffe---prod.example-ns-security-sa-investigator=b90d0fcd3408"
        );
        insta::assert_snapshot!(sts_name("10.0.0.1"), @"10.0.0.1");
        insta::assert_snapshot!(sts_name("2001:db8::1"), @"2001-db8--1=5afd19e856d1");
    }
}
