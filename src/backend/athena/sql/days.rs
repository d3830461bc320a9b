//! Which day partitions may hold the events of an interval.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::tree::{Comparison, Expr};
use crate::config::archives::DateFormat;
use crate::plan::log_days::DayRun;
use crate::query::{EventTime, TimeRange};

/// The days, by delivery, whose files can hold events of an interval: CloudTrail delivers minutes
/// after the event and never before it, so one more day at the end, none at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Days {
    first: Date,
    last: Date,
}

impl Days {
    pub fn of(range: TimeRange) -> Self {
        let last = day(range.last());
        Self {
            first: day(range.start()),
            last: last.tomorrow().unwrap_or(last),
        }
    }

    /// Exactly these days, by delivery.
    pub fn delivered(run: DayRun) -> Self {
        Self {
            first: run.first,
            last: run.last,
        }
    }

    /// For one column that holds the whole day.
    pub fn in_one_column(self, column: Expr, format: DateFormat) -> Expr {
        let format = strftime(format);
        let text = |day: Date| Expr::text(day.strftime(format).to_string());
        column.between(text(self.first), text(self.last))
    }

    /// For a column each of year, month and day: whole years, whole months and the days at both
    /// ends, so that a long interval stays a short condition on partition columns alone.
    pub fn in_three_columns(self, columns: &ThreeColumns) -> Expr {
        let Self { first, last } = self;
        if month_of(first) == month_of(last) {
            return columns.days_of_a_month(first, first.day(), last.day());
        }
        let mut terms = Vec::new();
        let mut whole_from = month_of(first);
        if first.day() > 1 {
            terms.push(columns.days_of_a_month(first, first.day(), first.days_in_month()));
            whole_from = next(whole_from);
        }
        let ends_whole = last.day() == last.days_in_month();
        let whole_until = if ends_whole {
            next(month_of(last))
        } else {
            month_of(last)
        };
        columns.whole_months(whole_from, whole_until, &mut terms);
        if !ends_whole {
            terms.push(columns.days_of_a_month(last, 1, last.day()));
        }
        Expr::Any(terms)
    }
}

/// How a whole day is written, for `strftime` and `strptime`.
pub(super) fn strftime(format: DateFormat) -> &'static str {
    match format {
        DateFormat::Slashes => "%Y/%m/%d",
        DateFormat::Hyphens => "%Y-%m-%d",
        DateFormat::Plain => "%Y%m%d",
    }
}

/// The partition columns of year, month and day, each with how its values are written.
#[derive(Debug)]
pub(super) struct ThreeColumns {
    pub year: DatePart,
    pub month: DatePart,
    pub day: DatePart,
}

/// One of them.
#[derive(Debug)]
pub(super) struct DatePart {
    pub column: Expr,
    /// Text with leading zeros, else a number.
    pub text: bool,
}

type Month = (i16, i8);

fn month_of(day: Date) -> Month {
    (day.year(), day.month())
}

fn next((year, month): Month) -> Month {
    if month == 12 {
        (year + 1, 1)
    } else {
        (year, month + 1)
    }
}

impl ThreeColumns {
    fn days_of_a_month(&self, month: Date, first: i8, last: i8) -> Expr {
        let mut parts = vec![
            self.year.between(month.year(), month.year(), 4),
            self.month.between(month.month(), month.month(), 2),
        ];
        match (first == 1, last == month.days_in_month()) {
            (true, true) => {}
            (false, true) => parts.push(self.day.compare(Comparison::AtLeast, first)),
            (true, false) => parts.push(self.day.compare(Comparison::AtMost, last)),
            (false, false) => parts.push(self.day.between(first, last, 2)),
        }
        Expr::All(parts)
    }

    /// The months from `from` on and before `until`.
    fn whole_months(&self, from: Month, until: Month, terms: &mut Vec<Expr>) {
        let months = |year: i16, first: i8, last: i8| {
            Expr::All(vec![
                self.year.between(year, year, 4),
                self.month.between(first, last, 2),
            ])
        };
        if from >= until {
            return;
        }
        if from.0 == until.0 {
            terms.push(months(from.0, from.1, until.1 - 1));
            return;
        }
        let mut whole_year = from.0;
        if from.1 > 1 {
            terms.push(months(from.0, from.1, 12));
            whole_year += 1;
        }
        if whole_year < until.0 {
            terms.push(self.year.between(whole_year, until.0 - 1, 4));
        }
        if until.1 > 1 {
            terms.push(months(until.0, 1, until.1 - 1));
        }
    }
}

impl DatePart {
    fn between<N: Into<i64>>(&self, first: N, last: N, width: usize) -> Expr {
        let (first, last) = (
            self.value(first.into(), width),
            self.value(last.into(), width),
        );
        self.column.clone().between(first, last)
    }

    fn compare(&self, how: Comparison, day: i8) -> Expr {
        self.column.clone().compare(how, self.value(day.into(), 2))
    }

    fn value(&self, number: i64, width: usize) -> Expr {
        if self.text {
            Expr::text(format!("{number:0width$}"))
        } else {
            Expr::Integer(number)
        }
    }
}

fn day(time: EventTime) -> Date {
    time.timestamp().to_zoned(TimeZone::UTC).date()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn columns(text: bool) -> ThreeColumns {
        let part = |name| DatePart {
            column: Expr::column(name),
            text,
        };
        ThreeColumns {
            year: part("y"),
            month: part("m"),
            day: part("d"),
        }
    }

    fn range(start: &str, end: &str) -> TimeRange {
        let time = |text: &str| EventTime::floor(text.parse().unwrap());
        TimeRange::new(time(start), time(end)).unwrap()
    }

    fn printed(start: &str, end: &str) -> String {
        let days = Days::of(range(start, end));
        days.in_three_columns(&columns(true)).to_string()
    }

    #[test]
    fn a_day_is_padded_at_its_end_alone() {
        let days = Days::of(range("2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"));
        assert_eq!(
            days.in_one_column(Expr::column("t"), DateFormat::Slashes)
                .to_string(),
            r#""t" BETWEEN '2026/11/21' AND '2026/11/22'"#
        );
        insta::assert_snapshot!(
            printed("2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"),
            @r#"("y" = '2026' AND "m" = '11' AND "d" BETWEEN '21' AND '22')"#
        );
    }

    #[test]
    fn a_long_interval_stays_short() {
        insta::assert_snapshot!(
            printed("2024-11-21T00:00:00Z", "2026-06-09T10:00:00Z"),
            @r#"(("y" = '2024' AND "m" = '11' AND "d" >= '21') OR ("y" = '2024' AND "m" = '12') OR "y" = '2025' OR ("y" = '2026' AND "m" BETWEEN '01' AND '05') OR ("y" = '2026' AND "m" = '06' AND "d" <= '10'))"#
        );
        insta::assert_snapshot!(
            printed("2026-02-01T00:00:00Z", "2026-02-28T00:00:00Z"),
            @r#"("y" = '2026' AND "m" = '02')"#
        );
        let numbers = Days::of(range("2026-01-31T00:00:00Z", "2026-02-01T00:00:00Z"));
        insta::assert_snapshot!(
            numbers.in_three_columns(&columns(false)),
            @r#"(("y" = 2026 AND "m" = 1 AND "d" >= 31) OR ("y" = 2026 AND "m" = 2 AND "d" <= 1))"#
        );
    }

    /// What the condition says of one day.
    fn admits(condition: &Expr, day: Date) -> bool {
        let number = |expr: &Expr| match expr {
            Expr::Integer(number) => *number,
            Expr::Column(path) => match path[0].as_str() {
                "y" => day.year().into(),
                "m" => day.month().into(),
                _ => day.day().into(),
            },
            other => panic!("{other}"),
        };
        match condition {
            Expr::All(parts) => parts.iter().all(|part| admits(part, day)),
            Expr::Any(parts) => parts.iter().any(|part| admits(part, day)),
            Expr::Between(value, least, most) => {
                (number(least)..=number(most)).contains(&number(value))
            }
            Expr::Compare(left, how, right) => match how {
                Comparison::Equal => number(left) == number(right),
                Comparison::AtLeast => number(left) >= number(right),
                Comparison::AtMost => number(left) <= number(right),
                Comparison::Less => number(left) < number(right),
            },
            other => panic!("{other}"),
        }
    }

    proptest! {
        #[test]
        fn exactly_the_days_of_the_interval_are_read(
            start in 0..2_000_000_000_i64,
            length in 1..100_000_000_i64,
            probe in -3_000_000..103_000_000_i64,
        ) {
            let time = |second| EventTime::from_second(second).unwrap();
            let range = TimeRange::new(time(start), time(start + length)).unwrap();
            let days = Days::of(range);
            let condition = days.in_three_columns(&columns(false));
            let probe = day(time((start + probe).max(0)));
            prop_assert_eq!(
                admits(&condition, probe),
                days.first <= probe && probe <= days.last
            );
            for day in [days.first, days.last] {
                prop_assert!(admits(&condition, day));
            }
        }
    }
}
