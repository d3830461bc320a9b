//! Expressions: the part of [`super::dialect`] below the clauses.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentList, FunctionArguments, Ident, ObjectName, ObjectNamePart, UnaryOperator,
    Value,
};

use crate::sandbox::athena::engine::EngineError;

use super::dialect::{Result, refused, require, rewrite_ident, rewrite_query};
use super::json_cast::CAST_AS_JSON;
use super::like;

/// Functions that mean the same in both engines.
const SHARED_FUNCTIONS: [&str; 15] = [
    "coalesce",
    "count",
    "json_format",
    "length",
    "lower",
    "max",
    "min",
    "nullif",
    "replace",
    "reverse",
    "starts_with",
    "strpos",
    "substr",
    "sum",
    "upper",
];

/// Rewrites an expression for DataFusion.
pub(super) fn rewrite(expr: &mut Expr) -> Result<()> {
    match expr {
        Expr::Identifier(ident) => rewrite_ident(ident),
        Expr::CompoundIdentifier(idents) => idents.iter_mut().try_for_each(rewrite_ident),
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(_)
            | Value::Number(_, false)
            | Value::Boolean(_)
            | Value::Null => Ok(()),
            other => Err(refused(format!("the literal {other}"))),
        },
        Expr::Nested(inner) | Expr::IsNull(inner) | Expr::IsNotNull(inner) => rewrite(inner),
        Expr::UnaryOp {
            op: UnaryOperator::Not | UnaryOperator::Minus | UnaryOperator::Plus,
            expr,
        } => rewrite(expr),
        Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => {
            rewrite(left)?;
            rewrite(right)
        }
        Expr::BinaryOp { left, op, right } => {
            require(is_shared(op), &op.to_string())?;
            rewrite(left)?;
            rewrite(right)
        }
        Expr::Between {
            expr, low, high, ..
        } => {
            rewrite(expr)?;
            rewrite(low)?;
            rewrite(high)
        }
        Expr::InList {
            expr: tested,
            list,
            negated,
        } => {
            if let Expr::Tuple(members) = &**tested {
                let any = tuple_in(members, list)?;
                *expr = if *negated { not(any) } else { any };
                return rewrite(expr);
            }
            rewrite(tested)?;
            list.iter_mut().try_for_each(rewrite)
        }
        Expr::InSubquery { expr, subquery, .. } => {
            rewrite(expr)?;
            rewrite_query(subquery)
        }
        Expr::Exists { subquery, .. } | Expr::Subquery(subquery) => rewrite_query(subquery),
        Expr::Like {
            any: false,
            expr,
            pattern,
            escape_char,
            ..
        } => {
            rewrite(expr)?;
            let escape = escape_char.take().map(|escape| escape.value);
            like::rewrite_pattern(pattern, escape)
        }
        Expr::Case {
            operand,
            conditions,
            else_result,
            ..
        } => {
            for expr in operand.iter_mut().chain(else_result) {
                rewrite(expr)?;
            }
            for CaseWhen { condition, result } in conditions {
                rewrite(condition)?;
                rewrite(result)?;
            }
            Ok(())
        }
        Expr::Cast {
            kind: CastKind::Cast | CastKind::TryCast,
            expr: inner,
            data_type,
            array: false,
            format: None,
        } => {
            rewrite(inner)?;
            match data_type {
                DataType::JSON => {
                    *expr = call(CAST_AS_JSON, std::mem::replace(&mut **inner, null()));
                    Ok(())
                }
                DataType::Varchar(None)
                | DataType::Boolean
                | DataType::Integer(None)
                | DataType::BigInt(None)
                | DataType::Double(_) => Ok(()),
                other => Err(refused(format!("a cast to {other}"))),
            }
        }
        Expr::Substring {
            expr,
            substring_from: Some(from),
            substring_for,
            special: true,
            ..
        } => {
            require(
                is_position(from),
                "a substring that does not start at a number",
            )?;
            rewrite(expr)?;
            substring_for
                .as_mut()
                .map_or(Ok(()), |length| rewrite(length))
        }
        Expr::Function(_) => rewrite_function(expr),
        other => Err(refused(other)),
    }
}

fn is_shared(operator: &BinaryOperator) -> bool {
    use BinaryOperator as Op;
    matches!(
        operator,
        Op::And
            | Op::Or
            | Op::Eq
            | Op::NotEq
            | Op::Lt
            | Op::LtEq
            | Op::Gt
            | Op::GtEq
            | Op::Plus
            | Op::Minus
            | Op::Multiply
            | Op::Divide
            | Op::Modulo
            | Op::StringConcat
    )
}

fn rewrite_function(expr: &mut Expr) -> Result<()> {
    let Expr::Function(function) = expr else {
        return Ok(());
    };
    let Function {
        name,
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(arguments),
        filter: None,
        null_treatment: None,
        over: None,
        within_group,
    } = function
    else {
        return Err(refused(&*function));
    };
    let [ObjectNamePart::Identifier(ident)] = &mut name.0[..] else {
        return Err(refused(format!("the function {name}")));
    };
    rewrite_ident(ident)?;
    let name = ident.value.clone();
    require(
        within_group.is_empty() && arguments.clauses.is_empty(),
        "a clause inside a function",
    )?;
    let is_aggregate = matches!(&*name, "count" | "min" | "max" | "sum");
    require(
        is_aggregate || arguments.duplicate_treatment.is_none(),
        "DISTINCT in a function",
    )?;
    let mut values = Vec::new();
    for argument in &mut arguments.args {
        match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => {
                rewrite(value)?;
                values.push(&*value);
            }
            FunctionArg::Unnamed(FunctionArgExpr::Wildcard) if name == "count" => {}
            other => return Err(refused(format!("the argument {other}"))),
        }
    }
    match &*name {
        // DataFusion's leaves NULLs out; in Trino one NULL makes the whole NULL.
        "concat" => {
            let joined = values.into_iter().cloned().reduce(|left, right| {
                Expr::Nested(Box::new(binary(left, BinaryOperator::StringConcat, right)))
            });
            *expr = joined.ok_or_else(|| EngineError::syntax("concat of nothing"))?;
            Ok(())
        }
        "substr" => require(
            values.get(1).is_some_and(|from| is_position(from)),
            "a substring that does not start at a number",
        ),
        name => require(
            SHARED_FUNCTIONS.contains(&name),
            &format!("the function {name}"),
        ),
    }
}

/// `(a, b) IN ((1, 2), (3, 4))` as comparisons.
fn tuple_in(members: &[Expr], list: &[Expr]) -> Result<Expr> {
    let mut any: Option<Expr> = None;
    for tuple in list {
        let Expr::Tuple(values) = tuple else {
            return Err(EngineError::syntax("a row is compared with no row"));
        };
        if values.len() != members.len() {
            return Err(EngineError::syntax("rows of different length are compared"));
        }
        let pairs = members.iter().cloned().zip(values.iter().cloned());
        let all = pairs
            .map(|(member, value)| binary(member, BinaryOperator::Eq, value))
            .reduce(|left, right| binary(left, BinaryOperator::And, right))
            .ok_or_else(|| EngineError::syntax("an empty row"))?;
        any = Some(match any {
            None => all,
            Some(any) => binary(any, BinaryOperator::Or, all),
        });
    }
    any.map(|any| Expr::Nested(Box::new(any)))
        .ok_or_else(|| EngineError::syntax("an empty list"))
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp {
        left: Box::new(left),
        op,
        right: Box::new(right),
    }
}

fn not(expr: Expr) -> Expr {
    Expr::UnaryOp {
        op: UnaryOperator::Not,
        expr: Box::new(expr),
    }
}

fn null() -> Expr {
    Expr::Value(Value::Null.into())
}

/// Whether this is a number without a sign.
pub(super) fn is_number(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(&value.value, Value::Number(digits, _) if digits.bytes().all(|byte| byte.is_ascii_digit())))
}

/// Trino counts positions from 1, from the end if they are negative, and has none at 0.
fn is_position(expr: &Expr) -> bool {
    is_number(expr) && expr.to_string().bytes().any(|byte| byte != b'0')
}

/// A call of one of the engine's own functions.
fn call(function: &str, argument: Expr) -> Expr {
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(function)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))],
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}
