//! Names that AWS gives things, each checked once and then carried as its own type.
//!
//! Checks are for length and characters only, as AWS's published patterns have them; nothing else
//! about a value is assumed.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Why a value is not what it should be. The message says what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{expected}")]
pub struct InvalidId {
    /// What is allowed, for the caller to read.
    pub expected: &'static str,
}

/// Written as text, and checked when read back like any other text.
macro_rules! serde_as_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

serde_as_text!(AccountId);
serde_as_text!(Region);

/// An AWS account id: twelve digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(u64);

impl AccountId {
    /// The id as a number, leading zeros lost.
    #[must_use]
    pub fn as_u64(self) -> u64 {
        self.0
    }

    /// From the id as a number; `None` if it has more than twelve digits.
    #[must_use]
    pub fn from_u64(number: u64) -> Option<Self> {
        (number < 1_000_000_000_000).then_some(Self(number))
    }
}

impl FromStr for AccountId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let digits = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if digits => Ok(Self(number)),
            _ => Err(InvalidId {
                expected: "an account id is twelve digits",
            }),
        }
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012}", self.0)
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! checked_name {
    ($(#[$meta:meta])* $name:ident, $expected:literal, $check:expr) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidId { expected: $expected })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

checked_name!(
    /// An AWS Region's code, such as `eu-central-1`.
    Region,
    "a Region is 3 to 32 lower-case letters, digits and hyphens, such as eu-central-1",
    |text| (3..=32).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
);
checked_name!(
    /// An IAM user's friendly name, without its path.
    UserName,
    "a user name is 1 to 64 letters, digits and any of +=,.@_-",
    |text| (1..=64).contains(&text.len()) && text.bytes().all(is_iam_name_byte)
);
checked_name!(
    /// An IAM role's friendly name, without its path.
    RoleName,
    "a role name is 1 to 64 letters, digits and any of +=,.@_-",
    |text| (1..=64).contains(&text.len()) && text.bytes().all(is_iam_name_byte)
);
checked_name!(
    /// The name that a role session was given when it was assumed.
    SessionName,
    "a role session name is 2 to 64 letters, digits and any of +=,.@_-",
    |text| (2..=64).contains(&text.len()) && text.bytes().all(is_iam_name_byte)
);
checked_name!(
    /// The name of an Identity Center permission set.
    PermissionSetName,
    "a permission set's name is 1 to 32 letters, digits and any of +=,.@_-",
    |text| (1..=32).contains(&text.len()) && text.bytes().all(is_iam_name_byte)
);
checked_name!(
    /// The source identity that a session was given when a role was assumed.
    SourceIdentity,
    "a source identity is 2 to 64 letters, digits and any of +=,.@_-",
    |text| (2..=64).contains(&text.len()) && text.bytes().all(is_iam_name_byte)
);
checked_name!(
    /// The name that `GetFederationToken` was given.
    FederatedUserName,
    "a federated user's name is 2 to 32 letters, digits and any of +=,.@_-",
    |text| (2..=32).contains(&text.len()) && text.bytes().all(is_iam_name_byte)
);
checked_name!(
    /// A principal's unique id (`AIDA…`, `AROA…`), or with `:` and a session's name that session.
    PrincipalId,
    "a principal id is 2 to 256 letters, digits and any of _+=,.@:/-",
    |text| (2..=256).contains(&text.len())
        && text.bytes().all(|b| is_iam_name_byte(b) || matches!(b, b':' | b'/'))
);
checked_name!(
    /// A user's id in an Identity Center identity store.
    IdentityCenterUserId,
    "an Identity Center user's id is 1 to 47 letters, digits and hyphens",
    |text| (1..=47).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
);
checked_name!(
    /// An access key id (`AKIA…`, `ASIA…`): an identity, not a secret.
    AccessKeyId,
    "an access key id is 16 to 128 letters, digits and underscores",
    |text| (16..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
);
checked_name!(
    /// An IAM path with its slashes: `/` or `/division/team/`.
    IamPath,
    "an IAM path begins and ends with a slash and has at most 512 printable characters",
    |text| (1..=512).contains(&text.len())
        && text.starts_with('/')
        && text.ends_with('/')
        && text.bytes().all(|b| (0x21..=0x7e).contains(&b) && !matches!(b, b'\'' | b'"' | b'\\' | b'*'))
);

fn is_iam_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte)
}

/// An AWS partition: the second field of every ARN (`aws`, `aws-cn`, `aws-us-gov`, …).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(Arc<str>);

impl Partition {
    /// The partition as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Partition {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let known = text == "aws" || text.starts_with("aws-");
        if known && text.len() <= 32 && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') {
            Ok(Self(text.into()))
        } else {
            Err(InvalidId {
                expected: "an ARN's partition is aws or begins with aws-",
            })
        }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_id_keeps_its_leading_zeros() {
        let id: AccountId = "012345678901".parse().unwrap();
        assert_eq!(id.to_string(), "012345678901");
        for wrong in [
            "",
            "12345678901",
            "1234567890123",
            "+12345678901",
            "12345678901a",
        ] {
            assert!(wrong.parse::<AccountId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_are_checked_for_length_and_characters_only() {
        assert!("a.b+c=d,e@f_g-h".parse::<UserName>().is_ok());
        for wrong in ["", "a'b", "a\"b", "a\\b", "a*", "a b", &"x".repeat(65)] {
            assert!(wrong.parse::<UserName>().is_err(), "{wrong}");
        }
        assert!("x".parse::<SessionName>().is_err());
        assert!("AKIA****************".parse::<AccessKeyId>().is_err());
    }
}
