//! A real Trino server as Athena's engine.
//!
//! The server's hive connector must read [`TrinoConfig::warehouse`] as its local file system
//! (`fs.native-local.enabled=true`, `local.location=…`) and take external tables. The log files are
//! written there as JSON lines of the tables' columns, a folder for each partition; statements go
//! to the server as they are, but for the name of the database.

mod client;
mod statement;
mod warehouse;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Mutex;
use uuid::Uuid;

use client::Client;
use warehouse::Warehouse;

use super::engine::{Engine, EngineError, ResultSet, RunningQuery};
use super::files::TableFiles;
use super::table::{DATABASE, TABLES};

/// Where Trino is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrinoConfig {
    /// The server: `http://HOST:PORT`.
    pub url: String,
    /// The catalog of its hive connector, usually `hive`.
    pub catalog: String,
    /// The folder that the connector reads as `local:///`.
    pub warehouse: PathBuf,
}

/// Why the Trino engine does not start.
#[derive(Debug, thiserror::Error)]
pub enum TrinoStartError {
    /// The URL is not `http://HOST:PORT`.
    #[error("{0:?} is no URL of a Trino server; write http://HOST:PORT")]
    Url(String),
    /// The files cannot be written.
    #[error("cannot write the tables' files below {folder}: {source}")]
    Write {
        /// Where.
        folder: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The server does not make the tables.
    #[error("Trino does not make the tables: {0}")]
    Statement(#[from] EngineError),
}

/// The Trino engine. Several can share a server: each has a schema and a folder of its own.
///
/// Dropping it removes its folder; its schema stays in the metastore, over nothing. Statements in
/// flight are then left to the server, which ends those whose client is gone.
#[derive(Debug)]
pub struct TrinoEngine {
    client: Client,
    catalog: String,
    schema: String,
    warehouse: Arc<Warehouse>,
    /// The files that the server knows of. Held while further files are being added, so that no
    /// statement runs on half of them.
    known: Mutex<BTreeSet<usize>>,
}

impl TrinoEngine {
    /// Writes all files delivered by now, and makes the tables over them. This takes some seconds
    /// for some thousand records.
    pub async fn start(
        config: TrinoConfig,
        files: Arc<TableFiles>,
    ) -> Result<Self, TrinoStartError> {
        let client = Client::new(&config.url, &config.catalog)
            .ok_or_else(|| TrinoStartError::Url(config.url.clone()))?;
        let schema = format!("{DATABASE}_{}", Uuid::new_v4().simple());
        let engine = Self {
            warehouse: Arc::new(Warehouse::new(&config.warehouse, &schema, files)),
            client,
            catalog: config.catalog,
            schema,
            known: Mutex::default(),
        };
        engine.write(engine.warehouse.delivered()).await?;
        engine.make(&engine.warehouse.create_schema()).await?;
        for table in TABLES {
            engine.make(&engine.warehouse.create_table(table)).await?;
        }
        engine.sync_partitions().await?;
        *engine.known.lock().await = engine.warehouse.delivered();
        Ok(engine)
    }

    async fn write(&self, places: BTreeSet<usize>) -> Result<(), TrinoStartError> {
        let warehouse = Arc::clone(&self.warehouse);
        let writing = tokio::task::spawn_blocking(move || warehouse.write(&places)).await;
        let written = match writing {
            Ok(written) => written,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        written.map_err(|source| TrinoStartError::Write {
            folder: self.warehouse.folder().to_owned(),
            source,
        })
    }

    async fn sync_partitions(&self) -> Result<(), EngineError> {
        for table in TABLES {
            let Self {
                catalog, schema, ..
            } = self;
            let name = table.name;
            self.make(&format!(
                "CALL {catalog}.system.sync_partition_metadata('{schema}', '{name}', 'ADD')"
            ))
            .await?;
        }
        Ok(())
    }

    async fn make(&self, statement: &str) -> Result<(), EngineError> {
        let query = RunningQuery::default();
        self.client
            .run(statement, &self.schema, &query)
            .await
            .map(drop)
    }

    /// Lets the server know of files that were delivered since the last statement.
    async fn catch_up(&self) -> Result<(), EngineError> {
        let mut known = self.known.lock().await;
        let delivered = self.warehouse.delivered();
        let new: BTreeSet<usize> = delivered.difference(&known).copied().collect();
        if !new.is_empty() {
            self.write(new)
                .await
                .map_err(|error| EngineError::System(error.to_string()))?;
            self.sync_partitions().await?;
            *known = delivered;
        }
        Ok(())
    }
}

#[async_trait]
impl Engine for TrinoEngine {
    async fn run(
        &self,
        statement: &str,
        database: Option<&str>,
        query: &Arc<RunningQuery>,
    ) -> Result<ResultSet, EngineError> {
        let statement = statement::with_schema(statement, &self.schema)?;
        let schema = match database {
            Some(database) if !database.eq_ignore_ascii_case(DATABASE) => database,
            Some(_) => &self.schema,
            None => "default",
        };
        self.catch_up().await?;
        let mut results = self.client.run(&statement, schema, query).await?;
        for value in results.rows.iter_mut().flatten().flatten() {
            if let Some(path) = self.warehouse.path(value) {
                *value = path;
            }
        }
        Ok(results)
    }
}

impl TrinoEngine {
    /// The folder that holds its files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.warehouse.folder()
    }
}
