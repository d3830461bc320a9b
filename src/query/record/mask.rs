//! Taking credentials out of a record: what is returned never holds a usable secret.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// What stands where a credential stood.
pub const MASK: &str = "MASKED_BY_IDENTITY_TRAIL";

/// From this length on a credential is also looked for in the rest of the record; a shorter value
/// is a placeholder, and could be a word of any other text.
const CREDENTIAL_LENGTH: usize = 16;

/// The record with its credentials replaced by [`MASK`], or none where it has no credential. All
/// else stays byte for byte.
///
/// A credential is what a member `sessionToken` or `secretAccessKey` (in any letter case) of
/// `response_elements` holds, at any depth: `responseElements.credentials` is where STS puts them,
/// other services nest them. Wherever the same text occurs in the record it is replaced as well.
///
/// A table may hold `responseElements` as text that is no JSON, cut off in the middle: with a
/// credential's name in it, all of the text is one.
///
/// `response_elements` must be a slice of `record`.
pub(super) fn mask(
    record: &str,
    response_elements: &RawValue,
) -> serde_json::Result<Option<String>> {
    let mut found = Vec::new();
    let mut json = serde_json::Deserializer::from_str(response_elements.get());
    Walk { found: &mut found }.deserialize(&mut json)?;
    let whole = response_elements.get();
    if whole.starts_with('"') && mentions_credential(whole) {
        found.push(whole);
    }
    if found.is_empty() {
        return Ok(None);
    }
    let mut spans = Vec::new();
    for value in found {
        let start = value.as_ptr().addr() - record.as_ptr().addr();
        spans.push((start..start + value.len(), true));
        let Ok(text) = serde_json::from_str::<String>(value) else {
            continue;
        };
        let written = &value[1..value.len() - 1];
        for copy in [written, text.as_str()] {
            if copy.len() >= CREDENTIAL_LENGTH {
                spans.extend(
                    record
                        .match_indices(copy)
                        .map(|(at, _)| (at..at + copy.len(), false)),
                );
            }
        }
    }
    Ok(Some(splice(record, spans)))
}

/// Replaces the spans, longest first where they overlap; a whole value gets its quotes back.
fn splice(record: &str, mut spans: Vec<(Range<usize>, bool)>) -> String {
    spans.sort_by_key(|(span, _)| (span.start, std::cmp::Reverse(span.end)));
    let mut masked = String::with_capacity(record.len());
    let mut done = 0;
    for (span, whole_value) in spans {
        if span.start < done {
            // Inside what was replaced, or overlapping it: what sticks out goes too.
            done = done.max(span.end);
            continue;
        }
        masked.push_str(&record[done..span.start]);
        if whole_value {
            masked.extend(["\"", MASK, "\""]);
        } else {
            masked.push_str(MASK);
        }
        done = span.end;
    }
    masked.push_str(&record[done..]);
    masked
}

fn is_credential_name(name: &str) -> bool {
    name.eq_ignore_ascii_case("sessionToken") || name.eq_ignore_ascii_case("secretAccessKey")
}

fn mentions_credential(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.contains("sessiontoken") || text.contains("secretaccesskey")
}

/// Whether a value can hold a secret: null and the empty string cannot.
fn holds_something(value: &str) -> bool {
    !matches!(value, "null" | "\"\"" | "true" | "false")
}

/// Walks a JSON value and collects the text of every credential in it.
struct Walk<'f, 'de> {
    found: &'f mut Vec<&'de str>,
}

impl<'de> DeserializeSeed<'de> for Walk<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(IsCredential(credential)) = map.next_key()? {
            if credential {
                let value: &RawValue = map.next_value()?;
                if holds_something(value.get()) {
                    self.found.push(value.get());
                }
            } else {
                map.next_value_seed(Walk { found: self.found })?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Walk { found: self.found })?.is_some() {}
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// A member's name, as far as it matters here.
struct IsCredential(bool);

impl<'de> Deserialize<'de> for IsCredential {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = IsCredential;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member's name")
            }

            fn visit_str<E>(self, name: &str) -> Result<IsCredential, E> {
                Ok(IsCredential(is_credential_name(name)))
            }
        }
        deserializer.deserialize_str(Name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(record: &str) -> Option<String> {
        #[derive(serde::Deserialize)]
        struct Members<'a> {
            #[serde(borrow, rename = "responseElements")]
            response_elements: &'a RawValue,
        }
        let members: Members<'_> = serde_json::from_str(record).unwrap();
        mask(record, members.response_elements).unwrap()
    }

    #[test]
    fn a_token_is_replaced_and_all_else_kept_byte_for_byte() {
        let record = r#"{ "a" : [1.50,"é"], "responseElements":{"credentials":{"accessKeyId":"ASIAEXAMPLE","sessionToken" : "IQoJb3JpZ2luX2VjEKn//x","expiration":"x"}} , "z":"" }"#;
        assert_eq!(
            masked(record).unwrap(),
            record.replace("IQoJb3JpZ2luX2VjEKn//x", MASK)
        );
    }

    #[test]
    fn the_same_text_elsewhere_goes_too_but_not_a_short_placeholder() {
        let record = r#"{"userAgent":"x IQoJb3JpZ2luX2VjEKn y","responseElements":{"SessionToken":"IQoJb3JpZ2luX2VjEKn"}}"#;
        assert!(!masked(record).unwrap().contains("IQoJ"));
        let record = r#"{"userAgent":"REDACTED","responseElements":{"credentials":{"sessionToken":"REDACTED"}}}"#;
        assert_eq!(
            masked(record).unwrap(),
            format!(
                r#"{{"userAgent":"REDACTED","responseElements":{{"credentials":{{"sessionToken":"{MASK}"}}}}}}"#
            )
        );
    }

    #[test]
    fn a_token_is_found_at_any_depth_however_it_is_escaped_and_whatever_its_type() {
        for response in [
            r#"{"credentialSet":[{"credentials":{"secretAccessKey":"wJalrXUtnFEMI\/K7MDENG"}}]}"#,
            r#"{"credentials":{"session\u0054oken":"wJalrXUtnFEMI\u002fK7MDENG"}}"#,
            r#"{"credentials":{"sessionToken":{"value":["wJalrXUtnFEMI/K7MDENG"]}}}"#,
        ] {
            let record = format!(
                r#"{{"errorMessage":"wJalrXUtnFEMI/K7MDENG-","responseElements":{response}}}"#
            );
            let masked = masked(&record).unwrap();
            assert!(
                serde_json::from_str::<serde_json::Value>(&masked).is_ok(),
                "{masked}"
            );
            let inside = &masked[masked.find("responseElements").unwrap()..];
            assert!(!inside.contains("wJal"), "{masked}");
        }
    }

    #[test]
    fn no_credential_no_change() {
        for response in [
            "null",
            r#"{"credentials":{"sessionToken":null,"secretAccessKey":""}}"#,
            r#"{"accessKey":{"accessKeyId":"AKIAEXAMPLE"}}"#,
        ] {
            assert_eq!(
                masked(&format!(r#"{{"responseElements":{response}}}"#)),
                None
            );
        }
    }
}
