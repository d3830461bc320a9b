//! One list of statements with their answers, for every engine; then the API.

mod api;
mod engines;
mod fixture;
