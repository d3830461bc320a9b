//! Records that carry hostile texts, among others that carry almost the same: each backend finds the
//! ones that were asked for, and no other.

use std::collections::BTreeSet;

use identity_trail::query::{
    BackendKind, EventFilter, EventId, EventQuery, Identity, ResourceRef, TimeRange,
};
use serde_json::{Value, json};

use super::NOW;
use super::corpus::hostile;
use crate::sandbox::{OTHER, REGION, config};
use crate::world::{ArchiveSetup, LogGroupSetup, Setup, World, question, range};

/// A member of the record that is asked for by its text.
struct Dimension {
    name: &'static str,
    /// The texts, all of which such a member can hold and such a field takes.
    texts: Vec<String>,
    /// Writes the text into a record.
    put: fn(&mut Value, &str),
    /// Asks for the texts.
    ask: fn(&[String], TimeRange) -> EventQuery,
    /// Whether a recorded text is one that is asked for by another.
    is: fn(&str, &str) -> bool,
    /// Whether archives and log groups are asked so exactly that they return nothing else.
    exact: bool,
}

/// Texts that IAM allows as names and that mean something to SQL, expressions or shells.
const NAMES: &[&str] = &[
    "al_ce",
    "al.ce",
    "al-ce",
    "al+ce",
    "al=ce",
    "al,ce",
    "al@ce",
    "--",
    "__",
    "..",
    "a--b",
    "null",
    "true",
    "++",
    "=cmd",
    "-1",
    "@@version",
    "a_b_c",
    "Q_",
    "._",
];

fn filtered(range: TimeRange, change: impl FnOnce(&mut EventFilter)) -> EventQuery {
    let mut query = question(Vec::new(), range);
    change(&mut query.filter);
    query
}

fn identities(texts: &[String], range: TimeRange, of: impl Fn(&str) -> Identity) -> EventQuery {
    question(texts.iter().map(|text| of(text)).collect(), range)
}

fn role(path: &str) -> String {
    format!("arn:aws:iam::{OTHER}:role/{path}/Admin")
}

fn error_codes(name: &'static str, texts: &[&str], exact: bool) -> Dimension {
    Dimension {
        name,
        texts: texts.iter().map(|&it| it.to_owned()).collect(),
        put: |record, text| record["errorCode"] = json!(text),
        ask: |texts, range| {
            let texts = texts.to_vec();
            filtered(range, |filter| filter.error_codes = texts)
        },
        is: |recorded, asked| recorded == asked,
        exact,
    }
}

fn dimensions() -> Vec<Dimension> {
    let owned = |texts: &[&str]| -> Vec<String> { texts.iter().map(|&it| it.to_owned()).collect() };
    let same: fn(&str, &str) -> bool = |recorded, asked| recorded == asked;
    let resources = hostile()
        .into_iter()
        .filter(|it| it.parse::<ResourceRef>().is_ok());
    vec![
        Dimension {
            name: "users",
            texts: owned(NAMES),
            put: |record, text| {
                record["userIdentity"] = json!({"type": "IAMUser", "userName": text});
            },
            ask: |texts, range| {
                identities(texts, range, |it| Identity::UserName(it.parse().unwrap()))
            },
            is: same,
            exact: true,
        },
        Dimension {
            name: "sessions",
            texts: owned(NAMES),
            put: |record, text| {
                record["userIdentity"] = json!({
                    "type": "AssumedRole", "principalId": format!("AROAEXAMPLE:{text}"),
                    "arn": format!("arn:aws:sts::{OTHER}:assumed-role/Other/{text}"),
                });
            },
            ask: |texts, range| {
                identities(texts, range, |it| {
                    Identity::SessionName(it.parse().unwrap())
                })
            },
            is: same,
            exact: true,
        },
        Dimension {
            name: "roles by path",
            texts: owned(&[
                "%",
                "_",
                "a%b",
                "a_b",
                "${aws:username}",
                "a||b",
                "{x}",
                "(a|b)+",
                ";--",
                "[^a]",
                "?",
                "a$b",
                "#",
                "`id`",
                "&&",
                "<b>",
                "a:b",
                "a.b",
                "|",
                "!",
                "a/b",
                "!=",
            ]),
            put: |record, text| {
                record["userIdentity"] = json!({
                    "type": "AssumedRole", "principalId": "AROAEXAMPLE:s-1",
                    "arn": format!("arn:aws:sts::{OTHER}:assumed-role/Admin/s-1"),
                    "sessionContext": {"sessionIssuer": {"type": "Role", "arn": role(text)}},
                });
            },
            ask: |texts, range| {
                identities(texts, range, |it| Identity::Arn(role(it).parse().unwrap()))
            },
            is: same,
            exact: false,
        },
        Dimension {
            name: "resources",
            texts: resources.collect(),
            put: |record, text| record["requestParameters"] = json!({"bucketName": text}),
            ask: |texts, range| {
                let resources = texts.iter().map(|it| it.parse().unwrap());
                filtered(range, |filter| filter.resources = resources.collect())
            },
            is: |recorded, asked| {
                let before = recorded.strip_suffix(asked);
                recorded == asked
                    || (recorded.starts_with("arn:") && !asked.starts_with("arn:"))
                        && before.is_some_and(|before| before.ends_with(['/', ':']))
            },
            exact: false,
        },
        error_codes(
            "error codes",
            &[
                "//",
                "a b",
                "_",
                "a.b",
                "--",
                "/",
                "Client.a_b",
                "a:b",
                "...",
                "null",
            ],
            true,
        ),
        // What begins a comment in Insights is not spelled there.
        error_codes("error codes with comments", &["#", "a#b"], false),
        Dimension {
            name: "event names",
            texts: owned(&["a_b", "a.b", "--", "__", "..", ":", "null", "a:b-c"]),
            put: |record, text| record["eventName"] = json!(text),
            ask: |texts, range| {
                let texts = texts.to_vec();
                filtered(range, |filter| filter.event_names = texts)
            },
            is: same,
            exact: true,
        },
        Dimension {
            name: "source addresses",
            texts: owned(&["a_b", "a.b", "--a", "AWS Internal", "a b", "null", "._a"]),
            put: |record, text| record["sourceIPAddress"] = json!(text),
            ask: |texts, range| {
                let addresses = texts.iter().map(|it| it.parse().unwrap()).collect();
                filtered(range, |filter| filter.source_ips = addresses)
            },
            is: same,
            exact: true,
        },
        Dimension {
            name: "event ids",
            texts: owned(&["a_b", "--", "__", "null", "-1", "a-b_c"]),
            put: |record, text| record["eventID"] = json!(text),
            ask: |texts, range| {
                let texts = texts.to_vec();
                filtered(range, |filter| filter.event_ids = texts)
            },
            is: same,
            exact: true,
        },
    ]
}

/// Texts that an unescaped one would find too.
fn neighbours(text: &str) -> Vec<String> {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { 'X' };
    vec![
        text.chars().map(plain).collect(),
        format!("{text}x"),
        format!("x{text}"),
        text.chars().skip(1).collect(),
    ]
}

/// The records of a dimension, each with what it carries.
fn records(dimension: &Dimension, first: usize) -> Vec<(String, Value)> {
    let near = dimension.texts.iter().flat_map(|text| neighbours(text));
    let texts: BTreeSet<String> = dimension.texts.iter().cloned().chain(near).collect();
    let texts = texts
        .into_iter()
        .filter(|text| !text.is_empty())
        .enumerate();
    let record = |(number, text): (usize, String)| {
        let number = first + number;
        let mut record = json!({
            "eventID": format!("00000000-0000-4000-8000-{number:012}"),
            "eventTime": format!("2026-10-20T{:02}:{:02}:{:02}Z", number / 3600, number / 60 % 60, number % 60),
            "awsRegion": REGION,
            "eventName": "Harmless",
            "eventSource": "harmless.amazonaws.com",
            "eventCategory": "Management",
            "recipientAccountId": OTHER,
            "userIdentity": {"type": "AWSService", "invokedBy": "harmless.amazonaws.com"},
            // Told by in any answer.
            "requestID": format!("request-{number}"),
        });
        (dimension.put)(&mut record, &text);
        (text, record)
    };
    texts.map(record).collect()
}

#[tokio::test]
async fn exactly_what_was_asked_for_is_found() {
    let dimensions = dimensions();
    let mut all: Vec<Value> = Vec::new();
    let mut carried: Vec<Vec<(String, Value)>> = Vec::new();
    for dimension in &dimensions {
        carried.push(records(dimension, all.len()));
        all.extend(
            carried
                .last()
                .unwrap()
                .iter()
                .map(|(_, record)| record.clone()),
        );
    }
    let start = |read_with| {
        let setup = Setup {
            archive: Some(ArchiveSetup::of("cloudtrail_by_account")),
            ..Setup::with_log_group(LogGroupSetup::read_with(read_with))
        };
        let config = config(&all, NOW);
        async move { World::start(config, &setup).await }
    };
    let (by_filter, by_insights) = tokio::join!(start("filter"), start("insights"));
    let worlds = [
        (&by_filter, BackendKind::EventHistory),
        (&by_filter, BackendKind::Athena),
        (&by_filter, BackendKind::Logs),
        (&by_insights, BackendKind::Logs),
    ];
    for (dimension, carried) in dimensions.iter().zip(&carried) {
        for (world, backend) in worlds {
            for texts in dimension.texts.chunks(50) {
                hold(dimension, carried, texts, world, backend).await;
            }
        }
    }
}

async fn hold(
    dimension: &Dimension,
    carried: &[(String, Value)],
    texts: &[String],
    world: &World,
    backend: BackendKind,
) {
    let what = format!("{} by {backend:?}", dimension.name);
    let day = range("2026-10-20T00:00:00Z", "2026-10-21T00:00:00Z");
    let query = EventQuery {
        backends: vec![backend],
        account_ids: vec![OTHER.parse().unwrap()],
        ..(dimension.ask)(texts, day)
    };
    let answer = world.ask(query).await;
    assert!(answer.complete(), "{what}: {:?}", answer.outcomes());
    let is_asked = |recorded: &String| texts.iter().any(|text| (dimension.is)(recorded, text));
    let expected: BTreeSet<&str> = (carried.iter())
        .filter(|(recorded, _)| is_asked(recorded))
        .map(|(_, record)| record["requestID"].as_str().unwrap())
        .collect();
    assert!(expected.len() >= texts.len());
    let found = answer
        .events()
        .map(|event| event.request_id.as_deref().unwrap());
    let found: Vec<&str> = found.collect();
    assert_eq!(found.len(), expected.len(), "{what}");
    assert_eq!(
        found.into_iter().collect::<BTreeSet<_>>(),
        expected,
        "{what}"
    );
    if dimension.exact && backend != BackendKind::EventHistory {
        assert_eq!(
            answer.summary().events_read,
            expected.len() as u64,
            "{what}"
        );
    }
    for event in answer.events() {
        assert!(matches!(event.key.id, EventId::Recorded(_)));
    }
}
