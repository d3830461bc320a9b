//! Reading policies: all that is wrong with them is said at once, with file, line and column.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::LazyLock;

use cedar_policy::ffi::DetailedError;
use cedar_policy::{
    Policy, PolicyId, PolicySet, Schema, ValidationMode, ValidationWarning, Validator,
};
use serde_json::Value;

/// What policies can speak of.
pub(super) static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let (schema, _) = Schema::from_cedarschema_str(include_str!("schema.cedarschema"))
        .expect("the schema was compiled into the program, and a test reads it");
    schema
});

/// The extension of policy files in a folder.
const EXTENSION: &str = "cedar";

/// Policies that are valid, each under the name by which the log calls it.
#[derive(Debug)]
pub(super) struct Policies {
    pub set: PolicySet,
    /// Whether any of them asks for accounts' tags or organizational units.
    pub asks_for: AsksFor,
}

/// What policies need to be known of accounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct AsksFor {
    pub tags: bool,
    pub organizational_units: bool,
}

/// Why policies cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A file or folder cannot be read.
    #[error("{path}: cannot read the policies: {source}")]
    Unreadable {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// There is no policy: that would deny everything to everybody, which is hardly meant.
    #[error("{path}: no policy is there, which would deny everything to everybody")]
    Nothing {
        /// Where.
        path: String,
    },
    /// Some are wrong.
    #[error("{}", lines(.0))]
    Invalid(Vec<PolicyFinding>),
    /// They ask for what is not known of the accounts, so that they would never hold.
    #[error("{path}: {why}")]
    Unanswerable {
        /// Where the policies are.
        path: String,
        /// What they ask for, and what to do.
        why: &'static str,
    },
}

/// Something that is wrong with a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFinding {
    /// The file.
    pub file: String,
    /// Line and column, both from 1, where known.
    pub place: Option<(usize, usize)>,
    /// What is wrong, and what may help.
    pub what: String,
}

impl fmt::Display for PolicyFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some((line, column)) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.what)
    }
}

fn lines(findings: &[PolicyFinding]) -> String {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

impl Policies {
    /// The policies in the file at `path`, or in all `.cedar` files of the folder there.
    pub fn read(path: &Path) -> Result<Self, PolicyError> {
        let mut policies = Self {
            set: PolicySet::new(),
            asks_for: AsksFor::default(),
        };
        let mut findings = Vec::new();
        for file in files(path)? {
            let text = std::fs::read_to_string(&file).map_err(unreadable(&file))?;
            let source = Source {
                file: file.display().to_string(),
                text: &text,
            };
            match source.policies() {
                Ok(found) => found.into_iter().for_each(|policy| policies.add(policy)),
                Err(wrong) => findings.extend(wrong),
            }
        }
        if !findings.is_empty() {
            return Err(PolicyError::Invalid(findings));
        }
        if policies.set.is_empty() {
            let path = path.display().to_string();
            return Err(PolicyError::Nothing { path });
        }
        Ok(policies)
    }

    fn add(&mut self, policy: Policy) {
        let unit =
            |uid: &cedar_policy::EntityUid| uid.type_name().basename() == "OrganizationalUnit";
        self.asks_for.organizational_units |= policy.entity_literals().iter().any(unit);
        // What cannot be looked into is taken to ask for everything.
        self.asks_for.tags |= policy
            .to_json()
            .map_or(true, |json| has_tag_operator(&json));
        self.set
            .add(policy)
            .expect("ids are made of the file and a number in it, and templates were refused");
    }
}

/// The operators stand as keys in a policy's JSON.
fn has_tag_operator(json: &Value) -> bool {
    match json {
        Value::Object(members) => members
            .iter()
            .any(|(key, value)| key == "hasTag" || key == "getTag" || has_tag_operator(value)),
        Value::Array(values) => values.iter().any(has_tag_operator),
        _ => false,
    }
}

/// The file itself, or a folder's policy files by name. What begins with a dot is no policy: a mounted
/// ConfigMap keeps its own there.
fn files(path: &Path) -> Result<Vec<PathBuf>, PolicyError> {
    if !std::fs::metadata(path).map_err(unreadable(path))?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable(path))? {
        let file = entry.map_err(unreadable(path))?.path();
        let hidden = (file.file_name()).is_some_and(|name| name.as_encoded_bytes()[0] == b'.');
        if !hidden && file.extension().is_some_and(|it| it == EXTENSION) {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> PolicyError {
    let path = path.display().to_string();
    |source| PolicyError::Unreadable { path, source }
}

/// One file's text.
struct Source<'a> {
    file: String,
    text: &'a str,
}

impl Source<'_> {
    /// Its policies, valid for the schema, or all that is wrong.
    fn policies(&self) -> Result<Vec<Policy>, Vec<PolicyFinding>> {
        let set = PolicySet::from_str(self.text).map_err(|errors| {
            errors
                .iter()
                .map(|error| self.finding(error.into()))
                .collect::<Vec<_>>()
        })?;
        if set.templates().next().is_some() {
            let what = "templates (?principal, ?resource) cannot be used: nothing links them";
            return Err(vec![self.nowhere(what)]);
        }
        let validated = Validator::new(SCHEMA.clone()).validate(&set, ValidationMode::Strict);
        let mut findings: Vec<PolicyFinding> = (validated.validation_errors())
            .map(|it| self.finding(it.into()))
            .collect();
        for warning in validated.validation_warnings() {
            let finding = self.finding(warning.into());
            match warning {
                // Cedar only warns of a policy that can never hold; a forbid that never forbids is a hole.
                ValidationWarning::ImpossiblePolicy(_)
                | ValidationWarning::InvalidActionApplication(_) => findings.push(finding),
                _ => tracing::warn!("{finding}"),
            }
        }
        if !findings.is_empty() {
            return Err(findings);
        }
        let named = set.policies().map(|policy| {
            let id = match policy.annotation("id") {
                Some(own) => format!("{}: {}: {own}", self.file, policy.id()),
                None => format!("{}: {}", self.file, policy.id()),
            };
            policy.new_id(PolicyId::new(id))
        });
        Ok(named.collect())
    }

    fn finding(&self, error: DetailedError) -> PolicyFinding {
        let place = error
            .source_locations
            .first()
            .map(|label| self.place(label.loc.start));
        let what = match error.help {
            Some(help) => format!("{} ({help})", error.message),
            None => error.message,
        };
        PolicyFinding {
            place,
            ..self.nowhere(what)
        }
    }

    fn nowhere(&self, what: impl Into<String>) -> PolicyFinding {
        PolicyFinding {
            file: self.file.clone(),
            place: None,
            what: what.into(),
        }
    }

    /// Line and column of a byte.
    fn place(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1;
        (line, column)
    }
}
