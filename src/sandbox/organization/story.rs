//! What there is to find in a generated organization.

use jiff::Timestamp;

/// The intrusion, as an investigator would tell it once all is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// The long-lived key that leaked. Its rightful weekly use goes on beside the intruder's.
    pub leaked_access_key_id: String,
    /// The IAM user whose key it is.
    pub user_name: String,
    /// The ARN of that user.
    pub user_arn: String,
    /// The accounts touched, in the order of the chain: the user's own first.
    pub account_ids: Vec<String>,
    /// Each role taken, oldest first. The first link hangs on the leaked key, and so does the
    /// second, a day later; from there each hangs on the one before.
    pub chain: Vec<Hop>,
    /// The IAM user that the intruder made, in the account of the first link.
    pub backdoor_user_name: String,
    /// That user's key.
    pub backdoor_access_key_id: String,
    /// The account outside the organization that the database snapshot was shared with.
    pub outside_account_id: String,
    /// Where the intruder called from.
    pub source_ips: Vec<String>,
    /// The intruder's first call, 97 days before the organization's now.
    pub first_time: Timestamp,
    /// The intruder's last call, some days before now.
    pub last_time: Timestamp,
}

/// A role taken in the course of the intrusion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// When.
    pub time: Timestamp,
    /// The role's account.
    pub account_id: String,
    /// The role, with its path.
    pub role_arn: String,
    /// The name that the intruder gave the session.
    pub session_name: String,
    /// The temporary key that was issued.
    pub access_key_id: String,
}
