//! What a program gets that cannot get what it asked for: RFC 9457 problem details.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// An error of the API or of the admin port, `application/problem+json` on the wire.
///
/// The type is always `about:blank`: the status says it all, and its reason phrase is the title.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
    retry_after_seconds: Option<u32>,
    allow: Option<&'static str>,
}

impl Problem {
    /// 404: Postgres was asked and has no such order.
    pub(super) fn no_such_order(uid: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("no order with the id {uid}"))
    }

    /// 503: Postgres could not be asked, so "no" would be a guess.
    pub(super) fn cannot_tell(retry_after_seconds: u32) -> Self {
        Self {
            retry_after_seconds: Some(retry_after_seconds),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "cannot tell right now whether this order exists",
            )
        }
    }

    /// 400: what stands in place of the id cannot be one; `detail` says why.
    pub(super) fn bad_uid(detail: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, format!("not an order id: {detail}"))
    }

    /// 405; `allow` lists the methods that are, as in `GET, HEAD`.
    pub(super) fn method_not_allowed(allow: &'static str) -> Self {
        Self {
            allow: Some(allow),
            ..Self::new(
                StatusCode::METHOD_NOT_ALLOWED,
                format!("method not allowed here, allowed are {allow}"),
            )
        }
    }

    /// 414; `limit_bytes` is the longest target that is read.
    pub(super) fn uri_too_long(limit_bytes: usize) -> Self {
        Self::new(
            StatusCode::URI_TOO_LONG,
            format!("request target is longer than {limit_bytes} bytes"),
        )
    }

    /// 400: the request's body is not what it must be; `detail` says what.
    pub(super) fn bad_body(detail: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, format!("not a list of ids: {detail}"))
    }

    /// 400: the request's body is not a filter of the log; `detail` says what is wrong.
    pub(super) fn bad_log_filter(detail: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, format!("the log filter is not changed: {detail}"))
    }

    /// 408: the request's body took longer than `limit` to arrive.
    pub(super) fn body_too_slow(limit: Duration) -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            format!("request body did not arrive within {limit:?}"),
        )
    }

    /// 413; `limit_bytes` is the longest body that is read.
    pub(super) fn body_too_large(limit_bytes: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("request body must be whole and at most {limit_bytes} bytes"),
        )
    }

    /// 404: nothing is served at this address.
    pub(super) fn no_such_address() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "nothing is served at this address, see /api/v1/openapi.json",
        )
    }

    /// 500: a fault of ours, told in the log and not to the client.
    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "a fault on our side, the log has the details")
    }

    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), retry_after_seconds: None, allow: None }
    }
}

/// The members of RFC 9457, in its order.
#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Body {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            detail: &self.detail,
        };
        let body = serde_json::to_vec(&body).expect("strings and a number always serialize");
        let headers = [
            (header::CONTENT_TYPE, "application/problem+json"),
            (header::CACHE_CONTROL, "no-store"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        let mut response = (self.status, headers, body).into_response();
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some(allow) = self.allow {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}

#[cfg(test)]
pub(in crate::http) mod tests {
    use axum::body::to_bytes;
    use futures_util::FutureExt;

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

    #[test]
    fn every_problem_reads_as_documented() {
        let problems = [
            Problem::no_such_order("b563feb7b2b84b6test"),
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
        ];
        let transcripts = problems.map(|problem| transcript(problem.into_response()));
        insta::assert_snapshot!(transcripts.join("\n\n"));
    }
}
