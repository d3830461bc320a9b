//! What trails say of themselves, and whether what an archive or a log group declares agrees with it.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::Declared;
use crate::query::{AccountId, EventCategory, EventTime, Region};

/// A trail, as `DescribeTrails`, `GetTrailStatus` and `GetEventSelectors` show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailFacts {
    /// Its ARN.
    pub arn: String,
    /// The account that owns it.
    pub account: Option<AccountId>,
    /// Its home Region.
    pub home_region: Option<Region>,
    /// Whether it records every Region.
    pub is_multi_region: bool,
    /// Whether it records every account of the organization.
    pub is_organization_trail: bool,
    /// Whether it records at the moment.
    pub is_logging: bool,
    /// Where it delivers to: a bucket, or a log group's ARN, whichever it was asked about.
    pub delivers_to: Option<String>,
    /// When it last delivered there.
    pub latest_delivery: Option<EventTime>,
    /// What went wrong with the latest delivery there, in AWS's words.
    pub delivery_error: Option<String>,
    /// What it records: whatever any of these does.
    pub records: Vec<Selected>,
}

/// What one event selector lets a trail record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// Events of this category…
    pub category: EventCategory,
    /// …with this `readOnly`; `None` is both…
    pub read_only: Option<bool>,
    /// …but for these AWS services…
    pub excluded_event_sources: BTreeSet<String>,
    /// …and under these further conditions, in words. No declaration can say them.
    pub conditions: Vec<String>,
}

impl TrailFacts {
    /// Whether it records this account.
    #[must_use]
    pub fn records_account(&self, account: AccountId) -> bool {
        self.is_organization_trail || self.account == Some(account)
    }
}

/// Something that an archive or a log group declares and its trails do not record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// What.
    pub what: String,
    /// What to change in the declaration, or in the trail.
    pub fix: String,
}

/// Where more is declared of any of `accounts` than those of `trails` record that record the account:
/// the organization's, its own, or both together.
#[must_use]
pub fn disagreements(
    declared: &Declared,
    accounts: &BTreeSet<AccountId>,
    trails: &[TrailFacts],
) -> Vec<Disagreement> {
    let mut by_trails: BTreeMap<Vec<usize>, BTreeSet<AccountId>> = BTreeMap::new();
    for account in accounts {
        let numbered = trails.iter().enumerate();
        let of_account = numbered.filter(|(_, trail)| trail.records_account(*account));
        let numbers = of_account.map(|(number, _)| number).collect();
        by_trails.entry(numbers).or_default().insert(*account);
    }
    // The same is told once, of all accounts of which it holds.
    let mut found: Vec<(Disagreement, BTreeSet<AccountId>)> = Vec::new();
    for (numbers, of) in by_trails {
        let trails: Vec<&TrailFacts> = numbers.iter().map(|number| &trails[*number]).collect();
        for disagreement in of_same_trails(declared, &trails) {
            match found.iter_mut().find(|(told, _)| *told == disagreement) {
                Some((_, accounts)) => accounts.extend(&of),
                None => found.push((disagreement, of.clone())),
            }
        }
    }
    found
        .into_iter()
        .map(|(disagreement, of)| Disagreement {
            what: if of == *accounts {
                disagreement.what
            } else {
                let ids: Vec<String> = of.iter().map(ToString::to_string).collect();
                format!(
                    "{} ({} accounts: {})",
                    disagreement.what,
                    ids.len(),
                    few(&ids)
                )
            },
            ..disagreement
        })
        .collect()
}

/// Of accounts that all of `trails` record, and no other.
fn of_same_trails(declared: &Declared, trails: &[&TrailFacts]) -> Vec<Disagreement> {
    if trails.is_empty() {
        return vec![Disagreement {
            what: "holds.accounts declares accounts of which no trail was found that delivers \
                   here, neither an organization trail nor their own"
                .to_owned(),
            fix: "list under holds.accounts only accounts whose trails deliver here, or make the \
                  trail an organization trail"
                .to_owned(),
        }];
    }
    let mut found: Vec<Disagreement> = regions(declared, trails).into_iter().collect();
    // The same is told once, of all Regions in which it holds.
    let places = recorded_alike(declared, trails);
    let mut by_place: Vec<(Disagreement, Vec<&str>)> = Vec::new();
    for (place, trails) in &places {
        for category in &declared.categories {
            let selected = trails.iter().flat_map(|trail| &trail.records);
            let of_category: Vec<&Selected> = selected
                .filter(|selected| selected.category == *category)
                .collect();
            for disagreement in kinds(declared, *category, &of_category) {
                match by_place.iter_mut().find(|(told, _)| *told == disagreement) {
                    Some((_, told_in)) => told_in.push(place),
                    None => by_place.push((disagreement, vec![place])),
                }
            }
        }
    }
    let told = by_place.into_iter().map(|(told, told_in)| Disagreement {
        what: if told_in.len() == places.len() {
            told.what
        } else {
            format!("{} (in {})", told.what, told_in.join(", "))
        },
        ..told
    });
    found.extend(told);
    found
}

/// The Regions that are declared, by the trails that record them: each home of a trail of one Region,
/// and all the others, which only multi-Region trails record.
fn recorded_alike<'a>(
    declared: &Declared,
    trails: &[&'a TrailFacts],
) -> Vec<(String, Vec<&'a TrailFacts>)> {
    let of_one: BTreeSet<&Region> = (trails.iter())
        .filter(|trail| !trail.is_multi_region)
        .filter_map(|trail| trail.home_region.as_ref())
        .collect();
    let is_declared =
        |region: &Region| (declared.regions.as_ref()).is_none_or(|all| all.contains(region));
    let recording = |region: Option<&Region>| -> Vec<&TrailFacts> {
        let records = |trail: &&TrailFacts| {
            trail.is_multi_region || (region.is_some() && trail.home_region.as_ref() == region)
        };
        trails.iter().copied().filter(records).collect()
    };
    let mut places: Vec<(String, Vec<&TrailFacts>)> = (of_one.iter())
        .filter(|region| is_declared(region))
        .map(|region| (region.to_string(), recording(Some(region))))
        .collect();
    let has_others = (declared.regions.as_ref())
        .is_none_or(|all| all.iter().any(|region| !of_one.contains(region)));
    let others = recording(None);
    // Without a multi-Region trail it is told already that they are not recorded.
    if has_others && !others.is_empty() {
        let place = if of_one.is_empty() {
            "every Region"
        } else {
            "the other Regions"
        };
        places.push((place.to_owned(), others));
    }
    places
}

/// What of the recorded data events a declaration cannot say, in words: which resources they are of.
#[must_use]
pub fn limits(trails: &[TrailFacts]) -> Vec<String> {
    let mut limits = BTreeSet::new();
    for selected in trails.iter().flat_map(|trail| &trail.records) {
        if selected.category != EventCategory::Management && !selected.conditions.is_empty() {
            let category = selected.category.as_str();
            limits.insert(format!(
                "{category} events only where {}",
                selected.conditions.join(" and ")
            ));
        }
    }
    limits.into_iter().collect()
}

/// Regions that no trail records.
fn regions(declared: &Declared, trails: &[&TrailFacts]) -> Option<Disagreement> {
    if trails.iter().any(|trail| trail.is_multi_region) {
        return None;
    }
    let homes: BTreeSet<&Region> = (trails.iter())
        .filter_map(|it| it.home_region.as_ref())
        .collect();
    let within = |declared: &BTreeSet<Region>| declared.iter().all(|it| homes.contains(it));
    if declared.regions.as_ref().is_some_and(within) {
        return None;
    }
    let homes: Vec<String> = homes.iter().map(ToString::to_string).collect();
    let homes = homes.join(", ");
    Some(Disagreement {
        what: format!("holds.regions declares more Regions than are recorded: {homes} alone"),
        fix: format!("set holds.regions to [{homes}], or make the trail a multi-Region trail"),
    })
}

/// Reads and writes of one category, and the services that are left out of them.
fn kinds(
    declared: &Declared,
    category: EventCategory,
    selected: &[&Selected],
) -> Vec<Disagreement> {
    let name = category.as_str();
    if selected.is_empty() {
        return vec![Disagreement {
            what: format!("holds.categories declares {name} events, which are not recorded"),
            fix: format!(
                "take the {name} events out of holds.categories, or let the trail record them"
            ),
        }];
    }
    let mut found = Vec::new();
    for (asked, read_only, key) in [
        (declared.reads, true, "reads"),
        (declared.writes, false, "writes"),
    ] {
        if !asked {
            continue;
        }
        let kind = if read_only { "read-only" } else { "write" };
        let recorded: Vec<&&Selected> = (selected.iter())
            .filter(|it| it.read_only.is_none_or(|only| only == read_only))
            .collect();
        let Some(first) = recorded.first() else {
            found.push(Disagreement {
                what: format!("holds.{key} is true, yet no {kind} {name} events are recorded"),
                fix: format!("set holds.{key} to false, or let the trail record them"),
            });
            continue;
        };
        // Data events are always of some resources only: that is told beside.
        let whole: Vec<&&&Selected> = (recorded.iter())
            .filter(|it| category != EventCategory::Management || it.conditions.is_empty())
            .collect();
        if whole.is_empty() {
            found.push(Disagreement {
                what: format!(
                    "{kind} {name} events are recorded only where {}",
                    first.conditions.join(" and ")
                ),
                fix:
                    "no declaration can say that, so answers would call complete what is not: let \
                      the trail record them all"
                        .to_owned(),
            });
            continue;
        }
        let excluded = whole.iter().map(|it| &it.excluded_event_sources);
        let excluded = excluded.cloned().reduce(|a, b| &a & &b).unwrap_or_default();
        let undeclared: Vec<String> = excluded
            .difference(&declared.excluded_event_sources)
            .cloned()
            .collect();
        if !undeclared.is_empty() {
            let services = undeclared.join(", ");
            found.push(Disagreement {
                what: format!("{kind} {name} events of {services} are not recorded"),
                fix: format!("add {services} to holds.excluded_event_sources"),
            });
        }
    }
    found
}

fn few(names: &[String]) -> String {
    match names {
        [a, b, c, _, ..] => format!("{a}, {b}, {c}, …"),
        few => few.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(change: impl FnOnce(&mut Declared)) -> Declared {
        let mut archive = Declared {
            accounts: None,
            regions: None,
            first_time: EventTime::from_second(0).unwrap(),
            reads: true,
            writes: true,
            excluded_event_sources: BTreeSet::new(),
            categories: BTreeSet::from([EventCategory::Management]),
        };
        change(&mut archive);
        archive
    }

    fn selected(read_only: Option<bool>, excluded: &[&str], conditions: &[&str]) -> Selected {
        Selected {
            category: EventCategory::Management,
            read_only,
            excluded_event_sources: excluded.iter().map(|it| (*it).to_owned()).collect(),
            conditions: conditions.iter().map(|it| (*it).to_owned()).collect(),
        }
    }

    fn trail(records: Vec<Selected>) -> TrailFacts {
        TrailFacts {
            arn: "arn:aws:cloudtrail:eu-west-1:111122223333:trail/all".into(),
            account: Some("111122223333".parse().unwrap()),
            home_region: Some("eu-west-1".parse().unwrap()),
            is_multi_region: true,
            is_organization_trail: true,
            is_logging: true,
            delivers_to: None,
            latest_delivery: None,
            delivery_error: None,
            records,
        }
    }

    fn told(archive: &Declared, trail: TrailFacts) -> Vec<String> {
        let accounts = ["111122223333", "444455556666"].map(|id| id.parse().unwrap());
        let found = disagreements(archive, &accounts.into(), &[trail]);
        found.into_iter().map(|it| it.what).collect()
    }

    #[test]
    fn what_is_recorded_in_one_region_is_not_recorded_in_the_others() {
        let writes = trail(vec![selected(Some(false), &[], &[])]);
        let all_at_home = TrailFacts {
            is_multi_region: false,
            ..trail(vec![selected(None, &[], &[])])
        };
        let accounts = BTreeSet::from(["111122223333".parse().unwrap()]);
        let told = |declared: &Declared| -> Vec<String> {
            let trails = [writes.clone(), all_at_home.clone()];
            let found = disagreements(declared, &accounts, &trails);
            found.into_iter().map(|it| it.what).collect()
        };
        assert_eq!(
            told(&archive(|_| {})),
            [
                "holds.reads is true, yet no read-only Management events are recorded (in the other Regions)"
            ]
        );
        let home = |it: &mut Declared| it.regions = Some(["eu-west-1".parse().unwrap()].into());
        assert_eq!(told(&archive(home)), [""; 0]);
        let two = |it: &mut Declared| {
            it.regions = Some(
                ["eu-west-1", "us-east-1"]
                    .map(|it| it.parse().unwrap())
                    .into(),
            );
        };
        assert_eq!(told(&archive(two)).len(), 1);
    }

    #[test]
    fn a_trail_that_records_all_that_is_declared_agrees() {
        let all = || trail(vec![selected(None, &[], &[])]);
        assert!(told(&archive(|_| {}), all()).is_empty());
        let both = trail(vec![
            selected(Some(true), &["kms.amazonaws.com"], &[]),
            selected(Some(true), &["rdsdata.amazonaws.com"], &[]),
            selected(Some(false), &[], &[]),
        ]);
        assert!(
            told(&archive(|_| {}), both).is_empty(),
            "what one leaves out another records"
        );
        let kms = trail(vec![selected(None, &["kms.amazonaws.com"], &[])]);
        let declared = archive(|it| {
            it.excluded_event_sources.insert("kms.amazonaws.com".into());
        });
        assert!(told(&declared, kms).is_empty());
    }

    #[test]
    fn each_thing_that_is_not_recorded_is_told() {
        let writes = trail(vec![selected(Some(false), &[], &[])]);
        insta::assert_snapshot!(
            told(&archive(|_| {}), writes).join("\n"),
            @"holds.reads is true, yet no read-only Management events are recorded"
        );
        let kms = trail(vec![selected(None, &["kms.amazonaws.com"], &[])]);
        let no_reads = archive(|it| it.reads = false);
        insta::assert_snapshot!(
            told(&no_reads, kms).join("\n"),
            @"write Management events of kms.amazonaws.com are not recorded"
        );
        let some = trail(vec![selected(None, &[], &["eventName is CreateUser"])]);
        insta::assert_snapshot!(
            told(&no_reads, some).join("\n"),
            @"write Management events are recorded only where eventName is CreateUser"
        );
        let data = archive(|it| it.categories = BTreeSet::from([EventCategory::Data]));
        insta::assert_snapshot!(
            told(&data, trail(vec![selected(None, &[], &[])])).join("\n"),
            @"holds.categories declares Data events, which are not recorded"
        );
    }

    #[test]
    fn a_trail_of_one_account_and_region_is_not_the_organizations() {
        let mut own = trail(vec![selected(None, &[], &[])]);
        own.is_organization_trail = false;
        own.is_multi_region = false;
        insta::assert_snapshot!(told(&archive(|_| {}), own.clone()).join("\n"), @"
        holds.accounts declares accounts of which no trail was found that delivers here, neither an organization trail nor their own (1 accounts: 444455556666)
        holds.regions declares more Regions than are recorded: eu-west-1 alone (1 accounts: 111122223333)
        ");
        let one = archive(|it| it.regions = Some(BTreeSet::from(["eu-west-1".parse().unwrap()])));
        let accounts = BTreeSet::from(["111122223333".parse().unwrap()]);
        assert!(disagreements(&one, &accounts, &[own]).is_empty());
    }

    #[test]
    fn trails_of_several_accounts_are_judged_by_what_each_account_has() {
        let own = |account: &str, records| TrailFacts {
            account: Some(account.parse().unwrap()),
            is_organization_trail: false,
            ..trail(records)
        };
        let accounts =
            ["111122223333", "444455556666", "777788889999"].map(|it| it.parse().unwrap());
        let judge = |trails: &[TrailFacts]| -> Vec<String> {
            let found = disagreements(&archive(|_| {}), &accounts.into(), trails);
            found.into_iter().map(|it| it.what).collect()
        };
        let all = || vec![selected(None, &[], &[])];
        let each = accounts.map(|account| own(&account.to_string(), all()));
        assert!(
            judge(&each).is_empty(),
            "each account's own trail is enough"
        );

        let writes = || vec![selected(Some(false), &[], &[])];
        let some = [
            own("111122223333", all()),
            own("444455556666", writes()),
            own("777788889999", writes()),
        ];
        insta::assert_snapshot!(
            judge(&some).join("\n"),
            @"holds.reads is true, yet no read-only Management events are recorded (2 accounts: 444455556666, 777788889999)"
        );
        // What an account's own trail leaves out, the organization's may record.
        let mut together = some.to_vec();
        together.push(trail(vec![selected(Some(true), &[], &[])]));
        assert!(judge(&together).is_empty(), "{:?}", judge(&together));
    }
}
