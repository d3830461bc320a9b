//! A query whose rows are read as they are, all of them: for what an archive is asked beside scans.

use aws_sdk_athena::types::ResultSet;

use super::query::{ArchiveQuery, Succeeded};
use crate::backend::call::{self, Again, Tally};
use crate::plan::Reason;

/// Rows a page: Athena's most.
const ROWS: i32 = 1000;

/// What every row of the result has: a value, or NULL.
pub(super) type Values = Vec<Option<String>>;

impl ArchiveQuery {
    /// Runs `sql`, whose columns are called `names`, and reads all rows. Dropping the future stops
    /// the query.
    pub async fn rows(&self, sql: String, names: &[&str]) -> Result<Vec<Values>, Reason> {
        let Succeeded { client, id } = self.spawn(sql).end().await?;
        let mut rows: Vec<Values> = Vec::new();
        let mut token = None;
        loop {
            let request = client
                .get_query_results()
                .query_execution_id(&*id)
                .max_results(ROWS)
                .set_next_token(token);
            let mut tally = Tally::default();
            let action = "read the query's results";
            let answer = call::repeat(action, Again::default(), &mut tally, || {
                request.clone().send()
            })
            .await;
            self.payer.count_calls(tally);
            let answer = answer.map_err(|failure| failure.reason)?;
            let page = answer.result_set().map(ResultSet::rows).unwrap_or_default();
            rows.extend(page.iter().map(|row| {
                let values = row.data().iter();
                let value = |datum: &aws_sdk_athena::types::Datum| {
                    datum.var_char_value().map(str::to_owned)
                };
                values.map(value).collect::<Values>()
            }));
            match answer.next_token {
                Some(next) => token = Some(next),
                None => break,
            }
        }
        // The first row of a SELECT's first page names the columns.
        let is_header = |row: &Values| {
            let values = row.iter().map(Option::as_deref);
            values.eq(names.iter().map(|name| Some(*name)))
        };
        if rows.first().is_some_and(is_header) {
            rows.remove(0);
        }
        Ok(rows)
    }
}
