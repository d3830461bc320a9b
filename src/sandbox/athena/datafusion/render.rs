//! Values as the strings, and types as the names, in which Athena returns them.

use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::cast::{as_list_array, as_map_array, as_struct_array};
use datafusion::error::Result;

/// Appends the batch's rows.
pub fn rows(batch: &RecordBatch, rows: &mut Vec<Vec<Option<String>>>) -> Result<()> {
    rows.reserve(batch.num_rows());
    for row in 0..batch.num_rows() {
        let values: Result<Vec<Option<String>>> = batch
            .columns()
            .iter()
            .map(|column| text(column, row))
            .collect();
        rows.push(values?);
    }
    Ok(())
}

/// Rows, arrays and maps come without quotes, as Athena writes them: nobody can parse that.
fn text(array: &dyn Array, row: usize) -> Result<Option<String>> {
    if array.is_null(row) {
        return Ok(None);
    }
    let inner = |array: &dyn Array, row| -> Result<String> {
        Ok(text(array, row)?.unwrap_or_else(|| "null".to_owned()))
    };
    Ok(Some(match array.data_type() {
        DataType::Struct(fields) => {
            let array = as_struct_array(array)?;
            let members: Result<Vec<String>> = fields
                .iter()
                .zip(array.columns())
                .map(|(field, column)| Ok(format!("{}={}", field.name(), inner(column, row)?)))
                .collect();
            format!("{{{}}}", members?.join(", "))
        }
        DataType::List(_) => {
            let items = as_list_array(array)?.value(row);
            let items: Result<Vec<String>> =
                (0..items.len()).map(|row| inner(&items, row)).collect();
            format!("[{}]", items?.join(", "))
        }
        DataType::Map(..) => {
            let entries = as_map_array(array)?.value(row);
            let members: Result<Vec<String>> = (0..entries.len())
                .map(|row| {
                    let key = inner(entries.column(0), row)?;
                    Ok(format!("{key}={}", inner(entries.column(1), row)?))
                })
                .collect();
            format!("{{{}}}", members?.join(", "))
        }
        _ => ArrayFormatter::try_new(array, &FormatOptions::default())?
            .value(row)
            .try_to_string()?,
    }))
}

/// Athena's name of a type.
pub fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => "varchar",
        DataType::Boolean => "boolean",
        DataType::Int32 => "integer",
        DataType::Int64 | DataType::UInt64 => "bigint",
        DataType::Float64 => "double",
        DataType::Decimal128(..) => "decimal",
        DataType::Struct(_) => "row",
        DataType::List(_) => "array",
        DataType::Map(..) => "map",
        _ => "unknown",
    }
    .to_owned()
}
