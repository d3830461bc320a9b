//! A row of the result as the record that it was made from, in CloudTrail's own names.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::record_columns::{self, MemberKind};
use super::sql::{Output, OutputKind};
use crate::query::AccountId;

/// A row, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rebuilt {
    /// The record.
    pub json: String,
    /// The account: the record's own, else the partition's, else the log file's.
    pub account: Option<AccountId>,
    /// The record's Region.
    pub region: Option<String>,
    /// Where the row was read.
    pub log_file: Option<String>,
}

/// Why a row cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadRow {
    /// Not the statement's columns.
    #[error("the row has {0} values")]
    Width(usize),
    /// A value that the statement printed as JSON is none.
    #[error("the column {0} is no JSON")]
    NotJson(String),
}

/// Rebuilds a record. What is NULL stays absent.
pub(super) fn rebuild(outputs: &[Output], row: &[Option<&str>]) -> Result<Rebuilt, BadRow> {
    if row.len() != outputs.len() {
        return Err(BadRow::Width(row.len()));
    }
    let mut record = Object::default();
    let (mut recipient, mut partition, mut region, mut log_file) = (None, None, None, None);
    for (output, value) in outputs.iter().zip(row) {
        let Some(value) = *value else { continue };
        match output.kind {
            OutputKind::Member(path, kind) => {
                match path {
                    "recipientAccountId" => recipient = value.parse().ok(),
                    "awsRegion" => region = Some(value.to_owned()),
                    _ => {}
                }
                let node = member(kind, path, value)
                    .ok_or_else(|| BadRow::NotJson(output.name.clone()))?;
                record.insert(path, node);
            }
            OutputKind::Object(path) => record.insert(path, object(path, value)),
            OutputKind::PartitionAccount => partition = value.parse().ok(),
            OutputKind::LogFile => log_file = Some(value.to_owned()),
        }
    }
    Ok(Rebuilt {
        json: serde_json::to_string(&record).unwrap_or_default(),
        account: recipient
            .or(partition)
            .or_else(|| log_file.as_deref().and_then(account_of_file)),
        region,
        log_file,
    })
}

fn member(kind: MemberKind, path: &'static str, value: &str) -> Option<Node> {
    Some(match (kind, value) {
        (MemberKind::Flag, "true") => Node::Flag(true),
        (MemberKind::Flag, "false") => Node::Flag(false),
        (MemberKind::Text | MemberKind::Flag, _) => Node::Text(value.to_owned()),
        (MemberKind::Json, _) => json_or_text(value),
        (MemberKind::Rows, _) => Node::Value(renamed(
            &path.to_lowercase(),
            serde_json::from_str(value).ok()?,
        )),
    })
}

/// JSON as it stands, so that no number loses a digit; else the text.
fn json_or_text(value: &str) -> Node {
    RawValue::from_string(value.to_owned()).map_or_else(|_| Node::Text(value.to_owned()), Node::Raw)
}

fn object(path: &str, value: &str) -> Node {
    match serde_json::from_str(value) {
        Ok(parsed) => Node::Value(renamed(&path.to_lowercase(), parsed)),
        Err(_) => Node::Text(value.to_owned()),
    }
}

/// The value with the members that CloudTrail records under `path` by CloudTrail's names.
fn renamed(path: &str, value: Value) -> Value {
    match value {
        Value::Array(values) => values.into_iter().map(|v| renamed(path, v)).collect(),
        Value::Object(members) => members
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| {
                let path = format!("{path}.{}", name.to_lowercase());
                match record_columns::by_column(&path) {
                    Some((known, kind)) => {
                        let name = record_columns::name_of(known).to_owned();
                        let value = match (kind, value) {
                            (Some(MemberKind::Json), Value::String(text)) => {
                                serde_json::from_str(&text).unwrap_or(Value::String(text))
                            }
                            (Some(_), value) => value,
                            (None, value) => renamed(&path, value),
                        };
                        (name, value)
                    }
                    None => (name, value),
                }
            })
            .collect(),
        scalar => scalar,
    }
}

/// The account in `…/AWSLogs/[o-…/]ACCOUNT/CloudTrail/…`.
fn account_of_file(log_file: &str) -> Option<AccountId> {
    let (_, rest) = log_file.split_once("/AWSLogs/")?;
    let (before, _) = rest.split_once("/CloudTrail/")?;
    before.rsplit('/').next()?.parse().ok()
}

/// A record under construction, its members in the order of their first insertion.
#[derive(Debug, Default)]
struct Object(Vec<(&'static str, Node)>);

#[derive(Debug)]
enum Node {
    Object(Object),
    Text(String),
    Flag(bool),
    Raw(Box<RawValue>),
    Value(Value),
}

impl Object {
    fn insert(&mut self, path: &'static str, node: Node) {
        let Some((name, rest)) = path.split_once('.') else {
            self.0.push((path, node));
            return;
        };
        let at = self.0.iter().position(|(member, _)| *member == name);
        let at = at.unwrap_or_else(|| {
            self.0.push((name, Node::Object(Self::default())));
            self.0.len() - 1
        });
        if let Node::Object(inner) = &mut self.0[at].1 {
            inner.insert(rest, node);
        }
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, node) in &self.0 {
            map.serialize_entry(name, node)?;
        }
        map.end()
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Object(object) => object.serialize(serializer),
            Self::Text(text) => text.serialize(serializer),
            Self::Flag(flag) => flag.serialize(serializer),
            Self::Raw(json) => json.serialize(serializer),
            Self::Value(value) => value.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(columns: &[(OutputKind, Option<&str>)]) -> Result<Rebuilt, BadRow> {
        let outputs: Vec<_> = columns
            .iter()
            .map(|(kind, _)| Output {
                name: "c".into(),
                kind: *kind,
            })
            .collect();
        let values: Vec<_> = columns.iter().map(|(_, value)| *value).collect();
        rebuild(&outputs, &values)
    }

    fn known(column: &str) -> OutputKind {
        match record_columns::by_column(column).unwrap() {
            (path, Some(kind)) => OutputKind::Member(path, kind),
            (path, None) => OutputKind::Object(path),
        }
    }

    #[test]
    fn members_stand_where_cloudtrail_writes_them() {
        let rebuilt = row(&[
            (known("useridentity.type"), Some("AssumedRole")),
            (
                known("useridentity.sessioncontext.sessionissuer.username"),
                Some("Admin"),
            ),
            (known("useridentity.username"), None),
            (known("readonly"), Some("true")),
            (known("useragent"), Some("say \"hi\"\n")),
            (known("requestparameters"), Some(r#"{"n":1.10,"N":null}"#)),
            (known("responseelements"), Some("{broken")),
            (
                known("resources"),
                Some(r#"[{"arn":"a","accountid":null,"type":"t"}]"#),
            ),
        ]);
        assert_eq!(
            rebuilt.unwrap().json,
            concat!(
                r#"{"userIdentity":{"type":"AssumedRole","sessionContext":{"sessionIssuer":{"userName":"Admin"}}},"#,
                r#""readOnly":true,"userAgent":"say \"hi\"\n","requestParameters":{"n":1.10,"N":null},"#,
                r#""responseElements":"{broken","resources":[{"ARN":"a","type":"t"}]}"#
            )
        );
    }

    #[test]
    fn an_object_read_as_a_whole_gets_its_names_back() {
        let rebuilt = row(&[(
            known("useridentity.sessioncontext.webidfederationdata"),
            Some(r#"{"federatedprovider":"p","attributes":"{\"aud\":\"x\"}"}"#),
        )]);
        assert_eq!(
            rebuilt.unwrap().json,
            r#"{"userIdentity":{"sessionContext":{"webIdFederationData":{"federatedProvider":"p","attributes":{"aud":"x"}}}}}"#
        );
    }

    #[test]
    fn the_account_is_the_records_else_the_partitions_else_the_files() {
        let file = "s3://b/AWSLogs/o-abc/000011112222/CloudTrail/us-east-1/2026/11/22/f.json.gz";
        let account = |recipient, partition, file| {
            let rebuilt = row(&[
                (known("recipientaccountid"), recipient),
                (OutputKind::PartitionAccount, partition),
                (OutputKind::LogFile, file),
            ]);
            rebuilt.unwrap().account.map(|id| id.to_string())
        };
        let (a, b, c) = ("111122223333", "444455556666", "000011112222");
        assert_eq!(account(Some(a), Some(b), Some(file)).as_deref(), Some(a));
        assert_eq!(account(None, Some(b), Some(file)).as_deref(), Some(b));
        assert_eq!(account(None, None, Some(file)).as_deref(), Some(c));
        assert_eq!(account(None, None, Some("s3://b/x")), None);
    }

    #[test]
    fn what_is_not_the_statements_row_is_refused() {
        assert_eq!(rebuild(&[], &[None]), Err(BadRow::Width(1)));
        let broken = row(&[(known("resources"), Some("[{"))]);
        assert_eq!(broken, Err(BadRow::NotJson("c".into())));
    }
}
