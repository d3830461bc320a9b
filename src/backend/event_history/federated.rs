//! The sessions that users issued with `GetFederationToken`, found once for each account and search.
//!
//! | a user's first page of a Region, from 36 hours before the interval on | then |
//! |---|---|
//! | is empty | the user did nothing there, and the scan need not ask again |
//! | is all there is | the calls are on it |
//! | is not all | the Region's calls of `GetFederationToken` are read: few, however much the user does |
//!
//! Each session is read by its key and by its name. The key finds what was signed with it; the name
//! finds the console's calls, which are signed with others. That `Username` is the federated user's
//! name is seen and nowhere documented.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::join_all;
use serde::Deserialize;

use super::Place;
use super::alive::WhileAlive;
use super::found::{NOT_IN_OTHERS, OfAccount};
use super::reader::aged_out;
use super::sessions::Sessions;
use crate::backend::{Page, PageCost, ScanError, ScanReader};
use crate::plan::federated_sessions::{FederatedSessions, LONGEST_FEDERATED_SECONDS, UserSought};
use crate::plan::{LookupAttribute, Reason, ReasonCode, RoleReading};
use crate::query::{Condition, Event, EventTime, Region, TimeRange};

const ISSUES: &str = "GetFederationToken";

/// So many users are sought by what they did; of more, the Region's calls are read at once.
const FEW_USERS: usize = 2;

/// Of one Region no more pages of calls are read: that takes most of two minutes already.
const MOST_PAGES: u32 = 200;

/// The users of one account whose sessions are sought, and what the account's scans share of it.
#[derive(Clone)]
pub(super) struct Federated {
    by: Arc<FederatedSessions>,
    account: Arc<OfAccount>,
    /// All that the scan is asked for.
    asked: TimeRange,
}

/// What was found.
#[derive(Debug)]
pub(super) struct FederatedFound {
    sessions: Sessions<LookupAttribute>,
    issued: usize,
    /// Where a user's lookup shows nothing.
    silent: BTreeSet<(Region, LookupAttribute)>,
    /// Why some were not found, and in which Regions.
    unsought: BTreeMap<String, BTreeSet<Region>>,
}

impl Federated {
    pub fn new(by: &Arc<FederatedSessions>, account: Arc<OfAccount>, asked: TimeRange) -> Self {
        Self {
            by: Arc::clone(by),
            account,
            asked,
        }
    }

    /// The sessions, as far as they can be found. Whoever comes first seeks them for all, and `cost`
    /// is told what that took. Not to be called with a turn in hand.
    pub async fn found(&self, place: &Place, cost: &mut PageCost) -> &FederatedFound {
        let found = self.account.federated.get_or_init(|| async {
            let seek = Seek {
                place,
                by: &self.by,
                acts: self.by.users.iter().map(UserSought::acts).collect(),
            };
            let (found, spent) = seek.run().await;
            cost.add(&spent);
            found
        });
        found.await
    }

    /// The lookups that find what the users did and what their sessions did, in one Region.
    pub async fn lookups(
        &self,
        place: &Place,
        attributes: &BTreeSet<LookupAttribute>,
        range: TimeRange,
        cost: &mut PageCost,
    ) -> Vec<(TimeRange, Box<dyn ScanReader>)> {
        let found = self.found(place, cost).await;
        let own = attributes.iter().map(|attribute| {
            let silent = (found.silent).contains(&(place.region().clone(), attribute.clone()));
            let reader: Box<dyn ScanReader> = if silent {
                let place = place.clone();
                Box::new(Silent { place, range })
            } else {
                place.lookup(Some(attribute.clone()), range)
            };
            (range, reader)
        });
        let sessions = (found.sessions.within(range))
            .filter(|(attribute, _)| !attributes.contains(*attribute))
            .filter_map(|(attribute, lives)| {
                let (range, reader) = WhileAlive::new(place, attribute, lives)?;
                Some((range, Box::new(reader) as Box<dyn ScanReader>))
            });
        own.chain(sessions).collect()
    }

    /// How far that is complete, once the sessions were found: nothing is to be said where the users
    /// issued none, and that is sure.
    pub fn reading(&self) -> Option<RoleReading> {
        let found = self.account.federated.get()?;
        let early = self.by.reach_ends_early(self.asked);
        let all = found.unsought.is_empty() && !early && !self.by.has_others;
        if found.issued == 0 && all {
            return None;
        }
        let mut note = format!(
            "complete for the {} federated sessions found by the calls of {ISSUES} from {} on",
            found.issued,
            self.by.issued_in.start()
        );
        if early {
            note.push_str(
                ", where event history begins: older sessions may have acted until 36 hours later",
            );
        }
        if self.by.has_others {
            note.push_str(NOT_IN_OTHERS);
        }
        for (why, regions) in &found.unsought {
            let regions: Vec<&str> = regions.iter().map(Region::as_str).collect();
            note.push_str("; not all were sought in ");
            note.push_str(&regions.join(", "));
            note.push_str(": ");
            note.push_str(why);
        }
        Some(RoleReading {
            inferred: true,
            note: note.into(),
        })
    }
}

/// One account's search for sessions.
struct Seek<'a> {
    place: &'a Place,
    by: &'a FederatedSessions,
    acts: Vec<Condition>,
}

/// What one Region showed.
#[derive(Default)]
struct InRegion {
    /// Keys and names.
    issued: Vec<(LookupAttribute, EventTime)>,
    calls: usize,
    silent: BTreeSet<LookupAttribute>,
    unsought: Option<String>,
    cost: PageCost,
}

impl Seek<'_> {
    async fn run(self) -> (FederatedFound, PageCost) {
        let accepted = "the configuration accepts that event history cannot be read there";
        let mut unsought = BTreeMap::from([(accepted.to_owned(), self.by.unread.clone())]);
        let mut cost = PageCost::default();
        let (mut issued, mut silent, mut calls) = (Vec::new(), BTreeSet::new(), 0);
        let regions = match self.place.credentials().await {
            Ok(()) => join_all(self.by.regions.iter().map(|region| self.region(region))).await,
            Err(reason) => {
                let all = unsought.entry(in_short(&reason)).or_default();
                all.extend(self.by.regions.iter().cloned());
                Vec::new()
            }
        };
        for (region, seen) in self.by.regions.iter().zip(regions) {
            cost.add(&seen.cost);
            issued.extend(seen.issued);
            calls += seen.calls;
            let at = |attribute| (region.clone(), attribute);
            silent.extend(seen.silent.into_iter().map(at));
            if let Some(why) = seen.unsought {
                unsought.entry(why).or_default().insert(region.clone());
            }
        }
        unsought.retain(|_, regions| !regions.is_empty());
        let found = FederatedFound {
            sessions: Sessions::issued(issued, LONGEST_FEDERATED_SECONDS),
            issued: calls,
            silent,
            unsought,
        };
        (found, cost)
    }

    async fn region(&self, region: &Region) -> InRegion {
        let place = self.place.in_region(region);
        let mut seen = InRegion::default();
        if self.by.users.len() > FEW_USERS || !self.all_on_first_pages(&place, &mut seen).await {
            self.calls(&place, &mut seen).await;
        }
        seen
    }

    /// What the users did, if a page each is all of it.
    async fn all_on_first_pages(&self, place: &Place, seen: &mut InRegion) -> bool {
        let mut events = Vec::new();
        for user in &self.by.users {
            let attribute = user.attribute.clone();
            let mut reader = place.lookup(Some(attribute.clone()), self.by.issued_in);
            match seen.take(reader.next_page().await) {
                Some(page) if is_last(&page, place) => {
                    if page.events.is_empty() && page.cost.unreadable_records == 0 {
                        seen.silent.insert(attribute);
                    }
                    events.extend(page.events);
                }
                Some(_) => return false,
                None => {}
            }
        }
        for event in &events {
            self.note(event, seen);
        }
        true
    }

    /// All calls of the account in one Region.
    async fn calls(&self, place: &Place, seen: &mut InRegion) {
        let attribute = LookupAttribute::EventName(ISSUES.to_owned());
        let mut reader = place.lookup(Some(attribute), self.by.issued_in);
        for read in 1.. {
            let Some(page) = seen.take(reader.next_page().await) else {
                return;
            };
            for event in &page.events {
                self.note(event, seen);
            }
            if is_last(&page, place) {
                return;
            }
            if read == MOST_PAGES {
                let since = page.bound.unwrap_or(self.by.issued_in.start());
                seen.unsought = Some(format!(
                    "more than {read} pages of such calls, those before {since} were not read"
                ));
                return;
            }
        }
    }

    fn note(&self, event: &Event, seen: &mut InRegion) {
        let issues = event.event_source == "sts.amazonaws.com"
            && event.event_name == ISSUES
            && event.error_code.is_none();
        if !issues || !self.acts.iter().any(|user| user.holds(event)) {
            return;
        }
        seen.calls += 1;
        let session = event.issued_session.as_ref();
        let name = session.and_then(|session| session.session_name.clone());
        let name = name
            .or_else(|| requested_name(event))
            .map(LookupAttribute::Username);
        let key = session.and_then(|session| session.access_key_id.clone());
        let key = key.map(LookupAttribute::AccessKeyId);
        if key.is_none() {
            seen.unsought = Some("a call does not tell the key that it issued".to_owned());
        }
        let at = event.key.time;
        (seen.issued).extend(key.into_iter().chain(name).map(|attribute| (attribute, at)));
    }
}

impl InRegion {
    /// A page; none where there is no more to be seen, or it cannot be.
    fn take(&mut self, answer: Result<Page, ScanError>) -> Option<Page> {
        match answer {
            Ok(page) => {
                self.cost.add(&page.cost);
                if page.cost.unreadable_records > 0 {
                    self.unsought = Some("a record that may be one cannot be read".to_owned());
                }
                Some(page)
            }
            Err(error) => {
                self.cost.add(&error.cost);
                // What a disabled Region had is not looked up, and what is past is nowhere to be had.
                if !error.not_applicable && error.reason.code != ReasonCode::AgedOut {
                    self.unsought = Some(in_short(&error.reason));
                }
                None
            }
        }
    }
}

/// Whether nothing is left but what event history forgets.
fn is_last(page: &Page, place: &Place) -> bool {
    page.end || page.bound.is_some_and(|bound| bound < place.horizon())
}

fn in_short(reason: &Reason) -> String {
    let code = reason.aws_code.as_ref();
    let why = code.map_or_else(|| reason.message.clone(), Clone::clone);
    format!("they could not be read ({why})")
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Request {
    name: Option<String>,
}

fn requested_name(event: &Event) -> Option<String> {
    let request = event.request_parameters_json.as_deref()?;
    let Request { name } = serde_json::from_str(request).ok()?;
    name
}

/// A lookup that shows nothing, which is known already.
struct Silent {
    place: Place,
    range: TimeRange,
}

#[async_trait]
impl ScanReader for Silent {
    async fn next_page(&mut self) -> Result<Page, ScanError> {
        let horizon = self.place.horizon();
        if horizon <= self.range.start() {
            return Ok(Page {
                end: true,
                ..Page::default()
            });
        }
        Err(ScanError {
            reason: aged_out(horizon),
            not_applicable: false,
            stopped_at: Some(horizon.plus(-1).min(self.range.last())),
            cost: PageCost::default(),
        })
    }
}
