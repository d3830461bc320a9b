//! Comparisons that DataFusion would make work and Trino refuses.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::logical_expr::expr::{Between, InList, Like};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable as _, LogicalPlan};

use crate::sandbox::athena::engine::EngineError;

/// Refuses a plan, not yet coerced, that compares values of different kinds.
pub fn check(plan: &LogicalPlan) -> Result<(), EngineError> {
    let mut mismatch = None;
    let walked = plan.apply_with_subqueries(|node| {
        let mut schema = DFSchema::empty();
        for input in node.inputs() {
            schema.merge(input.schema());
        }
        if node.inputs().is_empty() {
            schema.merge(node.schema());
        }
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if mismatch.is_none() {
                    mismatch = mismatched(expr, &schema)?;
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    walked.map_err(|error| EngineError::syntax(error.strip_backtrace()))?;
    mismatch.map_or(Ok(()), |message| {
        Err(EngineError::User(format!("TYPE_MISMATCH: {message}")))
    })
}

fn mismatched(expr: &Expr, schema: &DFSchema) -> Result<Option<String>, DataFusionError> {
    let pairs: Vec<(&Expr, &Expr)> = match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if !op.is_logic_operator() => {
            vec![(left, right)]
        }
        Expr::Between(Between {
            expr, low, high, ..
        }) => vec![(expr, low), (expr, high)],
        Expr::InList(InList { expr, list, .. }) => {
            list.iter().map(|item| (&**expr, item)).collect()
        }
        Expr::Like(Like { expr, pattern, .. }) => vec![(expr, pattern)],
        _ => return Ok(None),
    };
    for (left, right) in pairs {
        let (left_type, right_type) = (left.get_type(schema)?, right.get_type(schema)?);
        if kind(&left_type) != kind(&right_type)
            && left_type != DataType::Null
            && right_type != DataType::Null
        {
            return Ok(Some(format!(
                "{left_type} and {right_type} cannot be used together in {expr}"
            )));
        }
    }
    Ok(None)
}

/// Types of one kind compare with each other in Trino.
fn kind(data_type: &DataType) -> u8 {
    match data_type {
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => 0,
        DataType::Boolean => 1,
        data_type if data_type.is_numeric() => 2,
        DataType::Struct(_) => 3,
        DataType::List(_) => 4,
        DataType::Map(..) => 5,
        _ => 6,
    }
}
