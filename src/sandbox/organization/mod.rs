//! The generated organization.
