//! The whole service, tested from outside.
