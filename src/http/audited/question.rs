//! What a request asks for, where that is recorded.

use http::{Method, Request};
use percent_encoding::percent_decode_str;

use crate::audit::Action;

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) struct Question {
    pub(super) action: Action,
    /// The orders or rejects that its path names.
    pub(super) targets: Vec<String>,
    /// Whether a token may show it with personal fields masked.
    pub(super) is_maskable: bool,
}

/// The longest id that is repeated in a record, in bytes: nothing longer is one.
const MAX_TARGET: usize = 512;

impl Question {
    fn new(action: Action) -> Self {
        Self { action, targets: Vec::new(), is_maskable: false }
    }

    fn about(action: Action, encoded: &str) -> Self {
        let target = percent_decode_str(encoded).decode_utf8_lossy();
        let target = target[..target.floor_char_boundary(MAX_TARGET)].to_owned();
        Self { targets: vec![target], ..Self::new(action) }
    }

    /// What a request to the site asks for, by its path below the base path.
    pub(in crate::http) fn of_site<B>(request: &Request<B>, path: &str) -> Option<Self> {
        if request.method() == Method::POST && path == "/api/v1/orders/lookup" {
            return Some(Self { is_maskable: true, ..Self::new(Action::OrderLookup) });
        }
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        let uid =
            ["/api/v1/orders/", "/orders/"].iter().find_map(|root| path.strip_prefix(root))?;
        let is_order = is_read && !uid.is_empty();
        is_order.then(|| Self { is_maskable: true, ..Self::about(Action::OrderRead, uid) })
    }

    /// What a request to the admin port asks for.
    pub(in crate::http) fn of_admin<B>(request: &Request<B>, path: &str) -> Option<Self> {
        if path == "/log-filter" && request.method() == Method::PUT {
            return Some(Self::new(Action::LogFilterChange));
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return None;
        }
        match path {
            "/orders" | "/orders.json" => Some(Self::new(Action::OrderList)),
            "/rejects" => Some(Self::new(Action::RejectList)),
            _ => {
                let rest = path.strip_prefix("/rejects/")?;
                // Also its payload, which has an address of its own below.
                let id = rest.split('/').next().unwrap_or(rest);
                Some(Self::about(Action::RejectRead, id))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method) -> Request<()> {
        Request::builder().method(method).body(()).unwrap()
    }

    #[test]
    fn what_shows_or_changes_something_is_recorded() {
        let site = |method, path| {
            let question = Question::of_site(&request(method), path)?;
            Some((question.action, question.targets.join(" ")))
        };
        let order = |uid: &str| Some((Action::OrderRead, uid.to_owned()));
        assert_eq!(site(Method::GET, "/api/v1/orders/a%2Eb"), order("a.b"));
        assert_eq!(site(Method::HEAD, "/api/v1/orders/lookup"), order("lookup"));
        assert_eq!(site(Method::GET, "/orders/a"), order("a"));
        let lookup = Some((Action::OrderLookup, String::new()));
        assert_eq!(site(Method::POST, "/api/v1/orders/lookup"), lookup);
        for path in ["/", "/orders", "/api/v1/openapi.json", "/static/style.css", "/problems/x"] {
            assert_eq!(site(Method::GET, path), None, "{path}");
        }
        let admin = |method, path| Question::of_admin(&request(method), path);
        for path in ["/rejects/7", "/rejects/7/payload"] {
            assert_eq!(admin(Method::GET, path).unwrap().targets, ["7"]);
        }
        assert_eq!(admin(Method::PUT, "/log-filter").unwrap().action, Action::LogFilterChange);
        for path in ["/livez", "/readyz", "/metrics", "/log-filter", "/statusz"] {
            assert_eq!(admin(Method::GET, path), None, "{path}");
        }
        let long = format!("/orders/{}", "%D1%84".repeat(600));
        assert_eq!(site(Method::GET, &long).unwrap().1.len(), MAX_TARGET);
    }
}
