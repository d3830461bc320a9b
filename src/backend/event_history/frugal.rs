//! A scan that can be read in two ways: whole, or by several lookups that together find all that
//! can match. Which costs fewer requests is not known beforehand, so it is found out while reading.
//!
//! The newest page is read whole, which is never in vain: it is a page of the answer, it shows how
//! densely events lie, and in a quiet Region it is the last. From there the way with the lower
//! estimate is taken, and reconsidered once it has cost as much as the other was estimated at. So
//! neither costs more than about twice the better one.
//!
//! For a role the lookups are those of its sessions, which have to be found first: once for each
//! account, by whichever of its scans finds it worth while, for all of them. So have those of users
//! (see [`super::federated`]), if there are any among the lookups.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;

use super::Place;
use super::alive::WhileAlive;
use super::discovery::acting;
use super::federated::Federated;
use super::found::OfAccount;
use super::merged::Merged;
use crate::backend::{Page, PageCost, ScanError, ScanReader};
use crate::plan::role_sessions::RoleSessions;
use crate::plan::{LookupAttribute, RoleReading};
use crate::query::{EventTime, TimeRange};

/// The lookups that are the alternative to reading whole.
pub(super) enum Alternative {
    /// These.
    Each(BTreeSet<LookupAttribute>),
    /// Those of the roles' sessions.
    Sessions {
        by: Arc<RoleSessions>,
        account: Arc<OfAccount>,
        /// All that the scan is asked for.
        asked: TimeRange,
    },
}

/// Reads whole or by lookups, whichever costs less.
pub(super) struct Frugal {
    place: Place,
    range: TimeRange,
    by: Alternative,
    /// The users among whom the lookups find.
    federated: Option<Federated>,
    reading: Merged,
    mode: Mode,
    /// The way was chosen for the page that comes next.
    is_chosen: bool,
    /// What choosing took, until it is told.
    cost: PageCost,
    /// Pages read whole, and the seconds that they hold.
    whole_pages: u64,
    whole_seconds: u64,
    told: Option<RoleReading>,
}

#[derive(Debug, Clone, Copy)]
enum Mode {
    /// Whole, for so many pages more until it is reconsidered.
    Whole(u64),
    /// By lookups, for so many pages more until it is reconsidered.
    Lookups(u64),
    /// Whole to the end.
    WholeForGood,
}

impl Frugal {
    pub fn new(
        place: Place,
        range: TimeRange,
        by: Alternative,
        federated: Option<Federated>,
    ) -> Self {
        let whole = place.lookup(None, range);
        Self {
            reading: Merged::new([(range, whole)], range.last()),
            mode: Mode::Whole(1),
            is_chosen: false,
            cost: PageCost::default(),
            whole_pages: 0,
            whole_seconds: 0,
            told: None,
            place,
            range,
            by,
            federated,
        }
    }

    /// Takes the better way from here on, if it is time to ask which that is. Not to be called with a
    /// turn in hand, for which finding sessions would wait.
    async fn choose(&mut self) {
        if std::mem::replace(&mut self.is_chosen, true) {
            return;
        }
        let again = match self.mode {
            Mode::Whole(pages) | Mode::Lookups(pages) => pages == 0,
            Mode::WholeForGood => false,
        };
        let refuted = match &self.by {
            Alternative::Sessions { account, .. } => account.refuted().map(str::to_owned),
            Alternative::Each(_) => None,
        };
        if let Some(why) = refuted
            && !matches!(self.mode, Mode::WholeForGood)
        {
            return self.whole_for_good(&why);
        }
        let Some(left) = self.range.before(self.reading.bound().plus(1)) else {
            return;
        };
        if !again {
            return;
        }
        let whole = self.pages_left(left);
        let (place, federated, cost) = (&self.place, self.federated.as_ref(), &mut self.cost);
        let lookups = match &self.by {
            // Not worth finding out what comes on top.
            Alternative::Each(attributes) if attributes.len() as u64 >= whole => {
                Ok(each(place, attributes, left).collect())
            }
            Alternative::Each(attributes) => {
                Ok(with_federated(place, attributes, federated, left, cost).await)
            }
            Alternative::Sessions { by, account, .. } => {
                let Some(sessions) = account.sessions(place, by, cost).await else {
                    self.mode = Mode::Whole(1);
                    return;
                };
                match (sessions, account.refuted()) {
                    (Err(why), _) => Err(why.clone()),
                    (Ok(_), Some(why)) => Err(why.to_owned()),
                    (Ok(found), None) => {
                        let names = found.sessions.within(left).filter_map(|(name, lives)| {
                            let by = LookupAttribute::Username(name.clone());
                            let (range, reader) = WhileAlive::new(place, &by, lives)?;
                            Some((range, Box::new(reader) as Box<dyn ScanReader>))
                        });
                        let mut lookups: Vec<_> = names.collect();
                        lookups
                            .extend(with_federated(place, &by.beside, federated, left, cost).await);
                        Ok(lookups)
                    }
                }
            }
        };
        match (lookups, self.mode) {
            (Err(why), _) => self.whole_for_good(&why),
            // Going on with what has begun is not to begin it again.
            (Ok(_), Mode::Lookups(_)) if self.reading.left() as u64 <= whole => {
                self.mode = Mode::Lookups(whole);
            }
            (Ok(lookups), Mode::Whole(_)) if (lookups.len() as u64) < whole => {
                self.mode = Mode::Lookups(whole);
                self.tell_sessions();
                self.reading.replace(lookups);
            }
            (Ok(lookups), Mode::Whole(_)) => {
                let lookups = lookups.len() as u64;
                self.mode = Mode::Whole(lookups);
                self.tell(
                    "that is estimated to take fewer requests than a lookup for each session",
                );
            }
            (Ok(lookups), Mode::Lookups(_) | Mode::WholeForGood) => {
                self.mode = Mode::Whole(lookups.len() as u64);
                self.tell("its sessions did more than reading whole was estimated at");
                self.read_whole(left);
            }
        }
    }

    /// An estimate: as densely as events lie in what was read whole.
    fn pages_left(&self, left: TimeRange) -> u64 {
        let horizon = self.place.horizon();
        let seconds = (left.end().second() - left.start().max(horizon).second()).max(0);
        let pages = u128::from(self.whole_pages) * u128::from(seconds.unsigned_abs());
        u64::try_from(pages.div_ceil(u128::from(self.whole_seconds.max(1)))).unwrap_or(u64::MAX)
    }

    fn read_whole(&mut self, left: TimeRange) {
        let whole = self.place.lookup(None, left);
        self.reading.replace([(left, whole)]);
    }

    fn whole_for_good(&mut self, why: &str) {
        if let (Mode::Lookups(_), Some(left)) =
            (self.mode, self.range.before(self.reading.bound().plus(1)))
        {
            self.read_whole(left);
        }
        self.mode = Mode::WholeForGood;
        self.tell(why);
    }

    /// Tells that it is read whole, and why; what was read by sessions stays inferred.
    fn tell(&mut self, why: &str) {
        if matches!(self.by, Alternative::Sessions { .. }) {
            let inferred = self.told.as_ref().is_some_and(|told| told.inferred);
            self.told = Some(RoleReading {
                inferred,
                note: format!("read whole: {why}").into(),
            });
        }
    }

    fn tell_sessions(&mut self) {
        let roles = match &self.by {
            Alternative::Sessions { by, account, asked } => Some(account.reading(by, *asked)),
            Alternative::Each(_) => None,
        };
        let users = self.federated.as_ref();
        let users = users.and_then(Federated::reading);
        self.told = match (roles, users) {
            (Some(roles), Some(users)) => Some(RoleReading {
                inferred: true,
                note: format!("{}; {}", roles.note, users.note).into(),
            }),
            (roles, users) => roles.or(users).or(self.told.take()),
        };
    }

    /// Learns from a page: what it cost, how far it came, and who acted in it.
    fn learn(&mut self, page: &Page, before: EventTime) {
        match &mut self.mode {
            Mode::Whole(pages) => {
                *pages = pages.saturating_sub(1);
                self.whole_pages += 1;
                let bound = page.bound.unwrap_or(self.range.start());
                self.whole_seconds += (before.second() - bound.second()).max(0).unsigned_abs();
            }
            Mode::Lookups(pages) => *pages = pages.saturating_sub(1),
            Mode::WholeForGood => {}
        }
        let Alternative::Sessions { by, account, .. } = &self.by else {
            return;
        };
        let left = match (page.end, self.range.before(self.reading.bound().plus(1))) {
            (false, Some(left)) => self.pages_left(left),
            _ => 0,
        };
        let spent = u64::from(matches!(self.mode, Mode::Whole(_)));
        account.estimate(self.place.region(), spent, left);
        if matches!(self.mode, Mode::WholeForGood) {
            return;
        }
        let settled = self.place.settled();
        for event in &page.events {
            if let Some((name, arn)) = acting(event, by) {
                account.role_acts(arn);
                // Of the youngest, what issued them may not have arrived.
                if event.key.time < settled {
                    account.acted(name, event.key.time);
                }
            }
        }
    }
}

/// A lookup for each attribute.
pub(super) fn each<'a>(
    place: &'a Place,
    attributes: &'a BTreeSet<LookupAttribute>,
    range: TimeRange,
) -> impl Iterator<Item = (TimeRange, Box<dyn ScanReader>)> + 'a {
    let attributes = attributes.iter().cloned();
    attributes.map(move |attribute| (range, place.lookup(Some(attribute), range)))
}

/// A lookup for each attribute, and for each session of the users among them.
async fn with_federated(
    place: &Place,
    attributes: &BTreeSet<LookupAttribute>,
    users: Option<&Federated>,
    range: TimeRange,
    cost: &mut PageCost,
) -> Vec<(TimeRange, Box<dyn ScanReader>)> {
    match users {
        Some(users) => users.lookups(place, attributes, range, cost).await,
        None => each(place, attributes, range).collect(),
    }
}

#[async_trait]
impl ScanReader for Frugal {
    async fn wait_for_turn(&mut self) {
        self.choose().await;
        self.reading.wait_for_turn().await;
    }

    fn give_up_turn(&mut self) {
        self.reading.give_up_turn();
    }

    async fn next_page(&mut self) -> Result<Page, ScanError> {
        self.choose().await;
        self.is_chosen = false;
        let before = self.reading.bound();
        let answer = self.reading.next_page().await;
        let cost = std::mem::take(&mut self.cost).beside();
        match answer {
            Ok(mut page) => {
                self.learn(&page, before);
                page.cost.add(&cost);
                page.role_reading.clone_from(&self.told);
                Ok(page)
            }
            Err(mut error) => {
                error.cost.add(&cost);
                Err(error)
            }
        }
    }
}
