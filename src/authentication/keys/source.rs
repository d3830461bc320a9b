//! Where the issuer's keys are read: a file or a URL, bounded in size and time.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::{StatusCode, Uri};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::config::Jwks;
use crate::tls::{self, MaterialError};

/// No issuer's set is larger.
const MAX_SET_BYTES: usize = 512 * 1024;
/// One reading, from the connection to the last byte.
const FETCH_DEADLINE: Duration = Duration::from_secs(10);
/// How often a file is looked at.
const FILE_PERIOD: Duration = Duration::from_secs(5);

/// Where the keys are.
#[derive(Debug)]
pub(super) enum Source {
    File(PathBuf),
    Url(Box<Remote>),
}

/// A URL and what asks it.
#[derive(Debug)]
pub(super) struct Remote {
    url: Uri,
    period: Duration,
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

/// Why the keys could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The file cannot be read.
    #[error("{0}")]
    File(String),
    /// Nobody answers, or not over TLS as it should be.
    #[error("no answer: {0}")]
    Unreachable(String),
    /// It took too long.
    #[error("no whole answer within {0:?}")]
    Late(Duration),
    /// The answer is another than 200.
    #[error("HTTP status {0}, 200 is wanted")]
    Status(StatusCode),
    /// It is larger than any key set, or broke off.
    #[error("an answer that broke off, or of more than {MAX_SET_BYTES} bytes")]
    Body,
    /// What was read is not what it should be.
    #[error("{0}")]
    Content(&'static str),
}

impl Source {
    pub fn of(config: &Jwks) -> Result<Self, MaterialError> {
        let Some(url) = &config.url else {
            return Ok(Self::File(config.file.clone().unwrap_or_default()));
        };
        let builder = ClientConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions();
        let builder =
            builder.map_err(|error| MaterialError::new(Path::new("TLS"), error.to_string()))?;
        let builder = match &config.ca_file {
            Some(file) => builder.with_root_certificates(tls::roots(file, &tls::read_file(file)?)?),
            // Without TLS nobody's word is needed.
            None if url.scheme_str() != Some("https") => {
                builder.with_root_certificates(RootCertStore::empty())
            }
            None => builder.with_native_roots().map_err(|error| {
                let why = format!("{error}: name the URL's authorities in auth.jwt.jwks.ca_file");
                MaterialError::new(Path::new("the system's certificate authorities"), why)
            })?,
        };
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(builder.with_no_client_auth())
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self::Url(Box::new(Remote {
            url: url.clone(),
            period: config.refresh(),
            client: Client::builder(TokioExecutor::new()).build(connector),
        })))
    }

    /// How long after a reading the next one is due.
    pub fn period(&self) -> Duration {
        match self {
            Self::File(_) => FILE_PERIOD,
            Self::Url(remote) => remote.period,
        }
    }

    /// The set as it is now.
    pub async fn read(&self) -> Result<Vec<u8>, FetchError> {
        match self {
            Self::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || read(&path)).await;
                read.unwrap_or_else(|died| Err(FetchError::File(died.to_string())))
            }
            Self::Url(remote) => tokio::time::timeout(FETCH_DEADLINE, remote.fetch())
                .await
                .unwrap_or(Err(FetchError::Late(FETCH_DEADLINE))),
        }
    }
}

/// The file's content.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, FetchError> {
    tls::read_file(path).map_err(|error| FetchError::File(error.why))
}

impl Remote {
    async fn fetch(&self) -> Result<Vec<u8>, FetchError> {
        let response = self
            .client
            .get(self.url.clone())
            .await
            .map_err(|error| FetchError::Unreachable(with_sources(&error)))?;
        // A redirect is not followed: the configuration names the place.
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), MAX_SET_BYTES).collect();
        Ok(body
            .await
            .map_err(|_| FetchError::Body)?
            .to_bytes()
            .to_vec())
    }
}

fn with_sources(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            // What follows the path could be a secret.
            Self::Url(remote) => {
                let (scheme, host) = (remote.url.scheme_str(), remote.url.host());
                let (scheme, host) = (scheme.unwrap_or_default(), host.unwrap_or_default());
                write!(f, "{scheme}://{host}")?;
                if let Some(port) = remote.url.port_u16() {
                    write!(f, ":{port}")?;
                }
                f.write_str(remote.url.path())
            }
        }
    }
}
