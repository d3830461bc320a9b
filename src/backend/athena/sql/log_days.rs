//! The statement that tells of which accounts and days an archive has log files at all.

use std::collections::BTreeSet;

use jiff::civil::Date;

use super::columns::Columns;
use super::days::{Days, strftime};
use super::statement::{MAX_BYTES, Partitions, Unwritable};
use super::tree::{Expr, Select};
use crate::config::Archive;
use crate::config::archives::PartitionLayout;
use crate::plan::facts::TableFacts;
use crate::plan::log_days::{AccountDays, DayRun};
use crate::query::{AccountId, EventTime, SearchOrder};

/// The statement, and how to read what it returns: a row for each account and day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::backend::athena) struct LogDaysStatement {
    pub sql: String,
    /// The columns' names, in order.
    pub names: Vec<&'static str>,
    day: DayColumns,
    /// Whose rows these are, where no column says it.
    only_account: Option<AccountId>,
}

/// How the result tells a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DayColumns {
    Whole(&'static str),
    Parts,
}

/// One row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::backend::athena) struct LogDayRow {
    pub account: AccountId,
    pub day: Date,
    /// The newest event's time, where it was asked for.
    pub newest: Option<EventTime>,
}

/// How the log files are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::backend::athena) enum Look {
    /// Only at so many percent of the files: what is found is there, what is not may be.
    AtSome(u8),
    /// At all of them.
    AtAll,
    /// At all of them, and into them for each day's newest event.
    ForNewest,
}

/// Writes the statement for these accounts and days. Only partition columns narrow it, so that it is
/// of the same cost whoever is searched for.
pub(in crate::backend::athena) fn log_days(
    archive: &Archive,
    table: &TableFacts,
    asked: &[AccountDays],
    look: Look,
) -> Result<LogDaysStatement, Unwritable> {
    let exact = write(archive, table, asked, look);
    let all = asked.iter().map(|it| it.days);
    let hull = all.reduce(|a, b| DayRun {
        first: a.first.min(b.first),
        last: a.last.max(b.last),
    });
    match (exact, hull) {
        // Too many single days: then all between the first and the last.
        (Err(Unwritable::TooLong(_)), Some(days)) if asked.len() > 1 => {
            let accounts = asked.iter().flat_map(|it| it.accounts.iter().copied());
            let accounts = accounts.collect();
            write(archive, table, &[AccountDays { days, accounts }], look)
        }
        (exact, _) => exact,
    }
}

fn write(
    archive: &Archive,
    table: &TableFacts,
    asked: &[AccountDays],
    look: Look,
) -> Result<LogDaysStatement, Unwritable> {
    let partitions = Partitions {
        archive,
        columns: Columns(table),
    };
    let (account, only_account) = account(&partitions)?;
    let whose = |accounts: &BTreeSet<AccountId>| {
        let account = account.clone()?;
        Some(account.among(accounts.iter().map(ToString::to_string)))
    };
    let everyone: BTreeSet<AccountId> = asked.iter().flat_map(|it| it.accounts.clone()).collect();
    let mut filter: Vec<Expr> = whose(&everyone).into_iter().collect();
    let mut any = Vec::new();
    for AccountDays { days, accounts } in asked {
        let days = partitions.days(Days::delivered(*days))?;
        any.push(match whose(accounts) {
            Some(whose) if *accounts != everyone => Expr::All(vec![whose, days]),
            _ => days,
        });
    }
    filter.push(Expr::Any(any));

    let mut outputs: Vec<(Expr, &'static str)> = Vec::new();
    outputs.extend(account.clone().map(|account| (account, "account")));
    let names = &archive.partitions.columns;
    let day = if archive.partitions.layout == PartitionLayout::Projected {
        outputs.push((partitions.column(&names.date)?, "date"));
        DayColumns::Whole(strftime(archive.partitions.date_format))
    } else {
        for (column, name) in [
            (&names.year, "year"),
            (&names.month, "month"),
            (&names.day, "day"),
        ] {
            outputs.push((partitions.columns.text(column)?, name));
        }
        DayColumns::Parts
    };
    let group_by = outputs.iter().map(|(value, _)| value.clone()).collect();
    if look == Look::ForNewest {
        let time = partitions.columns.text("eventtime")?;
        outputs.push((Expr::Max(Box::new(time)), "newest"));
    }
    let select = Select {
        outputs: outputs
            .iter()
            .map(|(value, name)| (value.clone(), (*name).to_owned()))
            .collect(),
        database: archive.database.clone(),
        table: archive.table.clone(),
        sample: match look {
            Look::AtSome(percent) => Some(percent),
            Look::AtAll | Look::ForNewest => None,
        },
        filter: Expr::All(filter),
        group_by,
        order_by: Vec::new(),
        order: SearchOrder::default(),
    };
    let sql = select.to_string();
    if sql.len() > MAX_BYTES {
        return Err(Unwritable::TooLong(sql.len()));
    }
    Ok(LogDaysStatement {
        sql,
        names: outputs.into_iter().map(|(_, name)| name).collect(),
        day,
        only_account,
    })
}

/// What tells the account of a row: the partition, else the record; or that it is always the same.
fn account(partitions: &Partitions<'_>) -> Result<(Option<Expr>, Option<AccountId>), Unwritable> {
    if let Some(name) = partitions.account_column() {
        return Ok((Some(partitions.column(name)?), None));
    }
    if let Some([account]) = partitions.archive.holds.accounts.as_deref() {
        return Ok((None, Some(*account)));
    }
    let recipient = partitions.columns.text("recipientaccountid")?;
    Ok((Some(recipient), None))
}

impl LogDaysStatement {
    /// Reads one row; none if its account or day cannot be read, as with records from before
    /// version 1.02 in a table without accounts.
    pub fn row(&self, values: &[Option<String>]) -> Option<LogDayRow> {
        let value = |name: &str| {
            let at = self.names.iter().position(|found| *found == name)?;
            values.get(at)?.as_deref()
        };
        let account = match self.only_account {
            Some(account) => account,
            None => value("account")?.parse().ok()?,
        };
        let day = match self.day {
            DayColumns::Whole(format) => Date::strptime(format, value("date")?).ok()?,
            DayColumns::Parts => Date::new(
                value("year")?.parse().ok()?,
                value("month")?.parse().ok()?,
                value("day")?.parse().ok()?,
            )
            .ok()?,
        };
        let newest = value("newest").and_then(|text| text.parse().ok());
        Some(LogDayRow {
            account,
            day,
            newest: newest.map(EventTime::floor),
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::backend::athena::sql::snapshots::{archive, table};

    fn accounts(ids: &[&str]) -> BTreeSet<AccountId> {
        ids.iter().map(|id| id.parse().unwrap()).collect()
    }

    fn asked() -> Vec<AccountDays> {
        let run = |first, last, ids: &[&str]| AccountDays {
            days: DayRun { first, last },
            accounts: accounts(ids),
        };
        let both = ["111122223333", "444455556666"];
        vec![
            run(date(2026, 10, 30), date(2026, 11, 2), &both),
            run(date(2026, 11, 9), date(2026, 11, 9), &both[1..]),
        ]
    }

    #[test]
    fn days_are_grouped_over_partition_columns_alone() {
        let statement = log_days(
            &archive("projected", ""),
            &table(&[]),
            &asked(),
            Look::AtAll,
        )
        .unwrap();
        insta::assert_snapshot!(statement.sql, @r#"
        SELECT
          "account" AS "account",
          "timestamp" AS "date"
        FROM "logs"."cloudtrail"
        WHERE "account" IN ('111122223333', '444455556666')
          AND ("timestamp" BETWEEN '2026/10/30' AND '2026/11/02' OR ("account" = '444455556666' AND "timestamp" = '2026/11/09'))
        GROUP BY "account", "timestamp"
        "#);
        let sampled = log_days(
            &archive("projected", ""),
            &table(&[]),
            &asked(),
            Look::AtSome(5),
        );
        let from = r#"FROM "logs"."cloudtrail""#;
        let expected = (statement.sql).replace(from, &format!("{from} TABLESAMPLE SYSTEM (5)"));
        assert_eq!(sampled.unwrap().sql, expected);
        let row = ["444455556666", "2026/11/09"].map(|text| Some(text.to_owned()));
        assert_eq!(
            statement.row(&row),
            Some(LogDayRow {
                account: "444455556666".parse().unwrap(),
                day: date(2026, 11, 9),
                newest: None,
            })
        );
        assert_eq!(statement.row(&[None, None]), None);
    }

    #[test]
    fn a_table_without_accounts_tells_them_by_its_records() {
        let statement = log_days(
            &archive("region_date", ""),
            &table(&[]),
            &asked()[..1],
            Look::ForNewest,
        )
        .unwrap();
        insta::assert_snapshot!(statement.sql, @r#"
        SELECT
          "recipientaccountid" AS "account",
          "year" AS "year",
          "month" AS "month",
          "day" AS "day",
          max("eventtime") AS "newest"
        FROM "logs"."cloudtrail"
        WHERE "recipientaccountid" IN ('111122223333', '444455556666')
          AND (("year" = '2026' AND "month" = '10' AND "day" >= '30') OR ("year" = '2026' AND "month" = '11' AND "day" <= '02'))
        GROUP BY "recipientaccountid", "year", "month", "day"
        "#);
        let row = ["444455556666", "2026", "11", "09", "2026-11-09T23:59:59Z"];
        let row = statement
            .row(&row.map(|text| Some(text.to_owned())))
            .unwrap();
        assert_eq!(row.newest.unwrap().to_string(), "2026-11-09T23:59:59Z");
        assert_eq!(row.day, date(2026, 11, 9));
    }

    #[test]
    fn too_many_single_days_become_one_interval() {
        let single = |number: i32| AccountDays {
            days: DayRun {
                first: date(2010, 1, 1) + jiff::Span::new().days(2 * number),
                last: date(2010, 1, 1) + jiff::Span::new().days(2 * number),
            },
            accounts: accounts(&["111122223333"]),
        };
        let asked: Vec<AccountDays> = (0..9_000).map(single).collect();
        let statement =
            log_days(&archive("projected", ""), &table(&[]), &asked, Look::AtAll).unwrap();
        assert!(statement.sql.len() < 1_000, "{}", statement.sql.len());
    }
}
