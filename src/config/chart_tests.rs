//! The chart's schema of `config` has exactly the keys that the program has.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;

const SCHEMA: &str = include_str!("../../helm/identity-trail/values.schema.json");
/// Keys that the chart sets itself.
const OF_THE_CHART: [&[&str]; 2] = [&["listen"], &["telemetry", "admin_listen"]];
/// What can be written in several ways: the program then does not say which keys it knows.
const IN_SEVERAL_WAYS: [&str; 1] = ["regions"];

/// The keys at some place, and the way there: a key, or `None` for a list's entry.
type Place<'a> = (Vec<Option<&'a str>>, BTreeSet<&'a str>);

/// Every place below `node` whose keys the schema lists.
fn places<'a>(schema: &'a Value, node: &'a Value, way: &[Option<&'a str>]) -> Vec<Place<'a>> {
    let node = match node["$ref"].as_str() {
        Some(reference) => schema.pointer(&reference[1..]).unwrap(),
        None => node,
    };
    let with = |step| [way, &[step]].concat();
    let mut found = Vec::new();
    if let Some(properties) = node["properties"].as_object() {
        assert_eq!(node["additionalProperties"], json!(false), "{way:?}");
        let keys = properties.keys().map(String::as_str);
        found.push((way.to_vec(), keys.clone().collect()));
        for key in keys {
            found.extend(places(schema, &properties[key], &with(Some(key))));
        }
    }
    if node["items"].is_object() {
        found.extend(places(schema, &node["items"], &with(None)));
    }
    found
}

/// The keys that the program says it knows there.
fn known(way: &[Option<&str>]) -> BTreeSet<&'static str> {
    let document = (way.iter().rev()).fold(json!({"no such key": 1}), |inner, step| match step {
        Some(key) => json!({ *key: inner }),
        None => json!([inner]),
    });
    match Config::parse(&document.to_string(), "test").unwrap_err() {
        ConfigError::Malformed { source, .. } => match source.without_snippet() {
            serde_saphyr::Error::SerdeUnknownField { expected, .. } => {
                expected.iter().copied().collect()
            }
            other => panic!("{way:?}: {other}"),
        },
        other => panic!("{way:?}: {other}"),
    }
}

#[test]
fn the_chart_knows_the_keys_of_the_configuration() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let places = places(&schema, &schema["properties"]["config"], &[]);
    assert!(places.len() > 15, "{places:?}");
    for (way, keys) in places {
        if way == IN_SEVERAL_WAYS.map(Some) {
            continue;
        }
        let mut known = known(&way);
        known.retain(|key| {
            let key = [&way[..], &[Some(key)]].concat();
            !(OF_THE_CHART.iter()).any(|own| own.iter().copied().map(Some).eq(key.iter().copied()))
        });
        assert_eq!(
            keys, known,
            "keys of {way:?}: left in helm/identity-trail/values.schema.json, right in the program"
        );
    }
}
