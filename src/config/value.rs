//! How single values are read: parsed and checked where they stand, so that the parser itself
//! names their line.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;
use serde::Deserialize;
use serde::de::{Deserializer, Error};

/// A value with a textual form of its own, such as an account id (written with or without quotes).
pub fn text<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    let text = String::deserialize(deserializer)?;
    parse(&text).map_err(D::Error::custom)
}

/// The same, where the key may be missing.
pub fn optional_text<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    Option::<String>::deserialize(deserializer)?
        .map(|text| parse(&text).map_err(D::Error::custom))
        .transpose()
}

/// A list of such values, not empty, each once.
pub fn texts<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display> + PartialEq,
{
    let texts = Vec::<String>::deserialize(deserializer)?;
    let values = parse_all(&texts).map_err(D::Error::custom)?;
    if values.is_empty() {
        return Err(D::Error::custom("the list is empty: name at least one"));
    }
    Ok(values)
}

/// The same, where the key may be missing.
pub fn optional_texts<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display> + PartialEq,
{
    texts(deserializer).map(Some)
}

/// `all`, or a list of such values.
pub fn all_or_texts<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display> + PartialEq,
{
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected the word `all` or a list")]
    enum AllOr {
        Word(String),
        List(Vec<String>),
    }
    match AllOr::deserialize(deserializer)? {
        AllOr::Word(word) if word == "all" => Ok(None),
        AllOr::Word(word) => Err(D::Error::custom(format!(
            "`{word}` is neither the word `all` nor a list"
        ))),
        AllOr::List(texts) if texts.is_empty() => Err(D::Error::custom(
            "the list is empty: write `all` or name at least one",
        )),
        AllOr::List(texts) => parse_all(&texts).map(Some).map_err(D::Error::custom),
    }
}

/// A length of time with its unit, such as `30s`, `5m`, `24h`, within `allowed`.
pub fn duration<'de, D: Deserializer<'de>>(
    deserializer: D,
    allowed: RangeInclusive<Duration>,
) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let refuse = |why: String| {
        let (least, most) = (human(*allowed.start()), human(*allowed.end()));
        D::Error::custom(format!(
            "`{text}` {why}: allowed is {least} to {most}, written with a unit such as 30s, 5m or 24h"
        ))
    };
    let parsed: SignedDuration = text
        .parse()
        .map_err(|_| refuse("is not a length of time".into()))?;
    match Duration::try_from(parsed) {
        Ok(duration) if allowed.contains(&duration) => Ok(duration),
        _ => Err(refuse("is out of range".into())),
    }
}

/// A whole number within `allowed`.
pub fn count<'de, D: Deserializer<'de>>(
    deserializer: D,
    allowed: RangeInclusive<u64>,
) -> Result<u64, D::Error> {
    let number = u64::deserialize(deserializer)?;
    if allowed.contains(&number) {
        Ok(number)
    } else {
        let (least, most) = (allowed.start(), allowed.end());
        Err(D::Error::custom(format!(
            "{number} is out of range: allowed is {least} to {most}"
        )))
    }
}

/// Text of `allowed` characters, for what AWS takes as a name.
pub fn name<'de, D: Deserializer<'de>>(
    deserializer: D,
    length: RangeInclusive<usize>,
    punctuation: &str,
) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let characters = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || punctuation.contains(c));
    if length.contains(&text.len()) && characters {
        Ok(text)
    } else {
        let (least, most) = (length.start(), length.end());
        Err(D::Error::custom(format!(
            "`{text}` is not allowed here: {least} to {most} letters, digits and any of {punctuation}"
        )))
    }
}

/// Parses one value; the error repeats it, since the reader sees only a line number.
pub fn parse<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|why| format!("`{text}`: {why}"))
}

/// Parses a list, each value once.
pub fn parse_all<T: FromStr<Err: Display> + PartialEq>(texts: &[String]) -> Result<Vec<T>, String> {
    let mut values = Vec::with_capacity(texts.len());
    for text in texts {
        let value = parse(text)?;
        if values.contains(&value) {
            return Err(format!("`{text}` is listed twice"));
        }
        values.push(value);
    }
    Ok(values)
}

fn human(duration: Duration) -> String {
    match SignedDuration::try_from(duration) {
        Ok(signed) => format!("{signed:#}"),
        Err(_) => format!("{duration:?}"),
    }
}
