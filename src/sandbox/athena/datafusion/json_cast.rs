//! Trino's `CAST(value AS JSON)` and `json_format`.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, StringBuilder};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::cast::{
    as_boolean_array, as_int64_array, as_list_array, as_map_array, as_string_array, as_struct_array,
};
use datafusion::common::exec_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use serde_json::{Map, Value};

/// What the rewriting makes of `CAST(x AS JSON)`.
pub const CAST_AS_JSON: &str = "cast_as_json";

/// Trino's own name.
pub const JSON_FORMAT: &str = "json_format";

/// Both functions.
pub fn functions() -> [ScalarUDF; 2] {
    [CAST_AS_JSON, JSON_FORMAT].map(|name| {
        ScalarUDF::from(JsonFunction {
            name,
            signature: Signature::any(1, Volatility::Immutable),
        })
    })
}

/// JSON is held as its text, so that formatting it is no work.
#[derive(Debug, PartialEq, Eq, Hash)]
struct JsonFunction {
    name: &'static str,
    signature: Signature,
}

impl ScalarUDFImpl for JsonFunction {
    fn name(&self) -> &'static str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let [value] = <[ColumnarValue; 1]>::try_from(args.args)
            .map_err(|_| DataFusionError::Execution(format!("{} takes one value", self.name)))?;
        if self.name == JSON_FORMAT {
            return Ok(value);
        }
        let array = value.into_array(rows)?;
        let mut texts = StringBuilder::new();
        for row in 0..array.len() {
            match json(&array, row)? {
                Value::Null => texts.append_null(),
                value => texts.append_value(value.to_string()),
            }
        }
        Ok(ColumnarValue::Array(Arc::new(texts.finish())))
    }
}

/// One value as JSON: rows as objects with their field names, map keys in order.
fn json(array: &dyn Array, row: usize) -> Result<Value> {
    if array.is_null(row) {
        return Ok(Value::Null);
    }
    Ok(match array.data_type() {
        DataType::Utf8 => Value::String(as_string_array(array)?.value(row).to_owned()),
        DataType::Boolean => Value::Bool(as_boolean_array(array)?.value(row)),
        DataType::Int64 => Value::from(as_int64_array(array)?.value(row)),
        DataType::Struct(fields) => {
            let array = as_struct_array(array)?;
            let members: Result<Map<String, Value>> = fields
                .iter()
                .zip(array.columns())
                .map(|(field, column)| Ok((field.name().clone(), json(column, row)?)))
                .collect();
            Value::Object(members?)
        }
        DataType::List(_) => {
            let items = as_list_array(array)?.value(row);
            let items: Result<Vec<Value>> = (0..items.len()).map(|row| json(&items, row)).collect();
            Value::Array(items?)
        }
        DataType::Map(..) => {
            let entries = as_map_array(array)?.value(row);
            let keys = as_string_array(entries.column(0))?;
            let members: Result<BTreeMap<String, Value>> = (0..entries.len())
                .map(|row| Ok((keys.value(row).to_owned(), json(entries.column(1), row)?)))
                .collect();
            Value::Object(members?.into_iter().collect())
        }
        other => return exec_err!("INVALID_CAST_ARGUMENT: cannot cast {other} to json"),
    })
}
