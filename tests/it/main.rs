//! The whole service, tested from outside.

mod settings;
mod store;
