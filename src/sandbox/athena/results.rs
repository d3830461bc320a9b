//! Pages of `GetQueryResults`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::sandbox::error::AwsError;

use super::engine::ResultSet;
use super::service::invalid;

/// Rows on a page at most, the header included.
const MAX_RESULTS: usize = 1_000;

/// One page: the header is the first row of the first.
pub(super) fn page(
    query_id: &str,
    results: &ResultSet,
    token: Option<&str>,
    max_results: Option<i64>,
) -> Result<Value, AwsError> {
    let size = match max_results {
        None => MAX_RESULTS,
        Some(size) => usize::try_from(size)
            .ok()
            .filter(|size| (1..=MAX_RESULTS).contains(size))
            .ok_or_else(|| invalid(format!("MaxResults must be between 1 and {MAX_RESULTS}")))?,
    };
    let start = match token {
        None => 0,
        Some(token) => read_token(query_id, token)
            .filter(|start| *start <= results.rows.len())
            .ok_or_else(|| invalid("Malformed input: the NextToken is not of this query"))?,
    };
    let header: Vec<Option<String>> = results
        .columns
        .iter()
        .map(|column| Some(column.name.clone()))
        .collect();
    let rows = std::iter::once(&header).chain(&results.rows);
    let rows: Vec<Value> = rows.skip(start).take(size).map(|row| line(row)).collect();
    let end = start + rows.len();
    let columns: Vec<Value> = results
        .columns
        .iter()
        .map(|column| {
            json!({
                "CatalogName": "hive",
                "SchemaName": "",
                "TableName": "",
                "Name": column.name,
                "Label": column.name,
                "Type": column.type_name,
                "Precision": if column.type_name == "varchar" { i32::MAX } else { 0 },
                "Scale": 0,
                "Nullable": "UNKNOWN",
                "CaseSensitive": column.type_name == "varchar",
            })
        })
        .collect();
    let mut page = json!({
        "UpdateCount": 0,
        "ResultSet": {"Rows": rows, "ResultSetMetadata": {"ColumnInfo": columns}},
    });
    if end <= results.rows.len() {
        page["NextToken"] = URL_SAFE_NO_PAD.encode(format!("{query_id} {end}")).into();
    }
    Ok(page)
}

/// A NULL is a datum without a value.
fn line(row: &[Option<String>]) -> Value {
    let data = row.iter().map(|value| {
        let value = value.iter();
        let value = value.map(|text| ("VarCharValue".to_owned(), Value::from(&**text)));
        Value::Object(value.collect::<Map<String, Value>>())
    });
    json!({"Data": data.collect::<Vec<_>>()})
}

fn read_token(query_id: &str, token: &str) -> Option<usize> {
    let token = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    token.strip_prefix(query_id)?.trim_start().parse().ok()
}
