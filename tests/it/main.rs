//! The whole service, tested from outside.

mod base_path;
mod bounded;
mod broker_login;
mod chart;
mod cold_start;
mod compose;
mod conflicts;
mod connections;
mod end_to_end;
mod faults;
mod gaps;
mod healthcheck;
mod hostile;
mod openapi;
mod publish;
mod reconcile;
mod rejects;
mod replicas;
mod scripts;
mod secrets;
mod service;
mod settings;
mod signals;
mod site;
mod store;
mod verify;
