//! Whose an access key is.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aws_sdk_sts::Client;

use super::aws_error::failure;
use crate::plan::{Reason, ReasonCode};
use crate::query::{AccessKeyId, AccountId};

/// How many keys are remembered. A key never changes its owner; forgetting one costs one call.
const REMEMBERED: usize = 10_000;

/// `sts:GetAccessKeyInfo`, with what it said before.
#[derive(Debug)]
pub(super) struct KeyOwners {
    client: Client,
    known: Mutex<HashMap<AccessKeyId, AccountId>>,
}

impl KeyOwners {
    pub fn new(client: Client) -> Self {
        Self {
            client,
            known: Mutex::default(),
        }
    }

    pub async fn owner(&self, key: &AccessKeyId) -> Result<AccountId, Reason> {
        if let Some(owner) = self.known().get(key) {
            return Ok(*owner);
        }
        let answer = self
            .client
            .get_access_key_info()
            .access_key_id(key.as_str())
            .send()
            .await
            .map_err(|error| failure(&format!("find the owner of {key}"), &error).reason)?;
        let owner: AccountId = answer
            .account()
            .and_then(|account| account.parse().ok())
            .ok_or_else(|| {
                let message = format!("AWS named no account as the owner of {key}");
                Reason::new(ReasonCode::AwsError, message)
            })?;
        let mut known = self.known();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(key.clone(), owner);
        Ok(owner)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<AccessKeyId, AccountId>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
