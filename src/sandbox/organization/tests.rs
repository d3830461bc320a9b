use std::collections::HashSet;

use serde_json::Value;

use super::*;

/// The demo's organization with fewer ordinary events.
fn small(seed: u64) -> Organization {
    generate(&OrganizationSpec {
        seed,
        days: 100,
        events_per_day: 20,
        ..OrganizationSpec::new("2026-11-01T12:00:00Z".parse().unwrap())
    })
}

fn values(organization: &Organization) -> Vec<Value> {
    let records = organization.files.iter().flat_map(|file| &file.records);
    records.map(|record| record.value()).collect()
}

#[test]
fn a_seed_is_an_organization() {
    let (one, same, other) = (small(1), small(1), small(2));
    assert_eq!(one.story, same.story);
    assert_eq!(values(&one), values(&same));
    let keys = |organization: &Organization| -> Vec<String> {
        let files = organization.files.iter();
        files.map(|file| file.key.clone()).collect()
    };
    assert_eq!(keys(&one), keys(&same));
    assert_ne!(keys(&one), keys(&other));
    assert_ne!(values(&one), values(&other));
}

#[test]
fn the_leaked_key_is_used_on_both_sides_of_the_horizon() {
    let organization = small(1);
    let key = &organization.story.leaked_access_key_id;
    let horizon = "2026-08-03T12:00:00Z";
    let times: HashSet<String> = values(&organization)
        .iter()
        .filter(|record| record["userIdentity"]["accessKeyId"] == **key)
        .map(|record| record["eventTime"].as_str().unwrap().to_owned())
        .collect();
    assert!(times.iter().any(|time| time.as_str() < horizon));
    assert!(times.iter().any(|time| time.as_str() >= horizon));
}
