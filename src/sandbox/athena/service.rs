//! Athena's API.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::sandbox::error::AwsError;

use super::engine::Engine;
use super::faults::AthenaFaults;
use super::files::TableFiles;
use super::metadata;
use super::query::{Phase, Query, Request};
use super::registry::Registry;
use super::results;
use super::table::CATALOG;

/// AWS's bound on a statement, in bytes.
const MAX_QUERY_BYTES: usize = 262_144;

/// One workgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkGroup {
    /// Its name.
    pub name: String,
    /// Where results go when the request does not say, such as `s3://bucket/prefix/`.
    pub output_location: Option<String>,
    /// Whether the workgroup's output location replaces the request's.
    pub enforce: bool,
    /// A query that has scanned more is cancelled.
    pub bytes_scanned_cutoff_per_query: Option<u64>,
}

/// How an Athena is set up.
#[derive(Debug, Clone)]
pub struct AthenaConfig {
    /// Its workgroups, the same in every account and Region.
    pub work_groups: Vec<WorkGroup>,
    /// How many queries of an account and Region may be queued or running; one more is
    /// `TooManyRequestsException`.
    pub active_queries: usize,
    /// How many queries run at once in all; the others are queued.
    pub running_queries: usize,
}

impl Default for AthenaConfig {
    /// Workgroup `primary` without an output location, 20 active queries (AWS's smallest default
    /// quota), 4 running.
    fn default() -> Self {
        Self {
            work_groups: vec![WorkGroup {
                name: "primary".to_owned(),
                output_location: None,
                enforce: false,
                bytes_scanned_cutoff_per_query: None,
            }],
            active_queries: 20,
            running_queries: 4,
        }
    }
}

/// What an Athena has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AthenaStats {
    /// Queries started; a repeated `ClientRequestToken` starts none.
    pub started: u64,
    /// Queries that were queued or running when they were told to stop.
    pub stopped: u64,
    /// Queries that are queued or running.
    pub active: u64,
    /// Bytes scanned by all queries, those that run included.
    pub scanned_bytes: u64,
}

/// The sandbox's Athena.
///
/// It owns the tasks of its queries: dropping it ends them all, wherever they are.
#[derive(Debug)]
pub struct AthenaService {
    pub(super) engine: Arc<dyn Engine>,
    files: Arc<TableFiles>,
    pub(super) config: AthenaConfig,
    pub(super) faults: AthenaFaults,
    /// As many as may run at once.
    pub(super) slots: Arc<Semaphore>,
    registry: Mutex<Registry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StartQueryExecution {
    query_string: String,
    client_request_token: Option<String>,
    query_execution_context: Option<ExecutionContext>,
    work_group: Option<String>,
    result_configuration: Option<ResultConfiguration>,
    execution_parameters: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ExecutionContext {
    database: Option<String>,
    catalog: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ResultConfiguration {
    output_location: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct QueryId {
    query_execution_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetQueryResults {
    query_execution_id: String,
    next_token: Option<String>,
    max_results: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct GetTableMetadata {
    #[serde(rename = "CatalogName")]
    catalog: String,
    #[serde(rename = "DatabaseName")]
    database: String,
    #[serde(rename = "TableName")]
    table: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetWorkGroup {
    work_group: String,
}

pub(super) fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidRequestException", message)
}

fn parse<T: serde::de::DeserializeOwned>(body: Value) -> Result<T, AwsError> {
    serde_json::from_value(body)
        .map_err(|error| AwsError::new("SerializationException", error.to_string()))
}

impl AthenaService {
    /// An Athena whose statements run on `engine`, which reads the same `files` that
    /// `GetTableMetadata` describes:
    ///
    /// ```no_run
    /// # use std::sync::Arc;
    /// # use identity_trail::{clock::Clock, sandbox::{athena::*, log_file::LogFile}};
    /// # fn start(log_files: Arc<[LogFile]>, clock: Clock) -> AthenaService {
    /// let files = Arc::new(TableFiles::new(log_files, clock));
    /// let engine = Arc::new(DataFusionEngine::new(&files));
    /// let faults = AthenaFaults::default();
    /// AthenaService::new(engine, files, AthenaConfig::default(), faults.clone())
    /// # }
    /// ```
    ///
    /// `faults` can be changed at any time through a clone. Queries need a tokio runtime.
    #[must_use]
    pub fn new(
        engine: Arc<dyn Engine>,
        files: Arc<TableFiles>,
        config: AthenaConfig,
        faults: AthenaFaults,
    ) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(config.running_queries)),
            engine,
            files,
            config,
            faults,
            registry: Mutex::default(),
        }
    }

    /// Answers one authenticated call, the target's part after `AmazonAthena.` being `operation`.
    ///
    /// Queries, tokens and quotas belong to one account and Region. Dropping the future drops the
    /// answer; a query that was started goes on.
    pub async fn handle(
        &self,
        account_id: &str,
        region: &str,
        operation: &str,
        body: Value,
    ) -> Result<Value, AwsError> {
        match operation {
            "StartQueryExecution" => self.start(account_id, region, parse(body)?).await,
            "GetQueryExecution" => {
                let QueryId { query_execution_id } = parse(body)?;
                let query = self.query(account_id, region, &query_execution_id)?;
                Ok(json!({"QueryExecution": query.describe()}))
            }
            "StopQueryExecution" => {
                let QueryId { query_execution_id } = parse(body)?;
                let query = self.query(account_id, region, &query_execution_id)?;
                if !query.phase().is_over() {
                    self.with(|registry| registry.stopped += 1);
                    query.running.cancel();
                }
                Ok(json!({}))
            }
            "GetQueryResults" => {
                let request: GetQueryResults = parse(body)?;
                let query = self.query(account_id, region, &request.query_execution_id)?;
                let results = match query.phase() {
                    Phase::Succeeded(results) => results,
                    phase if phase.is_over() => {
                        return Err(invalid(format!(
                            "Query did not finish successfully. Final query state: {}",
                            phase.name()
                        )));
                    }
                    phase => {
                        return Err(invalid(format!(
                            "Query has not yet finished. Current state: {}",
                            phase.name()
                        )));
                    }
                };
                results::page(
                    &query.id,
                    &results,
                    request.next_token.as_deref(),
                    request.max_results,
                )
            }
            "GetTableMetadata" => self.table(&parse(body)?),
            "GetWorkGroup" => {
                let GetWorkGroup { work_group } = parse(body)?;
                Ok(describe_work_group(self.work_group(&work_group)?))
            }
            _ => Err(AwsError::new(
                "UnknownOperationException",
                format!("The sandbox's Athena does not have the operation {operation}."),
            )),
        }
    }

    /// What it has done so far.
    #[must_use]
    pub fn stats(&self) -> AthenaStats {
        self.with(|registry| {
            let queries = registry.queries.values();
            let running: u64 = queries.clone().map(|query| query.scanned_bytes()).sum();
            let active = queries.filter(|query| !query.phase().is_over()).count();
            AthenaStats {
                started: registry.started,
                stopped: registry.stopped,
                active: active as u64,
                scanned_bytes: registry.scanned_bytes + running,
            }
        })
    }

    /// What it does wrong; changes count for queries that start from then on.
    #[must_use]
    pub fn faults(&self) -> &AthenaFaults {
        &self.faults
    }

    async fn start(
        &self,
        account_id: &str,
        region: &str,
        request: StartQueryExecution,
    ) -> Result<Value, AwsError> {
        let (token, request, cutoff) = self.check(request)?;
        let (id, delay) = self
            .with(|registry| registry.start(self, account_id, region, &token, request, cutoff))?;
        if let Some(delay) = delay {
            tokio::time::sleep(delay).await;
        }
        Ok(json!({"QueryExecutionId": id}))
    }

    fn check(
        &self,
        request: StartQueryExecution,
    ) -> Result<(String, Request, Option<u64>), AwsError> {
        let StartQueryExecution {
            query_string,
            client_request_token,
            query_execution_context,
            work_group,
            result_configuration,
            execution_parameters,
        } = request;
        if query_string.is_empty() || query_string.len() > MAX_QUERY_BYTES {
            return Err(invalid(format!(
                "Query string must have 1 to {MAX_QUERY_BYTES} bytes, has {}",
                query_string.len()
            )));
        }
        if execution_parameters.is_some_and(|parameters| !parameters.is_empty()) {
            return Err(invalid("The sandbox does not support ExecutionParameters."));
        }
        let token = client_request_token
            .ok_or_else(|| invalid("ClientRequestToken is required (every SDK sends one)."))?;
        if !(32..=128).contains(&token.chars().count()) {
            return Err(invalid(
                "ClientRequestToken must have 32 to 128 characters.",
            ));
        }
        let context = query_execution_context.as_ref();
        if let Some(catalog) = context.and_then(|context| context.catalog.as_deref()) {
            check_catalog(catalog)?;
        }
        let database = query_execution_context.and_then(|context| context.database);
        let work_group = self.work_group(work_group.as_deref().unwrap_or("primary"))?;
        let asked = result_configuration.and_then(|result| result.output_location);
        let output_location = if work_group.enforce {
            work_group.output_location.clone()
        } else {
            asked.or_else(|| work_group.output_location.clone())
        };
        let mut output_location = output_location.ok_or_else(|| {
            invalid(
                "No output location provided. You did not provide an output location for your \
                 query results.",
            )
        })?;
        if !output_location.starts_with("s3://") {
            return Err(invalid(format!(
                "outputLocation is not a valid S3 path: {output_location}"
            )));
        }
        if !output_location.ends_with('/') {
            output_location.push('/');
        }
        let request = Request {
            statement: query_string,
            database,
            work_group: work_group.name.clone(),
            output_location,
        };
        Ok((token, request, work_group.bytes_scanned_cutoff_per_query))
    }

    fn query(&self, account_id: &str, region: &str, id: &str) -> Result<Arc<Query>, AwsError> {
        self.with(|registry| registry.queries.get(id).cloned())
            .filter(|query| query.account_id == account_id && query.region == region)
            .ok_or_else(|| invalid(format!("QueryExecution {id} was not found")))
    }

    fn work_group(&self, name: &str) -> Result<&WorkGroup, AwsError> {
        let mut groups = self.config.work_groups.iter();
        groups
            .find(|group| group.name == name)
            .ok_or_else(|| invalid(format!("WorkGroup {name} is not found.")))
    }

    fn table(&self, request: &GetTableMetadata) -> Result<Value, AwsError> {
        let GetTableMetadata {
            catalog,
            database,
            table: name,
        } = request;
        check_catalog(catalog)?;
        let table = metadata::find(database, name).ok_or_else(|| {
            AwsError::new(
                "MetadataException",
                format!("EntityNotFoundException: Table {database}.{name} not found."),
            )
        })?;
        Ok(json!({"TableMetadata": metadata::describe(table, &self.files)}))
    }

    fn with<T>(&self, run: impl FnOnce(&mut Registry) -> T) -> T {
        run(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn check_catalog(name: &str) -> Result<(), AwsError> {
    if name.eq_ignore_ascii_case(CATALOG) {
        Ok(())
    } else {
        Err(invalid(format!("Data catalog {name} was not found")))
    }
}

fn describe_work_group(group: &WorkGroup) -> Value {
    let mut configuration = json!({
        "ResultConfiguration": {},
        "EnforceWorkGroupConfiguration": group.enforce,
        "PublishCloudWatchMetricsEnabled": false,
        "RequesterPaysEnabled": false,
        "EngineVersion": {
            "SelectedEngineVersion": "AUTO",
            "EffectiveEngineVersion": "Athena engine version 3",
        },
    });
    if let Some(location) = &group.output_location {
        configuration["ResultConfiguration"]["OutputLocation"] = location.clone().into();
    }
    if let Some(cutoff) = group.bytes_scanned_cutoff_per_query {
        configuration["BytesScannedCutoffPerQuery"] = cutoff.into();
    }
    json!({"WorkGroup": {"Name": group.name, "State": "ENABLED", "Configuration": configuration}})
}
