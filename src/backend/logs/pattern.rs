//! Filter patterns of `FilterLogEvents`: a [`Need`] printed in CloudWatch Logs' pattern language for
//! JSON.
//!
//! What is not documented is not relied on: a value is always quoted, `*` stands only at its ends,
//! and a character of which nobody says how it is escaped never gets into one.

use super::need::Need;
use crate::query::Case;
use crate::query::pattern::{Part, TextPattern};

/// The longest pattern that AWS takes, in characters.
const LONGEST: usize = 1024;

/// The most patterns that one scan is read by: with more, reading everything is cheaper.
const MOST_PATTERNS: usize = 8;

/// The patterns that together find every record that fulfils all of `needs`, the narrowest first:
/// several where one would be too long. `None` alone finds everything.
pub(super) fn patterns(needs: &[Need]) -> Vec<Option<String>> {
    let printed: Vec<(&Need, String)> = needs
        .iter()
        .filter_map(|need| Some((need, print(need)?)))
        .collect();
    // What is split over several patterns: the narrowest that does not grow into too many.
    let (mut parts, rest) = (0..printed.len())
        .find_map(|at| Some((packed(printed[at].0)?, at)))
        .map_or((vec![Vec::new()], 0), |(chunks, at)| {
            let parts = chunks.into_iter().map(|chunk| vec![chunk]).collect();
            (parts, at + 1)
        });
    for part in &mut parts {
        for (_, text) in &printed[rest..] {
            part.push(text.clone());
            if whole(part).chars().count() > LONGEST {
                part.pop();
            }
        }
    }
    let patterns = parts
        .iter()
        .map(|part| (!part.is_empty()).then(|| whole(part)));
    patterns.collect()
}

/// Whether these patterns narrow by the need: each of its alternatives is in one of them.
pub(super) fn says(patterns: &str, need: &Need) -> bool {
    let alternatives = need.clone().alternatives();
    let mut texts = alternatives.iter().map(print);
    texts.all(|text| text.is_some_and(|text| patterns.contains(&text)))
}

/// The alternatives of a need in as few groups as fit into patterns of their own; none if that is
/// too many.
fn packed(need: &Need) -> Option<Vec<String>> {
    let mut groups: Vec<Vec<String>> = Vec::new();
    for alternative in need.clone().alternatives() {
        let text = print(&alternative)?;
        match groups.last_mut() {
            Some(group) if fits(&any_of(group), &text) => group.push(text),
            _ if fits("", &text) => groups.push(vec![text]),
            _ => return None,
        }
    }
    let groups: Vec<String> = groups.iter().map(|group| any_of(group)).collect();
    (groups.len() <= MOST_PATTERNS).then_some(groups)
}

fn fits(group: &str, text: &str) -> bool {
    const AROUND: usize = "{ () || () }".len();
    group.chars().count() + text.chars().count() + AROUND <= LONGEST
}

fn whole(clauses: &[String]) -> String {
    match clauses {
        [one] => format!("{{ {one} }}"),
        many => {
            let clauses: Vec<String> = many.iter().map(|clause| format!("({clause})")).collect();
            format!("{{ {} }}", clauses.join(" && "))
        }
    }
}

fn any_of(texts: &[String]) -> String {
    match texts {
        [one] => one.clone(),
        many => {
            let texts: Vec<String> = many.iter().map(|text| format!("({text})")).collect();
            texts.join(" || ")
        }
    }
}

fn all_of(texts: &[String]) -> String {
    match texts {
        [one] => one.clone(),
        many => {
            let texts: Vec<String> = many.iter().map(|text| format!("({text})")).collect();
            texts.join(" && ")
        }
    }
}

/// The need in the language; none where the language cannot say it.
fn print(need: &Need) -> Option<String> {
    match need {
        Need::All(needs) => {
            let texts: Vec<String> = needs.iter().filter_map(print).collect();
            (!texts.is_empty()).then(|| all_of(&texts))
        }
        Need::Any(needs) => {
            let texts: Option<Vec<String>> = needs.iter().map(print).collect();
            Some(any_of(&texts?))
        }
        Need::Text(path, pattern) => {
            let terms = terms(pattern).into_iter();
            let texts: Vec<String> = terms.map(|term| format!("$.{path} = {term}")).collect();
            Some(all_of(&texts))
        }
        Need::Flag(path, value) => {
            let word = if *value { "TRUE" } else { "FALSE" };
            let term = quoted(true, "", true);
            Some(format!("($.{path} IS {word}) || ($.{path} = {term})"))
        }
        Need::Missing(path) => Some(format!("($.{path} NOT EXISTS) || ($.{path} IS NULL)")),
        // Members are named one by one in this language.
        Need::Mentions(_) => None,
    }
}

/// Terms that all texts of this form equal: usually one. A wildcard within is two terms, and each
/// character that cannot be quoted is one.
fn terms(pattern: &TextPattern) -> Vec<String> {
    let mut pieces: Vec<String> = vec![String::new()];
    for part in &pattern.parts {
        match part {
            Part::Text(text) => {
                for c in text.chars() {
                    let fixed = pattern.case == Case::Kept || !c.is_ascii_alphabetic();
                    match pieces.last_mut() {
                        Some(piece) if fixed && is_quotable(c) => piece.push(c),
                        _ => pieces.push(String::new()),
                    }
                }
            }
            Part::Anything | Part::HexDigits(_) => pieces.push(String::new()),
        }
    }
    let last = pieces.len() - 1;
    let mut terms: Vec<String> = pieces
        .iter()
        .enumerate()
        .filter(|(_, piece)| !piece.is_empty())
        .map(|(at, piece)| quoted(at > 0, piece, at < last))
        .collect();
    if terms.is_empty() {
        terms.push(quoted(true, "", true));
    }
    terms
}

/// The one place where a text gets between quotes.
fn quoted(any_before: bool, text: &str, any_behind: bool) -> String {
    debug_assert!(text.chars().all(is_quotable), "{text:?}");
    let star = |there: bool| if there { "*" } else { "" };
    match (any_before, text, any_behind) {
        (_, "", _) => "\"*\"".to_owned(),
        _ => format!("\"{}{text}{}\"", star(any_before), star(any_behind)),
    }
}

/// Characters that mean themselves between quotes. How `"`, `\` and `*` would be escaped is not
/// documented; `%` begins a regular expression elsewhere.
fn is_quotable(c: char) -> bool {
    (c.is_ascii_graphic() || c == ' ') && !"\"\\*%".contains(c)
}
