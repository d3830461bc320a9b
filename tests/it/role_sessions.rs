//! Roles in event history: reading them by their sessions against reading everything, by what they
//! bring and by the requests that the sandbox counted.

use std::collections::BTreeSet;

use identity_trail::query::{BackendKind, Identity, SearchOrder};
use identity_trail::sandbox::log_file::LogFile;
use identity_trail::sandbox::{Data, OrganizationSpec};
use serde_json::json;

use crate::held::{Held, asked, world};
use crate::sandbox::corpus;
use crate::traffic::{DAY, HOUR, REGIONS, Traffic, many_sessions, now, of_every_origin, role};
use crate::world::{Setup, World, question, range};

/// Every role in the records, by name and by ARN.
fn roles(files: &[LogFile]) -> BTreeSet<Identity> {
    let mut roles = BTreeSet::new();
    for record in files.iter().flat_map(|file| &file.records) {
        let record = record.value();
        let issuer = &record["userIdentity"]["sessionContext"]["sessionIssuer"];
        if issuer["type"] != "Role" {
            continue;
        }
        let name = issuer["userName"]
            .as_str()
            .and_then(|name| name.parse().ok());
        roles.extend(name.map(Identity::RoleName));
        let set = issuer["userName"].as_str().and_then(permission_set);
        roles.extend(
            set.and_then(|set| set.parse().ok())
                .map(Identity::PermissionSet),
        );
        let arn = issuer["arn"].as_str().and_then(|arn| arn.parse().ok());
        roles.extend(arn.map(Identity::Arn));
    }
    roles
}

/// The permission set in the name of an Identity Center role.
fn permission_set(role: &str) -> Option<&str> {
    let (set, _hash) = role.strip_prefix("AWSReservedSSO_")?.rsplit_once('_')?;
    Some(set)
}

/// Holds every role of `data`, in these hours before `now`.
async fn hold_all(
    what: &str,
    data: Data,
    now: &str,
    hours: i64,
    most: usize,
) -> (usize, usize, u64, u64) {
    let mut sandbox = identity_trail::sandbox::SandboxConfig::new(data);
    sandbox.now = Some(now.parse().unwrap());
    sandbox.lookup_rate = None;
    let setup = Setup {
        stall_timeout: "5m",
        ..Setup::default()
    };
    let world = World::start(sandbox, &setup).await;
    let end: jiff::Timestamp = now.parse().unwrap();
    let start = end - jiff::SignedDuration::from_hours(hours);
    let asked = range(&start.to_string(), &end.to_string());
    let roles = roles(world.sandbox.files());
    let step = roles.len().div_ceil(most).max(1);
    let (mut held, mut inferred, mut chosen, mut exact) = (0, 0, 0, 0);
    for role in roles.iter().step_by(step) {
        let answers = Held::ask(&world, role, asked).await;
        answers.check(&format!("{what}, {role}"));
        held += 1;
        inferred += usize::from(answers.inferred());
        chosen += answers.chosen_requests;
        exact += answers.exact_requests;
    }
    println!("{what}: {held} roles, {inferred} inferred, {chosen} requests, read whole {exact}");
    (held, inferred, chosen, exact)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn organizations_are_read_the_same_by_sessions_and_whole() {
    for (seed, days, events_per_day) in [(3, 20, 60), (4, 8, 800)] {
        let organization = OrganizationSpec {
            seed,
            now: "2026-06-01T12:00:00Z".parse().unwrap(),
            days,
            accounts: 4,
            events_per_day,
        };
        // What issued the sessions of the first twelve hours lies before all records.
        let hours = 24 * i64::from(days) - 13;
        let what = format!("{events_per_day} events a day");
        let data = Data::Organization(organization);
        let (_, inferred, chosen, exact) =
            hold_all(&what, data, "2026-06-01T12:00:00Z", hours, 6).await;
        assert!(chosen <= 2 * exact, "{what}");
        // In a quiet one it is not worth while.
        assert!(inferred > 0 || events_per_day < 100, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_records_are_read_the_same_by_sessions_and_whole() {
    for (set, now) in [
        ("invictus", "2023-08-01T00:00:00Z"),
        ("stratus", "2024-08-01T00:00:00Z"),
        ("otrf-s3-breach", "2020-10-01T00:00:00Z"),
    ] {
        let Some(logs) = corpus(set) else { return };
        hold_all(set, Data::Logs(vec![logs]), now, 60 * 24, 20).await;
    }
}

/// By name and by ARN.
fn both(role: &str) -> [Identity; 2] {
    let name = role.rsplit('/').next().unwrap();
    [
        Identity::RoleName(name.parse().unwrap()),
        Identity::Arn(role.parse().unwrap()),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_of_every_origin_are_found_wherever_they_act() {
    let (traffic, [deploy, other]) = of_every_origin();
    let world = world(&traffic).await;
    let any = Identity::RoleName("dep*".parse().unwrap());
    for identity in both(&deploy).iter().chain(&both(&other)).chain([&any]) {
        let held = Held::ask(&world, identity, asked()).await;
        held.check(&identity.to_string());
        assert!(held.exact.events().count() > 20, "{identity}");
        assert!(held.inferred(), "{identity}: {:?}", held.notes());
        assert!(held.chosen_requests < held.exact_requests, "{identity}");
        println!(
            "{identity}: {} requests, read whole {}",
            held.chosen_requests, held.exact_requests
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_sessions_are_read_the_cheaper_way() {
    for (every, sessions) in [(240, 1000), (2400, 1000), (480, 15), (240, 1)] {
        let traffic = many_sessions(every, sessions);
        let deploy = role("/deploy");
        let world = world(&traffic).await;
        let by_sessions = traffic.by_sessions(&deploy);
        for identity in both(&deploy) {
            let held = Held::ask(&world, &identity, asked()).await;
            let what = format!("{identity}, {sessions} sessions, an event every {every} s");
            held.check(&what);
            println!(
                "{what}: {} requests, read whole {}, by sessions {by_sessions}",
                held.chosen_requests, held.exact_requests
            );
            assert!(
                held.chosen_requests <= 2 * by_sessions,
                "{what}: {} requests, by sessions {by_sessions}: {:?}",
                held.chosen_requests,
                held.notes()
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_nothing_issued_make_it_read_everything() {
    let deploy = role("/deploy");
    let mut traffic = Traffic::default();
    traffic.noise(now() - 20 * DAY, now(), 300);
    let account = json!({"type": "AWSAccount", "accountId": "999999999999"});
    traffic.assume(
        now() - 3 * DAY,
        REGIONS[1],
        "AssumeRole",
        &deploy,
        "known",
        &account,
    );
    traffic.act(now() - 3 * DAY + HOUR, REGIONS[1], &deploy, "known", 1);
    traffic.act(now() - HOUR, REGIONS[0], &deploy, "of-unknown-origin", 1);
    traffic.act(now() - HOUR, REGIONS[2], &deploy, "of-unknown-origin", 1);
    let world = world(&traffic).await;
    for identity in both(&deploy) {
        let held = Held::ask(&world, &identity, asked()).await;
        held.check(&identity.to_string());
        assert_eq!(held.exact.events().count(), 3);
        let told = held
            .notes()
            .iter()
            .any(|note| note.contains("of-unknown-origin"));
        assert!(told, "{:?}", held.notes());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_whose_sessions_cannot_be_read_makes_the_others_read_everything() {
    let deploy = role("/deploy");
    let mut traffic = Traffic::default();
    traffic.noise(now() - 20 * DAY, now(), 300);
    let account = json!({"type": "AWSAccount", "accountId": "999999999999"});
    traffic.assume(
        now() - 3 * DAY,
        REGIONS[1],
        "AssumeRole",
        &deploy,
        "known",
        &account,
    );
    traffic.act(now() - 3 * DAY + HOUR, REGIONS[0], &deploy, "known", 1);
    let mut sandbox = traffic.sandbox();
    sandbox.faults.dead_regions.insert(REGIONS[1].into());
    let setup = Setup {
        stall_timeout: "2s",
        ..Setup::default()
    };
    let world = World::start(sandbox, &setup).await;
    let mut query = question(vec![both(&deploy)[1].clone()], asked());
    query.backends = vec![BackendKind::EventHistory];
    query.exact_roles = false;
    let answer = world.ask(query).await;
    assert!(!answer.complete());
    assert_eq!(
        answer.events().count(),
        1,
        "the other Regions are read whole"
    );
    assert!(!answer.summary().coverage.is_inferred());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_nothing_shows_to_be_assumed_is_read_whole_or_named() {
    let deploy = role("/ci/deploy");
    let mut traffic = Traffic::default();
    traffic.noise(now() - 40 * DAY, now(), 120);
    // Far from the newest pages, which are read whole in either case.
    traffic.act(
        now() - 15 * DAY,
        REGIONS[0],
        &deploy,
        "of-unknown-origin",
        1,
    );
    let world = world(&traffic).await;
    let [name, arn] = both(&deploy);
    // Whose account it is, there its sessions are to be found.
    let held = Held::ask(&world, &arn, asked()).await;
    held.check(&arn.to_string());
    assert_eq!(held.chosen.events().count(), 1);
    assert!(!held.inferred());
    let told = |notes: BTreeSet<&str>, what: &str| notes.iter().any(|note| note.contains(what));
    assert!(told(held.notes(), "no event from"), "{:?}", held.notes());
    // Of that name there need not be a role in every account.
    let held = Held::ask(&world, &name, asked()).await;
    assert!(held.inferred() && held.chosen.complete());
    let never = "no event that issued a session of role_name=deploy was found";
    assert!(told(held.notes(), never), "{:?}", held.notes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_assumed_before_event_history_begins_are_named_as_unsought() {
    let deploy = role("/deploy");
    let mut traffic = Traffic::default();
    let begin = now() - 90 * DAY;
    traffic.noise(begin - DAY, now(), 900);
    let account = json!({"type": "AWSAccount", "accountId": "999999999999"});
    let at = now() - 40 * DAY;
    traffic.assume(at, REGIONS[1], "AssumeRole", &deploy, "known", &account);
    traffic.act(at + HOUR, REGIONS[1], &deploy, "known", 1);
    let world = world(&traffic).await;
    for (hours, early) in [(1, true), (13, false)] {
        for order in [SearchOrder::NewestFirst, SearchOrder::OldestFirst] {
            let time = |second| jiff::Timestamp::from_second(second).unwrap().to_string();
            let asked = range(&time(begin + hours * HOUR), &time(now()));
            let mut query = question(vec![both(&deploy)[1].clone()], asked);
            query.backends = vec![BackendKind::EventHistory];
            query.exact_roles = false;
            query.order = order;
            let answer = world.ask(query).await;
            assert!(answer.complete() && answer.summary().coverage.is_inferred());
            let mut readings = (answer.outcomes().iter()).filter_map(|it| it.role_reading.as_ref());
            let told = readings.any(|reading| {
                (reading.note).contains("older sessions may have acted until 12 hours later")
            });
            assert_eq!(told, early, "{hours} hours inside, {order:?}");
        }
    }
}
