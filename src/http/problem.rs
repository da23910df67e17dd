//! What a program gets that cannot get what it asked for: RFC 9457 problem details, and for people
//! a page for each type of them.

mod explanation;
mod kind;
mod pages;

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue};
use serde::Serialize;

use crate::access::Scope;
use kind::Kind;
pub(super) use pages::ProblemPages;

/// An error of the API or of the admin port, `application/problem+json` on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub(super) struct Problem {
    kind: Kind,
    detail: String,
    retry_after_seconds: Option<u32>,
    allow: Option<&'static str>,
    challenge: Option<HeaderValue>,
}

impl Problem {
    /// 404: Postgres was asked and has no such order.
    pub(super) fn no_such_order(uid: &str) -> Self {
        Self::new(Kind::OrderNotFound, format!("no order with the id {uid}"))
    }

    /// 410: the order was erased, and will not come back.
    pub(super) fn order_erased(uid: &str) -> Self {
        Self::new(Kind::OrderErased, format!("the order with the id {uid} was erased"))
    }

    /// 503: Postgres could not be asked, so "no" would be a guess.
    pub(super) fn cannot_tell(retry_after_seconds: u32) -> Self {
        Self {
            retry_after_seconds: Some(retry_after_seconds),
            ..Self::new(Kind::LookupUnavailable, "cannot tell right now whether this order exists")
        }
    }

    /// 400: what stands in place of the id cannot be one; `detail` says why.
    pub(super) fn bad_uid(detail: &str) -> Self {
        Self::new(Kind::InvalidOrderId, format!("not an order id: {detail}"))
    }

    /// 405; `allow` lists the methods that are, as in `GET, HEAD`.
    pub(super) fn method_not_allowed(allow: &'static str) -> Self {
        Self {
            allow: Some(allow),
            ..Self::new(
                Kind::MethodNotAllowed,
                format!("method not allowed here, allowed are {allow}"),
            )
        }
    }

    /// 414; `limit_bytes` is the longest target that is read.
    pub(super) fn uri_too_long(limit_bytes: usize) -> Self {
        Self::new(Kind::UriTooLong, format!("request target is longer than {limit_bytes} bytes"))
    }

    /// 400: the request's body is not what it must be; `detail` says what.
    pub(super) fn bad_body(detail: &str) -> Self {
        Self::new(Kind::InvalidRequestBody, format!("not a list of ids: {detail}"))
    }

    /// 400: the request's body is not a filter of the log; `detail` says what is wrong.
    pub(super) fn bad_log_filter(detail: &str) -> Self {
        Self::new(Kind::InvalidLogFilter, format!("the log filter is not changed: {detail}"))
    }

    /// 408: the request's body took longer than `limit` to arrive.
    pub(super) fn body_too_slow(limit: Duration) -> Self {
        Self::new(Kind::RequestBodyTimeout, format!("request body did not arrive within {limit:?}"))
    }

    /// 413; `limit_bytes` is the longest body that is read.
    pub(super) fn body_too_large(limit_bytes: usize) -> Self {
        Self::new(
            Kind::RequestBodyTooLarge,
            format!("request body must be whole and at most {limit_bytes} bytes"),
        )
    }

    /// 404: nothing is served at this address.
    pub(super) fn no_such_address() -> Self {
        Self::new(
            Kind::AddressNotFound,
            "nothing is served at this address, see /api/v1/openapi.json",
        )
    }

    /// 500: a fault of ours, told in the log and not to the client.
    pub(super) fn internal() -> Self {
        Self::new(Kind::InternalError, "a fault on our side, the log has the details")
    }

    /// 503: what was asked for is not shown, for it cannot be recorded who asked.
    pub(super) fn not_recorded(retry_after_seconds: u32) -> Self {
        Self {
            retry_after_seconds: Some(retry_after_seconds),
            ..Self::new(Kind::NotRecorded, "the audit log cannot be written right now")
        }
    }

    /// 400: a list cannot have as many rows as were asked for; `detail` says how many it can.
    pub(super) fn invalid_limit(detail: &str) -> Self {
        Self::new(Kind::InvalidLimit, detail)
    }

    /// 503: Postgres has what was asked for and did not tell; `reason` says why.
    pub(super) fn database_unavailable(reason: &str, retry_after_seconds: u32) -> Self {
        Self {
            retry_after_seconds: Some(retry_after_seconds),
            ..Self::new(Kind::DatabaseUnavailable, reason)
        }
    }

    /// 401: the request has no token.
    pub(super) fn token_required() -> Self {
        Self::new(Kind::TokenRequired, "a token is needed, as in Authorization: Bearer TOKEN")
            .challenging("Bearer realm=\"waybill\"")
    }

    /// 401: the request has a token that does not count. Why, only the operator is told.
    pub(super) fn invalid_token() -> Self {
        Self::new(Kind::InvalidToken, "the token has ended, or is not accepted here")
            .challenging("Bearer realm=\"waybill\", error=\"invalid_token\"")
    }

    /// 403: the token allows none of what is `needed`.
    pub(super) fn insufficient_scope(needed: &[Scope]) -> Self {
        let challenge = format!(
            "Bearer realm=\"waybill\", error=\"insufficient_scope\", scope=\"{}\"",
            needed.first().map_or("", |scope| scope.as_str())
        );
        let needed = needed.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" or ");
        Self::new(Kind::InsufficientScope, format!("the token must have the scope {needed}"))
            .challenging(&challenge)
    }

    /// 503: the keys that would tell whether the token counts are not known now.
    pub(super) fn token_unverifiable(retry_after_seconds: u32) -> Self {
        Self {
            retry_after_seconds: Some(retry_after_seconds),
            ..Self::new(
                Kind::TokenUnverifiable,
                "cannot tell right now whether this token is good: the keys of its issuer cannot \
                 be had",
            )
        }
    }

    fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            retry_after_seconds: None,
            allow: None,
            challenge: None,
        }
    }
}

impl Problem {
    /// The same with this `WWW-Authenticate` (RFC 6750, 3).
    fn challenging(self, challenge: &str) -> Self {
        Self { challenge: HeaderValue::from_str(challenge).ok(), ..self }
    }

    /// The value of `WWW-Authenticate`, if the problem is that of a token.
    pub(super) fn challenge(&self) -> Option<HeaderValue> {
        self.challenge.clone()
    }
}

/// The members of RFC 9457, in its order.
#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
}

impl Problem {
    /// The answer; `base_path` is what stands before the addresses of the port that sends it, for
    /// its type leads to a page there.
    pub(super) fn response(self, base_path: &str) -> Response {
        (self.kind.status(), self.headers(), self.document(base_path)).into_response()
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if let Some(challenge) = &self.challenge {
            headers.insert(WWW_AUTHENTICATE, challenge.clone());
        }
        headers
    }

    fn document(&self, base_path: &str) -> String {
        let document = Document {
            r#type: format!("{base_path}{}{}", pages::PATH, self.kind.name()),
            title: self.kind.title(),
            status: self.kind.status().as_u16(),
            detail: &self.detail,
        };
        serde_json::to_string(&document).expect("strings and a number always serialize")
    }
}

#[cfg(test)]
pub(in crate::http) mod tests {
    use std::collections::BTreeSet;

    use axum::body::to_bytes;
    use futures_util::FutureExt;
    use http::StatusCode;
    use serde_json::Value;

    use super::*;

    /// Writes a response out as it goes over the wire, header fields sorted.
    pub(in crate::http) fn transcript(response: Response) -> String {
        let (head, body) = response.into_parts();
        let mut fields: Vec<String> = head
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()))
            .collect();
        fields.sort();
        let body = to_bytes(body, usize::MAX).now_or_never().unwrap().unwrap();
        let body = std::str::from_utf8(&body).unwrap();
        format!("{}\n{}\n{body}", head.status, fields.concat())
    }

    /// One of each constructor.
    fn every_problem() -> Vec<Problem> {
        vec![
            Problem::no_such_order("b563feb7b2b84b6test"),
            Problem::order_erased("b563feb7b2b84b6test"),
            Problem::cannot_tell(2),
            Problem::bad_uid("character \"<\" at 3, must be of A-Z a-z 0-9 - . _ ~"),
            Problem::method_not_allowed("GET, HEAD"),
            Problem::uri_too_long(8192),
            Problem::bad_body("trailing characters at line 1 column 3"),
            Problem::bad_log_filter("it is empty"),
            Problem::body_too_slow(Duration::from_secs(10)),
            Problem::body_too_large(262_144),
            Problem::no_such_address(),
            Problem::internal(),
            Problem::token_required(),
            Problem::invalid_token(),
            Problem::insufficient_scope(&[Scope::OrdersRead, Scope::OrdersReadMasked]),
            Problem::token_unverifiable(5),
            Problem::not_recorded(1),
            Problem::invalid_limit(
                "`limit` is `0`; must be a whole number from 1 to 500, given once",
            ),
            Problem::database_unavailable("postgres gave no answer within 10s", 5),
        ]
    }

    #[test]
    fn every_problem_reads_as_documented() {
        let transcripts =
            every_problem().into_iter().map(|problem| transcript(problem.response("")));
        let transcripts: Vec<_> = transcripts.collect();
        insta::assert_snapshot!(transcripts.join("\n\n"));
    }
    #[test]
    fn the_type_of_every_problem_leads_to_a_page_and_every_page_is_of_a_problem() {
        let mut sent = BTreeSet::new();
        for problem in every_problem() {
            let document: Value = serde_json::from_str(&problem.document("/shop")).unwrap();
            let address = document["type"].as_str().unwrap();
            let name = address.strip_prefix("/shop/problems/").unwrap();
            let page = ProblemPages::of_site("/shop").one(name);
            assert_eq!(page.status(), StatusCode::OK, "{name}");
            let page = transcript(page);
            assert!(page.contains(&format!("<h1>{}</h1>", document["title"].as_str().unwrap())));
            sent.insert(name.to_owned());
        }
        let explained = explanation::EXPLANATIONS.map(|explained| explained.kind.name().to_owned());
        assert_eq!(sent, BTreeSet::from(explained));
    }
}
