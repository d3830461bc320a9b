//! One request's line, from its begin to its end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::mpsc::OwnedPermit;

use super::Running;
use crate::caller::{Authentication, Caller};
use crate::query::AccountId;

/// How many accounts, groups and other values of one list a line names; the rest is counted.
const NAMED: usize = 50;
/// The longest text that a line repeats of what was asked, in characters.
const TEXT: usize = 256;
/// Members of an object and levels of nesting that a line repeats.
const MEMBERS: usize = 64;
const LEVELS: usize = 6;

/// What is known of a request. Never a credential: neither the caller's nor a session's.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Names the request, here and in the response's `x-request-id`.
    pub request_id: String,
    /// The RPC's name.
    pub rpc: String,
    /// Where the connection comes from.
    pub peer: Option<String>,
    /// Who asks, once that is known.
    pub caller: Option<Arc<Caller>>,
    /// What was asked, once the request has been read.
    pub asked: Option<Asked>,
    /// The accounts that the answer is about.
    pub accounts: Option<Accounts>,
    /// How it ended; until then it counts as cancelled.
    pub ended: Ended,
    /// Events sent.
    pub events: u64,
    /// Bytes that Athena and Logs Insights scanned for it.
    pub bytes_scanned: u64,
    time: Timestamp,
    began: Instant,
}

/// A request in words, bounded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Asked(Value);

/// Accounts: how many, and the first of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Accounts {
    count: usize,
    ids: Vec<String>,
}

/// How a request ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Ended {
    /// The status code's name, such as `OK`; `CANCELLED` if the caller left first.
    pub status: Option<&'static str>,
    /// The refusal's reason, as in its `ErrorInfo`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether the answer was whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completeness: Option<&'static str>,
    /// Why a stream ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<&'static str>,
    /// The caller left before the end.
    pub cancelled: bool,
}

impl Entry {
    /// A request that begins now.
    #[must_use]
    pub fn begin(request_id: String, rpc: &str, peer: Option<String>) -> Self {
        Self {
            request_id,
            rpc: cut(rpc),
            peer,
            caller: None,
            asked: None,
            accounts: None,
            ended: Ended::default(),
            events: 0,
            bytes_scanned: 0,
            time: Timestamp::now(),
            began: Instant::now(),
        }
    }

    fn line(&self) -> String {
        let line = Line {
            time: self.time.to_string(),
            request_id: &self.request_id,
            rpc: &self.rpc,
            peer: self.peer.as_deref(),
            caller: self.caller.as_deref().map(caller),
            asked: self.asked.as_ref(),
            accounts: self.accounts.as_ref(),
            ended: Ended {
                status: Some(self.ended.status.unwrap_or("CANCELLED")),
                cancelled: self.ended.status.is_none(),
                ..self.ended.clone()
            },
            events: self.events,
            bytes_scanned: self.bytes_scanned,
            duration_ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        to_line(&line)
    }
}

/// One line of JSON, with its end.
pub(super) fn to_line(value: &impl Serialize) -> String {
    let mut line = serde_json::to_string(value).expect("text, numbers and lists are always JSON");
    line.push('\n');
    line
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    request_id: &'a str,
    rpc: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<&'a str>,
    caller: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    asked: Option<&'a Asked>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accounts: Option<&'a Accounts>,
    ended: Ended,
    events: u64,
    bytes_scanned: u64,
    duration_ms: u64,
}

fn caller(caller: &Caller) -> Value {
    let mut members = Map::new();
    members.insert("name".into(), cut(&caller.name).into());
    let (how, issuer) = match &caller.authentication {
        Authentication::None => ("none", None),
        Authentication::InProcess => ("in_process", None),
        Authentication::Certificate => ("certificate", None),
        Authentication::Token { issuer } => ("token", Some(cut(issuer))),
    };
    members.insert("authentication".into(), how.into());
    if let Some(issuer) = issuer {
        members.insert("issuer".into(), issuer.into());
    }
    if !caller.groups.is_empty() {
        let groups = caller
            .groups
            .iter()
            .map(|group| Value::from(group.as_str()));
        members.insert("groups".into(), bounded(Value::Array(groups.collect()), 1));
    }
    Value::Object(members)
}

impl Asked {
    /// A request as JSON, cut to what a line may hold; what was left out is counted.
    #[must_use]
    pub fn of(request: Value) -> Self {
        Self(bounded(request, LEVELS))
    }
}

impl Accounts {
    /// These.
    #[must_use]
    pub fn of(ids: impl IntoIterator<Item = AccountId>) -> Self {
        let mut accounts = Self::default();
        for id in ids {
            accounts.count += 1;
            if accounts.ids.len() < NAMED {
                accounts.ids.push(id.to_string());
            }
        }
        accounts
    }
}

/// The same with long texts, lists and objects cut.
fn bounded(value: Value, levels: usize) -> Value {
    match value {
        Value::String(text) => cut(&text).into(),
        Value::Array(_) | Value::Object(_) if levels == 0 => "…".into(),
        Value::Array(values) => {
            let more = values.len().saturating_sub(NAMED);
            let named = values.into_iter().take(NAMED);
            let mut named: Vec<Value> = named.map(|value| bounded(value, levels - 1)).collect();
            if more > 0 {
                named.push(format!("… and {more} more").into());
            }
            named.into()
        }
        Value::Object(members) => {
            let members = members.into_iter().take(MEMBERS);
            let members = members.map(|(name, value)| (cut(&name), bounded(value, levels - 1)));
            Value::Object(members.collect())
        }
        other => other,
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A request's entry while the request runs. Its line goes to the log when it is dropped.
#[derive(Debug)]
pub struct Record {
    entry: Mutex<Entry>,
    /// `None` where no log is kept, and once the line is on its way.
    place: Mutex<Option<OwnedPermit<String>>>,
    running: Running,
}

impl Record {
    pub(super) fn new(entry: Entry, place: OwnedPermit<String>, running: Running) -> Self {
        Self {
            entry: Mutex::new(entry),
            place: Mutex::new(Some(place)),
            running,
        }
    }

    /// Of a request of which nothing is written.
    #[must_use]
    pub fn unwritten(entry: Entry) -> Self {
        Self {
            entry: Mutex::new(entry),
            place: Mutex::default(),
            running: Running::default(),
        }
    }

    /// Notes what has become known. Held for a moment only.
    pub fn note(&self, note: impl FnOnce(&mut Entry)) {
        note(&mut self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, Entry> {
        // A panic in the middle of a note leaves an entry that is right as far as it goes.
        self.entry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    /// Sends the line on its way, once.
    pub(super) fn write(&self) {
        let place = self
            .place
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(place) = place {
            let line = self.lock().line();
            // Never waits: the place was kept.
            place.send(line);
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.write();
        let id = &self.lock().request_id;
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.remove(id);
    }
}
