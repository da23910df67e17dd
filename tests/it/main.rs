//! The whole service, tested from outside.

mod chart;
mod conflicts;
mod end_to_end;
mod hostile;
mod replicas;
mod service;
mod settings;
mod site;
mod store;
