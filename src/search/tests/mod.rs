//! Whole searches over scripted backends. Scripts count turns of the scheduler, not time.

mod archive;
mod fake;
mod hand_over;
mod observed;
mod properties;
mod stream;
