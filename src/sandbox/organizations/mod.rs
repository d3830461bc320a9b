//! AWS Organizations, as far as somebody who looks for accounts needs it. Every list comes in pages of
//! at most 20, and between two pages lies an empty one with a token, as AWS's own may.

mod directory;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use serde_json::{Value, json};

pub use directory::{Directory, Member, Unit};

use super::credentials::Principal;
use super::error::AwsError;
use super::page_token::PageTokens;

/// The most, and by default, that a page holds.
const PAGE: u64 = 20;

/// The Organizations API.
#[derive(Debug)]
pub struct Organizations {
    pub(super) directory: RwLock<Arc<Directory>>,
    pub(super) tokens: PageTokens,
}

impl Organizations {
    /// The organization as it is now.
    pub fn directory(&self) -> Arc<Directory> {
        Arc::clone(
            &self
                .directory
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// Changes the organization, for calls that arrive from now on.
    pub fn change(&self, change: impl FnOnce(&mut Directory)) {
        let mut directory = self
            .directory
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut directory));
    }

    /// Answers one call.
    pub fn handle(&self, caller: &Principal, name: &str, body: &Value) -> Result<Value, AwsError> {
        let directory = self.directory();
        let asks = &caller.account_id;
        let member = directory.accounts.iter().any(|account| account.id == *asks);
        if name == "DescribeOrganization" {
            return if member {
                Ok(json!({"Organization": organization(&directory)}))
            } else {
                let message = "Your account is not a member of an organization.";
                Err(AwsError::new("AWSOrganizationsNotInUseException", message))
            };
        }
        if *asks != directory.management_account_id
            && !directory.delegated_administrators.contains(asks)
        {
            let message = "You don't have permissions to access this resource.";
            return Err(AwsError::new("AccessDeniedException", message));
        }
        let accounts = directory.accounts.iter();
        match name {
            "ListAccounts" => {
                let accounts = accounts.map(|account| member_json(&directory, account));
                self.page(name, "Accounts", &accounts.collect::<Vec<_>>(), body)
            }
            "ListRoots" => {
                let root = json!({
                    "Id": directory.root_id,
                    "Arn": arn(&directory, &format!("root/{}/{}", directory.id, directory.root_id)),
                    "Name": "Root",
                    "PolicyTypes": [],
                });
                self.page(name, "Roots", &[root], body)
            }
            "ListAccountsForParent" => {
                let parent = parent(&directory, body)?;
                let accounts = accounts.filter(|account| account.parent_id == parent);
                let accounts = accounts.map(|account| member_json(&directory, account));
                self.page(name, "Accounts", &accounts.collect::<Vec<_>>(), body)
            }
            "ListOrganizationalUnitsForParent" => {
                let parent = parent(&directory, body)?;
                let units = directory
                    .units
                    .iter()
                    .filter(|unit| unit.parent_id == parent);
                let units = units.map(|unit| {
                    json!({
                        "Id": unit.id,
                        "Arn": arn(&directory, &format!("ou/{}/{}", directory.id, unit.id)),
                        "Name": unit.name,
                    })
                });
                self.page(
                    name,
                    "OrganizationalUnits",
                    &units.collect::<Vec<_>>(),
                    body,
                )
            }
            "ListTagsForResource" => {
                let id = required(body, "ResourceId")?;
                let account = directory.accounts.iter().find(|account| account.id == id);
                let account = account.ok_or_else(|| {
                    let message = "You specified a target that doesn't exist.";
                    AwsError::new("TargetNotFoundException", message)
                })?;
                let tags = account.tags.iter();
                let tags = tags.map(|(key, value)| json!({"Key": key, "Value": value}));
                self.page(name, "Tags", &tags.collect::<Vec<_>>(), body)
            }
            other => {
                let message = format!("The sandbox does not have the operation {other}.");
                Err(AwsError::new("UnknownOperationException", message))
            }
        }
    }

    /// One page of a list. A token's place is twice the item's number, and one more where the empty
    /// page before it is still to come.
    fn page(
        &self,
        name: &str,
        member: &str,
        items: &[Value],
        body: &Value,
    ) -> Result<Value, AwsError> {
        let invalid = |reason: &str, message: &str| {
            AwsError::new("InvalidInputException", message).with_member("Reason", reason)
        };
        let size = match &body["MaxResults"] {
            Value::Null => PAGE,
            number => number
                .as_u64()
                .filter(|size| (1..=PAGE).contains(size))
                .ok_or_else(|| invalid("MAX_VALUE_EXCEEDED", "MaxResults must be 1 to 20."))?,
        };
        let request = format!("{name} {} {}", body["ParentId"], body["ResourceId"]);
        let now = Instant::now();
        let place = match &body["NextToken"] {
            Value::Null => 0,
            token => {
                let token = token.as_str().unwrap_or_default();
                let opened = self.tokens.open(token, &request, now);
                let opened =
                    opened.map_err(|bad| invalid("INVALID_NEXT_TOKEN", &bad.to_string()))?;
                opened.from
            }
        };
        let token = |place: u32| self.tokens.seal(&request, place, now);
        if place % 2 == 1 {
            return Ok(json!({member: [], "NextToken": token(place - 1)}));
        }
        let from = usize::try_from(place / 2)
            .unwrap_or(usize::MAX)
            .min(items.len());
        let to = from.saturating_add(usize::try_from(size).unwrap_or(usize::MAX));
        let mut answer = json!({member: items[from..to.min(items.len())]});
        if to < items.len() {
            let next = u32::try_from(to * 2 + 1).unwrap_or(u32::MAX);
            answer["NextToken"] = json!(token(next));
        }
        Ok(answer)
    }
}

fn required<'a>(body: &'a Value, name: &str) -> Result<&'a str, AwsError> {
    body[name].as_str().ok_or_else(|| {
        let message = format!("You must provide a value for {name}.");
        AwsError::new("InvalidInputException", message).with_member("Reason", "INPUT_REQUIRED")
    })
}

/// The id of the parent asked for, which exists.
fn parent<'a>(directory: &Directory, body: &'a Value) -> Result<&'a str, AwsError> {
    let id = required(body, "ParentId")?;
    if id == directory.root_id || directory.units.iter().any(|unit| unit.id == id) {
        Ok(id)
    } else {
        let message = "You specified parent that doesn't exist.";
        Err(AwsError::new("ParentNotFoundException", message))
    }
}

fn arn(directory: &Directory, resource: &str) -> String {
    let management = &directory.management_account_id;
    format!("arn:aws:organizations::{management}:{resource}")
}

fn email(account_id: &str) -> String {
    format!("aws+{account_id}@example.com")
}

fn organization(directory: &Directory) -> Value {
    let (id, management) = (&directory.id, &directory.management_account_id);
    json!({
        "Id": id,
        "Arn": arn(directory, &format!("organization/{id}")),
        "FeatureSet": "ALL",
        "MasterAccountArn": arn(directory, &format!("account/{id}/{management}")),
        "MasterAccountId": management,
        "MasterAccountEmail": email(management),
        "AvailablePolicyTypes": [],
    })
}

/// `Status` knows fewer states than `State`, which replaces it.
fn member_json(directory: &Directory, account: &Member) -> Value {
    let status = match account.state {
        "CLOSED" => "SUSPENDED",
        "PENDING_ACTIVATION" => "ACTIVE",
        state => state,
    };
    let resource = format!("account/{}/{}", directory.id, account.id);
    json!({
        "Id": account.id,
        "Arn": arn(directory, &resource),
        "Email": email(&account.id),
        "Name": account.name,
        "Status": status,
        "State": account.state,
        "JoinedMethod": "CREATED",
        "JoinedTimestamp": 1_577_836_800,
    })
}
