//! Texts asked for: exactly so, or with `*` for any characters, with or without regard to case.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::Arc;

use super::ids::InvalidId;

/// Whether `Alice` is `alice`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Case {
    /// It is not.
    #[default]
    Kept,
    /// It is: the letters A to Z equal a to z. (The names that AWS allows have no others.)
    Ignored,
}

/// What a text is held against.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TextPattern {
    /// The parts, one after the other.
    pub parts: Vec<Part>,
    /// Whether the case of letters counts.
    pub case: Case,
}

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Part {
    /// Exactly this.
    Text(String),
    /// Any characters, also none.
    Anything,
    /// So many hexadecimal digits.
    HexDigits(usize),
}

impl TextPattern {
    /// This text alone.
    #[must_use]
    pub fn exact(text: impl Into<String>) -> Self {
        Self {
            parts: vec![Part::Text(text.into())],
            case: Case::Kept,
        }
    }

    /// A text in which `*` stands for any characters.
    #[must_use]
    pub fn wildcard(text: &str, case: Case) -> Self {
        let mut parts = Vec::new();
        for (at, literal) in text.split('*').enumerate() {
            if at > 0 && parts.last() != Some(&Part::Anything) {
                parts.push(Part::Anything);
            }
            if !literal.is_empty() {
                parts.push(Part::Text(literal.to_owned()));
            }
        }
        Self { parts, case }
    }

    /// This pattern after `before`, and followed by `after`.
    #[must_use]
    pub fn between(self, before: &[Part], after: &[Part]) -> Self {
        Self {
            parts: [before, &self.parts, after].concat(),
            case: self.case,
        }
    }

    /// The one text that this matches, if it is only one.
    #[must_use]
    pub fn as_exact(&self) -> Option<&str> {
        match (&self.parts[..], self.case) {
            ([Part::Text(text)], Case::Kept) => Some(text),
            ([], _) => Some(""),
            _ => None,
        }
    }

    /// Whether `text` has this form.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        // Between two wildcards stands something of a fixed length: the first place where it fits
        // leaves the most for what follows, so nothing is ever tried twice.
        let mut rest = text.as_bytes();
        let mut fixed = self.parts.split(|part| *part == Part::Anything);
        let first = fixed.next().unwrap_or_default();
        let Some(after) = self.begins(rest, first) else {
            return false;
        };
        rest = after;
        let Some(last) = fixed.next_back() else {
            return rest.is_empty();
        };
        for middle in fixed {
            let mut places = (0..=rest.len()).map(|at| &rest[at..]);
            match places.find_map(|place| self.begins(place, middle)) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        let length: usize = last.iter().map(Part::length).sum();
        (rest.len().checked_sub(length)).is_some_and(|at| self.begins(&rest[at..], last).is_some())
    }

    /// What is left of `text` after parts of a fixed length, if it begins with them.
    fn begins<'t>(&self, mut text: &'t [u8], parts: &[Part]) -> Option<&'t [u8]> {
        for part in parts {
            let (head, rest) = text.split_at_checked(part.length())?;
            let fits = match (part, self.case) {
                (Part::Text(wanted), Case::Kept) => head == wanted.as_bytes(),
                (Part::Text(wanted), Case::Ignored) => head.eq_ignore_ascii_case(wanted.as_bytes()),
                (Part::HexDigits(_), _) => head.iter().all(u8::is_ascii_hexdigit),
                (Part::Anything, _) => true,
            };
            if !fits {
                return None;
            }
            text = rest;
        }
        Some(text)
    }
}

impl Part {
    fn length(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::HexDigits(digits) => *digits,
            Self::Anything => 0,
        }
    }
}

/// A name of the kind `N` to ask about, in which `*` stands for any characters, also none: no name
/// that AWS allows holds a `*`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamePattern<N> {
    text: Arc<str>,
    name: PhantomData<N>,
}

impl<N> NamePattern<N> {
    /// As the caller wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name, if this is one: without a `*`.
    #[must_use]
    pub fn exact(&self) -> Option<&str> {
        (!self.text.contains('*')).then_some(&*self.text)
    }

    /// What a recorded name is held against.
    #[must_use]
    pub fn pattern(&self, case: Case) -> TextPattern {
        TextPattern::wildcard(&self.text, case)
    }
}

impl<N: FromStr<Err = InvalidId>> FromStr for NamePattern<N> {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        /// A name that is too short for AWS may be a part of one.
        const FILLER: &str = "xx";
        /// No name has more characters between which a wildcard could stand.
        const MOST_WILDCARDS: usize = 64;
        let wildcards = text.matches('*').count();
        if (1..=MOST_WILDCARDS).contains(&wildcards) {
            let literal = text.replace('*', "");
            if literal.len() < FILLER.len() {
                format!("{literal}{FILLER}").parse::<N>()?;
            } else {
                literal.parse::<N>()?;
            }
        } else {
            text.parse::<N>()?;
        }
        Ok(Self {
            text: text.into(),
            name: PhantomData,
        })
    }
}

impl<N> fmt::Display for NamePattern<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<N> fmt::Debug for NamePattern<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::query::{SessionName, UserName};

    fn matches(pattern: &str, text: &str) -> bool {
        TextPattern::wildcard(pattern, Case::Kept).matches(text)
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, fits) in [
            ("alice", "alice", true),
            ("alice", "alice2", false),
            ("alice", "Alice", false),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anyone", true),
            ("al*", "alice", true),
            ("al*", "bal", false),
            ("*ce", "alice", true),
            ("*ce", "ceo", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("**x**", "yxz", true),
            ("*ab*ab", "xab", false),
            ("*ab*ab", "abab", true),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
        let ignored = TextPattern::wildcard("AL*ce", Case::Ignored);
        assert!(ignored.matches("alICE") && !ignored.matches("bob"));
    }

    #[test]
    fn hexadecimal_digits_are_counted() {
        let hash = TextPattern::exact("set_").between(&[], &[Part::HexDigits(4)]);
        assert!(hash.matches("set_09aF"));
        for other in ["set_09a", "set_09afb", "set_09ag", "set_x_09af"] {
            assert!(!hash.matches(other), "{other}");
        }
    }

    #[test]
    fn only_what_could_be_a_part_of_a_name_is_taken() {
        for right in ["alice", "al*", "*", "***", &format!("{}*", "x".repeat(64))] {
            assert!(right.parse::<NamePattern<UserName>>().is_ok(), "{right}");
        }
        assert!("a*".parse::<NamePattern<SessionName>>().is_ok());
        let long = [
            "x*".repeat(65),
            "*".repeat(65),
            format!("{}*", "x".repeat(65)),
        ];
        let long = long.iter().map(String::as_str);
        for wrong in ["", "a", "al'*", "*\\", "a b*"].into_iter().chain(long) {
            assert!(
                wrong.parse::<NamePattern<SessionName>>().is_err(),
                "{wrong}"
            );
        }
        let name: NamePattern<UserName> = "al*".parse().unwrap();
        assert_eq!(name.exact(), None);
    }

    proptest! {
        /// Against a definition that tries every split.
        #[test]
        fn the_greedy_match_is_the_right_one(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
            fn slow(pattern: &str, text: &str) -> bool {
                match pattern.strip_prefix('*') {
                    Some(rest) => (0..=text.len()).any(|at| slow(rest, &text[at..])),
                    None => match pattern.chars().next() {
                        None => text.is_empty(),
                        Some(c) => text.strip_prefix(c).is_some_and(|text| slow(&pattern[1..], text)),
                    },
                }
            }
            prop_assert_eq!(matches(&pattern, &text), slow(&pattern, &text));
        }
    }
}
