//! The domain: what is asked, what an event is, and which events an identity's question means.
//! No I/O, no clock, no AWS SDK, no wire types.

pub mod address;
pub mod condition;
pub mod credential_apis;
pub mod event;
pub mod filter;
pub mod identity;
pub mod ids;
pub mod order;
pub mod pattern;
pub mod question;
pub mod record;
pub mod resource;
pub mod selector;
mod shown;
pub mod time;
pub mod user_identity;

pub use address::{Network, SourceAddress};
pub use condition::{Condition, Member};
pub use event::{Event, EventId, EventKey, Provenance};
pub use filter::{Access, EventCategory, EventFilter};
pub use identity::{Identity, IdentityArn};
pub use ids::{AccessKeyId, AccountId, InvalidId, Region, RoleName, SessionName, UserName};
pub use order::{Rank, SearchOrder};
pub use pattern::{Case, NamePattern};
pub use question::{AskedRange, BackendKind, EventQuery, RecordView, ResumePoint};
pub use resource::ResourceRef;
pub use selector::AccountSelector;
pub use shown::shown;
pub use time::{EventTime, TimeRange};
pub use user_identity::UserIdentity;
