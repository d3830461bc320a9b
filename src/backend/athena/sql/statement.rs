//! The statement of one scan.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::columns::{Columns, MissingColumn};
use super::condition;
use super::days::{DatePart, Days, ThreeColumns};
use super::tree::{Comparison, Expr, Select};
use crate::backend::athena::record_columns::{self, MEMBERS, MemberKind};
use crate::config::Archive;
use crate::config::archives::PartitionLayout;
use crate::plan::facts::TableFacts;
use crate::query::{AccountId, Condition, EventCategory, Region, SearchOrder, TimeRange};

/// Athena takes no longer statement.
pub(super) const MAX_BYTES: usize = 262_144;

/// A scan's SQL, and how to read what it returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::backend::athena) struct ScanStatement {
    /// The statement.
    pub sql: String,
    /// Its columns, in order.
    pub outputs: Vec<Output>,
    /// The record's members that the table cannot show.
    pub unseen_fields: Arc<[String]>,
}

/// One column of the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::backend::athena) struct Output {
    /// The column's name in the result.
    pub name: String,
    /// What it holds.
    pub kind: OutputKind,
}

/// What a column of the result holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::backend::athena) enum OutputKind {
    /// A member of the record, by its path there.
    Member(&'static str, MemberKind),
    /// A whole object of the record as JSON text, its members' names perhaps in lower case.
    Object(&'static str),
    /// The account of the partition.
    PartitionAccount,
    /// The log file that the row was read from.
    LogFile,
}

/// Why no statement can be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::backend::athena) enum Unwritable {
    /// The table does not hold what the question is about.
    #[error("{0}")]
    Table(String),
    /// More than Athena takes.
    #[error(
        "its SQL would have {0} bytes, and Athena takes {MAX_BYTES}: ask for fewer accounts, \
         identities or event names at a time"
    )]
    TooLong(usize),
}

impl From<MissingColumn> for Unwritable {
    fn from(missing: MissingColumn) -> Self {
        Self::Table(missing.to_string())
    }
}

/// What a statement asks for.
#[derive(Debug, Clone, Copy)]
pub(in crate::backend::athena) struct Asked<'a> {
    /// Whose events.
    pub accounts: &'a BTreeSet<AccountId>,
    /// Of which Regions; `None` is every Region.
    pub regions: Option<&'a BTreeSet<Region>>,
    /// When.
    pub range: TimeRange,
    /// Of which categories.
    pub categories: &'a BTreeSet<EventCategory>,
    /// By whom, and what besides.
    pub condition: &'a Condition,
    /// In which order.
    pub order: SearchOrder,
}

/// Writes the statement that reads at least the events that are asked for, in their order.
///
/// It has no LIMIT: its rows are more than the events that match, so that no number of rows is
/// sure to hold a number of events. Who needs no more stops reading, and pays nothing for it:
/// Athena bills what the query scanned, and a sorted query has scanned all before its first row.
pub(in crate::backend::athena) fn statement(
    archive: &Archive,
    table: &TableFacts,
    asked: &Asked<'_>,
) -> Result<ScanStatement, Unwritable> {
    let columns = Columns(table);
    for needed in ["eventtime", "eventname", "eventsource"] {
        if !columns.is_text(needed) {
            return Err(Unwritable::Table(format!(
                "it has no column {needed} of type string"
            )));
        }
    }
    let partitions = Partitions { archive, columns };
    let event_time = || Expr::column("eventtime");
    let mut filter = partitions.accounts(asked.accounts)?;
    filter.push(partitions.days(Days::of(asked.range))?);
    filter.push(event_time().compare(
        Comparison::AtLeast,
        Expr::text(asked.range.start().to_string()),
    ));
    filter.push(event_time().compare(Comparison::Less, Expr::text(asked.range.end().to_string())));
    if let Some(regions) = asked.regions {
        filter.extend(partitions.regions(regions)?);
    }
    match condition::rows(asked.condition, columns)? {
        Expr::All(parts) => filter.extend(parts),
        one => filter.push(one),
    }
    filter.extend(categories(asked.categories, archive, columns)?);

    let mut order_by = vec![event_time()];
    if columns.has("eventid") {
        order_by.push(Expr::column("eventid"));
    }
    let (outputs, unseen_fields) = outputs(&partitions);
    let select = Select {
        outputs: outputs
            .iter()
            .map(|(value, output)| (value.clone(), output.name.clone()))
            .collect(),
        database: archive.database.clone(),
        table: archive.table.clone(),
        sample: None,
        filter: Expr::All(filter),
        group_by: Vec::new(),
        order_by,
        order: asked.order,
    };
    let sql = select.to_string();
    if sql.len() > MAX_BYTES {
        return Err(Unwritable::TooLong(sql.len()));
    }
    Ok(ScanStatement {
        sql,
        outputs: outputs.into_iter().map(|(_, output)| output).collect(),
        unseen_fields,
    })
}

/// What is selected: the members that the table has, as scalars, and where a row comes from.
fn outputs(partitions: &Partitions<'_>) -> (Vec<(Expr, Output)>, Arc<[String]>) {
    let columns = partitions.columns;
    let mut outputs = Vec::new();
    let mut seen: Vec<&'static str> = Vec::new();
    let mut select = |value: Expr, path: &str, kind| {
        let name = path.replace('.', "_");
        outputs.push((value, Output { name, kind }));
    };
    // Older tables have an object as a map, or as JSON text: then it is read as a whole.
    for object in record_columns::objects() {
        let path = object.to_lowercase();
        if within(&seen, object) {
            continue;
        }
        if columns.is_text(&path) {
            select(Expr::column(&path), &path, OutputKind::Object(object));
        } else if columns.is_collection(&path) {
            let json = Expr::AsJson(Box::new(Expr::column(&path)));
            select(json, &path, OutputKind::Object(object));
        } else {
            continue;
        }
        seen.push(object);
    }
    let mut unseen: Vec<&'static str> = Vec::new();
    for (member, kind) in MEMBERS {
        let path = member.to_lowercase();
        let holds = OutputKind::Member(member, *kind);
        if within(&seen, member) {
            continue;
        }
        if let Ok(text) = columns.text(&path) {
            select(text, &path, holds);
        } else if columns.0.composites.contains(&path) {
            select(Expr::AsJson(Box::new(Expr::column(&path))), &path, holds);
        } else {
            unseen.push(member);
        }
    }
    if let Some(account) = partitions.account_column() {
        select(
            Expr::column(account),
            "partition_account",
            OutputKind::PartitionAccount,
        );
    }
    select(
        Expr::Column(vec!["$path".into()]),
        "log_file",
        OutputKind::LogFile,
    );
    (outputs, without_parts(&unseen))
}

fn within(objects: &[&str], path: &str) -> bool {
    objects.iter().any(|object| {
        path.strip_prefix(object)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

/// The unseen members, an object's name where all of its members are among them.
fn without_parts(unseen: &[&'static str]) -> Arc<[String]> {
    let whole: Vec<&str> = record_columns::objects()
        .into_iter()
        .filter(|object| {
            MEMBERS
                .iter()
                .filter(|(member, _)| within(&[object], member))
                .all(|(member, _)| unseen.contains(member))
        })
        .collect();
    let mut named = BTreeSet::new();
    for member in unseen {
        let outermost = whole.iter().find(|object| within(&[**object], member));
        named.insert((*outermost.unwrap_or(member)).to_owned());
    }
    named.into_iter().collect()
}

/// The rows of these categories, as [`EventCategory::of_record`] classes them from what the table
/// shows.
fn categories(
    asked: &BTreeSet<EventCategory>,
    archive: &Archive,
    columns: Columns<'_>,
) -> Result<Option<Expr>, Unwritable> {
    let management = asked.contains(&EventCategory::Management);
    let data = asked.contains(&EventCategory::Data);
    let unclassed = columns.text("managementevent").ok().map(|column| {
        let says = |text| column.clone().equals(Expr::text(text));
        match (management, data) {
            (true, true) => Expr::All(Vec::new()),
            (true, false) => Expr::Any(vec![says("true"), column.clone().null()]),
            (false, true) => says("false"),
            (false, false) => Expr::Any(Vec::new()),
        }
    });
    let Ok(category) = columns.text("eventcategory") else {
        let only_management = archive.holds.categories == [EventCategory::Management];
        return match unclassed {
            Some(unclassed) => Ok(Some(unclassed)),
            None if only_management && management => Ok(None),
            None => Err(Unwritable::Table(
                "it has no column eventcategory, which tells management events from others".into(),
            )),
        };
    };
    let named = category.clone().among(asked.iter().map(|c| c.as_str()));
    let absent = match unclassed {
        Some(unclassed) => Expr::All(vec![category.null(), unclassed]),
        // Without both members a record is a management event.
        None if management => category.null(),
        None => return Ok(Some(named)),
    };
    Ok(Some(Expr::Any(vec![named, absent])))
}

/// The table's partition columns.
pub(super) struct Partitions<'a> {
    pub archive: &'a Archive,
    pub columns: Columns<'a>,
}

impl Partitions<'_> {
    pub fn account_column(&self) -> Option<&str> {
        match self.archive.partitions.layout {
            PartitionLayout::RegionDate => None,
            PartitionLayout::AccountRegionDate | PartitionLayout::Projected => {
                Some(&self.archive.partitions.columns.account)
            }
        }
    }

    /// The accounts, by partition and by the record; a record of before version 1.02 does not name
    /// its account.
    fn accounts(&self, accounts: &BTreeSet<AccountId>) -> Result<Vec<Expr>, Unwritable> {
        let ids = || accounts.iter().map(ToString::to_string);
        let partition = self.account_column().map(|name| self.column(name));
        let recipient = self.columns.text("recipientaccountid").ok();
        Ok(match (partition.transpose()?, recipient) {
            (Some(partition), Some(recipient)) => vec![
                partition.clone().among(ids()),
                Expr::Coalesce(vec![recipient, partition]).among(ids()),
            ],
            (Some(partition), None) => vec![partition.among(ids())],
            (None, Some(recipient)) => vec![Expr::Any(vec![
                recipient.clone().among(ids()),
                recipient.null(),
            ])],
            (None, None) => {
                let of_one = self.archive.holds.accounts.as_deref();
                if of_one.is_none_or(|held| held.len() != 1) {
                    return Err(Unwritable::Table(
                        "it has no column recipientaccountid and no partition by account, so that \
                         nothing tells whose events it holds; if they are of one account, declare \
                         that under holds.accounts"
                            .into(),
                    ));
                }
                Vec::new()
            }
        })
    }

    /// The Regions, always by the record. The partition is the Region that the file was delivered
    /// to, which need not be the event's own: global services' events of us-east-1 are found in
    /// other Regions' files. So the partition narrows only where no Region asked for can have such
    /// events.
    fn regions(&self, regions: &BTreeSet<Region>) -> Result<Vec<Expr>, Unwritable> {
        let names = || regions.iter().map(Region::as_str);
        let mut filter = vec![self.columns.text("awsregion")?.among(names())];
        if regions.iter().all(stays_in_its_files) {
            filter.push(
                self.column(&self.archive.partitions.columns.region)?
                    .among(names()),
            );
        }
        Ok(filter)
    }

    pub fn days(&self, days: Days) -> Result<Expr, Unwritable> {
        let names = &self.archive.partitions.columns;
        if self.archive.partitions.layout == PartitionLayout::Projected {
            let column = self.column(&names.date)?;
            return Ok(days.in_one_column(column, self.archive.partitions.date_format));
        }
        Ok(days.in_three_columns(&ThreeColumns {
            year: self.date_part(&names.year)?,
            month: self.date_part(&names.month)?,
            day: self.date_part(&names.day)?,
        }))
    }

    fn date_part(&self, name: &str) -> Result<DatePart, Unwritable> {
        if !self.columns.has(name) {
            return Err(missing(name));
        }
        Ok(DatePart {
            column: Expr::column(name),
            text: self.columns.is_text(name),
        })
    }

    pub fn column(&self, name: &str) -> Result<Expr, Unwritable> {
        if self.columns.is_text(name) {
            Ok(Expr::column(name))
        } else {
            Err(missing(name))
        }
    }
}

fn missing(name: &str) -> Unwritable {
    Unwritable::Table(format!(
        "it has no partition column {name} of type string, which the configuration's partitions \
         expect"
    ))
}

/// Whether all events of a Region lie in its own files: those of global services (IAM, STS,
/// sign-in) carry us-east-1, or one Region of each other partition, whichever file they are in.
fn stays_in_its_files(region: &Region) -> bool {
    let name = region.as_str();
    let commercial = ["us-gov-", "us-iso", "cn-", "eu-isoe-", "eusc-"]
        .iter()
        .all(|prefix| !name.starts_with(prefix));
    commercial && name != "us-east-1"
}
