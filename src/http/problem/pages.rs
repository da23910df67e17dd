//! `/problems` and `/problems/{name}`: where the `type` of a problem leads.

use std::fmt::Write as _;

use askama::Template;
use axum::response::Response;
use http::{HeaderValue, StatusCode};

use super::Problem;
use super::explanation::{EXPLANATIONS, Explanation};
use super::kind::Kind;
use crate::http::html::html;

/// What stands before the name of a type.
pub(super) const PATH: &str = "/problems/";

/// Renders the pages for one of the two ports, which both serve all of them.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct ProblemPages<'a> {
    /// What the links of the pages begin with.
    base: &'a str,
    /// The page that the port begins with.
    home: &'static str,
    /// What the addresses of the API begin with.
    site_base: &'a str,
}

#[derive(Template)]
#[template(path = "problems.html")]
struct ListPage<'a> {
    base: &'a str,
    home: &'static str,
    /// The types that the API sends, and those of the admin port alone.
    lists: [(&'static str, Vec<Kind>); 2],
    /// Whether another page was asked for, which there is not.
    is_missing: bool,
}

#[derive(Template)]
#[template(path = "problem.html")]
struct OnePage<'a> {
    base: &'a str,
    home: &'static str,
    kind: Kind,
    explanation: &'a Explanation,
    request: String,
    answer: String,
}

impl<'a> ProblemPages<'a> {
    /// The pages on the port of the site.
    pub(in crate::http) fn of_site(base: &'a str) -> Self {
        Self { base, home: "/", site_base: base }
    }

    /// The pages on the admin port.
    pub(in crate::http) fn of_admin_port(site_base: &'a str) -> Self {
        Self { base: "", home: "/statusz", site_base }
    }

    /// The page that lists all types.
    pub(in crate::http) fn list(&self) -> Response {
        self.list_page(StatusCode::OK)
    }

    /// The page of the type with this name; 404 with the list if there is none.
    pub(in crate::http) fn one(&self, name: &str) -> Response {
        let Some(explanation) = EXPLANATIONS.iter().find(|known| known.kind.name() == name) else {
            return self.list_page(StatusCode::NOT_FOUND);
        };
        let kind = explanation.kind;
        let sender = if kind.is_admin() { "" } else { self.site_base };
        let page = OnePage {
            base: self.base,
            home: self.home,
            kind,
            explanation,
            request: explanation.request.replacen(" /", &format!(" {sender}/"), 1),
            answer: (explanation.answer)().written(sender),
        };
        html(StatusCode::OK, &page, &HeaderValue::from_static("no-cache"))
    }

    fn list_page(&self, status: StatusCode) -> Response {
        let kinds = |is_admin| {
            let kinds = EXPLANATIONS.iter().map(|explanation| explanation.kind);
            kinds.filter(|kind| kind.is_admin() == is_admin).collect()
        };
        let page = ListPage {
            base: self.base,
            home: self.home,
            lists: [("The API", kinds(false)), ("The admin port", kinds(true))],
            is_missing: status == StatusCode::NOT_FOUND,
        };
        html(status, &page, &HeaderValue::from_static("no-cache"))
    }
}

impl Problem {
    /// The answer as it goes over the wire, but for what every answer over HTTP has.
    fn written(&self, base_path: &str) -> String {
        let mut text = format!("HTTP/1.1 {}\n", self.kind.status());
        for (name, value) in &self.headers() {
            // All are ours, and ASCII.
            let _ = writeln!(text, "{name}: {}", value.to_str().unwrap_or_default());
        }
        text + "\n" + &self.document(base_path)
    }
}
