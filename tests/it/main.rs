//! The whole service, tested from outside.

mod store;
