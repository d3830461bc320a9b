//! The one place where the parts are put together, for every subcommand and every test that runs
//! the whole.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use crate::backend::athena::Athena;
use crate::backend::event_history::EventHistory;
use crate::clock::Clock;
use crate::config::Config;
use crate::federation::{Federation, HubCredentials};
use crate::plan::Reason;
use crate::plan::facts::{ArchiveFacts, Routing};
use crate::query::{AccessKeyId, AccountId};
use crate::search::{Engine, EngineLimits, EngineParts, FactSource};

/// Everything that answers searches, put together from a configuration.
pub struct Assembly {
    /// Runs the searches.
    pub engine: Engine,
    /// Accounts and sessions.
    pub federation: Arc<Federation>,
    /// Cancelled to end all searches with a summary and a resume token.
    pub drain: CancellationToken,
    athena: Arc<Athena>,
}

impl Assembly {
    /// Puts the parts together. Asks AWS nothing yet.
    ///
    /// `hub` overrides the default credential chain (for a sandbox in the same process); `clock`
    /// is the system's except beside a sandbox with a clock of its own.
    pub async fn of(config: &Config, hub: Option<HubCredentials>, clock: Clock) -> Self {
        let federation = match hub {
            Some(hub) => Federation::connect_as(config, hub).await,
            None => Federation::connect(config).await,
        };
        let federation = Arc::new(federation);
        let athena = Arc::new(Athena::new(config, &federation));
        let drain = CancellationToken::new();
        let event_history = EventHistory::new(
            Arc::clone(&federation),
            clock,
            config.limits.scan_stall_timeout,
        );
        let engine = Engine::new(EngineParts {
            clock,
            accounts: federation.accounts().to_vec(),
            routing: routing(config),
            limits: EngineLimits {
                concurrent_searches: usize::try_from(config.limits.concurrent_searches)
                    .unwrap_or(usize::MAX),
                page_memory_bytes: config.limits.page_memory_bytes,
                ..EngineLimits::default()
            },
            facts: Arc::new(AwsFacts {
                athena: Arc::clone(&athena),
                federation: Arc::clone(&federation),
            }),
            event_history: Arc::new(event_history),
            athena: Arc::clone(&athena) as _,
            drain: drain.clone(),
        });
        Self {
            engine,
            federation,
            drain,
            athena,
        }
    }

    /// Ends what outlives its search: abandoned Athena queries are stopped, for at most
    /// `patience`. To be called when no search runs any more.
    pub async fn shut_down(&self, patience: Duration) {
        self.drain.cancel();
        self.athena.shutdown(patience).await;
    }
}

/// Asks AWS what planning needs to know.
struct AwsFacts {
    athena: Arc<Athena>,
    federation: Arc<Federation>,
}

#[async_trait]
impl FactSource for AwsFacts {
    async fn archives(&self, limit: Duration) -> Vec<Arc<ArchiveFacts>> {
        self.athena.archives(limit).await
    }

    async fn key_owner(&self, key: &AccessKeyId) -> Result<AccountId, Reason> {
        self.federation.access_key_owner(key).await
    }
}

fn routing(config: &Config) -> Routing {
    let seconds = |duration: Duration| {
        SignedDuration::from_secs(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX))
    };
    Routing {
        archive_delay: seconds(config.routing.archive_delay),
        settle_time: seconds(config.routing.settle_time),
        first_slice: seconds(config.routing.first_slice),
    }
}
