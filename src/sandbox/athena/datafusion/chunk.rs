//! Log files as record batches, built when first read and kept.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, ListArray, MapArray, RecordBatch, StringBuilder, StructArray,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::error::{DataFusionError, Result};
use tokio::sync::OnceCell;

use crate::sandbox::athena::files::TableFiles;
use crate::sandbox::athena::hive::{Cell, HiveType, RowReader};
use crate::sandbox::athena::table::{Column, Generation, PartitionKey};

/// The pseudo column that names the file of a row.
pub const PATH_COLUMN: &str = "$path";

/// A chunk is closed once it holds this many records: some tenths of a second to build unoptimised.
const CHUNK_RECORDS: usize = 2_048;

/// All files with one set of columns, in chunks of neighbouring files.
///
/// A batch has the columns, then every partition key, then the path.
pub struct ChunkStore {
    files: Arc<TableFiles>,
    reader: RowReader,
    generation: Generation,
    schema: SchemaRef,
    chunks: Vec<Chunk>,
}

struct Chunk {
    files: Range<usize>,
    /// The first row of each file, and the number of rows at the end.
    rows: Vec<usize>,
    batch: OnceCell<RecordBatch>,
}

impl fmt::Debug for ChunkStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkStore")
            .field("generation", &self.generation)
            .field("chunks", &self.chunks.len())
            .finish_non_exhaustive()
    }
}

impl ChunkStore {
    pub fn new(files: Arc<TableFiles>, generation: Generation) -> Self {
        let mut chunks = Vec::new();
        let mut start = 0;
        let mut rows = vec![0];
        for place in 0..files.len() {
            let count = rows[rows.len() - 1] + files.log_file(place).records.len();
            rows.push(count);
            if count >= CHUNK_RECORDS || place + 1 == files.len() {
                chunks.push(Chunk {
                    files: start..place + 1,
                    rows: std::mem::replace(&mut rows, vec![0]),
                    batch: OnceCell::new(),
                });
                start = place + 1;
            }
        }
        Self {
            schema: schema_of(generation),
            reader: RowReader::new(generation.columns()),
            generation,
            files,
            chunks,
        }
    }

    pub fn files(&self) -> &Arc<TableFiles> {
        &self.files
    }

    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Cuts files, given in reading order, into runs of neighbours within one chunk.
    pub fn runs(&self, places: impl IntoIterator<Item = usize>) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        let mut chunk = 0;
        for place in places {
            while place >= self.chunks[chunk].files.end {
                chunk += 1;
            }
            match runs.last_mut() {
                Some(run) if run.chunk == chunk && run.files.end == place => {
                    run.files.end += 1;
                }
                _ => runs.push(Run {
                    chunk,
                    files: place..place + 1,
                }),
            }
        }
        runs
    }

    /// The rows of one run. Builds its chunk if nobody has yet; a build goes on when its reader is
    /// dropped, for the length of that one chunk.
    pub async fn read(self: &Arc<Self>, run: &Run) -> Result<RecordBatch> {
        let number = run.chunk;
        let chunk = &self.chunks[number];
        let build = || async {
            let store = Arc::clone(self);
            let built = tokio::task::spawn_blocking(move || store.build(number)).await;
            built.map_err(|error| DataFusionError::External(error.into()))?
        };
        let batch = chunk.batch.get_or_try_init(build).await?;
        let first = chunk.rows[run.files.start - chunk.files.start];
        let end = chunk.rows[run.files.end - chunk.files.start];
        Ok(batch.slice(first, end - first))
    }

    fn build(&self, number: usize) -> Result<RecordBatch> {
        let chunk = &self.chunks[number];
        let columns = self.generation.columns();
        let rows = chunk.rows[chunk.rows.len() - 1];
        let mut cells: Vec<Vec<Cell>> = columns.iter().map(|_| Vec::with_capacity(rows)).collect();
        let mut partitions = PartitionKey::ALL.map(|_| StringBuilder::new());
        let mut paths = StringBuilder::new();
        for place in chunk.files.clone() {
            let path = self.files.path(place);
            let file = self.files.table_file(place);
            for record in &self.files.log_file(place).records {
                let row = self
                    .reader
                    .row(record.json())
                    .map_err(|error| DataFusionError::External(error.into()))?;
                for (column, cell) in cells.iter_mut().zip(row) {
                    column.push(cell);
                }
                for key in PartitionKey::ALL {
                    partitions[key as usize].append_value(file.partition_value(key));
                }
                paths.append_value(&path);
            }
        }
        let mut arrays = Vec::with_capacity(self.schema.fields().len());
        for (column, cells) in columns.iter().zip(cells) {
            arrays.push(array_of(&column.hive_type, cells)?);
        }
        arrays.extend(
            partitions
                .iter_mut()
                .map(|values| Arc::new(values.finish()) as ArrayRef),
        );
        arrays.push(Arc::new(paths.finish()));
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), arrays)?)
    }
}

/// Neighbouring files of one chunk.
#[derive(Debug, Clone)]
pub struct Run {
    chunk: usize,
    files: Range<usize>,
}

impl Run {
    /// The places of its files in reading order.
    pub fn files(&self) -> Range<usize> {
        self.files.clone()
    }
}

fn schema_of(generation: Generation) -> SchemaRef {
    let columns = generation.columns().iter();
    let columns = columns.map(|column: &Column| field(column.name, &column.hive_type));
    let keys = PartitionKey::ALL.map(|key| Field::new(key.name(), DataType::Utf8, false));
    let path = Field::new(PATH_COLUMN, DataType::Utf8, false);
    Arc::new(Schema::new(
        columns.chain(keys).chain([path]).collect::<Vec<_>>(),
    ))
}

fn field(name: &str, hive_type: &HiveType) -> Field {
    Field::new(name, arrow_type(hive_type), true)
}

fn arrow_type(hive_type: &HiveType) -> DataType {
    match hive_type {
        HiveType::String => DataType::Utf8,
        HiveType::Struct(fields) => DataType::Struct(arrow_fields(fields)),
        HiveType::Array(item) => DataType::List(Arc::new(field("item", item))),
        HiveType::Map => DataType::Map(Arc::new(map_entries()), false),
    }
}

fn arrow_fields(fields: &[(String, HiveType)]) -> Fields {
    fields
        .iter()
        .map(|(name, hive_type)| field(name, hive_type))
        .collect()
}

fn map_fields() -> Fields {
    Fields::from(vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", DataType::Utf8, true),
    ])
}

fn map_entries() -> Field {
    Field::new("entries", DataType::Struct(map_fields()), false)
}

/// The array of some cells, all of which are of this type or NULL.
fn array_of(hive_type: &HiveType, cells: Vec<Cell>) -> Result<ArrayRef, ArrowError> {
    let valid: Vec<bool> = cells.iter().map(|cell| *cell != Cell::Null).collect();
    let nulls = Some(NullBuffer::from(valid));
    Ok(match hive_type {
        HiveType::String => {
            let mut texts = StringBuilder::new();
            for cell in cells {
                match cell {
                    Cell::Text(text) => texts.append_value(text),
                    _ => texts.append_null(),
                }
            }
            Arc::new(texts.finish())
        }
        HiveType::Struct(fields) => {
            let mut columns: Vec<Vec<Cell>> = fields.iter().map(|_| Vec::new()).collect();
            for cell in cells {
                let mut members = match cell {
                    Cell::Struct(members) => members,
                    _ => Vec::new(),
                };
                members.resize(fields.len(), Cell::Null);
                for (column, member) in columns.iter_mut().zip(members) {
                    column.push(member);
                }
            }
            let arrays: Result<Vec<ArrayRef>, ArrowError> = fields
                .iter()
                .zip(columns)
                .map(|((_, member), cells)| array_of(member, cells))
                .collect();
            Arc::new(StructArray::try_new(arrow_fields(fields), arrays?, nulls)?)
        }
        HiveType::Array(item) => {
            let mut lengths = Vec::with_capacity(cells.len());
            let mut items = Vec::new();
            for cell in cells {
                let members = match cell {
                    Cell::Array(members) => members,
                    _ => Vec::new(),
                };
                lengths.push(members.len());
                items.extend(members);
            }
            let offsets = OffsetBuffer::from_lengths(lengths);
            let values = array_of(item, items)?;
            let item = Arc::new(field("item", item));
            Arc::new(ListArray::try_new(item, offsets, values, nulls)?)
        }
        HiveType::Map => {
            let mut lengths = Vec::with_capacity(cells.len());
            let mut keys = StringBuilder::new();
            let mut values = StringBuilder::new();
            for cell in cells {
                let members = match cell {
                    Cell::Map(members) => members,
                    _ => std::collections::BTreeMap::new(),
                };
                lengths.push(members.len());
                for (key, value) in members {
                    keys.append_value(key);
                    values.append_option(value);
                }
            }
            let arrays: Vec<ArrayRef> = vec![Arc::new(keys.finish()), Arc::new(values.finish())];
            let entries = StructArray::try_new(map_fields(), arrays, None)?;
            let offsets = OffsetBuffer::from_lengths(lengths);
            let map = MapArray::try_new(Arc::new(map_entries()), offsets, entries, nulls, false)?;
            Arc::new(map)
        }
    })
}
