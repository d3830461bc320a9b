//! Planning, routing and coverage: pure functions over the question, the facts and the time.

mod accepted;
pub mod coverage;
pub mod estimate;
pub mod facts;
pub mod federated_sessions;
pub mod hand_over;
mod holding;
pub mod inventory;
pub mod log_days;
mod lookups;
mod narrowing;
pub mod outcome;
mod parts;
mod planner;
pub mod role_sessions;
mod routing;
pub mod scan;
mod slices;
pub mod trail;
pub mod windows;

pub use coverage::{Completeness, Coverage};
pub use facts::Facts;
pub use inventory::Inventory;
pub use lookups::{LookupAttribute, Lookups};
pub use outcome::{OutcomeState, Reason, ReasonCode, RoleReading, ScanOutcome, Unverified};
pub use parts::filterable_from;
pub use planner::plan;
pub use scan::{EventPart, Gap, LogsMethod, QueryPlan, Scan, ScanId, ScanTarget, Share};

#[cfg(test)]
mod tests;
