//! Apache DataFusion as Athena's engine, in this process, over the log files in memory.
//!
//! ```text
//! SQL ─ dialect, expression (rewrite, refuse) ─▶ plan ─ types ─▶ DataFusion ─ render ─▶ strings
//!                                                     ▲
//!                          provider (prune, count) ◀─ chunk (files as record batches)
//! ```

mod chunk;
mod dialect;
mod expression;
mod json_cast;
mod like;
mod provider;
mod render;
mod types;

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{
    CatalogProvider as _, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider as _,
};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::session_state::SessionState;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use futures::TryStreamExt as _;

use chunk::ChunkStore;
use dialect::Translated;
use provider::QueryTable;

use super::engine::{Engine, EngineError, ResultColumn, ResultSet, RunningQuery};
use super::files::TableFiles;
use super::table::{CATALOG, DATABASE, Generation, TABLES};

/// The in-process engine.
///
/// A file becomes columns when a query first reads it, and stays in memory.
#[derive(Debug)]
pub struct DataFusionEngine {
    documented: Arc<ChunkStore>,
    legacy: Arc<ChunkStore>,
}

impl DataFusionEngine {
    /// An engine over these files.
    #[must_use]
    pub fn new(files: &Arc<TableFiles>) -> Self {
        let store = |generation| Arc::new(ChunkStore::new(Arc::clone(files), generation));
        Self {
            documented: store(Generation::Documented),
            legacy: store(Generation::Legacy),
        }
    }

    /// A session that sees the tables, or a sample of their files, and counts for one query.
    fn session(
        &self,
        database: Option<&str>,
        query: &Arc<RunningQuery>,
        sample: Option<f64>,
    ) -> Result<SessionState, DataFusionError> {
        let schema = MemorySchemaProvider::new();
        for table in TABLES {
            let store = match table.generation {
                Generation::Documented => &self.documented,
                Generation::Legacy => &self.legacy,
            };
            let provider = QueryTable::new(table, Arc::clone(store), Arc::clone(query), sample)?;
            schema.register_table(table.name.to_owned(), Arc::new(provider))?;
        }
        let catalog = MemoryCatalogProvider::new();
        catalog.register_schema(DATABASE, Arc::new(schema))?;
        let catalog_name = CATALOG.to_lowercase();
        let database = database.map_or_else(|| "default".to_owned(), str::to_lowercase);
        let mut config = SessionConfig::new()
            .with_default_catalog_and_schema(&catalog_name, database)
            .with_create_default_catalog_and_schema(false)
            .with_information_schema(false)
            .with_target_partitions(2);
        config.options_mut().sql_parser.map_string_types_to_utf8view = false;
        let context = SessionContext::new_with_state(
            SessionStateBuilder::new()
                .with_config(config)
                .with_default_features()
                .build(),
        );
        context.register_catalog(catalog_name, Arc::new(catalog));
        for function in json_cast::functions() {
            context.register_udf(function);
        }
        Ok(context.state())
    }
}

#[async_trait]
impl Engine for DataFusionEngine {
    async fn run(
        &self,
        statement: &str,
        database: Option<&str>,
        query: &Arc<RunningQuery>,
    ) -> Result<ResultSet, EngineError> {
        let work = async {
            let Translated { statement, sample } = dialect::translate(statement)?;
            let state = self.session(database, query, sample);
            let state = state.map_err(|e| internal(&e))?;
            let plan = state
                .statement_to_plan(Statement::Statement(Box::new(statement)))
                .await
                .map_err(|error| EngineError::syntax(error.strip_backtrace()))?;
            types::check(&plan)?;
            let fields = plan.schema().fields().iter();
            let columns = fields.map(|field| ResultColumn {
                name: field.name().clone(),
                type_name: render::type_name(field.data_type()),
            });
            let columns = columns.collect();
            let context = SessionContext::new_with_state(state);
            let frame = context
                .execute_logical_plan(plan)
                .await
                .map_err(|e| failure(&e))?;
            let mut batches = frame.execute_stream().await.map_err(|e| failure(&e))?;
            let mut rows = Vec::new();
            while let Some(batch) = batches.try_next().await.map_err(|e| failure(&e))? {
                render::rows(&batch, &mut rows).map_err(|e| internal(&e))?;
            }
            Ok(ResultSet { columns, rows })
        };
        tokio::select! {
            biased;
            () = query.cancelled() => Err(EngineError::Cancelled),
            result = work => result,
        }
    }
}

/// What a plan or its execution says: the statement's fault where it carries Trino's error name.
fn failure(error: &DataFusionError) -> EngineError {
    let message = match error.find_root() {
        DataFusionError::Plan(message) | DataFusionError::Execution(message) => message.clone(),
        other => return internal(other),
    };
    let named = message
        .split_once(": ")
        .is_some_and(|(name, _)| name.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'_')));
    if named {
        EngineError::User(message)
    } else {
        internal(error)
    }
}

fn internal(error: &DataFusionError) -> EngineError {
    EngineError::System(error.strip_backtrace())
}
