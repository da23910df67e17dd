//! The whole service, tested from outside.

mod conflicts;
mod end_to_end;
mod faults;
mod hostile;
mod replicas;
mod service;
mod settings;
mod site;
mod store;
