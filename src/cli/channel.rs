//! The channel that `search` asks over: to a running service, or to an engine of its own.

use std::path::Path;
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

use crate::assembly::Assembly;
use crate::clock::Clock;
use crate::config::{self, Config, ConfigError};
use crate::grpc::InProcessServer;
use crate::policy::PolicyError;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long what a search left behind in AWS may take to end.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// A channel, and what answers at its other end if that is in this process.
pub struct Opened {
    /// The channel.
    pub channel: Channel,
    /// The engine, if it is our own.
    pub own: Option<OwnService>,
}

/// A service in this process, which nobody else can reach.
pub struct OwnService {
    server: InProcessServer,
    assembly: Assembly,
}

impl OwnService {
    /// Stops the service and what it still runs in AWS.
    pub async fn shut_down(self) {
        // The search has ended: whatever is still open is nobody's.
        drop(self.server);
        self.assembly.finish(STOP_GRACE).await;
    }
}

/// Why there is no channel.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The URL is none.
    #[error("--endpoint {url}: {why}: a URL is wanted, such as http://127.0.0.1:50051")]
    Url {
        /// As given.
        url: String,
        /// What is wrong with it.
        why: tonic::transport::Error,
    },
    /// Nothing answers there.
    #[error("no service answers at {url}: {}", with_sources(why))]
    Connect {
        /// Where.
        url: String,
        /// Why.
        why: tonic::transport::Error,
    },
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The policies that it names cannot be used.
    #[error("auth.policies: {0}")]
    Policies(#[from] PolicyError),
    /// The organization's accounts cannot be listed.
    #[error("the accounts are not known: {0}")]
    Accounts(String),
    /// The service in this process does not answer: a defect.
    #[error("the engine in this process does not answer: {}", with_sources(.0))]
    Own(tonic::transport::Error),
}

impl ChannelError {
    /// Whether it is for whoever wrote the command or the configuration to mend.
    #[must_use]
    pub fn is_bad_usage(&self) -> bool {
        matches!(self, Self::Url { .. } | Self::Config(_) | Self::Policies(_))
    }
}

/// A channel to the service at `url`.
pub async fn to_service(url: &str) -> Result<Opened, ChannelError> {
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|why| ChannelError::Url {
        url: url.to_owned(),
        why,
    })?;
    let channel = endpoint.connect_timeout(CONNECT_TIMEOUT).connect().await;
    let channel = channel.map_err(|why| ChannelError::Connect {
        url: url.to_owned(),
        why,
    })?;
    Ok(Opened { channel, own: None })
}

/// A channel to a service in this process, of the configuration at `file`.
pub async fn to_engine_of_file(file: &Path) -> Result<Opened, ChannelError> {
    to_own_engine(&config::load(file)?).await
}

/// A channel to a service in this process of this configuration, once its accounts are known.
pub async fn to_own_engine(config: &Config) -> Result<Opened, ChannelError> {
    let assembly = Assembly::of(config, None, Clock::system()).await?;
    if let Err(reason) = assembly.accounts_known().await {
        assembly.finish(STOP_GRACE).await;
        return Err(ChannelError::Accounts(reason.message));
    }
    let connected = assembly.connect_in_process().await;
    let (channel, server) = connected.map_err(ChannelError::Own)?;
    Ok(Opened {
        channel,
        own: Some(OwnService { server, assembly }),
    })
}

/// tonic's own text says only "transport error"; the reason is in what caused it.
fn with_sources(error: &tonic::transport::Error) -> String {
    let first: &dyn std::error::Error = error;
    std::iter::successors(Some(first), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
