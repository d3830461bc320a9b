//! Running a plan: fan-out, merge, resume.

pub mod item;

pub use item::{Facets, PlanAnnouncement, Progress, SearchItem, StopReason, Summary};
