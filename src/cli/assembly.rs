//! From a configuration to a running service: the one place where the parts meet.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use futures::FutureExt;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::Channel;

use crate::audit::AuditLog;
use crate::backend::athena::Athena;
use crate::backend::event_history::EventHistory;
use crate::backend::logs::Logs;
use crate::check::{Checker, CheckerParts};
use crate::clock::Clock;
use crate::config::{self, Config, Limits, RequestRate};
use crate::federation::{Federation, HubCredentials};
use crate::grpc::in_process::{self, InProcessServer};
use crate::grpc::{Probe, Protection, Readiness, ReadinessPace, Server, ServerError, ServerParts};
use crate::plan::facts::{AcceptedGap, ArchiveFacts, LogGroupFacts, Routing};
use crate::plan::{Reason, ReasonCode};
use crate::policy::{Authorizer, KnownOfAccounts, PolicyError};
use crate::query::{AccessKeyId, AccountId};
use crate::search::{AccountsView, Engine, EngineLimits, EngineParts, FactSource};
use crate::supervise::supervised;
use crate::telemetry::Metrics;
use crate::telemetry::admin::{Admin, AdminError};
use crate::tls::MaterialError;
use crate::usage::{Bounds, Usage, UsageLimits};

/// The parts of a service that outlive each search.
pub struct Assembly {
    /// Runs the searches: for whoever wants to search without a wire between.
    pub engine: Engine,
    /// Accounts and sessions.
    pub federation: Arc<Federation>,
    /// Cancelled to end all searches with a summary and a resume token.
    pub drain: CancellationToken,
    /// Probes accounts and archives.
    pub checker: Arc<Checker>,
    /// What callers may ask.
    pub authorizer: Arc<Authorizer>,
    limits: Limits,
    /// Where each request over the network is recorded.
    audit: AuditLog,
    tls: Option<config::Tls>,
    auth: config::Auth,
    /// The federation of requests that begin now, for whoever asks from elsewhere.
    current: Arc<ArcSwap<Federation>>,
    athena: Arc<Athena>,
    /// Keeps the accounts current; ends with `drain`.
    discovery: AbortOnDropHandle<()>,
    logs: Arc<Logs>,
}

impl Assembly {
    /// Connects the federation and puts everything together, with the policies as they are now. Asks
    /// AWS nothing yet.
    ///
    /// `hub` overrides the default credential chain (for a sandbox in the same process); `clock` is
    /// the system's except beside a sandbox with a clock of its own.
    pub async fn of(
        config: &Config,
        hub: Option<HubCredentials>,
        clock: Clock,
    ) -> Result<Self, PolicyError> {
        // Boxed: callers hold this future in theirs.
        Box::pin(Self::counting(config, hub, clock, &Metrics::new())).await
    }

    /// The same, counting in `metrics`.
    pub async fn counting(
        config: &Config,
        hub: Option<HubCredentials>,
        clock: Clock,
        metrics: &Metrics,
    ) -> Result<Self, PolicyError> {
        let federation = match hub {
            Some(hub) => Federation::connect_as(config, hub, metrics).await,
            None => Federation::connect(config, metrics).await,
        };
        Self::new(config, federation, clock)
    }

    /// Puts an engine together over `federation`, which was connected with the same `config`. Asks
    /// AWS nothing. To be called within the runtime that is to run it.
    pub fn new(config: &Config, federation: Federation, clock: Clock) -> Result<Self, PolicyError> {
        let authorizer = Arc::new(authorizer(config)?);
        let federation = Arc::new(federation);
        let backends = Backends {
            athena: Arc::new(Athena::new(config, &federation)),
            logs: Arc::new(Logs::new(config, &federation, clock)),
            federation,
        };
        let drain = CancellationToken::new();
        let around = Around {
            clock,
            usage: Usage::new(usage_limits(&config.limits)),
            drain: drain.clone(),
            authorizer: Arc::clone(&authorizer),
        };
        let (engine, checker) = backends.parts(config, &around);
        Ok(Self {
            engine: Engine::new(engine),
            checker: Arc::new(Checker::new(checker)),
            authorizer,
            limits: config.limits.clone(),
            audit: AuditLog::none(),
            tls: config.tls.clone(),
            auth: config.auth.clone(),
            discovery: backends.discover(clock, &drain),
            current: Arc::new(ArcSwap::new(Arc::clone(&backends.federation))),
            federation: backends.federation,
            athena: backends.athena,
            logs: backends.logs,
            drain,
        })
    }

    /// Takes `config` for all requests that begin from now on, at `server` too. What runs goes on as it
    /// began; both keep to the same quotas and bounds together. What only a start reads must be as before.
    ///
    /// The policies are read anew. Waits until the accounts are known, for `patience` at most; if they are
    /// not, or the policies are wrong, nothing changes. Dropping the future changes nothing either.
    pub async fn reload(
        &mut self,
        config: &Config,
        server: &Server,
        patience: Duration,
    ) -> Result<(), ReloadError> {
        let authorizer = Arc::new(authorizer(config)?);
        let clock = self.engine.clock();
        let federation = Arc::new(self.federation.succeeded_by(config).await);
        let backends = Backends {
            athena: Arc::new(self.athena.succeeded_by(config, &federation)),
            logs: Arc::new(self.logs.succeeded_by(config, &federation)),
            federation,
        };
        let discovery = backends.discover(clock, &self.drain);
        let known = known(&backends.federation);
        match tokio::time::timeout(patience, known).await {
            Ok(known) => known.map_err(|reason| ReloadError::Accounts(reason.message))?,
            Err(_elapsed) => {
                let slow = format!("they were not discovered within {patience:?}");
                return Err(ReloadError::Accounts(slow));
            }
        }
        let usage = Arc::clone(self.engine.usage());
        usage.set_limits(usage_limits(&config.limits));
        let around = Around {
            clock,
            usage,
            drain: self.drain.clone(),
            authorizer: Arc::clone(&authorizer),
        };
        let (engine, checker) = backends.parts(config, &around);
        self.authorizer = authorizer;
        self.engine = self.engine.succeeded_by(engine);
        self.checker = Arc::new(Checker::new(checker));
        self.limits = config.limits.clone();
        self.current.store(Arc::clone(&backends.federation));
        self.federation = backends.federation;
        self.athena = backends.athena;
        self.logs = backends.logs;
        self.discovery = discovery;
        server.answer_with(
            self.engine.clone(),
            Arc::clone(&self.checker),
            self.limits.clone(),
        );
        Ok(())
    }

    /// Records each request that it serves from now on.
    #[must_use]
    pub fn with_audit(self, audit: AuditLog) -> Self {
        Self { audit, ..self }
    }

    /// Serves on `listen`; port 0 picks a free one. Once: shutting that server down drains the
    /// engine too.
    pub async fn serve(&self, listen: SocketAddr) -> Result<Server, ServerError> {
        // Boxed: callers hold this future in theirs.
        Box::pin(Server::start(listen, self.server_parts()?)).await
    }

    /// What [`Self::serve`] starts: for whoever wants to change some of it.
    pub fn server_parts(&self) -> Result<ServerParts, MaterialError> {
        let protection = Protection::load(self.tls.as_ref(), &self.auth)?;
        let (current, callers) = (Arc::clone(&self.current), protection.clone());
        let probe: Probe = Box::new(move || {
            let (federation, callers) = (current.load_full(), callers.clone());
            async move {
                callers.ready()?;
                federation.check_hub().await?;
                let known = AccountsView::new(federation.known()).first().await;
                match (known.inventory, known.failure) {
                    (Some(_), None) => Ok(Readiness::Ready),
                    (Some(_), Some(reason)) => Ok(Readiness::Degraded(reason)),
                    (None, failure) => Err(failure.unwrap_or_else(undiscovered)),
                }
            }
            .boxed()
        });
        Ok(ServerParts {
            engine: self.engine.clone(),
            checker: Arc::clone(&self.checker),
            limits: self.limits.clone(),
            audit: self.audit.clone(),
            drain: self.drain.clone(),
            probe,
            pace: ReadinessPace::default(),
            metrics: self.federation.metrics().clone(),
            protection,
        })
    }

    /// Serves the admin port of `server` on `listen`.
    pub async fn serve_admin(
        &self,
        listen: SocketAddr,
        server: &Server,
    ) -> Result<Admin, AdminError> {
        let (metrics, audit) = (self.federation.metrics().clone(), self.audit.clone());
        metrics.sample(
            "identity_trail_audit_failing",
            "Whether requests are refused for the audit log: it cannot be written, or has no place for another line",
            None,
            move || u64::from(audit.counts().failing),
        );
        Admin::start(listen, metrics, server.is_ready()).await
    }

    /// A channel to the engine for one caller in this process, and what serves it.
    pub async fn connect_in_process(
        &self,
    ) -> Result<(Channel, InProcessServer), tonic::transport::Error> {
        in_process::connect(
            self.engine.clone(),
            Arc::clone(&self.checker),
            self.limits.clone(),
            self.drain.clone(),
        )
        .await
    }

    /// Ends what searches left behind in AWS, within `patience`, and then the audit log, within as
    /// much. To be called when no search runs any more, as after [`Server::shut_down`].
    pub async fn finish(self, patience: Duration) {
        self.drain.cancel();
        // It ends at its next await; nothing of it is left in AWS.
        let discovery = tokio::time::timeout(patience, self.discovery);
        let (athena, logs) = (self.athena.shutdown(patience), self.logs.shutdown(patience));
        let ((), (), discovery) = tokio::join!(athena, logs, discovery);
        if let Ok(Err(error)) = discovery {
            tracing::error!("the discovery of accounts had died: {error}");
        }
        // Last: what ran until now is recorded too.
        self.audit.finish(patience).await;
    }

    /// Waits until the accounts are known, or for the reason why the first attempt failed.
    pub async fn accounts_known(&self) -> Result<(), Reason> {
        known(&self.federation).await
    }
}

async fn known(federation: &Federation) -> Result<(), Reason> {
    let known = AccountsView::new(federation.known()).first().await;
    match known.inventory {
        Some(_) => Ok(()),
        None => Err(known.failure.unwrap_or_else(undiscovered)),
    }
}

/// Why a process stays with the configuration that it has.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The policies cannot be used.
    #[error(transparent)]
    Policies(#[from] PolicyError),
    /// The accounts cannot be discovered.
    #[error("the accounts of the new configuration are not known: {0}")]
    Accounts(String),
}

/// What an engine and a checker are made of besides their backends.
struct Around {
    clock: Clock,
    usage: Arc<Usage>,
    drain: CancellationToken,
    authorizer: Arc<Authorizer>,
}

/// What reads the federation that one configuration describes.
struct Backends {
    federation: Arc<Federation>,
    athena: Arc<Athena>,
    logs: Arc<Logs>,
}

impl Backends {
    /// What an engine and a checker over them are made of.
    fn parts(&self, config: &Config, around: &Around) -> (EngineParts, CheckerParts) {
        let Self {
            federation,
            athena,
            logs,
        } = self;
        let (clock, drain) = (around.clock, &around.drain);
        let stall_timeout = config.limits.scan_stall_timeout;
        let event_history = Arc::new(EventHistory::new(
            Arc::clone(federation),
            clock,
            stall_timeout,
        ));
        let routing = routing(&config.routing);
        let checker = CheckerParts {
            federation: Arc::clone(federation),
            event_history: Arc::clone(&event_history),
            athena: Arc::clone(athena),
            logs: Arc::clone(logs),
            clock,
            archive_delay: routing.archive_delay,
            patience: stall_timeout,
            drain: drain.clone(),
        };
        let engine = EngineParts {
            clock,
            accounts: AccountsView::new(federation.known()),
            authorizer: Arc::clone(&around.authorizer),
            accepted_gaps: accepted_gaps(config, clock.now()),
            routing,
            limits: EngineLimits {
                max_accounts: usize::try_from(config.limits.max_accounts).unwrap_or(usize::MAX),
                page_memory_bytes: config.limits.page_memory_bytes,
                ..EngineLimits::default()
            },
            usage: Arc::clone(&around.usage),
            lookup_interval: match config.event_history.requests_per_second {
                RequestRate::Paced(rate) => Duration::from_secs_f64(1.0 / rate),
                RequestRate::Off => Duration::ZERO,
            },
            facts: Arc::new(AwsFacts {
                athena: Arc::clone(athena),
                logs: Arc::clone(logs),
                federation: Arc::clone(federation),
            }),
            event_history,
            logs: Arc::clone(logs) as Arc<_>,
            athena: Arc::clone(athena) as Arc<_>,
            drain: drain.clone(),
            metrics: federation.metrics().clone(),
            spans_name_identities: (config.telemetry.otlp.as_ref())
                .is_some_and(|otlp| otlp.identities),
        };
        (engine, checker)
    }

    /// Keeps the accounts current until `drain` is cancelled or the task is dropped. A panic is logged,
    /// and it begins anew.
    fn discover(&self, clock: Clock, drain: &CancellationToken) -> AbortOnDropHandle<()> {
        let (federation, drain) = (Arc::clone(&self.federation), drain.clone());
        let discover = async move {
            supervised("the discovery of accounts", || {
                federation.keep_current(clock, &drain)
            })
            .await;
        };
        AbortOnDropHandle::new(tokio::spawn(discover))
    }
}

fn undiscovered() -> Reason {
    Reason::new(
        ReasonCode::Internal,
        "nobody discovers the federation's accounts",
    )
}

/// What callers may ask: by the policies that the configuration names, else everything.
pub fn authorizer(config: &Config) -> Result<Authorizer, PolicyError> {
    let Some(place) = &config.auth.policies else {
        return Ok(Authorizer::allow_all());
    };
    let organization = config.accounts.organization.as_ref();
    let known_of_accounts = KnownOfAccounts {
        tags: organization.is_some_and(|it| it.value.tags),
        organizational_units: organization.is_some(),
    };
    Authorizer::open(place, known_of_accounts)
}

/// What planning asks AWS.
struct AwsFacts {
    athena: Arc<Athena>,
    logs: Arc<Logs>,
    federation: Arc<Federation>,
}

#[async_trait]
impl FactSource for AwsFacts {
    async fn archives(&self, limit: Duration) -> Vec<Arc<ArchiveFacts>> {
        self.athena.archives(limit).await
    }

    fn log_groups(&self) -> Vec<Arc<LogGroupFacts>> {
        self.logs.log_groups()
    }

    async fn key_owner(&self, key: &AccessKeyId) -> Result<AccountId, Reason> {
        self.federation.access_key_owner(key).await
    }
}

/// As configured; those that are over are logged once, and each search that they would have touched
/// says so.
fn accepted_gaps(config: &Config, now: Timestamp) -> Arc<[AcceptedGap]> {
    let today = now.to_zoned(TimeZone::UTC).date();
    let gap = |gap: &crate::config::AcceptedGap| {
        if gap.until < today {
            tracing::warn!(until = %gap.until, reason = gap.reason, "an accepted gap has ended");
        }
        AcceptedGap {
            accounts: gap.accounts.clone().map(|ids| ids.into_iter().collect()),
            regions: gap.regions.clone().map(|r| r.into_iter().collect()),
            reason: gap.reason.as_str().into(),
            until: gap.until,
        }
    };
    let gaps = config.accepted_gaps.iter().map(|entry| gap(&entry.value));
    gaps.collect()
}

/// What the process and each caller may use.
fn usage_limits(limits: &Limits) -> UsageLimits {
    let each = &limits.per_caller;
    UsageLimits {
        process: Bounds {
            searches: Some(limits.concurrent_searches),
            open_scans: limits.open_scans,
            // The federation bounds all calls of the process.
            aws_calls: None,
            events_per_search: limits.events_per_search,
            events_per_minute: limits.events_per_minute,
            scan_bytes_per_day: limits.scan_bytes_per_day,
        },
        per_caller: Bounds {
            searches: each.concurrent_searches,
            open_scans: each.open_scans,
            aws_calls: each.aws_calls,
            events_per_search: each.events_per_search,
            events_per_minute: each.events_per_minute,
            scan_bytes_per_day: each.scan_bytes_per_day,
        },
    }
}

fn routing(config: &crate::config::Routing) -> Routing {
    // The configuration's limits keep these far from what would overflow.
    let signed =
        |duration: Duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    Routing {
        archive_delay: signed(config.archive_delay),
        settle_time: signed(config.settle_time),
        first_slice: signed(config.first_slice),
        insights_min_interval: signed(config.insights_min_interval),
        max_lookup_pages: config.max_lookup_pages,
    }
}
