//! The RPCs. Each reads as one column: parse, ask the engine, write.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, BoxStream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::accounts::{self, Listing};
use super::asked::asked;
use super::attended::Attended;
use super::caller::caller;
use super::convert::{self, Findings, Rejection, Rules, event_query, responses};
use super::discretion::Discretion;
use super::edge::record;
use super::pb::identity_trail_service_server::IdentityTrailService;
use super::{check, pb, plan_search, status};
use crate::audit::{Accounts, Record};
use crate::caller::Caller;
use crate::check::Checker;
use crate::config::Limits;
use crate::plan::Inventory;
use crate::policy::Question;
use crate::query::EventTime;
use crate::search::{Engine, SearchItem};
use crate::telemetry;
use crate::usage::InUse;

/// Event history's reach, as a listing shows it.
const HORIZON_SECONDS: i64 = 90 * 24 * 60 * 60;

/// The service over an engine.
pub struct IdentityTrail {
    engine: Engine,
    checker: Arc<Checker>,
    limits: Limits,
    /// Cancelled when the service shuts down: no search begins after that.
    drain: CancellationToken,
}

impl IdentityTrail {
    /// Serves `engine` and `checker`, within `limits`, until `drain` is cancelled.
    #[must_use]
    pub fn new(
        engine: Engine,
        checker: Arc<Checker>,
        limits: Limits,
        drain: CancellationToken,
    ) -> Self {
        Self {
            engine,
            checker,
            limits,
            drain,
        }
    }

    /// A stream that ends if its caller takes nothing of it for too long.
    fn attended<T: Send + 'static>(
        &self,
        messages: BoxStream<'static, T>,
        idle: CancellationToken,
    ) -> BoxStream<'static, T> {
        Attended::new(messages, self.limits.idle_timeout, idle).boxed()
    }

    /// When the call ends at the latest: as its caller says, within what the service allows.
    fn deadline(&self, metadata: &MetadataMap) -> Result<Option<Instant>, Rejection> {
        let limits = &self.limits;
        let asked = timeout(metadata)?.unwrap_or(limits.default_deadline);
        Ok(Instant::now().checked_add(asked.min(limits.max_deadline)))
    }

    fn rules(&self) -> Rules<'_> {
        Rules {
            now: self.engine.clock().now(),
            limits: &self.limits,
        }
    }
}

type ResponseStream = BoxStream<'static, Result<pb::SearchEventsResponse, Status>>;

#[tonic::async_trait]
impl IdentityTrailService for IdentityTrail {
    type SearchEventsStream = ResponseStream;
    type CheckAccountsStream = BoxStream<'static, Result<pb::CheckAccountsResponse, Status>>;

    async fn search_events(
        &self,
        request: Request<pb::SearchEventsRequest>,
    ) -> Result<Response<Self::SearchEventsStream>, Status> {
        if self.drain.is_cancelled() {
            return Err(status::draining());
        }
        let caller = caller(request.extensions());
        let record = record(&request, "SearchEvents");
        record.note(|entry| entry.asked = Some(asked(request.get_ref())));
        let deadline = self.deadline(request.metadata())?;
        let query = event_query(request.get_ref(), &self.rules())?;
        let scope = self
            .engine
            .scope(query, Arc::clone(&caller), Question::SearchEvents)?;
        let discretion = Discretion::of(scope.access(), request.get_ref())?;
        let header = |name: &str| Some(request.metadata().get(name)?.to_str().ok()?.to_owned());
        let (admitted, idle) = (self.engine.admit(&caller)?, CancellationToken::new());
        let log = SearchLog::begin(caller, record, &admitted.in_use);
        let begin = || self.engine.begin(scope, admitted, deadline, idle.clone());
        let items = telemetry::continuing(header, begin);
        let messages = told(items, discretion, log);
        Ok(Response::new(self.attended(messages, idle)))
    }

    async fn plan_search(
        &self,
        request: Request<pb::PlanSearchRequest>,
    ) -> Result<Response<pb::PlanSearchResponse>, Status> {
        if self.drain.is_cancelled() {
            return Err(status::draining());
        }
        let caller = caller(request.extensions());
        let record = record(&request, "PlanSearch");
        record.note(|entry| entry.asked = Some(asked(request.get_ref())));
        let deadline = self.deadline(request.metadata())?;
        let request = request.into_inner();
        let asked = plan_search::page_asked(&request, self.engine.clock().now())?;
        let search = request.search.clone().unwrap_or_default();
        let rules = Rules {
            now: asked.now,
            ..self.rules()
        };
        let query = event_query(&search, &rules)?;
        let scope = self.engine.scope(query, caller, Question::PlanSearch)?;
        let discretion = Discretion::of(scope.access(), &request)?;
        let planned = self
            .engine
            .plan(scope, asked.now, asked.probe, deadline)
            .await?;
        let accounts = Accounts::of(planned.plan.accounts.iter().copied());
        record.note(|entry| entry.accounts = Some(accounts));
        let page = plan_search::page(&search, &asked, planned)?;
        Ok(Response::new(discretion.told(page)?))
    }

    async fn check_accounts(
        &self,
        request: Request<pb::CheckAccountsRequest>,
    ) -> Result<Response<Self::CheckAccountsStream>, Status> {
        if self.drain.is_cancelled() {
            return Err(status::draining());
        }
        let caller = caller(request.extensions());
        let record = record(&request, "CheckAccounts");
        record.note(|entry| entry.asked = Some(asked(request.get_ref())));
        let deadline = self.deadline(request.metadata())?;
        let wanted = check::request(request.get_ref(), &self.limits)?;
        let question = Question::check_accounts(wanted.days);
        let known = |inventory: &Inventory| wanted.of_inventory(inventory);
        let (access, _) = self.engine.access(&caller, &question, known)?;
        let discretion = Discretion::of(&access, request.get_ref())?;
        let scope_limited = access.limited && wanted.account_ids.is_empty();
        let wanted = wanted.within(&access);
        let (admitted, idle) = (self.engine.admit(&caller)?, CancellationToken::new());
        let (checker, asking) = (&self.checker, idle.clone());
        let scanned = Scanned::noted_in(&record, &admitted.in_use);
        let known = &access.inventory;
        let items = checker.check(known, &wanted, &caller, deadline, admitted, asking)?;
        let all = access.inventory.accounts.iter().map(|account| account.id);
        let checked =
            all.filter(|id| wanted.account_ids.is_empty() || wanted.account_ids.contains(id));
        let checked = Accounts::of(checked);
        record.note(|entry| entry.accounts = Some(checked));
        let messages = AssertUnwindSafe(items)
            .catch_unwind()
            .flat_map(move |item| {
                let _noted_at_the_end = &scanned;
                let messages = match item {
                    Ok(item) => check::responses(item, scope_limited)
                        .into_iter()
                        .map(|message| discretion.told(message))
                        .collect(),
                    Err(_panic) => vec![Err(status::defect())],
                };
                stream::iter(messages)
            });
        Ok(Response::new(self.attended(messages.boxed(), idle)))
    }

    async fn list_accounts(
        &self,
        request: Request<pb::ListAccountsRequest>,
    ) -> Result<Response<pb::ListAccountsResponse>, Status> {
        let caller = caller(request.extensions());
        let record = record(&request, "ListAccounts");
        record.note(|entry| entry.asked = Some(asked(request.get_ref())));
        let now = EventTime::floor(self.engine.clock().now());
        let all = |inventory: &Inventory| {
            let ids = inventory.accounts.iter().map(|account| account.id);
            Ok(ids.collect())
        };
        let (access, refresh_failure) =
            self.engine.access(&caller, &Question::ListAccounts, all)?;
        let discretion = Discretion::of(&access, request.get_ref())?;
        let listing = Listing {
            inventory: &access.inventory,
            scope_limited: access.limited,
            refresh_failure,
            archives: &self.engine.archives().await,
            log_groups: &self.engine.log_groups(),
            horizon: now.plus(-HORIZON_SECONDS),
        };
        let page = accounts::page(request.get_ref(), &listing)?;
        let listed = page
            .accounts
            .iter()
            .filter_map(|account| account.account_id.parse().ok());
        let listed = Accounts::of(listed);
        record.note(|entry| entry.accounts = Some(listed));
        Ok(Response::new(discretion.told(page)?))
    }
}

/// The messages of a search. It owns the search: dropping it stops what the search started. A
/// defect that panics ends the call as INTERNAL, not the connection.
fn told(
    items: BoxStream<'static, SearchItem>,
    discretion: Discretion,
    mut log: SearchLog,
) -> ResponseStream {
    AssertUnwindSafe(items)
        .catch_unwind()
        .flat_map(move |item| {
            let messages = match item {
                Ok(item) => {
                    log.observe(&item);
                    let messages = responses(item).into_iter();
                    messages
                        .map(|message| discretion.told_of_search(message))
                        .collect()
                }
                Err(_panic) => {
                    log.ended = "defect";
                    vec![Err(status::defect())]
                }
            };
            stream::iter(messages)
        })
        .boxed()
}

/// How long the caller waits, from the `grpc-timeout` header.
fn timeout(metadata: &MetadataMap) -> Result<Option<Duration>, Rejection> {
    let Some(value) = metadata.get("grpc-timeout") else {
        return Ok(None);
    };
    let Some(timeout) = value.to_str().ok().and_then(grpc_timeout) else {
        let mut findings = Findings::default();
        findings.invalid("grpc-timeout", "up to 8 digits and one of H, M, S, m, u, n");
        return findings.finish().map(|()| None);
    };
    Ok(Some(timeout))
}

/// `grpc-timeout` as the gRPC protocol defines it: at most 8 digits and a unit.
fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let valid = (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let number: u64 = digits.parse().ok().filter(|_| valid)?;
    Some(match unit {
        "H" => Duration::from_hours(number),
        "M" => Duration::from_mins(number),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

/// Notes what the queries of a request scanned when it is dropped, however the request ends.
struct Scanned {
    record: Arc<Record>,
    in_use: Arc<InUse>,
}

impl Scanned {
    fn noted_in(record: &Arc<Record>, in_use: &Arc<InUse>) -> Self {
        Self {
            record: Arc::clone(record),
            in_use: Arc::clone(in_use),
        }
    }
}

impl Drop for Scanned {
    fn drop(&mut self) {
        let bytes = self.in_use.bytes_scanned();
        self.record.note(|entry| entry.bytes_scanned = bytes);
    }
}

/// One log line for each search, when it ends, also when the caller went away.
struct SearchLog {
    caller: Arc<Caller>,
    record: Arc<Record>,
    began: Instant,
    events: u64,
    ended: &'static str,
    _scanned: Scanned,
}

impl SearchLog {
    fn begin(caller: Arc<Caller>, record: Arc<Record>, in_use: &Arc<InUse>) -> Self {
        Self {
            caller,
            _scanned: Scanned::noted_in(&record, in_use),
            record,
            began: Instant::now(),
            events: 0,
            ended: "cancelled by the caller",
        }
    }

    fn observe(&mut self, item: &SearchItem) {
        match item {
            SearchItem::Event { .. } => self.events += 1,
            SearchItem::Plan(plan) => {
                let accounts = Accounts::of(plan.accounts.iter().map(|(id, _)| *id));
                self.record.note(|entry| entry.accounts = Some(accounts));
            }
            SearchItem::Summary(end) => {
                self.ended = "summary sent";
                let completeness = convert::completeness(&end.coverage).as_str_name();
                let stop_reason = convert::stop_reason(end.stop_reason).as_str_name();
                self.record.note(|entry| {
                    entry.ended.completeness = Some(completeness);
                    entry.ended.stop_reason = Some(stop_reason);
                });
            }
            SearchItem::Outcomes(_) | SearchItem::Progress(_) => {}
        }
    }
}

impl Drop for SearchLog {
    fn drop(&mut self) {
        self.record.note(|entry| entry.events = self.events);
        tracing::info!(
            caller = %self.caller,
            events = self.events,
            seconds = self.began.elapsed().as_secs_f64(),
            ended = self.ended,
            "search ended"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Entry;

    #[test]
    fn a_defect_ends_the_call_with_an_error_and_not_as_a_whole_answer() {
        let items = stream::iter([1, 2]).map(|number| match number {
            1 => SearchItem::Outcomes(Vec::new()),
            _ => panic!("a defect, on purpose"),
        });
        let caller = Arc::new(Caller::in_process());
        let record = Record::unwritten(Entry::begin(String::new(), "test", None));
        let in_use = InUse::unbounded(&caller);
        let log = SearchLog::begin(caller, Arc::new(record), &in_use);
        let messages = futures::executor::block_on(
            told(items.boxed(), Discretion::none(), log).collect::<Vec<_>>(),
        );
        let last = messages.last().unwrap().as_ref().unwrap_err();
        assert_eq!(last.code(), tonic::Code::Internal);
    }

    #[test]
    fn timeouts_are_read_as_the_protocol_writes_them() {
        for (text, expected) in [
            ("1H", Some(Duration::from_hours(1))),
            ("2M", Some(Duration::from_mins(2))),
            ("30S", Some(Duration::from_secs(30))),
            ("1500m", Some(Duration::from_millis(1_500))),
            ("10u", Some(Duration::from_micros(10))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("100000000S", None),
            ("S", None),
            ("", None),
            ("+1S", None),
            ("1s", None),
            ("1µ", None),
        ] {
            assert_eq!(grpc_timeout(text), expected, "{text}");
        }
    }
}
