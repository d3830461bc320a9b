//! The fields that Logs Insights discovers in a JSON event.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::sandbox::logs::group::LogEvent;

/// Insights discovers no more of one event: what comes later in the record is missing.
const MAX_FIELDS: usize = 200;

/// A value that a query can compare.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::sandbox::logs) enum Scalar {
    /// A string.
    Text(String),
    /// A number.
    Number(f64),
    /// `true`, `false` or `null`: there, but equal to no literal, since how they compare is
    /// undocumented.
    Other,
}

/// The fields of one event, discovered when one is first asked for.
pub(in crate::sandbox::logs) struct Fields<'a> {
    event: &'a LogEvent,
    discovered: OnceCell<HashMap<String, Scalar>>,
}

impl<'a> Fields<'a> {
    pub fn of(event: &'a LogEvent) -> Self {
        Self {
            event,
            discovered: OnceCell::new(),
        }
    }

    /// The value of a field: one that Insights makes (`@…`), or a path such as
    /// `userIdentity.userName` or `resources.0.ARN`. None for objects and arrays.
    #[allow(clippy::cast_precision_loss)] // Milliseconds of this age are exact in a double.
    pub fn get(&self, field: &str) -> Option<Scalar> {
        match field {
            "@message" | "@logStream" => {
                self.text(field).map(|text| Scalar::Text(text.into_owned()))
            }
            "@timestamp" => Some(Scalar::Number(self.event.timestamp as f64)),
            "@ingestionTime" => Some(Scalar::Number(self.event.ingestion_time as f64)),
            _ => self.discovered().get(field).cloned(),
        }
    }

    /// The field's text, if it is one.
    pub fn text(&self, field: &str) -> Option<Cow<'_, str>> {
        match field {
            "@message" => Some(self.event.record.json().into()),
            "@logStream" => Some((*self.event.stream).into()),
            _ => match self.discovered().get(field)? {
                Scalar::Text(text) => Some(text.into()),
                Scalar::Number(_) | Scalar::Other => None,
            },
        }
    }

    fn discovered(&self) -> &HashMap<String, Scalar> {
        self.discovered
            .get_or_init(|| discover(self.event.record.json()))
    }
}

/// The first fields of a record, in the order in which they are written.
pub(super) fn discover(json: &str) -> HashMap<String, Scalar> {
    let mut found = HashMap::new();
    let seed = Discovery {
        path: String::new(),
        found: &mut found,
    };
    seed.deserialize(&mut serde_json::Deserializer::from_str(json))
        .expect("records are JSON");
    found
}

struct Discovery<'a> {
    path: String,
    found: &'a mut HashMap<String, Scalar>,
}

impl Discovery<'_> {
    fn add(self, value: Scalar) {
        if self.found.len() < MAX_FIELDS {
            self.found.insert(self.path, value);
        }
    }

    fn below(&mut self, name: &str) -> Discovery<'_> {
        let path = if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        };
        Discovery {
            path,
            found: self.found,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Discovery<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Discovery<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.add(Scalar::Text(value.to_owned()));
        Ok(())
    }

    #[allow(clippy::cast_precision_loss)] // So do Insights' numbers.
    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.add(Scalar::Number(value as f64));
        Ok(())
    }

    #[allow(clippy::cast_precision_loss)]
    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.add(Scalar::Number(value as f64));
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.add(Scalar::Number(value));
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.add(Scalar::Other);
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.add(Scalar::Other);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            map.next_value_seed(self.below(&name))?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        let mut index = 0;
        while elements
            .next_element_seed(self.below(&index.to_string()))?
            .is_some()
        {
            index += 1;
        }
        Ok(())
    }
}
