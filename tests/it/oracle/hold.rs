//! Asking the service about everybody, and holding each answer against the naive scan.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use identity_trail::plan::OutcomeState;
use identity_trail::query::{BackendKind, EventTime, SearchOrder, TimeRange};
use identity_trail::sandbox::{Denial, SandboxConfig};

use super::identities::Who;
use super::naive::{Asked, Lake, Place};
use crate::world::{Answer, ArchiveSetup, World, question};

/// Questions at once.
const AT_ONCE: usize = 8;
/// Identities of one kind in one question to the archive alone.
const TOGETHER: usize = 50;

/// Which backends a request allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    Both,
    History,
    Archive,
    /// The log group alone.
    Logs,
    /// Event history and the log group.
    HistoryAndLogs,
    /// Event history, the archive, and the log group for what the archive does not declare.
    All,
    /// The archive or the log group, in the place of an event history that refuses every lookup.
    HandedOver,
    /// Event history, of which each scan leaves what is not on its first page to the archive.
    CutShort,
}

impl Reading {
    /// The sandbox refuses what is to be handed over.
    pub fn prepared(self, mut sandbox: SandboxConfig) -> SandboxConfig {
        if self == Self::HandedOver {
            let lookups = "cloudtrail:LookupEvents".to_owned();
            let denied = &mut sandbox.faults.denied_actions;
            denied.insert(lookups, Denial::NotAllowed);
        }
        sandbox
    }
}

/// What was compared.
#[derive(Debug, Default)]
pub struct Tally {
    pub questions: usize,
    pub identities: usize,
    pub refused: usize,
    /// Events in all answers.
    pub events: usize,
    /// Of them, those whose record holds a session token.
    pub with_secrets: usize,
    /// Answers of which the archive or the log group took a part over.
    pub handed_over: usize,
    /// Answers that said that something is missing.
    pub incomplete: usize,
    pub took: std::time::Duration,
    mismatches: Vec<String>,
}

impl Tally {
    pub fn add(&mut self, other: Self) {
        self.questions += other.questions;
        self.identities += other.identities;
        self.refused += other.refused;
        self.events += other.events;
        self.handed_over += other.handed_over;
        self.with_secrets += other.with_secrets;
        self.incomplete += other.incomplete;
        self.took += other.took;
        self.mismatches.extend(other.mismatches);
    }

    /// Prints the counts; panics if anything differed.
    pub fn conclude(&self, what: &str) {
        println!(
            "{what}: {} identities in {} questions ({} refused), {} events ({} with masked tokens), {} answers incomplete, {} in part handed over, {:.1?}",
            self.identities,
            self.questions,
            self.refused,
            self.events,
            self.with_secrets,
            self.incomplete,
            self.handed_over,
            self.took
        );
        let shown: Vec<_> = self.mismatches.iter().take(8).cloned().collect();
        assert!(
            shown.is_empty(),
            "{what}: {} answers differ:\n{}",
            self.mismatches.len(),
            shown.join("\n")
        );
    }
}

/// As many identities of a kind, or all of them if `IDENTITY_TRAIL_ORACLE` is `all`.
pub fn most(of_a_kind: usize) -> usize {
    match std::env::var("IDENTITY_TRAIL_ORACLE").as_deref() {
        Ok("all") => usize::MAX,
        _ => of_a_kind,
    }
}

/// What is held against the naive scan.
pub struct Held<'a> {
    pub world: &'a World,
    pub lake: &'a Lake,
    pub archive: Option<ArchiveSetup>,
    pub reading: Reading,
    /// The most identities of one kind that are asked about.
    pub of_a_kind: usize,
    /// Whether each question is asked in both orders, as it is with `all`.
    pub both_orders: bool,
}

impl Held<'_> {
    /// Asks about everybody.
    pub async fn everybody(&self) -> Tally {
        let began = std::time::Instant::now();
        let mut tally = Tally::default();
        let questions = self.questions(&mut tally);
        // Otherwise every other question is asked oldest first.
        let both = self.both_orders || most(1) > 1;
        let orders = [SearchOrder::NewestFirst, SearchOrder::OldestFirst];
        let questions = questions.into_iter().enumerate().flat_map(|(number, who)| {
            let asked = orders.into_iter().enumerate();
            let asked = asked.filter(move |(order, _)| both || number % 2 == *order);
            asked.map(move |(_, order)| (order, who.clone()))
        });
        let answers = stream::iter(questions).map(|(order, who)| self.one(order, who));
        let tallies: Vec<Tally> = answers.buffer_unordered(AT_ONCE).collect().await;
        for one in tallies {
            tally.add(one);
        }
        tally.took = began.elapsed();
        tally
    }

    /// The identities of each question. The archive alone is asked about many of a kind at once:
    /// none of them did what another did.
    fn questions(&self, tally: &mut Tally) -> Vec<Vec<Who>> {
        let mut kinds: BTreeMap<&'static str, Vec<Who>> = BTreeMap::new();
        for who in Who::all(self.lake.0.iter().map(|stored| &stored.record)) {
            let allowed = who.allowed();
            if who.identity().is_some() != allowed {
                let mismatch = format!("{who:?} is allowed: {allowed}, the service says otherwise");
                tally.mismatches.push(mismatch);
            } else if allowed {
                kinds.entry(who.kind()).or_default().push(who);
            } else {
                tally.refused += 1;
            }
        }
        let together = match self.reading {
            Reading::Archive | Reading::Logs => TOGETHER,
            _ => 1,
        };
        let kinds = kinds.into_values().flat_map(|kind| {
            let step = kind.len().div_ceil(self.of_a_kind);
            let kind: Vec<Who> = kind.into_iter().step_by(step).collect();
            kind.chunks(together)
                .map(<[Who]>::to_vec)
                .collect::<Vec<_>>()
        });
        kinds.collect()
    }

    async fn one(&self, order: SearchOrder, who: Vec<Who>) -> Tally {
        let (first, last) = self.lake.span();
        let now = self.world.sandbox.clock().now();
        // Nobody can take over what no archive holds yet.
        let held = match self.reading {
            Reading::HandedOver | Reading::CutShort => EventTime::floor(now).second() - 3600,
            _ => EventTime::ceil(now).second(),
        };
        let end = held.min(last + 1);
        let times = (first - 3600, end.max(first));
        let range = TimeRange::new(time(times.0), time(times.1)).unwrap();
        let identities = who.iter().filter_map(Who::identity).collect();
        let mut query = question(identities, range);
        query.order = order;
        query.backends = match self.reading {
            Reading::Both
            | Reading::HistoryAndLogs
            | Reading::All
            | Reading::HandedOver
            | Reading::CutShort => Vec::new(),
            Reading::History => vec![BackendKind::EventHistory],
            Reading::Archive => vec![BackendKind::Athena],
            Reading::Logs => vec![BackendKind::Logs],
        };
        let answer = self.world.ask(query).await;
        // No table that AWS documents shows a source identity.
        let unseen = who.iter().any(|who| matches!(who, Who::SourceIdentity(_)));
        let archive = self
            .archive
            .filter(|_| self.reading != Reading::History && !unseen);
        let log_group = match self.reading {
            Reading::Logs | Reading::HistoryAndLogs | Reading::All => true,
            Reading::HandedOver => self.archive.is_none(),
            Reading::Both | Reading::History | Reading::Archive | Reading::CutShort => false,
        };
        let asked = Asked {
            places: &self.world.places,
            start: times.0,
            end: times.1,
            now: EventTime::floor(answer.plan().now).second(),
            horizon: answer.plan().horizon.second(),
            history: !matches!(
                self.reading,
                Reading::Archive | Reading::Logs | Reading::HandedOver
            ),
            archive: if log_group {
                Some(i64::MIN)
            } else {
                archive.map(first_second)
            },
            log_group,
            knows_category: archive.is_none_or(|archive| archive.table != "cloudtrail_legacy"),
        };
        self.compare(order, &who, &answer, &asked)
    }

    fn compare(
        &self,
        order: SearchOrder,
        asked_about: &[Who],
        answer: &Answer,
        asked: &Asked<'_>,
    ) -> Tally {
        let mut outcomes = answer.outcomes().iter();
        let handed_over = outcomes.any(|it| it.state == OutcomeState::HandedOver);
        let mut tally = Tally {
            questions: 1,
            handed_over: handed_over.into(),
            incomplete: usize::from(!answer.complete()),
            ..Tally::default()
        };
        if answer.complete() != asked.complete() {
            tally.mismatches.push(format!(
                "{asked_about:?}: complete is {}, not {}: {:?}",
                answer.complete(),
                asked.complete(),
                bad(answer)
            ));
        }
        let places: Vec<Place> = answer.events().map(Place::of).collect();
        if !places.is_sorted_by(|a, b| order.compare(&a.order(), &b.order()).is_le()) {
            tally
                .mismatches
                .push(format!("{asked_about:?}: not {order:?}"));
        }
        for who in asked_about {
            let identity = who.identity();
            let matched = answer.events().zip(&places).filter(|(event, _)| {
                event
                    .matched_identities
                    .iter()
                    .any(|matched| Some(matched) == identity.as_ref())
            });
            let mut found: Vec<&Place> = matched.map(|(_, place)| place).collect();
            found.sort_by(|a, b| b.cmp(a));
            let expected = asked.answer(self.lake, who);
            if self.reading == Reading::CutShort {
                // A record may contradict itself, so that event history does not find it by what it is
                // asked for and the archive, which takes over from where a scan was cut short, does.
                let archived = asked.without_history().answer(self.lake, who);
                found.retain(|place| expected.contains(place) || !archived.contains(place));
            }
            tally.identities += 1;
            tally.events += found.len();
            if !found.iter().copied().eq(&expected) {
                tally
                    .mismatches
                    .push(difference(who, &found, &expected, answer));
            }
        }
        let secrets = self.lake.secrets();
        for event in answer.events() {
            let record = event
                .record
                .as_ref()
                .expect("RecordView::Full was asked for");
            let id = match &event.key.id {
                identity_trail::query::EventId::Recorded(id) => &**id,
                identity_trail::query::EventId::Made { .. } => "",
            };
            if let Some(secret) = secrets.get(id) {
                tally.with_secrets += 1;
                if format!("{event:?} {record:?}").contains(secret) {
                    tally
                        .mismatches
                        .push(format!("{id} shows its session token"));
                }
            }
        }
        tally
    }
}

fn first_second(archive: ArchiveSetup) -> i64 {
    let midnight = archive.first_day.to_zoned(jiff::tz::TimeZone::UTC).unwrap();
    midnight.timestamp().as_second()
}

fn time(second: i64) -> EventTime {
    EventTime::from_second(second).unwrap()
}

/// What was not read, and why: first what failed, then what lies beyond the horizon.
fn bad(answer: &Answer) -> Vec<String> {
    let outcomes = answer.outcomes().iter();
    let mut bad: Vec<_> = outcomes
        .filter(|outcome| outcome.reason.is_some())
        .collect();
    bad.sort_by_key(|outcome| outcome.state != OutcomeState::Failed);
    bad.iter()
        .take(3)
        .map(|outcome| format!("{outcome:?}"))
        .collect()
}

fn difference(who: &Who, found: &[&Place], expected: &[Place], answer: &Answer) -> String {
    let missing: Vec<_> = expected
        .iter()
        .filter(|place| !found.contains(place))
        .collect();
    let extra: Vec<_> = found
        .iter()
        .filter(|place| !expected.contains(place))
        .collect();
    format!(
        "{who:?}: {} found, {} expected; missing {:?}; extra {:?}; routes {:?}; not read {:?}",
        found.len(),
        expected.len(),
        missing.iter().take(2).collect::<Vec<_>>(),
        extra.iter().take(2).collect::<Vec<_>>(),
        answer.plan().routes,
        bad(answer)
    )
}
