//! Queries of Logs Insights, printed from [`Need`]s.
//!
//! They look at the text of the record, `@message`, never at its members: Insights discovers at most
//! 200 of a record's members, so that one of a large record may be missing, and a missing member
//! fulfils nothing. Each test is a regular expression that finds a member wherever it stands.

use super::need::Need;
use crate::query::pattern::{Part, TextPattern};
use crate::query::{Case, SearchOrder};

/// The longest query that AWS takes, in characters.
const LONGEST: usize = 10_000;

/// The query that finds every record that fulfils all of `needs`, the narrowest first, as far as
/// there is room for them: at most `rows`, in this order.
pub(super) fn query(needs: &[Need], order: SearchOrder, rows: u32) -> String {
    let direction = match order {
        SearchOrder::NewestFirst => "desc",
        SearchOrder::OldestFirst => "asc",
    };
    let write = |tests: &[String]| {
        let filter = match tests {
            [] => String::new(),
            tests => format!("| filter {}\n", joined(tests, "and")),
        };
        format!(
            "fields @timestamp, @message, @logStream\n{filter}| sort @timestamp {direction}\n| \
             limit {rows}"
        )
    };
    let mut tests = Vec::new();
    for test in needs.iter().filter_map(print) {
        tests.push(test);
        if write(&tests).chars().count() > LONGEST {
            tests.pop();
        }
    }
    write(&tests)
}

/// Whether a query narrows by the need.
pub(super) fn says(query: &str, need: &Need) -> bool {
    print(need).is_some_and(|test| query.contains(&test))
}

fn joined(texts: &[String], word: &str) -> String {
    match texts {
        [one] => one.clone(),
        many => format!("({})", many.join(&format!(" {word} "))),
    }
}

/// The need as a test; none where the language cannot say it.
fn print(need: &Need) -> Option<String> {
    let like = |regex: &str| format!("@message like /{regex}/");
    match need {
        Need::All(needs) => {
            let texts: Vec<String> = needs.iter().filter_map(print).collect();
            (!texts.is_empty()).then(|| joined(&texts, "and"))
        }
        Need::Any(needs) => {
            let texts: Option<Vec<String>> = needs
                .chunk_by(same_member)
                .map(|alike| match alike {
                    [one] => print(one),
                    _ => among(alike).map(|regex| like(&regex)),
                })
                .collect();
            Some(joined(&texts?, "or"))
        }
        Need::Text(path, pattern) => {
            Some(like(&format!("{}{}", start(path, pattern), value(pattern))))
        }
        Need::Flag(path, value) => Some(like(&format!("(?i){}\"?{value}", member(path)))),
        Need::Missing(path) => Some(format!(
            "({} or {})",
            format_args!("@message not like /{}/", member(path)),
            like(&format!("{}null", member(path)))
        )),
        Need::Mentions(pieces) if pieces.is_empty() => None,
        Need::Mentions(pieces) => {
            let pieces: Vec<String> = pieces.iter().map(|piece| escaped(piece)).collect();
            Some(like(&pieces.join(".*")))
        }
    }
}

/// A member of this name, up to its value.
fn member(path: &str) -> String {
    let name = path.rsplit('.').next().unwrap_or(path);
    format!("\"{name}\"\\s*:\\s*")
}

/// Whether both are about the value of the same member, read alike: then one expression tests both.
fn same_member(one: &Need, other: &Need) -> bool {
    match (one, other) {
        (Need::Text(path, pattern), Need::Text(other_path, other)) => {
            path == other_path && pattern.case == other.case
        }
        _ => false,
    }
}

/// Any of the values of the same member.
fn among(needs: &[Need]) -> Option<String> {
    let mut values = Vec::new();
    let mut before = None;
    for need in needs {
        let Need::Text(path, pattern) = need else {
            return None;
        };
        before = Some(start(path, pattern));
        values.push(value(pattern));
    }
    Some(format!("{}(?:{})", before?, values.join("|")))
}

fn start(path: &str, pattern: &TextPattern) -> String {
    let case = match pattern.case {
        Case::Kept => "",
        Case::Ignored => "(?i)",
    };
    format!("{case}{}", member(path))
}

/// A member's value that fits, in its quotes.
fn value(pattern: &TextPattern) -> String {
    let mut value = String::from("\"");
    for part in &pattern.parts {
        match part {
            Part::Text(text) => value.push_str(&escaped(text)),
            Part::Anything => value.push_str("[^\"]*"),
            Part::HexDigits(digits) => {
                value.push_str("[0-9A-Fa-f]{");
                value.push_str(&digits.to_string());
                value.push('}');
            }
        }
    }
    value.push('"');
    value
}

/// The one place where a text gets into a regular expression. Writers of JSON differ in whether they
/// escape a slash; of other characters that some escape, any text will do.
fn escaped(text: &str) -> String {
    let mut regex = String::new();
    for c in text.chars() {
        match c {
            '/' => regex.push_str("\\\\?\\/"),
            _ if c.is_ascii_alphanumeric() || c == '_' || c == ' ' => regex.push(c),
            _ if "-.:@+,=*()!".contains(c) => {
                regex.push('\\');
                regex.push(c);
            }
            _ => regex.push_str(".*"),
        }
    }
    regex
}
