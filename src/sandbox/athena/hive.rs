//! How Hive's JSON SerDe reads a record into a table's columns. Both engines show what it makes.

use std::collections::{BTreeMap, HashMap};

use serde_json::value::RawValue;

use super::table::Column;

/// A column's type, of those that the CloudTrail tables use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HiveType {
    /// `string`.
    String,
    /// `struct<name:type,…>`.
    Struct(Vec<(String, HiveType)>),
    /// `array<type>`.
    Array(Box<HiveType>),
    /// `map<string,string>`.
    Map,
}

impl HiveType {
    /// Reads a type as DDL writes it, without spaces; none for any other type.
    #[must_use]
    pub fn parse(ddl: &str) -> Option<Self> {
        let (hive_type, rest) = Self::parse_prefix(ddl)?;
        rest.is_empty().then_some(hive_type)
    }

    fn parse_prefix(ddl: &str) -> Option<(Self, &str)> {
        if let Some(rest) = ddl.strip_prefix("string") {
            return Some((Self::String, rest));
        }
        if let Some(rest) = ddl.strip_prefix("map<string,string>") {
            return Some((Self::Map, rest));
        }
        if let Some(rest) = ddl.strip_prefix("array<") {
            let (item, rest) = Self::parse_prefix(rest)?;
            return Some((Self::Array(Box::new(item)), rest.strip_prefix('>')?));
        }
        let mut rest = ddl.strip_prefix("struct<")?;
        let mut fields = Vec::new();
        loop {
            let (name, after) = rest.split_once(':')?;
            let (field, after) = Self::parse_prefix(after)?;
            fields.push((name.to_owned(), field));
            if let Some(end) = after.strip_prefix('>') {
                return Some((Self::Struct(fields), end));
            }
            rest = after.strip_prefix(',')?;
        }
    }

    /// Reads one JSON value as this type. What does not fit the type is NULL.
    ///
    /// Keys are lower-cased at any depth of a typed value; an object or array in a `string` stays
    /// JSON text as it was written, a number or boolean there is its text.
    #[must_use]
    pub fn read(&self, json: &RawValue) -> Cell {
        let text = json.get();
        match self {
            Self::String => match text.as_bytes() {
                [b'"', ..] => serde_json::from_str(text).map_or(Cell::Null, Cell::Text),
                b"null" => Cell::Null,
                _ => Cell::Text(text.to_owned()),
            },
            Self::Struct(fields) => {
                let Ok(members) = serde_json::from_str::<BTreeMap<String, &RawValue>>(text) else {
                    return Cell::Null;
                };
                let mut cells = vec![Cell::Null; fields.len()];
                for (key, value) in members {
                    let field = fields
                        .iter()
                        .position(|(name, _)| name.eq_ignore_ascii_case(&key));
                    if let Some(field) = field {
                        cells[field] = fields[field].1.read(value);
                    }
                }
                Cell::Struct(cells)
            }
            Self::Array(item) => match serde_json::from_str::<Vec<&RawValue>>(text) {
                Ok(values) => {
                    Cell::Array(values.into_iter().map(|value| item.read(value)).collect())
                }
                Err(_) => Cell::Null,
            },
            Self::Map => match serde_json::from_str::<BTreeMap<String, &RawValue>>(text) {
                Ok(members) => Cell::Map(
                    members
                        .into_iter()
                        .map(|(key, value)| (key.to_lowercase(), Self::String.read(value).text()))
                        .collect(),
                ),
                Err(_) => Cell::Null,
            },
        }
    }
}

/// One value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// NULL.
    Null,
    /// Of a `string`.
    Text(String),
    /// Of a `struct`, in the order of its fields.
    Struct(Vec<Cell>),
    /// Of an `array`.
    Array(Vec<Cell>),
    /// Of a `map`; a key occurs once.
    Map(BTreeMap<String, Option<String>>),
}

impl Cell {
    fn text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Reads records into rows of some columns.
#[derive(Debug)]
pub struct RowReader {
    columns: &'static [Column],
    by_name: HashMap<&'static str, usize>,
}

impl RowReader {
    /// A reader of these columns.
    #[must_use]
    pub fn new(columns: &'static [Column]) -> Self {
        let names = columns.iter().enumerate();
        Self {
            columns,
            by_name: names.map(|(place, column)| (column.name, place)).collect(),
        }
    }

    /// The row of one record, in the columns' order. Members that no column holds are lost, as in
    /// any such table.
    ///
    /// # Errors
    /// When the text is no JSON object.
    pub fn row(&self, record: &str) -> Result<Vec<Cell>, serde_json::Error> {
        let members: BTreeMap<String, &RawValue> = serde_json::from_str(record)?;
        let mut row = vec![Cell::Null; self.columns.len()];
        for (mut key, value) in members {
            key.make_ascii_lowercase();
            if let Some(&place) = self.by_name.get(key.as_str()) {
                row[place] = self.columns[place].hive_type.read(value);
            }
        }
        Ok(row)
    }
}
