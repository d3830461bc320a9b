//! Log events as CloudTrail events.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::group::LogGroup;
use super::streams::holder;
use crate::backend::PageCost;
use crate::query::record::{Ordinals, ReadFrom, TextOrigin, parse_record};
use crate::query::{AccountId, BackendKind, Event, Provenance};

/// Reads the log events of one scan.
#[derive(Debug)]
pub(super) struct Events {
    group: Arc<LogGroup>,
    keep_record: bool,
    /// Nothing of other accounts is read, nor counted: how much they have is not the caller's to know.
    /// `None` is all.
    accounts: Option<BTreeSet<AccountId>>,
    ordinals: Ordinals,
}

impl Events {
    pub fn new(
        group: Arc<LogGroup>,
        keep_record: bool,
        accounts: Option<BTreeSet<AccountId>>,
    ) -> Self {
        Self {
            group,
            keep_record,
            accounts,
            ordinals: Ordinals::default(),
        }
    }

    /// The record in `message`, which `request_id` returned from the log stream `stream`; none if it is
    /// of another account, and none, counted as unreadable, if it is no record.
    pub fn read(
        &mut self,
        message: &str,
        stream: &str,
        request_id: Option<&Arc<str>>,
        cost: &mut PageCost,
    ) -> Option<Event> {
        let holder = holder(stream).map(|(account, _)| account);
        let read = self.event(message, holder, request_id);
        let of = match &read {
            Ok(event) => Some(event.key.account),
            Err(_) => holder,
        };
        if !of.is_none_or(|account| self.is_asked(account)) {
            return None;
        }
        cost.events_read += 1;
        match read {
            Ok(event) => {
                cost.memory_bytes += memory(message);
                Some(event)
            }
            Err(error) => {
                cost.unreadable_records += 1;
                tracing::warn!(
                    log_group = &*self.group.name,
                    log_stream = stream,
                    request_id = request_id.map(|id| &**id),
                    error,
                    "a log event that is no event of CloudTrail"
                );
                None
            }
        }
    }

    fn is_asked(&self, account: AccountId) -> bool {
        (self.accounts.as_ref()).is_none_or(|accounts| accounts.contains(&account))
    }

    fn event(
        &mut self,
        message: &str,
        holder: Option<AccountId>,
        request_id: Option<&Arc<str>>,
    ) -> Result<Event, String> {
        let group = &self.group;
        let known = holder.or_else(|| group.only_account());
        let read_from = ReadFrom {
            provenance: Provenance {
                backend: BackendKind::Logs,
                account_id: known.unwrap_or(group.config.account),
                account_name: None,
                region: None,
                archive: None,
                log_group: Some(Arc::clone(&group.name)),
                aws_request_id: request_id.cloned(),
                log_file: None,
            },
            origin: TextOrigin::Delivered,
            keep_record: self.keep_record,
        };
        let mut event = parse_record(message, &read_from).map_err(|error| error.to_string())?;
        if event.recipient_account_id.is_none() && known.is_none() {
            return Err("nothing tells the account of the record".to_owned());
        }
        let account = event.key.account;
        event.provenance.account_id = account;
        event.provenance.account_name = group.federation.account_name(account);
        event.provenance.region = event.aws_region.as_deref().and_then(|it| it.parse().ok());
        self.ordinals.number(&mut event.key);
        Ok(event)
    }
}

/// About what an event takes: its fields, and its texts once more than the record is long.
fn memory(message: &str) -> u64 {
    (std::mem::size_of::<Event>() + 2 * message.len()) as u64
}
