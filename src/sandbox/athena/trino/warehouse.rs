//! The tables' files on disk, and the DDL over them.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::sandbox::athena::files::TableFiles;
use crate::sandbox::athena::hive::{Cell, HiveType, RowReader};
use crate::sandbox::athena::table::{Generation, TABLES, Table};

/// The folder of one engine: `TABLE/key=value/…/PLACE.json`, a file for each log file.
#[derive(Debug)]
pub struct Warehouse {
    folder: PathBuf,
    schema: String,
    files: Arc<TableFiles>,
}

impl Drop for Warehouse {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(folder = %self.folder.display(), %error, "sandbox: folder not removed");
        }
    }
}

impl Warehouse {
    pub fn new(root: &Path, schema: &str, files: Arc<TableFiles>) -> Self {
        Self {
            folder: root.join(schema),
            schema: schema.to_owned(),
            files,
        }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The places of the files delivered by now.
    pub fn delivered(&self) -> BTreeSet<usize> {
        self.files.delivered().collect()
    }

    /// Writes these files into every table's folder.
    pub fn write(&self, places: &BTreeSet<usize>) -> io::Result<()> {
        for table in TABLES {
            fs::create_dir_all(self.folder.join(table.name))?;
        }
        for generation in [Generation::Documented, Generation::Legacy] {
            let reader = RowReader::new(generation.columns());
            let tables: Vec<Table> = TABLES
                .into_iter()
                .filter(|table| table.generation == generation)
                .collect();
            for &place in places {
                let mut written: Option<PathBuf> = None;
                for &table in &tables {
                    let folder = self.partition_folder(table, place);
                    fs::create_dir_all(&folder)?;
                    let path = folder.join(format!("{place}.json"));
                    match &written {
                        // The same lines in each table of a generation.
                        Some(written) => fs::hard_link(written, &path)?,
                        None => self.write_lines(&path, place, generation, &reader)?,
                    }
                    written = Some(path);
                }
            }
        }
        Ok(())
    }

    fn partition_folder(&self, table: Table, place: usize) -> PathBuf {
        let file = self.files.table_file(place);
        let mut folder = self.folder.join(table.name);
        for &key in table.partition_keys {
            // As Hive writes a slash in a partition's value.
            let value = file.partition_value(key).replace('/', "%2F");
            folder.push(format!("{}={value}", key.name()));
        }
        folder
    }

    fn write_lines(
        &self,
        path: &Path,
        place: usize,
        generation: Generation,
        reader: &RowReader,
    ) -> io::Result<()> {
        let mut lines = BufWriter::new(fs::File::create(path)?);
        for record in &self.files.log_file(place).records {
            let row = reader.row(record.json())?;
            let members = generation.columns().iter().zip(row);
            let members = members
                .map(|(column, cell)| (column.name.to_owned(), json(&column.hive_type, cell)));
            serde_json::to_writer(&mut lines, &Value::Object(members.collect()))?;
            lines.write_all(b"\n")?;
        }
        lines.flush()
    }

    pub fn create_schema(&self) -> String {
        format!(r#"CREATE SCHEMA "{}""#, self.schema)
    }

    pub fn create_table(&self, table: Table) -> String {
        let columns = table.generation.columns().iter();
        let columns = columns.map(|column| (column.name, trino_type(&column.hive_type)));
        let keys = table.partition_keys.iter();
        let keys = keys.map(|key| (key.name(), "varchar".to_owned()));
        let columns: Vec<String> = columns
            .chain(keys)
            .map(|(name, trino_type)| format!(r#""{name}" {trino_type}"#))
            .collect();
        let keys = table.partition_keys.iter();
        let keys: Vec<String> = keys.map(|key| format!("'{}'", key.name())).collect();
        format!(
            r#"CREATE TABLE "{schema}"."{name}" ({columns}) WITH (format = 'JSON', partitioned_by = ARRAY[{keys}], external_location = 'local:///{schema}/{name}')"#,
            schema = self.schema,
            name = table.name,
            columns = columns.join(", "),
            keys = keys.join(", "),
        )
    }

    /// The log file's own path, where `value` is the path of one of these files.
    pub fn path(&self, value: &str) -> Option<String> {
        let path = value.strip_prefix("local:///")?;
        let path = path.strip_prefix(&*self.schema)?.strip_prefix('/')?;
        let place: usize = path
            .rsplit_once('/')?
            .1
            .strip_suffix(".json")?
            .parse()
            .ok()?;
        (place < self.files.len()).then(|| self.files.path(place))
    }
}

fn trino_type(hive_type: &HiveType) -> String {
    match hive_type {
        HiveType::String => "varchar".to_owned(),
        HiveType::Struct(fields) => {
            let fields = fields.iter();
            let fields: Vec<String> = fields
                .map(|(name, field)| format!(r#""{name}" {}"#, trino_type(field)))
                .collect();
            format!("row({})", fields.join(", "))
        }
        HiveType::Array(item) => format!("array({})", trino_type(item)),
        HiveType::Map => "map(varchar, varchar)".to_owned(),
    }
}

/// A cell as Trino's JSON reader takes it for its type.
fn json(hive_type: &HiveType, cell: Cell) -> Value {
    match (hive_type, cell) {
        (HiveType::Struct(fields), Cell::Struct(cells)) => {
            let members = fields.iter().zip(cells);
            let members = members.map(|((name, field), cell)| (name.clone(), json(field, cell)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        (HiveType::Array(item), Cell::Array(cells)) => {
            cells.into_iter().map(|cell| json(item, cell)).collect()
        }
        (_, Cell::Map(members)) => {
            let members = members.into_iter();
            Value::Object(members.map(|(key, value)| (key, value.into())).collect())
        }
        (_, Cell::Text(text)) => text.into(),
        _ => Value::Null,
    }
}
