//! One table for one query: prunes partitions, then reads chunks and counts their bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{Array as _, ArrayRef, BooleanArray, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DFSchema;
use datafusion::common::cast::as_boolean_array;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{
    BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::sandbox::athena::engine::RunningQuery;
use crate::sandbox::athena::table::{PartitionKey, Table};

use super::chunk::{ChunkStore, PATH_COLUMN, Run};

/// How many parts of a table are read at once.
const READERS: usize = 2;

/// A table as one query sees it.
#[derive(Debug)]
pub struct QueryTable {
    table: Table,
    store: Arc<ChunkStore>,
    query: Arc<RunningQuery>,
    /// The part of the files that is seen.
    sample: Option<f64>,
    schema: SchemaRef,
    /// Where the store has each of the table's columns.
    columns: Arc<[usize]>,
}

impl QueryTable {
    pub fn new(
        table: Table,
        store: Arc<ChunkStore>,
        query: Arc<RunningQuery>,
        sample: Option<f64>,
    ) -> Result<Self> {
        let stored = store.schema();
        let columns = table.generation.columns().iter().map(|column| column.name);
        let keys = table.partition_keys.iter().map(|key| key.name());
        let names = columns.chain(keys).chain([PATH_COLUMN]);
        let columns: Result<Vec<usize>, _> = names.map(|name| stored.index_of(name)).collect();
        let columns = columns?;
        Ok(Self {
            table,
            schema: Arc::new(stored.project(&columns)?),
            columns: columns.into(),
            store,
            query,
            sample,
        })
    }

    fn is_on_partitions(&self, filter: &Expr) -> bool {
        let columns = filter.column_refs();
        !columns.is_empty()
            && columns
                .iter()
                .all(|column| self.key(column.name()).is_some())
            && !filter.is_volatile()
    }

    fn key(&self, name: &str) -> Option<PartitionKey> {
        let keys = self.table.partition_keys.iter();
        keys.copied().find(|key| key.name() == name)
    }

    /// The files, in reading order, whose partition every filter lets through.
    fn prune(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<usize>> {
        let files = self.store.files();
        let keys = self.table.partition_keys;
        let mut partitions: BTreeMap<Vec<&str>, Vec<usize>> = BTreeMap::new();
        for place in files.delivered() {
            let file = files.table_file(place);
            let values = keys.iter().map(|&key| file.partition_value(key));
            partitions.entry(values.collect()).or_default().push(place);
        }
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let fields: Vec<Field> = keys
            .iter()
            .map(|key| Field::new(key.name(), DataType::Utf8, false))
            .collect();
        let arrays = (0..keys.len()).map(|key| {
            let values = partitions.keys().map(|values| values[key]);
            Arc::new(StringArray::from_iter_values(values)) as ArrayRef
        });
        let schema = Arc::new(Schema::new(fields));
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays.collect())?;
        let df_schema = DFSchema::try_from(schema)?;
        let mut kept = vec![true; partitions.len()];
        for filter in filters {
            let predicate = state.create_physical_expr(filter.clone(), &df_schema)?;
            let values = predicate.evaluate(&batch)?.into_array(batch.num_rows())?;
            let values: &BooleanArray = as_boolean_array(&values)?;
            for (row, kept) in kept.iter_mut().enumerate() {
                *kept &= values.is_valid(row) && values.value(row);
            }
        }
        let kept = partitions.into_values().zip(kept);
        let kept = kept.filter(|(_, kept)| *kept).flat_map(|(files, _)| files);
        Ok(kept.collect::<BTreeSet<usize>>().into_iter().collect())
    }

    /// Trino throws dice for each split, that is each file; here the same file always falls alike.
    fn is_in_sample(&self, place: usize, part: f64) -> bool {
        let mut hasher = DefaultHasher::new();
        self.store.files().log_file(place).key.hash(&mut hasher);
        let thrown = hasher.finish() % 10_000;
        f64::from(u16::try_from(thrown).unwrap_or(u16::MAX)) < part * 10_000.0
    }

    /// An injected partition column has no list of values: Athena takes them from the statement.
    fn check_injected(&self, filters: &[Expr]) -> Result<()> {
        let injected = PartitionKey::Account.name();
        if !self.table.projected || filters.iter().any(|filter| names_values(filter, injected)) {
            return Ok(());
        }
        Err(DataFusionError::Plan(format!(
            "CONSTRAINT_VIOLATION: For the injected projected partition column {injected}, the \
             WHERE clause must contain only static equality conditions, and at least one such \
             condition must be present."
        )))
    }
}

/// Whether the filter lists values of this column: `=`, `IN`, or several of these under OR.
fn names_values(filter: &Expr, column: &str) -> bool {
    let is_column = |expr: &Expr| matches!(expr, Expr::Column(found) if found.name() == column);
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::Or => names_values(left, column) && names_values(right, column),
            Operator::Eq => {
                (is_column(left) && matches!(**right, Expr::Literal(..)))
                    || (is_column(right) && matches!(**left, Expr::Literal(..)))
            }
            _ => false,
        },
        Expr::InList(list) => {
            !list.negated
                && is_column(&list.expr)
                && list
                    .list
                    .iter()
                    .all(|value| matches!(value, Expr::Literal(..)))
        }
        _ => false,
    }
}

#[async_trait]
impl TableProvider for QueryTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let supports = filters.iter().map(|filter| {
            if self.is_on_partitions(filter) {
                TableProviderFilterPushDown::Exact
            } else {
                TableProviderFilterPushDown::Unsupported
            }
        });
        Ok(supports.collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.check_injected(filters)?;
        let mut files = self.prune(state, filters)?;
        if let Some(part) = self.sample {
            files.retain(|place| self.is_in_sample(*place, part));
        }
        let runs = self.store.runs(files);
        let mut parts = vec![Vec::new(); READERS];
        for (number, run) in runs.into_iter().enumerate() {
            parts[number % READERS].push(run);
        }
        let parts = parts.into_iter().map(|runs| {
            Arc::new(Part {
                schema: Arc::clone(&self.schema),
                columns: Arc::clone(&self.columns),
                store: Arc::clone(&self.store),
                query: Arc::clone(&self.query),
                runs,
            }) as Arc<dyn PartitionStream>
        });
        let parts = parts.collect();
        let schema = Arc::clone(&self.schema);
        let plan = StreamingTableExec::try_new(schema, parts, projection, [], false, limit)?;
        Ok(Arc::new(plan))
    }
}

/// Some runs of files, read one after the other.
#[derive(Debug)]
struct Part {
    schema: SchemaRef,
    columns: Arc<[usize]>,
    store: Arc<ChunkStore>,
    query: Arc<RunningQuery>,
    runs: Vec<Run>,
}

impl PartitionStream for Part {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let store = Arc::clone(&self.store);
        let query = Arc::clone(&self.query);
        let columns = Arc::clone(&self.columns);
        let batches = stream::iter(self.runs.clone())
            .map(Ok::<_, DataFusionError>)
            .and_then(move |run| {
                let store = Arc::clone(&store);
                let query = Arc::clone(&query);
                let columns = Arc::clone(&columns);
                async move {
                    let batch = store.read(&run).await?.project(&columns)?;
                    let files = store.files();
                    query.add_scanned_bytes(
                        run.files().map(|place| files.table_file(place).bytes).sum(),
                    );
                    Ok(batch)
                }
            });
        Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            batches,
        ))
    }
}
