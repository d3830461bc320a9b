//! What `GetTableMetadata` says of a table.

use serde_json::{Map, Value, json};

use super::files::{BUCKET, TableFiles};
use super::table::{DATABASE, PartitionKey, TABLES, Table};

/// The table of this name, whatever its case, in this database.
pub(super) fn find(database: &str, table: &str) -> Option<Table> {
    if !database.eq_ignore_ascii_case(DATABASE) {
        return None;
    }
    let mut tables = TABLES.into_iter();
    tables.find(|found| found.name.eq_ignore_ascii_case(table))
}

/// The `TableMetadata` of a table over these files.
pub(super) fn describe(table: Table, files: &TableFiles) -> Value {
    let columns = table.generation.columns().iter();
    let columns: Vec<Value> = columns
        .map(|column| json!({"Name": column.name, "Type": column.ddl_type}))
        .collect();
    let keys = table.partition_keys.iter();
    let keys: Vec<Value> = keys
        .map(|key| json!({"Name": key.name(), "Type": "string"}))
        .collect();
    json!({
        "Name": table.name,
        "TableType": "EXTERNAL_TABLE",
        "Columns": columns,
        "PartitionKeys": keys,
        "Parameters": parameters(table, files),
    })
}

fn parameters(table: Table, files: &TableFiles) -> Map<String, Value> {
    let location = format!("s3://{BUCKET}/AWSLogs/");
    let mut parameters = Map::new();
    let mut set = |name: &str, value: String| {
        parameters.insert(name.to_owned(), value.into());
    };
    set("EXTERNAL", "TRUE".to_owned());
    set("location", location.clone());
    set(
        "inputformat",
        "com.amazon.emr.cloudtrail.CloudTrailInputFormat".to_owned(),
    );
    set(
        "outputformat",
        "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat".to_owned(),
    );
    set(
        "serde.serialization.lib",
        "org.apache.hive.hcatalog.data.JsonSerDe".to_owned(),
    );
    // As a crawler leaves it that goes by folders of accounts.
    if table.partition_keys.contains(&PartitionKey::Account) && !table.projected {
        let sizes = files.delivered().map(|place| files.table_file(place).bytes);
        set("sizeKey", sizes.sum::<u64>().to_string());
    }
    if table.projected {
        set("projection.enabled", "true".to_owned());
        set("projection.account.type", "injected".to_owned());
        set("projection.region.type", "enum".to_owned());
        set(
            "projection.region.values",
            files.values(PartitionKey::Region).join(","),
        );
        set("projection.timestamp.type", "date".to_owned());
        set("projection.timestamp.format", "yyyy/MM/dd".to_owned());
        set("projection.timestamp.interval", "1".to_owned());
        set("projection.timestamp.interval.unit", "DAYS".to_owned());
        set("projection.timestamp.range", "2013/01/01,NOW".to_owned());
        set(
            "storage.location.template",
            format!("{location}${{account}}/CloudTrail/${{region}}/${{timestamp}}"),
        );
    }
    parameters
}
