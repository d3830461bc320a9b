//! Times as people write them.

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};

/// A point in time from the command line: a length of time before another, or an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// `30d`, `12h`, `1w2d`: that long before the end.
    Before(SignedDuration),
    /// An RFC 3339 instant.
    At(Timestamp),
}

/// Reads `30d`, `90m` or `2026-11-01T00:00:00Z`; a day has 24 hours.
pub fn parse(text: &str) -> Result<When, String> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(When::At(instant));
    }
    duration(text).map(When::Before).map_err(|_| {
        format!(
            "'{text}' is neither a length of time such as 30d, 12h or 90m nor an RFC 3339 time such as 2026-11-01T00:00:00Z"
        )
    })
}

/// Reads a positive length of time.
pub fn duration(text: &str) -> Result<SignedDuration, String> {
    let wrong = || format!("'{text}' is not a length of time such as 30d, 12h or 90m");
    let span: Span = text.parse().map_err(|_| wrong())?;
    let duration = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| wrong())?;
    if duration > SignedDuration::ZERO {
        Ok(duration)
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_instants_are_told_apart() {
        assert_eq!(
            parse("30d"),
            Ok(When::Before(SignedDuration::from_hours(720)))
        );
        assert_eq!(
            parse("1w"),
            Ok(When::Before(SignedDuration::from_hours(168)))
        );
        assert!(matches!(parse("2026-11-01T00:00:00Z"), Ok(When::At(_))));
        for wrong in ["", "yesterday", "-3d", "0h", "3 fortnights", "2026-11-01"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
