//! Reads a statement as Trino would and rewrites it into what means the same to DataFusion.
//!
//! Only what is listed here is let through: whatever DataFusion would understand beyond it may
//! mean something else to Trino, or nothing.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, CastKind, DataType, Distinct, ExcludeSelectItem, Expr, Function,
    FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, GroupByExpr, Ident,
    LimitClause, ObjectName, ObjectNamePart, OrderBy, OrderByKind, Query, Select, SelectFlavor,
    SelectItem, SetExpr, Statement, TableAlias, TableFactor, TableWithJoins, UnaryOperator, Value,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use crate::sandbox::athena::engine::EngineError;

use super::chunk::PATH_COLUMN;
use super::json_cast::CAST_AS_JSON;
use super::like;

type Result<T> = std::result::Result<T, EngineError>;

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

/// Parses one SELECT and rewrites it for DataFusion.
pub fn translate(sql: &str) -> Result<Statement> {
    let mut statements = Parser::parse_sql(&GenericDialect {}, sql).map_err(EngineError::syntax)?;
    let (Some(mut statement), true) = (statements.pop(), statements.is_empty()) else {
        return Err(EngineError::syntax("only one sql statement is allowed"));
    };
    let Statement::Query(query) = &mut statement else {
        return Err(refused("a statement other than SELECT"));
    };
    rewrite_query(query)?;
    Ok(statement)
}

fn refused(what: impl std::fmt::Display) -> EngineError {
    EngineError::User(format!(
        "NOT_SUPPORTED: the sandbox's engine does not understand {what}; a Trino engine does \
         (--athena-engine trino=…)"
    ))
}

fn require(understood: bool, what: &str) -> Result<()> {
    if understood {
        Ok(())
    } else {
        Err(refused(what))
    }
}

fn rewrite_query(query: &mut Query) -> Result<()> {
    let Query {
        with,
        body,
        order_by,
        limit_clause,
        fetch,
        locks,
        for_clause,
        settings,
        format_clause,
        pipe_operators,
    } = query;
    require(
        fetch.is_none()
            && locks.is_empty()
            && for_clause.is_none()
            && settings.is_none()
            && format_clause.is_none()
            && pipe_operators.is_empty(),
        "a clause after the SELECT",
    )?;
    if let Some(with) = with {
        require(!with.recursive, "WITH RECURSIVE")?;
        for table in &mut with.cte_tables {
            require(
                table.from.is_none() && table.materialized.is_none(),
                "this WITH",
            )?;
            rewrite_alias(&mut table.alias)?;
            rewrite_query(&mut table.query)?;
        }
    }
    rewrite_set(body)?;
    if let Some(order_by) = order_by {
        rewrite_order(order_by)?;
    }
    match limit_clause {
        None => Ok(()),
        Some(LimitClause::LimitOffset {
            limit: Some(limit),
            offset: None,
            limit_by,
        }) if limit_by.is_empty() => require(is_number(limit), "a LIMIT other than a number"),
        Some(_) => Err(refused("OFFSET")),
    }
}

fn rewrite_set(body: &mut SetExpr) -> Result<()> {
    match body {
        SetExpr::Select(select) => rewrite_select(select),
        SetExpr::Query(query) => rewrite_query(query),
        SetExpr::SetOperation { left, right, .. } => {
            rewrite_set(left)?;
            rewrite_set(right)
        }
        _ => Err(refused("a query other than SELECT")),
    }
}

fn rewrite_select(select: &mut Select) -> Result<()> {
    let Select {
        select_token: _,
        optimizer_hints,
        distinct,
        select_modifiers,
        top,
        top_before_distinct: _,
        projection,
        exclude,
        into,
        from,
        lateral_views,
        prewhere,
        selection,
        connect_by,
        group_by,
        cluster_by,
        distribute_by,
        sort_by,
        having,
        named_window,
        qualify,
        window_before_qualify: _,
        value_table_mode,
        flavor,
    } = select;
    require(
        optimizer_hints.is_empty()
            && !matches!(distinct, Some(Distinct::On(_)))
            && select_modifiers.is_none()
            && top.is_none()
            && exclude.is_none()
            && into.is_none()
            && lateral_views.is_empty()
            && prewhere.is_none()
            && connect_by.is_empty()
            && cluster_by.is_empty()
            && distribute_by.is_empty()
            && sort_by.is_empty()
            && named_window.is_empty()
            && qualify.is_none()
            && value_table_mode.is_none()
            && *flavor == SelectFlavor::Standard,
        "a clause of the SELECT",
    )?;
    for item in projection {
        match item {
            SelectItem::UnnamedExpr(expr) => rewrite(expr)?,
            SelectItem::ExprWithAlias { expr, alias } => {
                rewrite(expr)?;
                rewrite_ident(alias)?;
            }
            SelectItem::Wildcard(options) => {
                let path = ObjectName::from(vec![Ident::with_quote('"', PATH_COLUMN)]);
                require(options.opt_exclude.is_none(), "EXCLUDE")?;
                // A hidden column of Hive tables: there only for those who ask for it.
                options.opt_exclude = Some(ExcludeSelectItem::Single(path));
            }
            _ => return Err(refused(format!("{item} in a SELECT list"))),
        }
    }
    for table in from {
        rewrite_from(table)?;
    }
    if let Some(predicate) = selection {
        rewrite(predicate)?;
    }
    match group_by {
        GroupByExpr::Expressions(keys, modifiers) if modifiers.is_empty() => {
            keys.iter_mut().try_for_each(rewrite)?;
        }
        _ => return Err(refused("this GROUP BY")),
    }
    having.as_mut().map_or(Ok(()), rewrite)
}

fn rewrite_from(table: &mut TableWithJoins) -> Result<()> {
    require(table.joins.is_empty(), "JOIN")?;
    match &mut table.relation {
        TableFactor::Table {
            name,
            alias,
            args: None,
            with_hints,
            version: None,
            with_ordinality: false,
            partitions,
            json_path: None,
            sample: None,
            index_hints,
        } if with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty() => {
            rewrite_name(name)?;
            alias.as_mut().map_or(Ok(()), rewrite_alias)
        }
        TableFactor::Derived {
            lateral: false,
            subquery,
            alias,
            sample: None,
        } => {
            rewrite_query(subquery)?;
            alias.as_mut().map_or(Ok(()), rewrite_alias)
        }
        other => Err(refused(format!("{other} in FROM"))),
    }
}

fn rewrite_order(order_by: &mut OrderBy) -> Result<()> {
    require(order_by.interpolate.is_none(), "INTERPOLATE")?;
    let OrderByKind::Expressions(keys) = &mut order_by.kind else {
        return Err(refused("ORDER BY ALL"));
    };
    for key in keys {
        require(key.with_fill.is_none(), "WITH FILL")?;
        rewrite(&mut key.expr)?;
        // Trino sorts NULLs last in both directions.
        key.options.nulls_first.get_or_insert(false);
    }
    Ok(())
}

fn rewrite_alias(alias: &mut TableAlias) -> Result<()> {
    require(alias.at.is_none(), "AT")?;
    rewrite_ident(&mut alias.name)?;
    for column in &mut alias.columns {
        require(column.data_type.is_none(), "a typed column alias")?;
        rewrite_ident(&mut column.name)?;
    }
    Ok(())
}

fn rewrite_name(name: &mut ObjectName) -> Result<()> {
    for part in &mut name.0 {
        match part {
            ObjectNamePart::Identifier(ident) => rewrite_ident(ident)?,
            ObjectNamePart::Function(_) => return Err(refused("a computed name")),
        }
    }
    Ok(())
}

/// Trino's names know no case, quoted or not.
fn rewrite_ident(ident: &mut Ident) -> Result<()> {
    require(
        matches!(ident.quote_style, None | Some('"')),
        "names in anything but double quotes",
    )?;
    ident.value = ident.value.to_lowercase();
    ident.quote_style = Some('"');
    Ok(())
}

fn rewrite(expr: &mut Expr) -> Result<()> {
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

fn is_number(expr: &Expr) -> bool {
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
