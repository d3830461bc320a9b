//! Account inventory, sessions and pacing.
