//! Who the service is to AWS, and what all its SDK clients share.

use std::fmt;
use std::time::Duration;

use aws_config::identity::IdentityCache;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder as HttpClientBuilder, ConnectorBuilder};
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_types::app_name::AppName;

use crate::config::Config;
use crate::query::Region;

/// An access key for the hub that is not in the SDK's default chain.
pub struct HubCredentials {
    /// The key's id.
    pub access_key_id: String,
    /// The key's secret.
    pub secret_access_key: String,
}

impl fmt::Debug for HubCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubCredentials")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// What all SDK clients of the process share: one HTTP client, the name in the user agent, and
/// timeouts, which the SDK does not have by itself.
pub(super) fn hub_config(config: &Config) -> ConfigLoader {
    let stall = config.limits.scan_stall_timeout;
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(stall.min(Duration::from_secs(5)))
        .operation_attempt_timeout(stall / 2)
        .operation_timeout(stall)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(aws_config::Region::new(
            config.hub.region.as_str().to_owned(),
        ))
        .app_name(AppName::new("identity-trail").expect("only letters and a hyphen"))
        .identity_cache(IdentityCache::lazy().build())
        .http_client(http_client())
        .retry_config(retries())
        .timeout_config(timeouts);
    if let Some(url) = &config.hub.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    if let Some(profile) = &config.hub.profile {
        loader = loader.profile_name(profile);
    }
    loader
}

/// The SDK's three attempts give up on a busy STS, and so on an account, where one in three calls
/// is throttled; the operation's timeout bounds these.
fn retries() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(8)
        .with_initial_backoff(Duration::from_millis(200))
}

/// One pool of connections and one set of certificates for all accounts: the SDK would make one for
/// each of its clients, and there are as many as accounts times Regions.
fn http_client() -> SharedHttpClient {
    let client = HttpClientBuilder::new().build_with_connector_fn(|settings, components| {
        let mut connector = ConnectorBuilder::default()
            .tls_provider(tls::Provider::Rustls(CryptoMode::AwsLc))
            .proxy_config(ProxyConfig::from_env());
        connector.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        connector.build()
    });
    SharedHttpClient::new(Unprobed(client))
}

/// The SDK builds a connector for each new client, only to have the system's certificates read
/// early, and drops it: some milliseconds, for clients by the thousand. Here they are read once,
/// with the first call.
#[derive(Debug)]
struct Unprobed(SharedHttpClient);

impl HttpClient for Unprobed {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        self.0.http_connector(settings, components)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.0.connector_metadata()
    }
}

pub(super) fn in_region(config: &SdkConfig, region: &Region) -> aws_types::sdk_config::Builder {
    config
        .to_builder()
        .region(aws_config::Region::new(region.as_str().to_owned()))
}

/// `identity-trail-HOST`, so that the accounts' own logs tell which instance read them.
pub(super) fn session_name(host: Option<&str>) -> String {
    let allowed = |c: &char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(*c);
    let host: String = host
        .unwrap_or_default()
        .chars()
        .filter(allowed)
        .take(49)
        .collect();
    if host.is_empty() {
        "identity-trail".into()
    } else {
        format!("identity-trail-{host}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::SessionName;

    #[test]
    fn the_session_name_is_one_that_sts_accepts() {
        for host in [None, Some(""), Some("pod-7f/ä b"), Some(&*"x".repeat(300))] {
            let name = session_name(host);
            assert!(name.parse::<SessionName>().is_ok(), "{name}");
            assert!(name.starts_with("identity-trail"), "{name}");
        }
    }
}
