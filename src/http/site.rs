//! The site: the page for people and the API for programs.
//!
//! A request meets `hot_path` first, which answers with orders in memory; what is left goes to
//! `routes`.

mod change_language;
mod hot_path;
mod many;
mod observe;
mod page;
mod routes;
mod view;

#[cfg(test)]
pub(super) use super::problem::tests::transcript;

use std::sync::Arc;

use http::HeaderValue;

pub use page::Pages;

use super::audited::{Audited, Auditor, Question};
use super::server::Respond;
use crate::access::Access;
use crate::lookup::Lookup;
use crate::metrics::Metrics;
use hot_path::HotPath;

/// What the handlers of the site share. Clones are cheap.
#[derive(Debug, Clone)]
pub struct Site {
    /// Answers from memory or asks Postgres.
    pub lookup: Lookup,
    /// Counts answers by route and status.
    pub metrics: Metrics,
    /// The value of `Cache-Control` in answers with an order (`http.cache_control`).
    pub cache_control: HeaderValue,
    /// What the path of every request may begin with: empty, or a path without a slash at its
    /// end.
    pub base_path: Arc<str>,
    /// Renders the pages, with links below the base path.
    pub pages: Pages,
    /// Records who asks for orders; nothing where nobody wants to know.
    pub auditor: Option<Auditor>,
    /// Tells who may see orders; nothing where everybody may.
    pub access: Option<Access>,
}

impl Site {
    /// What answers the requests that come to the site's port.
    pub fn into_responder(self) -> impl Respond {
        let (base_path, auditor) = (Arc::clone(&self.base_path), self.auditor.clone());
        let responder = HotPath::new(
            self.lookup.clone(),
            self.metrics.clone(),
            self.cache_control.clone(),
            Arc::clone(&self.base_path),
            self.access.clone(),
            routes::router(self),
        );
        Audited::new(responder, auditor, base_path, Question::of_site)
    }
}
