//! Reading members whose type real logs do not keep to.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{
    Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
    value::MapAccessDeserializer,
};

/// A text: a string as it is, a number or boolean as written. Absent for null, and for an object
/// or array, which no text member has.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Text(pub(super) Option<String>);

impl Text {
    /// The text, unless it is empty.
    pub(super) fn non_empty(self) -> Option<String> {
        self.0.filter(|text| !text.is_empty())
    }
}

/// A boolean, also where it is written as a string. Absent for whatever else.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Flag(pub(super) Option<bool>);

/// An object. Absent for whatever else (`null`, `""`), and for an object without a member that
/// says anything: a table's row cannot tell an empty struct from none.
#[derive(Debug, PartialEq)]
pub(super) struct Object<T>(pub(super) Option<T>);

impl<T> Default for Object<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Object<T> {
    /// The object in the domain's type.
    pub(super) fn into_domain<D: From<T> + Default + PartialEq>(self) -> Option<D> {
        let value = D::from(self.0?);
        (value != D::default()).then_some(value)
    }
}

/// A list's objects. Empty for whatever is no list; what is no object in it is passed over.
#[derive(Debug, PartialEq)]
pub(super) struct List<T>(pub(super) Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// An object's texts by name.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Texts(pub(super) BTreeMap<String, String>);

impl From<Texts> for BTreeMap<String, String> {
    fn from(texts: Texts) -> Self {
        texts.0
    }
}

macro_rules! as_written {
    ($($method:ident: $type:ty),*) => {
        $(fn $method<E>(self, value: $type) -> Result<Text, E> {
            Ok(Text(Some(value.to_string())))
        })*
    };
}

macro_rules! absent {
    ($($method:ident: $type:ty),*) => {
        $(fn $method<E>(self, _: $type) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        })*
    };
}

macro_rules! no_map {
    () => {
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(Self::Value::default())
        }
    };
}

macro_rules! no_seq {
    () => {
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok(Self::Value::default())
        }
    };
}

macro_rules! expecting {
    ($text:literal) => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str($text)
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
    };
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text;
    expecting!("a text");
    as_written!(visit_str: &str, visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64);
    no_map!();
    no_seq!();

    fn visit_string<E>(self, value: String) -> Result<Text, E> {
        Ok(Text(Some(value)))
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct FlagVisitor;

impl<'de> Visitor<'de> for FlagVisitor {
    type Value = Flag;
    expecting!("a boolean");
    absent!(visit_i64: i64, visit_u64: u64, visit_f64: f64);
    no_map!();
    no_seq!();

    fn visit_bool<E>(self, value: bool) -> Result<Flag, E> {
        Ok(Flag(Some(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Flag, E> {
        Ok(Flag(if value.eq_ignore_ascii_case("true") {
            Some(true)
        } else if value.eq_ignore_ascii_case("false") {
            Some(false)
        } else {
            None
        }))
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FlagVisitor)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;
    expecting!("an object");
    absent!(visit_str: &str, visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64);
    no_seq!();

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|value| Object(Some(value)))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = List<T>;
    expecting!("a list");
    absent!(visit_str: &str, visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64);
    no_map!();

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(Object(item)) = seq.next_element()? {
            list.extend(item);
        }
        Ok(List(list))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}

struct TextsVisitor;

impl<'de> Visitor<'de> for TextsVisitor {
    type Value = Texts;
    expecting!("an object of texts");
    absent!(visit_str: &str, visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64);
    no_seq!();

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts, A::Error> {
        let mut texts = BTreeMap::new();
        while let Some((name, Text(value))) = map.next_entry::<String, Text>()? {
            if let Some(value) = value {
                texts.insert(name, value);
            }
        }
        Ok(Texts(texts))
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Inner {
        #[serde(default)]
        a: Text,
    }

    #[test]
    fn whatever_a_member_is_it_is_read_or_absent_never_an_error() {
        let odd = [
            "null",
            "true",
            "1",
            "-1",
            "1.5",
            r#""x""#,
            "[1,[2]]",
            r#"{"b":{"c":[]}}"#,
        ];
        let texts = [
            None,
            Some("true"),
            Some("1"),
            Some("-1"),
            Some("1.5"),
            Some("x"),
            None,
            None,
        ];
        for (json, text) in odd.into_iter().zip(texts) {
            assert_eq!(
                serde_json::from_str::<Text>(json).unwrap().0.as_deref(),
                text,
                "{json}"
            );
            assert!(serde_json::from_str::<Flag>(json).is_ok(), "{json}");
            assert!(
                serde_json::from_str::<Object<Inner>>(json).is_ok(),
                "{json}"
            );
            assert!(serde_json::from_str::<List<Inner>>(json).is_ok(), "{json}");
            assert!(serde_json::from_str::<Texts>(json).is_ok(), "{json}");
        }
    }

    #[test]
    fn a_boolean_may_be_written_as_a_string() {
        for (json, flag) in [
            ("true", Some(true)),
            (r#""false""#, Some(false)),
            (r#""True""#, Some(true)),
            (r#""""#, None),
        ] {
            assert_eq!(
                serde_json::from_str::<Flag>(json).unwrap().0,
                flag,
                "{json}"
            );
        }
    }

    #[test]
    fn what_is_no_object_in_a_list_is_passed_over() {
        let list: List<Inner> = serde_json::from_str(r#"["x", {"a": 7}, null, {}]"#).unwrap();
        assert_eq!(
            list.0,
            [
                Inner {
                    a: Text(Some("7".into()))
                },
                Inner { a: Text(None) }
            ]
        );
    }
}
