//! Answers lookups: the page for people, the API for programs.

pub mod assets;
pub mod page;
pub mod problem;
