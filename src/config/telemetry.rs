//! Section `telemetry`: what the service says about itself.

use std::net::SocketAddr;

use serde::{Deserialize, Deserializer};

use super::{hub, value};

/// What the service says about itself.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// How log lines look. What is logged is set by `RUST_LOG`.
    pub log_format: LogFormat,
    /// Where `/metrics`, `/healthz` and `/readyz` are answered, over plain HTTP and to everybody;
    /// nowhere by default. `IDENTITY_TRAIL_ADMIN_LISTEN` overrides it.
    #[serde(deserialize_with = "value::optional_text")]
    pub admin_listen: Option<SocketAddr>,
    /// Where traces go; nowhere by default.
    pub otlp: Option<Otlp>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for log collectors.
    Json,
}

/// Traces, to an OpenTelemetry collector. The headers that it may ask for are credentials: they come
/// from the environment (`OTEL_EXPORTER_OTLP_HEADERS`) and never from this file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Otlp {
    /// The collector's OTLP/gRPC endpoint.
    #[serde(deserialize_with = "endpoint")]
    pub endpoint: String,
    /// Which part of the searches is traced: 0 to 1. A caller's trace is followed as the caller has
    /// decided.
    #[serde(default = "all", deserialize_with = "ratio")]
    pub sample_ratio: f64,
    /// Whether spans name who asked and whom the question is about.
    #[serde(default)]
    pub identities: bool,
}

fn all() -> f64 {
    1.0
}

fn endpoint<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let url = hub::check_endpoint_url(String::deserialize(deserializer)?);
    let url = url.map_err(serde::de::Error::custom)?;
    let host = url
        .split("://")
        .nth(1)
        .and_then(|rest| rest.split('/').next());
    if host.is_some_and(|host| host.contains('@')) {
        return Err(serde::de::Error::custom(
            "credentials do not belong into a URL: set OTEL_EXPORTER_OTLP_HEADERS in the environment",
        ));
    }
    Ok(url)
}

fn ratio<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let ratio = f64::deserialize(deserializer)?;
    if (0.0..=1.0).contains(&ratio) {
        Ok(ratio)
    } else {
        Err(serde::de::Error::custom(format!(
            "{ratio} is out of range: allowed is 0 to 1"
        )))
    }
}
