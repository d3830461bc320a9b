//! Reads a statement as Trino would and rewrites it into what means the same to DataFusion.
//!
//! Only what is listed here is let through: whatever DataFusion would understand beyond it may
//! mean something else to Trino, or nothing.

use datafusion::sql::sqlparser::ast::{
    Distinct, ExcludeSelectItem, Expr, GroupByExpr, Ident, LimitClause, ObjectName, ObjectNamePart,
    OrderBy, OrderByKind, Query, Select, SelectFlavor, SelectItem, SetExpr, Statement, TableAlias,
    TableFactor, TableSample, TableSampleKind, TableSampleMethod, TableSampleModifier,
    TableSampleQuantity, TableWithJoins,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use crate::sandbox::athena::engine::EngineError;

use super::chunk::PATH_COLUMN;
use super::expression::{is_number, rewrite};

pub(super) type Result<T> = std::result::Result<T, EngineError>;

/// A statement as DataFusion understands it.
pub struct Translated {
    pub statement: Statement,
    /// The part of the files that it is to see (`TABLESAMPLE SYSTEM`), from 0 to 1.
    pub sample: Option<f64>,
}

/// Parses one SELECT and rewrites it for DataFusion.
pub fn translate(sql: &str) -> Result<Translated> {
    let mut statements = Parser::parse_sql(&GenericDialect {}, sql).map_err(EngineError::syntax)?;
    let (Some(mut statement), true) = (statements.pop(), statements.is_empty()) else {
        return Err(EngineError::syntax("only one sql statement is allowed"));
    };
    let Statement::Query(query) = &mut statement else {
        return Err(refused("a statement other than SELECT"));
    };
    let sample = take_sample(query)?;
    rewrite_query(query)?;
    Ok(Translated { statement, sample })
}

/// Takes the sample out of a SELECT from one table; any other is refused later.
fn take_sample(query: &mut Query) -> Result<Option<f64>> {
    let SetExpr::Select(select) = &mut *query.body else {
        return Ok(None);
    };
    let [TableWithJoins { relation, .. }] = &mut select.from[..] else {
        return Ok(None);
    };
    let TableFactor::Table { sample, .. } = relation else {
        return Ok(None);
    };
    let Some(TableSampleKind::BeforeTableAlias(sample) | TableSampleKind::AfterTableAlias(sample)) =
        sample.take()
    else {
        return Ok(None);
    };
    let percent = match &*sample {
        TableSample {
            modifier: TableSampleModifier::TableSample,
            name: Some(TableSampleMethod::System),
            quantity:
                Some(TableSampleQuantity {
                    parenthesized: true,
                    value: Expr::Value(value),
                    unit: None,
                }),
            seed: None,
            bucket: None,
            offset: None,
        } => value.to_string().parse::<f64>().ok(),
        _ => None,
    };
    match percent {
        Some(percent) if (0.0..=100.0).contains(&percent) => Ok(Some(percent / 100.0)),
        _ => Err(refused("any TABLESAMPLE but SYSTEM and a percentage")),
    }
}

pub(super) fn refused(what: impl std::fmt::Display) -> EngineError {
    EngineError::User(format!(
        "NOT_SUPPORTED: the sandbox's engine does not understand {what}; a Trino engine does \
         (--athena-engine trino=…)"
    ))
}

pub(super) fn require(understood: bool, what: &str) -> Result<()> {
    if understood {
        Ok(())
    } else {
        Err(refused(what))
    }
}

pub(super) fn rewrite_query(query: &mut Query) -> Result<()> {
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
pub(super) fn rewrite_ident(ident: &mut Ident) -> Result<()> {
    require(
        matches!(ident.quote_style, None | Some('"')),
        "names in anything but double quotes",
    )?;
    ident.value = ident.value.to_lowercase();
    ident.quote_style = Some('"');
    Ok(())
}
