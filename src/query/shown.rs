//! A caller's text in words to others.

/// The beginning of a caller's text, quoted and without characters that do anything but show.
#[must_use]
pub fn shown(value: &str) -> String {
    const MAX_CHARS: usize = 40;
    let mut chars = value.chars();
    let head: String = chars.by_ref().take(MAX_CHARS).collect();
    let rest = if chars.next().is_some() { "…" } else { "" };
    format!("{head:?}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_short_and_stays_in_its_line() {
        assert_eq!(shown("al'ice"), "\"al'ice\"");
        assert_eq!(
            shown("a\n\u{1b}\u{202e}\u{200b}\u{feff}\"")
                .matches('\\')
                .count(),
            6
        );
        assert_eq!(shown(&"x".repeat(41)).chars().count(), 43);
    }
}
