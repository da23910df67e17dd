//! Answers over HTTP: the site with page and API on one port, health and metrics on the other.

pub mod admin;
mod assets;
mod audited;
mod body;
mod conditional;
mod guard;
mod html;
mod problem;
pub mod server;
pub mod site;

pub use audited::Auditor;
pub use body::Body;
pub use site::Pages;
