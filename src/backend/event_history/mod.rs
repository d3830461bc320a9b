//! CloudTrail's event history: `LookupEvents`, one account and Region, newest first, 90 days; oldest
//! first in windows of that.

mod alive;
mod discovery;
mod federated;
mod federating;
mod found;
mod frugal;
mod known;
mod lookup;
mod merged;
mod newest;
mod reader;
mod sessions;
mod windows;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_cloudtrail::Client;
use aws_sdk_cloudtrail::config::Builder;
use aws_sdk_cloudtrail::config::retry::RetryConfig;
use aws_sdk_cloudtrail::config::timeout::TimeoutConfig;
use jiff::SignedDuration;

use super::{Asks, Backend, Page, PageCost, ScanError, ScanReader, SearchContext};
use crate::clock::Clock;
use crate::federation::Federation;
use crate::plan::{LookupAttribute, Lookups, Reason, ReasonCode, Scan, ScanTarget};
use crate::query::{AccountId, EventQuery, EventTime, Region, SearchOrder, TimeRange};
use federated::Federated;
use federating::Federating;
pub use found::SessionsFound;
use frugal::{Alternative, Frugal, each};
use lookup::Lookup;
use merged::Merged;
pub use newest::Newest;
use reader::Reader;
use windows::Windows;

/// How far back event history reaches, counted from the time of each call.
const REACH: SignedDuration = SignedDuration::from_hours(90 * 24);

/// What is younger may not have been delivered.
const SETTLE_TIME: SignedDuration = SignedDuration::from_mins(30);

/// Reads event history in every account of the federation.
pub struct EventHistory {
    shared: Arc<Shared>,
}

struct Shared {
    federation: Arc<Federation>,
    clock: Clock,
    /// For all accounts and Regions: each call says whose it is. Nine thousand clients, of a large
    /// organization, would take most of the process's memory.
    client: Client,
}

impl EventHistory {
    /// Reads in the sessions of `federation`, with its pacing. `clock` tells how far back event
    /// history reaches; a call without an answer for `stall_timeout` ends its scan.
    #[must_use]
    pub fn new(federation: Arc<Federation>, clock: Clock, stall_timeout: Duration) -> Self {
        Self {
            shared: Arc::new(Shared {
                client: client(&federation, stall_timeout),
                federation,
                clock,
            }),
        }
    }
}

impl fmt::Debug for EventHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventHistory").finish_non_exhaustive()
    }
}

impl Backend for EventHistory {
    fn open(&self, scan: &Scan, search: &Arc<SearchContext>) -> Box<dyn ScanReader> {
        let ScanTarget::EventHistory {
            account,
            region,
            lookups,
        } = &scan.target
        else {
            return Box::new(NotEventHistory);
        };
        let place = Place::new(&self.shared, search, *account, region);
        let asked = scan.range;
        match search.query.order {
            SearchOrder::NewestFirst => place.read(lookups, scan.range, asked),
            SearchOrder::OldestFirst => {
                let (shared, lookups) = (Arc::clone(&self.shared), lookups.clone());
                Box::new(Windows::new(
                    scan.range,
                    Box::new(move || shared.horizon()),
                    Box::new(move |window| place.clone().read(&lookups, window, asked)),
                ))
            }
        }
    }

    fn asks(&self, scan: &Scan, query: &EventQuery) -> Result<Asks, Reason> {
        match &scan.target {
            ScanTarget::EventHistory { lookups, .. } => Ok(Asks::lookups(lookups, query)),
            ScanTarget::Logs { .. } | ScanTarget::Athena { .. } => Err(not_event_history()),
        }
    }
}

/// One account and Region, for one search.
#[derive(Clone)]
struct Place {
    everything: Lookup,
    account_name: Option<Arc<str>>,
}

impl Place {
    fn new(
        shared: &Arc<Shared>,
        search: &Arc<SearchContext>,
        account: AccountId,
        region: &Region,
    ) -> Self {
        let federation = &shared.federation;
        Self {
            everything: Lookup {
                shared: Arc::clone(shared),
                search: Arc::clone(search),
                queue: federation.lookups().queue(account, region),
                account,
                region: region.clone(),
                attribute: None,
            },
            account_name: federation.account_name(account),
        }
    }

    /// The same account in another Region.
    fn in_region(&self, region: &Region) -> Self {
        let Lookup {
            shared,
            search,
            account,
            ..
        } = &self.everything;
        Self::new(shared, search, *account, region)
    }

    fn region(&self) -> &Region {
        &self.everything.region
    }

    fn account(&self) -> AccountId {
        self.everything.account
    }

    /// The oldest second that event history still holds.
    fn horizon(&self) -> EventTime {
        self.everything.shared.horizon()
    }

    /// Events from this second on may still arrive, and so may those that led to them.
    fn settled(&self) -> EventTime {
        EventTime::floor(self.everything.shared.clock.now() - SETTLE_TIME)
    }

    /// Whether there are credentials for the account, or why there are none.
    async fn credentials(&self) -> Result<(), Reason> {
        let lookup = &self.everything;
        let federation = &lookup.shared.federation;
        match federation.session(lookup.account, lookup.behalf()) {
            Some(session) => session.credentials(Duration::ZERO).await.map(|_| ()),
            None => Ok(()),
        }
    }

    /// Reads an interval by `lookups`, of a scan that is `asked` for more: what is told of the answer
    /// is told of all of it.
    fn read(self, lookups: &Lookups, range: TimeRange, asked: TimeRange) -> Box<dyn ScanReader> {
        let found = self.everything.search.sessions.of(self.account());
        let of_users = |by| Federated::new(by, Arc::clone(&found), asked);
        let by = match lookups {
            Lookups::Whole => return self.lookup(None, range),
            Lookups::Each(attributes) | Lookups::WithFederated { attributes, .. }
                if lookups.may_be_read_whole() =>
            {
                Alternative::Each(attributes.clone())
            }
            Lookups::Each(attributes) => {
                return match attributes.first() {
                    Some(only) if attributes.len() == 1 => self.lookup(Some(only.clone()), range),
                    _ => Box::new(Merged::new(each(&self, attributes, range), range.last())),
                };
            }
            Lookups::WithFederated {
                attributes,
                federated,
            } => {
                let federated = of_users(federated);
                return Box::new(Federating::new(self, range, attributes.clone(), federated));
            }
            Lookups::RoleSessions(by) => Alternative::Sessions {
                by: Arc::clone(by),
                account: Arc::clone(&found),
                asked,
            },
        };
        let federated = lookups.federated().map(of_users);
        Box::new(Frugal::new(self, range, by, federated))
    }

    /// Reads an interval by one lookup.
    fn lookup(&self, attribute: Option<LookupAttribute>, range: TimeRange) -> Box<dyn ScanReader> {
        let lookup = Lookup {
            attribute,
            ..self.everything.clone()
        };
        Box::new(Reader::new(lookup, self.account_name.clone(), range))
    }
}

impl Shared {
    /// The oldest second that event history still holds.
    fn horizon(&self) -> EventTime {
        EventTime::ceil(self.clock.now() - REACH)
    }
}

/// A client whose calls are made once; one that takes longer than `stall_timeout` is a Region that
/// does not answer.
fn client(federation: &Federation, stall_timeout: Duration) -> Client {
    let config = federation.hub_config(federation.hub_region());
    let timeouts = config.timeout_config().map(TimeoutConfig::to_builder);
    let timeouts = timeouts
        .unwrap_or_default()
        .operation_timeout(stall_timeout)
        .operation_attempt_timeout(stall_timeout)
        .build();
    let config = Builder::from(&config)
        // Every attempt goes through the pacing, so the SDK makes none of its own.
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        .interceptor(federation.call_watch())
        .build();
    Client::from_conf(config)
}

fn not_event_history() -> Reason {
    Reason::new(
        ReasonCode::Internal,
        "a scan of another backend was given to event history, a defect of the service",
    )
}

/// The answer to a scan of another backend: a defect of who dispatched it, said and not hidden.
struct NotEventHistory;

#[async_trait]
impl ScanReader for NotEventHistory {
    async fn next_page(&mut self) -> Result<Page, ScanError> {
        Err(ScanError {
            reason: not_event_history(),
            not_applicable: false,
            stopped_at: None,
            cost: PageCost::default(),
        })
    }
}
