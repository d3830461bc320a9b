//! The channel that `search` asks over: to a running service, or to an engine of its own.

use std::path::Path;
use std::time::Duration;

use tonic::Status;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint, Uri};

use super::credentials::{Bearer, CredentialArgs, CredentialError};
use crate::assembly::Assembly;
use crate::clock::Clock;
use crate::config::{self, Config, ConfigError};
use crate::grpc::InProcessServer;
use crate::policy::PolicyError;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long what a search left behind in AWS may take to end.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// A channel that shows a token with every call, if there is one.
pub type ServiceChannel = InterceptedService<Channel, Bearer>;

/// A channel, and what answers at its other end if that is in this process.
pub struct Opened {
    /// The channel.
    pub channel: ServiceChannel,
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
        why: String,
    },
    /// What is to be shown to it cannot be.
    #[error(transparent)]
    Credentials(#[from] CredentialError),
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
        matches!(
            self,
            Self::Url { .. } | Self::Config(_) | Self::Policies(_) | Self::Credentials(_)
        )
    }
}

/// A channel to the service at `url`.
pub async fn to_service(url: &str, credentials: &CredentialArgs) -> Result<Opened, ChannelError> {
    let refused = |why: String| ChannelError::Url {
        url: url.to_owned(),
        why,
    };
    let uri: Uri = url.parse().map_err(|why| refused(format!("{why}")))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(refused(
            "it begins with neither http:// nor https://".to_owned(),
        ));
    }
    let (tls, bearer) = (credentials.tls(&uri)?, credentials.bearer(&uri)?);
    let mut endpoint = Endpoint::from(uri).connect_timeout(CONNECT_TIMEOUT);
    if let Some(tls) = tls {
        let secured = endpoint.tls_config(tls);
        endpoint = secured.map_err(|why| refused(with_sources(&why)))?;
    }
    let channel = endpoint.connect().await;
    let channel = channel.map_err(|why| ChannelError::Connect {
        url: url.to_owned(),
        why,
    })?;
    Ok(Opened {
        channel: InterceptedService::new(channel, bearer),
        own: None,
    })
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
        channel: without_token(channel),
        own: Some(OwnService { server, assembly }),
    })
}

/// A channel to a service that knows its caller without a token.
#[must_use]
pub fn without_token(channel: Channel) -> ServiceChannel {
    InterceptedService::new(channel, Bearer::default())
}

/// tonic's own text says only "transport error"; the reason is in what caused it.
fn with_sources(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut causes: Vec<String> = causes.map(ToString::to_string).collect();
    causes.dedup();
    let text = causes.join(": ");
    match advice(&text) {
        Some(advice) => format!("{text}: {advice}"),
        None => text,
    }
}

/// A refusal in words: what the service says, or what came between.
#[must_use]
pub fn refusal_in_words(status: &Status) -> String {
    match std::error::Error::source(status) {
        Some(cause) => format!("{}: {}", status.message(), with_sources(cause)),
        None => status.message().to_owned(),
    }
}

/// How it reads when the other end closes a connection: with TLS 1.3 a client is past its handshake by
/// the time that its certificate is refused.
const CLOSED: [&str; 6] = [
    "received fatal alert",
    "connection closed",
    "operation was canceled",
    "broken pipe",
    "onnection reset",
    "close_notify",
];

/// What to do about what rustls and its peer say.
fn advice(text: &str) -> Option<&'static str> {
    let is = |words: &str| text.contains(words);
    if is("UnknownIssuer") {
        Some("say with --tls-ca whose certificates to trust")
    } else if CLOSED.into_iter().any(is) {
        Some(
            "a service that asks for certificates closes connections without one that it accepts: \
             --tls-cert and --tls-key",
        )
    } else if is("frame with invalid size") {
        Some("a service with TLS is asked at https://")
    } else if is("InvalidContentType") {
        Some("a service without TLS is asked at http://")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_turned_away_for_want_of_a_certificate_is_told_which_flags_show_one() {
        // How far a client is when its connection is closed is a matter of chance.
        for seen in [
            "transport error: received fatal alert: CertificateRequired",
            "operation was canceled: transport error: operation was canceled: connection was not ready",
            "operation was canceled: connection closed",
            "h2 protocol error: http2 error: stream closed because of a broken pipe",
            "connection error: Connection reset by peer (os error 104)",
            "peer closed connection without sending TLS close_notify",
        ] {
            assert!(
                advice(seen).is_some_and(|told| told.contains("--tls-cert")),
                "{seen}"
            );
        }
        assert_eq!(
            advice("tcp connect error: Connection refused (os error 111)"),
            None
        );
    }
}
