//! Running a plan: fan-out, merge, resume.
//!
//! A root that plans, dispatches and merges, and leaves that read: [`engine`] starts a search,
//! `run` drives it from plan to summary (`running` is its state in between), [`fan_out`] decides which scan reads next, [`merge`]
//! brings what they read into one order, `hand_over` lets others take over what a scan leaves, [`admission`] has the last word on every event, and
//! [`outcomes`] says how each scan ended, and `verification` whether there was anything to read. A search is a stream that owns its tasks: polling it
//! drives it, dropping it stops it.

pub mod accounts;
pub mod admission;
mod announcement;
pub mod engine;
pub mod facets;
pub mod fan_out;
mod hand_over;
pub mod held;
pub mod item;
pub mod merge;
mod observed;
pub mod outcomes;
mod planning;
pub mod resume;
mod run;
mod running;
mod scan_trace;
mod verification;

pub use accounts::AccountsView;
pub use engine::{Engine, EngineLimits, EngineParts, FactSource, Refusal, SearchStream};
pub use item::{Answered, Facets, PlanAnnouncement, Progress, SearchItem, StopReason, Summary};
pub use planning::{PlannedGroup, PlannedSearch, ProbeReport};

#[cfg(test)]
mod tests;
