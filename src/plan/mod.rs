//! Planning, routing and coverage: pure.
