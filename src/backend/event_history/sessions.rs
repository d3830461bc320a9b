//! Sessions: when each name's sessions may live, and the events that issued those of roles.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use serde::Deserialize;

use crate::query::user_identity::{SessionContext, SessionIssuer};
use crate::query::{Event, EventTime, TimeRange, UserIdentity};

/// Clocks differ between AWS services: so much earlier or later a session may still be seen.
const SKEW_SECONDS: i64 = 300;

/// The names of sessions (or whatever they are found by), and when each name's sessions may live.
#[derive(Debug)]
pub(super) struct Sessions<N = String>(BTreeMap<N, Vec<TimeRange>>);

impl<N: Ord> Sessions<N> {
    /// Sessions of these names, issued at these times, each living for so many seconds at most.
    pub fn issued(issued: impl IntoIterator<Item = (N, EventTime)>, longest: i64) -> Self {
        let mut times = BTreeMap::<N, Vec<EventTime>>::new();
        for (name, at) in issued {
            times.entry(name).or_default().push(at);
        }
        Self(
            times
                .into_iter()
                .map(|(name, at)| (name, lives(at, longest)))
                .collect(),
        )
    }

    /// How many names there are.
    pub fn names(&self) -> usize {
        self.0.len()
    }

    /// Whether a session of this name may live at `time`.
    pub fn explain<Q: Ord + ?Sized>(&self, name: &Q, time: EventTime) -> bool
    where
        N: Borrow<Q>,
    {
        let lives = self.0.get(name).into_iter().flatten();
        lives.into_iter().any(|life| life.contains(time))
    }

    /// Each name of which a session may live in `range`, and when in it, newest first.
    pub fn within(&self, range: TimeRange) -> impl Iterator<Item = (&N, Vec<TimeRange>)> {
        self.0.iter().filter_map(move |(name, lives)| {
            let lives: Vec<TimeRange> = lives
                .iter()
                .filter_map(|life| life.intersect(range))
                .collect();
            (!lives.is_empty()).then_some((name, lives))
        })
    }
}

/// When sessions issued at these times may live, newest first, none touching another.
fn lives(mut issued: Vec<EventTime>, longest: i64) -> Vec<TimeRange> {
    issued.sort_unstable();
    let mut lives: Vec<TimeRange> = Vec::new();
    for at in issued.into_iter().rev() {
        let start = at.plus(-SKEW_SECONDS);
        let end = at.plus(longest + SKEW_SECONDS);
        match lives.last_mut() {
            Some(newer) if newer.start() <= end => {
                *newer = TimeRange::new(start, newer.end()).unwrap_or(*newer);
            }
            _ => lives.extend(TimeRange::new(start, end)),
        }
    }
    lives
}

/// What a call to STS (or of a service that does alike) issued.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Issued {
    /// No session: another call, or one that failed.
    Nothing,
    /// A session.
    Session {
        /// Its role's ARN, with its path, if the record tells it.
        role_arn: Option<String>,
        /// Its own, if the record tells it.
        session_arn: Option<String>,
        /// Its name, if the record tells it.
        name: Option<String>,
    },
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Request {
    role_arn: Option<String>,
    role_session_name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Response {
    assumed_role_user: Option<AssumedRoleUser>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AssumedRoleUser {
    assumed_role_id: Option<String>,
    arn: Option<String>,
}

/// Reads what `event` issued. Records with members of unexpected types tell nothing there.
pub(super) fn issued(event: &Event) -> Issued {
    // Roles Anywhere's records do not tell the session's name: then nothing can be found by it.
    let anywhere =
        event.event_source == "rolesanywhere.amazonaws.com" && event.event_name == "CreateSession";
    let assumes = anywhere || event.event_name.starts_with("AssumeRole");
    if event.error_code.is_some() || !(assumes || event.issued_session.is_some()) {
        return Issued::Nothing;
    }
    let request: Request = parsed(event.request_parameters_json.as_deref());
    let response: Response = parsed(event.response_elements_json.as_deref());
    let user = response.assumed_role_user.unwrap_or_default();
    let of_resources = || {
        let mut roles = (event.resources.iter())
            .filter(|resource| resource.resource_type.as_deref() == Some("AWS::IAM::Role"));
        roles.find_map(|resource| resource.arn.clone())
    };
    let role_arn = request.role_arn.or_else(of_resources);
    if !assumes && role_arn.is_none() {
        return Issued::Nothing;
    }
    let of_id = (user.assumed_role_id.as_deref()).and_then(|id| id.split_once(':'));
    let of_arn = (user.arn.as_deref()).and_then(|arn| arn.rsplit_once('/'));
    let name = of_id.or(of_arn).map(|(_, name)| name.to_owned());
    Issued::Session {
        role_arn,
        session_arn: user.arn,
        name: name.or(request.role_session_name),
    }
}

fn parsed<T: Default + for<'a> Deserialize<'a>>(json: Option<&str>) -> T {
    json.and_then(|json| serde_json::from_str(json).ok())
        .unwrap_or_default()
}

/// The session as the records of its own calls show it, as far as that is known.
pub(super) fn who_acts(
    role_arn: Option<&str>,
    session_arn: Option<&str>,
    name: &str,
) -> UserIdentity {
    let account = role_arn
        .or(session_arn)
        .and_then(|arn| arn.split(':').nth(4));
    let issuer = role_arn.map(|arn| SessionIssuer {
        kind: Some("Role".to_owned()),
        user_name: arn.rsplit('/').next().map(str::to_owned),
        arn: Some(arn.to_owned()),
        account_id: account.map(str::to_owned),
        ..SessionIssuer::default()
    });
    UserIdentity {
        kind: Some("AssumedRole".to_owned()),
        principal_id: Some(format!(":{name}")),
        arn: session_arn.map(str::to_owned),
        account_id: account.map(str::to_owned),
        session_context: issuer.map(|issuer| SessionContext {
            session_issuer: Some(issuer),
            ..SessionContext::default()
        }),
        ..UserIdentity::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;

    fn at(hour: i64) -> EventTime {
        EventTime::from_second(hour * HOUR).unwrap()
    }

    fn range(start: i64, end: i64) -> TimeRange {
        TimeRange::new(at(start), at(end)).unwrap()
    }

    #[test]
    fn a_name_is_sought_only_while_one_of_its_sessions_could_live() {
        let issued = [("a", 100), ("b", 10), ("a", 105), ("a", 300), ("b", 0)];
        let issued = issued.map(|(name, hour)| (name, at(hour)));
        let sessions = Sessions::issued(issued, 12 * HOUR);
        assert_eq!(sessions.names(), 2);
        let within = |start, end| -> Vec<(&str, usize)> {
            let within = sessions.within(range(start, end));
            within.map(|(name, lives)| (*name, lives.len())).collect()
        };
        assert_eq!(within(0, 400), [("a", 2), ("b", 1)]);
        assert_eq!(within(106, 107), [("a", 1)]);
        assert_eq!(within(130, 200), []);
        assert_eq!(within(22, 23), [("b", 1)], "and the clocks' difference");
        let (_, lives) = sessions.within(range(0, 400)).next().unwrap();
        assert!(lives[0].start() > lives[1].end(), "newest first");
        assert!(sessions.explain("a", at(116)) && sessions.explain("b", at(0)));
        assert!(!sessions.explain("a", at(118)) && !sessions.explain("c", at(100)));
    }
}
