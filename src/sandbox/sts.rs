//! STS: the query protocol, and the roles that the hub may assume.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::credentials::{Keyring, Principal, unique_id};
use super::error::AwsError;
use super::faults::{Denial, Faults};
use super::log_file::LogFile;
use super::sigv4::Caller;

/// The namespace of STS's XML.
pub const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// What a caller needs besides `sts:AssumeRole` to set a source identity.
const SET_SOURCE_IDENTITY: &str = "sts:SetSourceIdentity";

const CHAINED_SESSION_SECONDS: u64 = 3600;

/// The roles of all accounts, and who may assume them.
#[derive(Debug)]
pub struct Sts {
    pub(super) keyring: Arc<Keyring>,
    pub(super) faults: Arc<Faults>,
    pub(super) hub_account_id: String,
    /// The accounts that have the role.
    pub(super) accounts: BTreeSet<String>,
    pub(super) role_name: String,
    pub(super) external_id: Option<String>,
    pub(super) files: Arc<[LogFile]>,
    /// Every role that was assumed, in order.
    pub(super) assumed: Mutex<Vec<AssumedRole>>,
}

/// A role that was assumed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AssumedRole {
    /// The account that it is in.
    pub account_id: String,
    /// `RoleSessionName`.
    pub session_name: String,
    /// `SourceIdentity`, if one was set.
    pub source_identity: Option<String>,
}

/// A request's form fields.
pub type Form = HashMap<String, String>;

impl Sts {
    /// Answers one call with its XML. Sessions end in real time.
    pub async fn handle(
        &self,
        caller: &Caller,
        action: &str,
        form: &Form,
    ) -> Result<String, AwsError> {
        match action {
            "AssumeRole" => self.assume_role(caller, form),
            "GetCallerIdentity" => {
                let Principal {
                    account_id,
                    arn,
                    user_id,
                    ..
                } = caller.key.principal.clone();
                Ok(response(
                    action,
                    CallerIdentity {
                        arn,
                        user_id,
                        account: account_id,
                    },
                ))
            }
            "GetAccessKeyInfo" => {
                let key = required(form, "AccessKeyId", 16..=128, word)?;
                let account = self.owner(key).await.ok_or_else(|| {
                    let message = format!("The access key {key} is not known.");
                    AwsError::new("ValidationError", message)
                })?;
                Ok(response(action, AccessKeyInfo { account }))
            }
            other => {
                let message = format!("Could not find operation {other} for version 2011-06-15");
                Err(AwsError::new("InvalidAction", message))
            }
        }
    }

    fn assume_role(&self, caller: &Caller, form: &Form) -> Result<String, AwsError> {
        let name = |c: char| word(c) || "+=,.@-".contains(c);
        let role_arn = required(form, "RoleArn", 20..=2048, |_| true)?;
        let session_name = required(form, "RoleSessionName", 2..=64, name)?;
        let external_id = optional(form, "ExternalId", 2..=1224, |c| {
            name(c) || ":/".contains(c)
        })?;
        let source_identity = optional(form, "SourceIdentity", 2..=64, name)?;
        let duration = self.duration(caller, form)?;
        let principal = &caller.key.principal;
        let denied_to = |action: &str, how: &str| {
            let message = format!(
                "User: {} is not authorized to perform: {action} on resource: {role_arn}{how}",
                principal.arn
            );
            AwsError::new("AccessDenied", message).with_status(403)
        };
        let denied = |how: &str| denied_to("sts:AssumeRole", how);
        let account = self.account_of(role_arn).ok_or_else(|| denied(""))?;
        match self
            .faults
            .read(|faults| faults.denied_accounts.get(account).copied())
        {
            Some(Denial::ServiceControlPolicy) => {
                return Err(denied(" with an explicit deny in a service control policy"));
            }
            Some(Denial::NotAllowed) => return Err(denied("")),
            None => {}
        }
        let trusted = principal.account_id == self.hub_account_id;
        if !trusted || (self.external_id.is_some() && external_id != self.external_id.as_deref()) {
            return Err(denied(""));
        }
        let may_not_set =
            (self.faults).read(|faults| faults.denied_actions.contains_key(SET_SOURCE_IDENTITY));
        if source_identity.is_some() && may_not_set {
            return Err(denied_to(SET_SOURCE_IDENTITY, ""));
        }
        let assumed = AssumedRole {
            account_id: account.to_owned(),
            session_name: session_name.to_owned(),
            source_identity: source_identity.map(str::to_owned),
        };
        self.assumed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(assumed);

        let role_id = unique_id("AROA", &Sha256::digest(role_arn));
        let arn = format!(
            "arn:aws:sts::{account}:assumed-role/{}/{session_name}",
            self.role_name
        );
        let user_id = format!("{role_id}:{session_name}");
        // Whole seconds, as they are printed.
        let expires_at = Timestamp::now() + duration;
        let expires_at = Timestamp::from_second(expires_at.as_second()).unwrap_or(expires_at);
        let key = self.keyring.issue(
            Principal {
                account_id: account.to_owned(),
                arn: arn.clone(),
                user_id: user_id.clone(),
                is_session: true,
            },
            Some(expires_at),
        );
        let credentials = key.credentials.clone();
        let result = AssumeRoleResult {
            credentials: IssuedCredentials {
                access_key_id: credentials.access_key_id,
                secret_access_key: credentials.secret_access_key,
                session_token: credentials.session_token.unwrap_or_default(),
                expiration: expires_at.to_string(),
            },
            assumed_role_user: AssumedRoleUser {
                assumed_role_id: user_id,
                arn,
            },
            source_identity: form.get("SourceIdentity").cloned(),
        };
        Ok(response("AssumeRole", result))
    }

    fn duration(&self, caller: &Caller, form: &Form) -> Result<Duration, AwsError> {
        let seconds = match form.get("DurationSeconds") {
            None => CHAINED_SESSION_SECONDS,
            Some(text) => text
                .parse()
                .ok()
                .filter(|seconds| (900..=43_200).contains(seconds))
                .ok_or_else(|| {
                    constraint(
                        "durationSeconds",
                        text,
                        "have a value between 900 and 43200",
                    )
                })?,
        };
        if caller.key.principal.is_session && seconds > CHAINED_SESSION_SECONDS {
            return Err(AwsError::new(
                "ValidationError",
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed \
                 by role chaining",
            ));
        }
        let lifetime = self.faults.read(|faults| faults.credential_lifetime);
        Ok(lifetime.unwrap_or(Duration::from_secs(seconds)))
    }

    /// The account whose reader role this ARN is.
    fn account_of<'a>(&self, role_arn: &'a str) -> Option<&'a str> {
        let rest = role_arn.strip_prefix("arn:aws:iam::")?;
        let (account, role) = rest.split_once(":role/")?;
        (role == self.role_name && self.accounts.contains(account)).then_some(account)
    }

    /// The account that owns a key: one issued here, or one that a record tells the owner of.
    async fn owner(&self, access_key_id: &str) -> Option<String> {
        if let Some(key) = self.keyring.get(access_key_id) {
            return Some(key.principal.account_id.clone());
        }
        let (files, wanted) = (Arc::clone(&self.files), access_key_id.to_owned());
        let reading = tokio::task::spawn_blocking(move || owner_in_records(&files, &wanted));
        match reading.await {
            Ok(owner) => owner,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

fn owner_in_records(files: &[LogFile], access_key_id: &str) -> Option<String> {
    let records = files.iter().flat_map(|file| &file.records);
    records
        // Far cheaper than to parse every record; those few that hold the text are parsed.
        .filter(|record| record.json().contains(access_key_id))
        .find_map(|record| {
            let Value::Object(mut identity) = record.value()["userIdentity"].take() else {
                return None;
            };
            if identity.get("accessKeyId")?.as_str()? != access_key_id {
                return None;
            }
            match identity.remove("accountId")? {
                Value::String(account) => Some(account),
                _ => None,
            }
        })
}

fn word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn required<'a>(
    form: &'a Form,
    name: &str,
    length: std::ops::RangeInclusive<usize>,
    allowed: impl Fn(char) -> bool,
) -> Result<&'a str, AwsError> {
    optional(form, name, length, allowed)?
        .ok_or_else(|| constraint(&lower_first(name), "null", "not be null"))
}

fn optional<'a>(
    form: &'a Form,
    name: &str,
    length: std::ops::RangeInclusive<usize>,
    allowed: impl Fn(char) -> bool,
) -> Result<Option<&'a str>, AwsError> {
    let Some(value) = form.get(name) else {
        return Ok(None);
    };
    if !length.contains(&value.chars().count()) {
        let must = format!(
            "have length between {} and {}",
            length.start(),
            length.end()
        );
        return Err(constraint(&lower_first(name), value, &must));
    }
    if !value.chars().all(allowed) {
        let must = "satisfy the parameter's regular expression pattern";
        return Err(constraint(&lower_first(name), value, must));
    }
    Ok(Some(value))
}

fn lower_first(name: &str) -> String {
    let (first, rest) = name.split_at(1);
    first.to_ascii_lowercase() + rest
}

fn constraint(name: &str, value: &str, must: &str) -> AwsError {
    let message = format!(
        "1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: \
         Member must {must}"
    );
    AwsError::new("ValidationError", message)
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CallerIdentity {
    arn: String,
    user_id: String,
    account: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AccessKeyInfo {
    account: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AssumeRoleResult {
    credentials: IssuedCredentials,
    assumed_role_user: AssumedRoleUser,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_identity: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct IssuedCredentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AssumedRoleUser {
    assumed_role_id: String,
    arn: String,
}

/// `<ACTIONResponse><ACTIONResult>…</ACTIONResult></ACTIONResponse>`; the request id is in the header.
fn response(action: &str, result: impl Serialize) -> String {
    let result = quick_xml::se::to_string_with_root(&format!("{action}Result"), &result)
        .expect("structs of text are always XML");
    format!(r#"<{action}Response xmlns="{NAMESPACE}">{result}</{action}Response>"#)
}
