//! Users in event history: the sessions that they issued with `GetFederationToken`, against reading
//! everything.

use identity_trail::plan::OutcomeState;
use identity_trail::query::{BackendKind, Identity, SearchOrder, TimeRange};
use serde_json::{Value, json};

use crate::held::{Held, asked, world};
use crate::oracle::counted;
use crate::traffic::{ACCOUNT, DAY, HOUR, REGIONS, Traffic, now};
use crate::world::{Setup, World, question, range};

const ALICE: &str = "/team/alice";

fn arn(path_and_name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:user{path_and_name}")
}

fn user(path_and_name: &str) -> Value {
    json!({
        "type": "IAMUser",
        "userName": path_and_name.rsplit('/').next().unwrap(),
        "arn": arn(path_and_name),
        "accountId": ACCOUNT,
        "accessKeyId": "AKIAEXAMPLE000000001",
    })
}

fn federated(issuer: &str, name: &str, key: &str) -> Value {
    let mut of_user = user(issuer);
    let session_issuer = of_user.as_object_mut().unwrap();
    session_issuer.insert("type".into(), json!("IAMUser"));
    session_issuer.remove("accessKeyId");
    json!({
        "type": "FederatedUser",
        "principalId": format!("{ACCOUNT}:{name}"),
        "arn": format!("arn:aws:sts::{ACCOUNT}:federated-user/{name}"),
        "accountId": ACCOUNT,
        "accessKeyId": key,
        "sessionContext": {"sessionIssuer": of_user},
    })
}

fn key(number: usize) -> String {
    format!("ASIAFEDERATED{number:0>7}")
}

/// `GetFederationToken`: a session of this name for the user, with this key.
fn federate(traffic: &mut Traffic, at: i64, region: &str, user: &Value, name: &str, key: &str) {
    let event = traffic.add(at, region, "GetFederationToken", user);
    event["requestParameters"] = json!({"name": name, "durationSeconds": 129_600});
    event["responseElements"] = json!({
        "credentials": {"accessKeyId": key, "sessionToken": "token"},
        "federatedUser": {
            "federatedUserId": format!("{ACCOUNT}:{name}"),
            "arn": format!("arn:aws:sts::{ACCOUNT}:federated-user/{name}"),
        },
    });
}

/// By name and by ARN.
fn alice() -> [Identity; 2] {
    [
        Identity::UserName("alice".parse().unwrap()),
        Identity::Arn(arn(ALICE).parse().unwrap()),
    ]
}

/// Alice, three sessions of hers, and others who are not asked about.
fn traffic() -> Traffic {
    let mut traffic = Traffic::default();
    traffic.noise(now() - 40 * DAY, now(), 300);
    let [europe, america, asia] = REGIONS;
    let start = now() - 20 * DAY;
    let (alice, bob) = (user(ALICE), user("/bob"));
    // Before the interval, and still alive in it; in another Region; at the end.
    for (number, at, region, name) in [
        (1, start - 34 * HOUR, america, "early"),
        (2, start + 5 * DAY, asia, "backup"),
        (3, now() - DAY, europe, "late"),
    ] {
        federate(&mut traffic, at, region, &alice, name, &key(number));
        for step in 1..9 {
            let region = REGIONS[usize::try_from(step).unwrap() % REGIONS.len()];
            let mut who = federated(ALICE, name, &key(number));
            // AWS does not say that it can be looked up by its name.
            who["principalId"] = json!("not-told");
            traffic.add(at + step * 9 * HOUR / 2, region, "DescribeVpcs", &who);
            // The console signs with keys of its own.
            let who = federated(ALICE, name, &key(100 + usize::try_from(step).unwrap()));
            traffic.add(at + step * 9 * HOUR / 2 + 5, region, "DescribeHosts", &who);
        }
    }
    for step in 0..70 {
        traffic.add(start + step * 6 * HOUR, europe, "DescribeImages", &alice);
    }
    // Another's session of the same name, at the same time, and a call that was refused.
    federate(&mut traffic, start + 5 * DAY, asia, &bob, "backup", &key(7));
    let who = federated("/bob", "backup", &key(7));
    traffic.add(start + 5 * DAY + HOUR, asia, "DescribeVpcs", &who);
    let refused = traffic.add(start + 6 * DAY, europe, "GetFederationToken", &alice);
    refused["errorCode"] = json!("AccessDenied");
    refused["requestParameters"] = json!({"name": "refused"});
    traffic
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_user_federated_is_found_wherever_it_acts() {
    let world = world(&traffic()).await;
    for identity in alice() {
        let held = Held::ask(&world, &identity, asked()).await;
        held.check(&identity.to_string());
        let of_session = |name: &str| {
            let arn = format!("arn:aws:sts::{ACCOUNT}:federated-user/{name}");
            let of = |event: &&identity_trail::query::Event| {
                event.user_identity.as_ref().unwrap().arn.as_ref() == Some(&arn)
            };
            held.chosen.events().filter(of).count()
        };
        assert_eq!(
            ["early", "backup", "late"].map(of_session),
            [2, 16, 10],
            "{identity}"
        );
        assert!(held.inferred(), "{identity}: {:?}", held.notes());
        let notes = held.notes();
        assert!(
            notes
                .iter()
                .all(|note| note.contains("3 federated sessions")),
            "{notes:?}"
        );
        assert!(held.chosen_requests < held.exact_requests, "{identity}");
        println!(
            "{identity}: {} requests, read whole {}",
            held.chosen_requests, held.exact_requests
        );
        // The other way round, and beside another identity.
        for others in [vec![], vec![Identity::UserName("bob".parse().unwrap())]] {
            let mut query = question([vec![identity.clone()], others].concat(), asked());
            query.backends = vec![BackendKind::EventHistory];
            query.order = SearchOrder::OldestFirst;
            let answer = world.ask(query).await;
            assert!(answer.complete() && answer.summary().coverage.is_inferred());
            let of_alice = |event: &&identity_trail::query::Event| {
                event.matched_identities.contains(&identity)
            };
            assert_eq!(
                counted(answer.events().filter(of_alice)),
                counted(held.exact.events())
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_are_found_beside_a_role_that_is_read_by_its_own() {
    let mut traffic = traffic();
    let deploy = crate::traffic::role("/deploy");
    let account = json!({"type": "AWSAccount", "accountId": "999999999999"});
    let at = now() - 3 * DAY;
    traffic.assume(at, REGIONS[1], "AssumeRole", &deploy, "run-1", &account);
    traffic.act(at + HOUR, REGIONS[0], &deploy, "run-1", 1);
    let world = world(&traffic).await;
    let [alice, _] = alice();
    let role = Identity::RoleName("deploy".parse().unwrap());
    let mut query = question(vec![alice, role], asked());
    query.backends = vec![BackendKind::EventHistory];
    query.exact_roles = false;
    let chosen = world.ask(query.clone()).await;
    query.exact_roles = true;
    let exact = world.ask(query).await;
    assert!(chosen.complete() && chosen.summary().coverage.is_inferred());
    assert!(!exact.summary().coverage.is_inferred());
    assert_eq!(counted(chosen.events()), counted(exact.events()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_federated_nobody_costs_no_more_than_it_did() {
    let mut traffic = Traffic::default();
    traffic.noise(now() - 30 * DAY, now(), 600);
    let did = now() - 3 * DAY;
    traffic.add(did, REGIONS[0], "DescribeVpcs", &user(ALICE));
    let world = world(&traffic).await;
    let [alice, _] = alice();
    for (identity, requests) in [
        // Nothing in five Regions of two accounts, which one look each shows; in the sixth a second look
        // reads it.
        (alice, 7),
        (Identity::UserName("nobody".parse().unwrap()), 6),
    ] {
        let held = Held::ask(&world, &identity, asked()).await;
        held.check(&identity.to_string());
        assert_eq!(held.chosen_requests, requests, "{identity}");
        assert!(
            !held.inferred() && held.notes().is_empty(),
            "there are none"
        );
        assert!(held.chosen.complete());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_of_many_sessions_is_read_the_cheaper_way() {
    let mut traffic = Traffic::default();
    let start = now() - 20 * DAY;
    traffic.noise(start - 2 * DAY, now(), 1200);
    for number in 0..300_usize {
        let at = start + i64::try_from(number).unwrap() * 90 * 60;
        let name = format!("guest-{number}");
        let region = REGIONS[number % REGIONS.len()];
        federate(&mut traffic, at, region, &user(ALICE), &name, &key(number));
        let who = federated(ALICE, &name, &key(number));
        traffic.add(at + HOUR, REGIONS[0], "DescribeVpcs", &who);
    }
    let world = world(&traffic).await;
    for identity in alice() {
        let held = Held::ask(&world, &identity, asked()).await;
        held.check(&identity.to_string());
        println!(
            "{identity}, 300 sessions: {} requests, read whole {}",
            held.chosen_requests, held.exact_requests
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_calls_cannot_be_read_the_answer_says_so() {
    let mut traffic = traffic();
    let key = key(9);
    let at = now() - 2 * DAY;
    federate(&mut traffic, at, REGIONS[1], &user(ALICE), "unseen", &key);
    let who = federated(ALICE, "unseen", &key);
    traffic.add(at + HOUR, REGIONS[0], "DescribeVpcs", &who);
    let mut sandbox = traffic.sandbox();
    sandbox.faults.dead_regions.insert(REGIONS[1].into());
    let setup = Setup {
        stall_timeout: "1s",
        ..Setup::default()
    };
    let world = World::start(sandbox, &setup).await;
    let [alice, _] = alice();
    let mut query = question(vec![alice], asked());
    query.backends = vec![BackendKind::EventHistory];
    let answer = world.ask(query).await;
    assert!(!answer.complete(), "one Region failed");
    let complete: Vec<_> = (answer.outcomes().iter())
        .filter(|outcome| outcome.state == OutcomeState::Complete)
        .collect();
    assert_eq!(complete.len(), 4, "in both accounts");
    for outcome in complete {
        let reading = outcome.role_reading.as_ref().unwrap();
        let told = format!("not all were sought in {}", REGIONS[1]);
        assert!(
            reading.inferred && reading.note.contains(&told),
            "{reading:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_from_before_event_history_begins_are_named_as_unsought() {
    let mut traffic = Traffic::default();
    let begin = now() - 90 * DAY;
    traffic.noise(begin - 5 * DAY, now(), 6 * 3600);
    federate(
        &mut traffic,
        begin - 30 * HOUR,
        REGIONS[1],
        &user(ALICE),
        "old",
        &key(1),
    );
    let who = federated(ALICE, "old", &key(1));
    traffic.add(begin + 5 * HOUR, REGIONS[0], "DescribeVpcs", &who);
    let world = world(&traffic).await;
    let [alice, _] = alice();
    for (hours, early) in [(1, true), (35, true), (37, false)] {
        let time = |second| jiff::Timestamp::from_second(second).unwrap().to_string();
        let asked: TimeRange = range(&time(begin + hours * HOUR), &time(now()));
        let mut query = question(vec![alice.clone()], asked);
        query.backends = vec![BackendKind::EventHistory];
        let answer = world.ask(query).await;
        assert_eq!(answer.summary().coverage.is_inferred(), early, "{hours}");
        let notes: Vec<_> = (answer.outcomes().iter())
            .filter_map(|outcome| outcome.role_reading.as_ref())
            .collect();
        let told = notes.iter().all(|reading| {
            let note = &reading.note;
            note.contains("older sessions may have acted until 36 hours later")
        });
        assert!(told && notes.is_empty() != early, "{notes:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_are_too_many_to_be_read_are_named_as_unsought() {
    let mut traffic = Traffic::default();
    let (begin, europe) = (now() - 10 * DAY, REGIONS[0]);
    federate(&mut traffic, begin, europe, &user(ALICE), "first", &key(0));
    for number in 1..10_100 {
        let at = begin + HOUR + i64::try_from(number).unwrap() * 60;
        federate(
            &mut traffic,
            at,
            europe,
            &user("/broker"),
            "guest",
            &key(number),
        );
    }
    for step in 1..80 {
        traffic.add(begin + step * HOUR, europe, "DescribeVpcs", &user(ALICE));
    }
    let world = world(&traffic).await;
    let [alice, _] = alice();
    let mut query = question(vec![alice], asked());
    query.backends = vec![BackendKind::EventHistory];
    let answer = world.ask(query).await;
    assert!(answer.complete() && answer.summary().coverage.is_inferred());
    assert_eq!(answer.events().count(), 80, "all that she did herself");
    let told = format!("not all were sought in {europe}: more than 200 pages of such calls");
    let mut readings = (answer.outcomes().iter()).filter_map(|it| it.role_reading.as_ref());
    assert!(readings.all(|reading| reading.note.contains(&told)));
}
