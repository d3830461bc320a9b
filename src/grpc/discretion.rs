//! The last word on what messages tell of accounts, as [`crate::search::admission`] is on events:
//! whoever may read some of the federation's accounts only is told the ids of these only, wherever
//! in a text they stand. What AWS says when it refuses something, an archive's or a trail's ARN, a bucket's
//! name: they name accounts that are not the caller's.
//!
//! Works on the messages as their descriptors show them, so that a field which is added is held to it
//! too. Events are not looked into: a record of an account that the caller may read is theirs, whomever
//! it names.

use std::collections::HashSet;

use prost::Message;
use prost_reflect::{DynamicMessage, Value};
use tonic::Status;

use super::pb::search_events_response::Item;
use super::{json, pb, status};
use crate::policy::Access;

/// Stands for an account's id.
const WITHHELD: &str = "[withheld]";
/// An account's id has so many digits.
const DIGITS: usize = 12;
/// Fields in which digits mean nothing.
const TOKENS: [&str; 3] = ["resume_token", "next_page_token", "page_token"];

/// A message of the API, by its name there.
pub trait Named: Message + Default {
    /// The name, without its package.
    const NAME: &'static str;
}

macro_rules! named {
    ($($name:ident),*) => {
        $(impl Named for pb::$name {
            const NAME: &'static str = stringify!($name);
        })*
    };
}

named!(
    SearchEventsRequest,
    SearchEventsResponse,
    PlanSearchRequest,
    PlanSearchResponse,
    ListAccountsRequest,
    ListAccountsResponse,
    CheckAccountsRequest,
    CheckAccountsResponse
);

/// What one request's answer may tell.
#[derive(Debug, Clone)]
pub struct Discretion {
    /// The ids that may be told; `None`: all.
    tellable: Option<HashSet<String>>,
}

impl Discretion {
    /// For a caller to whom everything may be told.
    #[must_use]
    pub fn none() -> Self {
        Self { tellable: None }
    }

    /// For a caller with this access. What the request itself says is no secret to whoever made it.
    pub fn of<R: Named>(access: &Access, request: &R) -> Result<Self, Status> {
        if !access.limited {
            return Ok(Self::none());
        }
        let inventory = &access.inventory;
        let searchable = inventory.accounts.iter().map(|account| account.id);
        let left_out = inventory.left_out.iter().map(|account| account.id);
        let mut tellable: HashSet<String> = searchable
            .chain(left_out)
            .map(|id| id.to_string())
            .collect();
        each_text(&mut dynamic(request)?, &mut |text| {
            tellable.extend(ids(text).map(|(_, id)| id.to_owned()));
        });
        Ok(Self {
            tellable: Some(tellable),
        })
    }

    /// The message as it may be told.
    pub fn told<R: Named>(&self, message: R) -> Result<R, Status> {
        let Some(tellable) = &self.tellable else {
            return Ok(message);
        };
        let mut message = dynamic(&message)?;
        each_text(&mut message, &mut |text| withhold(text, tellable));
        R::decode(message.encode_to_vec().as_slice()).map_err(|_| status::defect())
    }

    /// A message of a search as it may be told.
    pub fn told_of_search(
        &self,
        mut message: pb::SearchEventsResponse,
    ) -> Result<pb::SearchEventsResponse, Status> {
        match (&mut message.item, &self.tellable) {
            (_, None) => Ok(message),
            (Some(Item::Event(event)), Some(tellable)) => {
                // Of an event only where it was read is the service's own.
                let file = event
                    .provenance
                    .as_mut()
                    .and_then(|it| it.log_file.as_mut());
                if let Some(file) = file {
                    withhold(file, tellable);
                }
                Ok(message)
            }
            (_, Some(_)) => self.told(message),
        }
    }
}

fn dynamic<R: Named>(message: &R) -> Result<DynamicMessage, Status> {
    json::dynamic(R::NAME, message).map_err(|_| status::defect())
}

/// Every text of a message but for tokens. A text of a list that is emptied leaves it.
fn each_text(message: &mut DynamicMessage, visit: &mut dyn FnMut(&mut String)) {
    for (field, value) in message.fields_mut() {
        if !TOKENS.contains(&field.name()) {
            each_text_of(value, visit);
        }
    }
}

fn each_text_of(value: &mut Value, visit: &mut dyn FnMut(&mut String)) {
    match value {
        Value::String(text) => visit(text),
        Value::Message(message) => each_text(message, visit),
        Value::List(values) => {
            for value in values.iter_mut() {
                each_text_of(value, visit);
            }
            values.retain(|value| !matches!(value, Value::String(text) if text.is_empty()));
        }
        Value::Map(values) => values
            .values_mut()
            .for_each(|value| each_text_of(value, visit)),
        Value::Bool(_)
        | Value::I32(_)
        | Value::I64(_)
        | Value::U32(_)
        | Value::U64(_)
        | Value::F32(_)
        | Value::F64(_)
        | Value::EnumNumber(_)
        | Value::Bytes(_) => {}
    }
}

/// Takes ids out of a text; one that is nothing but an id is empty then.
fn withhold(text: &mut String, tellable: &HashSet<String>) {
    let hidden: Vec<usize> = ids(text)
        .filter(|(_, id)| !tellable.contains(*id))
        .map(|(at, _)| at)
        .collect();
    if !hidden.is_empty() && text.len() == DIGITS {
        text.clear();
    }
    for at in hidden.into_iter().rev() {
        if at < text.len() {
            text.replace_range(at..at + DIGITS, WITHHELD);
        }
    }
}

/// What may be an account's id, and where: exactly so many digits.
fn ids(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let digits = text.split(|c: char| !c.is_ascii_digit());
    let start = text.as_ptr() as usize;
    digits
        .filter(|run| run.len() == DIGITS)
        .map(move |run| (run.as_ptr() as usize - start, run))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::plan::Inventory;
    use crate::plan::facts::AccountFacts;

    const MINE: &str = "200000000002";
    const THEIRS: &str = "300000000003";

    fn access(limited: bool) -> Access {
        let mine = AccountFacts::new(MINE.parse().unwrap(), Vec::new());
        Access {
            inventory: Arc::new(Inventory::of_list(vec![mine])),
            limited,
            federation_size: 2,
        }
    }

    fn discretion(request: &pb::SearchEventsRequest) -> Discretion {
        Discretion::of(&access(true), request).unwrap()
    }

    fn message(text: &str) -> pb::SearchEventsResponse {
        let outcome = pb::ScanOutcome {
            account_ids: vec![MINE.into(), THEIRS.into()],
            reason: Some(pb::Reason {
                message: text.into(),
                ..pb::Reason::default()
            }),
            ..pb::ScanOutcome::default()
        };
        let report = pb::OutcomeReport {
            outcomes: vec![outcome],
            ..pb::OutcomeReport::default()
        };
        pb::SearchEventsResponse {
            item: Some(Item::Outcome(report)),
        }
    }

    /// What is told of a message: its text and its accounts.
    fn told(discretion: &Discretion, text: &str) -> (String, Vec<String>) {
        let told = discretion.told_of_search(message(text)).unwrap();
        let Some(Item::Outcome(mut report)) = told.item else {
            panic!("it was an outcome");
        };
        let outcome = report.outcomes.remove(0);
        (outcome.reason.unwrap().message, outcome.account_ids)
    }

    #[test]
    fn ids_of_other_accounts_are_withheld_wherever_they_stand() {
        let nothing_said = discretion(&pb::SearchEventsRequest::default());
        for (text, expected) in [
            (
                "role arn:aws:iam::300000000003:role/x",
                "role arn:aws:iam::[withheld]:role/x",
            ),
            (
                "bucket trail-300000000003 and 200000000002",
                "bucket trail-[withheld] and 200000000002",
            ),
            ("300000000003", ""),
            ("200000000002", "200000000002"),
            ("300000000003,400000000004", "[withheld],[withheld]"),
            // No account's id has 11 or 13 digits.
            (
                "30000000003 and 3000000000003",
                "30000000003 and 3000000000003",
            ),
            ("ä300000000003ä", "ä[withheld]ä"),
        ] {
            assert_eq!(
                told(&nothing_said, text),
                (expected.into(), vec![MINE.into()])
            );
        }
        let everything = Discretion::of(&access(false), &pb::SearchEventsRequest::default());
        let (text, ids) = told(&everything.unwrap(), THEIRS);
        assert_eq!((text, ids.len()), (THEIRS.into(), 2));
    }

    #[test]
    fn what_the_request_says_and_what_tokens_hold_is_left_alone() {
        let request = pb::SearchEventsRequest {
            identities: vec![pb::Identity {
                kind: Some(pb::identity::Kind::Arn(format!(
                    "arn:aws:iam::{THEIRS}:user/x"
                ))),
            }],
            resume_token: "400000000004".into(),
            ..pb::SearchEventsRequest::default()
        };
        let discretion = discretion(&request);
        let (text, _) = told(&discretion, "300000000003 400000000004");
        assert_eq!(text, "300000000003 [withheld]");
        let plan = pb::SearchPlan {
            resume_token: "a400000000004".into(),
            ..pb::SearchPlan::default()
        };
        let plan = pb::SearchEventsResponse {
            item: Some(Item::Plan(plan)),
        };
        assert_eq!(discretion.told_of_search(plan.clone()).unwrap(), plan);
    }

    #[test]
    fn a_record_is_told_as_it_is_but_not_where_its_file_lies() {
        let event = |file: &str| pb::SearchEventsResponse {
            item: Some(Item::Event(Box::new(pb::Event {
                error_message: Some(format!("not for {THEIRS}")),
                provenance: Some(pb::Provenance {
                    log_file: Some(file.into()),
                    ..pb::Provenance::default()
                }),
                ..pb::Event::default()
            }))),
        };
        let discretion = discretion(&pb::SearchEventsRequest::default());
        let told =
            discretion.told_of_search(event("s3://trail-300000000003/AWSLogs/200000000002/x"));
        assert_eq!(
            told.unwrap(),
            event("s3://trail-[withheld]/AWSLogs/200000000002/x")
        );
    }

    proptest! {
        #[test]
        fn no_text_tells_an_id_that_may_not_be_told(
            parts in proptest::collection::vec(("[a-zA-Z/:. -]{0,3}", "[0-9]{10,14}"), 0..6),
        ) {
            let parts: Vec<String> = (parts.into_iter()).map(|(word, digits)| word + &digits).collect();
            let text = parts.concat();
            let (told, _) = told(&discretion(&pb::SearchEventsRequest::default()), &text);
            prop_assert!(ids(&told).all(|(_, id)| id == MINE));
        }
    }
}
