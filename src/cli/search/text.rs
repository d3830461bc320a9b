//! An attacker's text on an investigator's screen: user agents, session names and error messages
//! are whatever the caller of an AWS API wrote.

use std::borrow::Cow;
use std::fmt::Write as _;

/// `text` with everything that steers a terminal, or hides what is written, spelled out.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(steers) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if steers(c) {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// `text` as a spreadsheet shows it and never runs it: printable, and quoted where it would begin
/// a formula.
#[must_use]
pub fn spreadsheet_safe(text: &str) -> Cow<'_, str> {
    let text = printable(text);
    // A formula begins with one of these; some programs skip blanks before it.
    if text.trim_start().starts_with([
        '=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
    ]) {
        return Cow::Owned(format!("'{text}"));
    }
    text
}

/// Control characters, and the marks that reorder or hide text.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_reordering_are_spelled_out() {
        assert_eq!(printable("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(printable("txt\u{202e}gpj"), "txt\\u{202e}gpj");
        assert_eq!(printable("line\nbreak"), "line\\u{a}break");
        assert!(matches!(printable("plain ümläut"), Cow::Borrowed(_)));
    }

    #[test]
    fn no_cell_is_a_formula() {
        for formula in ["=HYPERLINK(\"x\")", "+1", "-1", "@sum", " =1", "\u{ff1d}1"] {
            assert!(spreadsheet_safe(formula).starts_with('\''), "{formula}");
        }
        assert_eq!(spreadsheet_safe("\t=1"), "\\u{9}=1");
        assert_eq!(spreadsheet_safe("10.0.0.1"), "10.0.0.1");
    }
}
