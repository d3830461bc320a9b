//! Finding the sessions of roles in one account: the `AssumeRole*` events, in all its Regions.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use futures::future::join_all;

use super::Place;
use super::sessions::{Issued, Sessions, issued, who_acts};
use crate::backend::{PageCost, ScanError};
use crate::plan::role_sessions::{ASSUME_ROLE, IssuedBy, LONGEST_SESSION_SECONDS, RoleSessions};
use crate::plan::{LookupAttribute, ReasonCode};
use crate::query::{Event, EventTime, Region};

/// More sessions than this are not kept in memory: the account is read whole.
const MOST_NAMES: usize = 10_000;

/// One account's search for sessions.
pub(super) struct Discovery<'a> {
    pub place: &'a Place,
    pub by: &'a RoleSessions,
    /// ARNs of the question's roles that the scans have met already.
    pub known_arns: BTreeSet<String>,
    /// The most requests that it is worth, as far as that is known now.
    pub budget: &'a (dyn Fn() -> u64 + Sync),
}

/// The sessions of the question's roles.
#[derive(Debug)]
pub(super) struct RolesFound {
    /// By their names.
    pub sessions: Sessions,
    /// The identities of which no event issued a session.
    pub never_issued: Vec<String>,
}

/// What the lookups of a discovery share.
struct Shared {
    requests: AtomicU64,
    stop: AtomicBool,
    cost: Mutex<PageCost>,
}

/// What one lookup found.
#[derive(Default)]
struct Found {
    sessions: Vec<(String, EventTime)>,
    /// The roles that issued them, with their paths.
    role_arns: BTreeSet<String>,
    /// Which of the question's roles they are.
    roles: BTreeSet<usize>,
}

impl Discovery<'_> {
    /// The sessions, or in words why they cannot be found at that price. Adds to `cost` what it
    /// spends. Drop safe.
    pub async fn run(self, cost: &mut PageCost) -> Result<RolesFound, String> {
        let shared = Shared {
            requests: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            cost: Mutex::new(PageCost::default()),
        };
        let found = self.find(&shared).await;
        cost.add(
            &shared
                .cost
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner),
        );
        found
    }

    async fn find(&self, shared: &Shared) -> Result<RolesFound, String> {
        let (mut arns, mut pathless, mut apis) =
            (self.known_arns.clone(), BTreeSet::new(), BTreeSet::new());
        for role in &self.by.roles {
            match &role.issued_by {
                IssuedBy::Role { arn } => {
                    arns.insert(arn.clone());
                }
                IssuedBy::RoleOfUnknownPath { without_path } => {
                    arns.insert(without_path.clone());
                    pathless.insert(without_path.as_str());
                }
                IssuedBy::Apis(of) => apis.extend(*of),
            }
        }
        let mut found = self.of_roles(&arns, shared).await?;
        pathless.retain(|arn| !found.role_arns.iter().any(|other| same_name(arn, other)));
        if !apis.is_empty() {
            found.add(self.of_apis(&apis, &|_| false, shared).await?);
        }
        if !pathless.is_empty() {
            found.add(self.of_unknown_paths(&pathless, &arns, shared).await?);
        }
        let sessions =
            Sessions::issued(std::mem::take(&mut found.sessions), LONGEST_SESSION_SECONDS);
        if sessions.names() > MOST_NAMES {
            return Err(format!("the role has more than {MOST_NAMES} sessions"));
        }
        Ok(RolesFound {
            sessions,
            never_issued: self.never_issued(&found.roles)?,
        })
    }

    /// The roles of which no event issued a session. A role that may be another account's is not
    /// missed; whose account this is, it may have come by sessions otherwise: then everything is to be
    /// read, and why is said.
    fn never_issued(&self, issued: &BTreeSet<usize>) -> Result<Vec<String>, String> {
        let of_this_account = format!(":iam::{}:role/", self.place.account());
        let mut never = Vec::new();
        for (number, role) in self.by.roles.iter().enumerate() {
            let identity = &role.identity;
            match &role.issued_by {
                _ if issued.contains(&number) => {}
                IssuedBy::Role { arn } if arn.contains(&of_this_account) => {
                    let since = self.by.assumed_in.start();
                    return Err(format!(
                        "no event from {since} on issued a session of {identity}: nobody assumed it, \
                         or it was come by otherwise"
                    ));
                }
                _ => never.push(identity.to_string()),
            }
        }
        Ok(never)
    }

    /// The sessions of roles whose ARNs are known.
    async fn of_roles(&self, arns: &BTreeSet<String>, shared: &Shared) -> Result<Found, String> {
        let attributes = arns.iter().cloned().map(LookupAttribute::ResourceName);
        self.read(attributes.collect(), &|_| false, shared).await
    }

    /// The sessions that these APIs issued, until `enough` is found.
    async fn of_apis(
        &self,
        apis: &BTreeSet<&str>,
        enough: &(impl Fn(&Found) -> bool + Sync),
        shared: &Shared,
    ) -> Result<Found, String> {
        let attributes = apis
            .iter()
            .map(|api| LookupAttribute::EventName((*api).to_owned()));
        self.read(attributes.collect(), enough, shared).await
    }

    /// The sessions of roles that have a path, which any session of theirs tells.
    async fn of_unknown_paths(
        &self,
        unknown: &BTreeSet<&str>,
        asked: &BTreeSet<String>,
        shared: &Shared,
    ) -> Result<Found, String> {
        let learned = |found: &Found| {
            let known = |arn: &&&str| found.role_arns.iter().any(|other| same_name(arn, other));
            unknown.iter().filter(known).count() == unknown.len()
        };
        let apis = ASSUME_ROLE.iter().copied().collect();
        let met = self.of_apis(&apis, &learned, shared).await?;
        if !shared.stop.swap(false, Ordering::Relaxed) {
            // Every such event was read: there are no other sessions.
            return Ok(met);
        }
        let arns: BTreeSet<String> = met.role_arns.difference(asked).cloned().collect();
        self.of_roles(&arns, shared).await
    }

    /// Reads these lookups in every Region at once, until all have ended or `enough` is found.
    async fn read(
        &self,
        attributes: Vec<LookupAttribute>,
        enough: &(impl Fn(&Found) -> bool + Sync),
        shared: &Shared,
    ) -> Result<Found, String> {
        let lookups = self.by.regions.iter().flat_map(|region| {
            let attributes = attributes.iter().cloned();
            attributes.map(move |attribute| self.lookup(region, attribute, enough, shared))
        });
        let lookups: Vec<_> = lookups.collect();
        let needed = shared.requests.load(Ordering::Relaxed) + lookups.len() as u64;
        if needed > (self.budget)() {
            return Err(too_costly());
        }
        let mut all = Found::default();
        for found in join_all(lookups).await {
            all.add(found?);
        }
        Ok(all)
    }

    async fn lookup(
        &self,
        region: &Region,
        attribute: LookupAttribute,
        enough: &(impl Fn(&Found) -> bool + Sync),
        shared: &Shared,
    ) -> Result<Found, String> {
        let place = self.place.in_region(region);
        let mut reader = place.lookup(Some(attribute), self.by.assumed_in);
        let mut found = Found::default();
        while !shared.stop.load(Ordering::Relaxed) {
            let page = match reader.next_page().await {
                Ok(page) => page,
                Err(error) => {
                    self.spend(&error.cost, shared)?;
                    return ends_well(&error).map(|()| found);
                }
            };
            self.spend(&page.cost, shared)?;
            if page.cost.unreadable_records > 0 {
                return Err("a record that may have issued a session cannot be read".to_owned());
            }
            for event in page.events {
                self.note(event, &mut found)?;
            }
            if page.end {
                break;
            }
            if enough(&found) {
                shared.stop.store(true, Ordering::Relaxed);
            }
        }
        Ok(found)
    }

    fn spend(&self, cost: &PageCost, shared: &Shared) -> Result<(), String> {
        let mut spent = shared.cost.lock().unwrap_or_else(PoisonError::into_inner);
        spent.add(cost);
        drop(spent);
        // What is throttled costs time, and would cost reading whole as much.
        let new = cost.requests - cost.throttles;
        let all = shared.requests.fetch_add(new, Ordering::Relaxed) + new;
        if all > (self.budget)() {
            shared.stop.store(true, Ordering::Relaxed);
            return Err(too_costly());
        }
        Ok(())
    }

    /// Notes the session that an event issued, if it is one of the question's roles'.
    fn note(&self, mut event: Event, found: &mut Found) -> Result<(), String> {
        let Issued::Session {
            role_arn,
            session_arn,
            name,
        } = issued(&event)
        else {
            return Ok(());
        };
        // Were this an act of the session, would it be asked about?
        let known = name.as_deref().unwrap_or_default();
        let who = who_acts(role_arn.as_deref(), session_arn.as_deref(), known);
        event.user_identity = Some(who);
        let unknown_role = role_arn.is_none() && session_arn.is_none();
        let roles = self.by.roles.iter().enumerate();
        let roles = roles.filter(|(_, role)| role.acts.holds(&event));
        let roles: BTreeSet<usize> = roles.map(|(number, _)| number).collect();
        if !unknown_role && roles.is_empty() {
            return Ok(());
        }
        let Some(name) = name.filter(|_| !unknown_role) else {
            return Err("an event that issued a session does not name it or its role".to_owned());
        };
        found.roles.extend(roles);
        found.role_arns.extend(role_arn);
        found.sessions.push((name, event.key.time));
        Ok(())
    }
}

impl Found {
    fn add(&mut self, other: Self) {
        self.sessions.extend(other.sessions);
        self.role_arns.extend(other.role_arns);
        self.roles.extend(other.roles);
    }
}

/// Whether a lookup that was cut off has told all that can be known: a disabled Region has no
/// sessions, and what event history has forgotten nobody finds.
fn ends_well(error: &ScanError) -> Result<(), String> {
    if error.not_applicable || error.reason.code == ReasonCode::AgedOut {
        return Ok(());
    }
    Err(format!(
        "the events that issued its sessions could not be read: {}",
        error.reason.message
    ))
}

fn too_costly() -> String {
    "finding its sessions would cost about as much".to_owned()
}

/// Whether two role ARNs differ in the path at most: names are unique in an account.
fn same_name(arn: &str, other: &str) -> bool {
    let parts = |arn: &str| {
        let (account, _) = arn.split_once(":role/").unwrap_or_default();
        let name = arn.rsplit('/').next().unwrap_or_default();
        (account.to_owned(), name.to_owned())
    };
    parts(arn) == parts(other)
}

/// The name of a session that acts, and its role's ARN, if it is one of the roles sought.
pub(super) fn acting<'a>(
    event: &'a Event,
    by: &RoleSessions,
) -> Option<(&'a str, Option<&'a str>)> {
    if !by.roles.iter().any(|role| role.acts.holds(event)) {
        return None;
    }
    let who = event.user_identity.as_ref()?;
    let (_, name) = who.principal_id.as_deref()?.split_once(':')?;
    let issuer = who
        .session_issuer()
        .and_then(|issuer| issuer.arn.as_deref());
    Some((name, issuer))
}
