//! Trino's HTTP protocol: a statement is posted, then pages are followed to the end.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde_json::Value;

use crate::sandbox::athena::engine::{EngineError, ResultColumn, ResultSet, RunningQuery};

/// How long one request may take; the server answers within a second or so, done or not.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);

/// How often a request is repeated while the server says that it is busy.
const BUSY_RETRIES: u32 = 50;
const BUSY_PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub struct Client {
    http: hyper_util::client::legacy::Client<HttpConnector, Full<Bytes>>,
    statements: Uri,
    catalog: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    next_uri: Option<String>,
    columns: Option<Vec<Column>>,
    #[serde(default)]
    data: Vec<Vec<Value>>,
    stats: Stats,
    error: Option<QueryError>,
}

#[derive(Debug, Deserialize)]
struct Column {
    name: String,
    #[serde(rename = "type")]
    type_name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stats {
    #[serde(default)]
    physical_input_bytes: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct QueryError {
    message: String,
    error_name: String,
    error_type: String,
}

impl Client {
    /// None where the URL is not `http://HOST:PORT`.
    pub fn new(url: &str, catalog: &str) -> Option<Self> {
        let uri: Uri = url.trim_end_matches('/').parse().ok()?;
        if uri.scheme_str() != Some("http") || uri.authority().is_none() || uri.path() != "/" {
            return None;
        }
        let mut parts = uri.into_parts();
        parts.path_and_query = Some("/v1/statement".parse().ok()?);
        Some(Self {
            http: hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http(),
            statements: Uri::from_parts(parts).ok()?,
            catalog: catalog.to_owned(),
        })
    }

    /// Runs a statement to its end. When `query` is cancelled, tells the server to stop it first.
    pub async fn run(
        &self,
        statement: &str,
        schema: &str,
        query: &RunningQuery,
    ) -> Result<ResultSet, EngineError> {
        let post = || {
            Request::builder()
                .method(Method::POST)
                .uri(self.statements.clone())
                .header("x-trino-user", "identity-trail")
                .header("x-trino-source", "identity-trail sandbox")
                .header("x-trino-catalog", &self.catalog)
                .header("x-trino-schema", schema)
                .body(Full::from(statement.to_owned()))
        };
        let mut results = ResultSet::default();
        // Not cancelled before its answer: only that says what to stop.
        let mut page = self.page(post).await?;
        loop {
            query.set_scanned_bytes(page.stats.physical_input_bytes);
            if let Some(error) = page.error {
                return Err(error.into());
            }
            if let Some(columns) = page.columns {
                results.columns = columns.into_iter().map(Into::into).collect();
            }
            let rows = page.data.into_iter();
            results
                .rows
                .extend(rows.map(|row| row.into_iter().map(text).collect()));
            let Some(next) = page.next_uri else {
                return Ok(results);
            };
            let get = || Request::get(&*next).body(Full::default());
            page = tokio::select! {
                biased;
                () = query.cancelled() => {
                    self.stop(&next).await?;
                    return Err(EngineError::Cancelled);
                }
                page = self.page(get) => page?,
            };
        }
    }

    async fn stop(&self, next: &str) -> Result<(), EngineError> {
        let delete = || Request::delete(next).body(Full::default());
        let (status, _) = self.send(delete).await?;
        if status.is_success() {
            Ok(())
        } else {
            Err(failed(format!("stopping a query: HTTP status {status}")))
        }
    }

    async fn page(
        &self,
        request: impl Fn() -> hyper::http::Result<Request<Full<Bytes>>>,
    ) -> Result<Page, EngineError> {
        let (status, body) = self.send(request).await?;
        if status != StatusCode::OK {
            let text = String::from_utf8_lossy(&body);
            return Err(failed(format!("HTTP status {status}: {text}")));
        }
        serde_json::from_slice(&body).map_err(failed)
    }

    async fn send(
        &self,
        request: impl Fn() -> hyper::http::Result<Request<Full<Bytes>>>,
    ) -> Result<(StatusCode, Bytes), EngineError> {
        let mut retries = 0;
        loop {
            let exchange = async {
                let response = self.http.request(request().map_err(failed)?).await;
                let response = response.map_err(failed)?;
                let status = response.status();
                let body = response.into_body().collect().await.map_err(failed)?;
                Ok::<_, EngineError>((status, body.to_bytes()))
            };
            let (status, body) = tokio::time::timeout(REQUEST_TIMEOUT, exchange)
                .await
                .map_err(|_| failed("no answer within a minute"))??;
            let busy = matches!(status.as_u16(), 429 | 502 | 503 | 504);
            if !busy || retries == BUSY_RETRIES {
                return Ok((status, body));
            }
            retries += 1;
            tokio::time::sleep(BUSY_PAUSE).await;
        }
    }
}

fn failed(error: impl std::fmt::Display) -> EngineError {
    EngineError::System(format!("Trino: {error}"))
}

impl From<QueryError> for EngineError {
    fn from(error: QueryError) -> Self {
        let message = format!("{}: {}", error.error_name, error.message);
        match (&*error.error_name, &*error.error_type) {
            ("USER_CANCELED", _) => Self::Cancelled,
            (_, "USER_ERROR") => Self::User(message),
            _ => Self::System(message),
        }
    }
}

impl From<Column> for ResultColumn {
    fn from(column: Column) -> Self {
        let Column { name, type_name } = column;
        let base = type_name.split('(').next().unwrap_or_default();
        Self {
            name,
            type_name: base.to_owned(),
        }
    }
}

/// Scalars as Athena shows them; arrays, maps and rows as JSON, which Athena does not.
fn text(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}
