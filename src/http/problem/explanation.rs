//! What a page says of each type of problem: what happened, what a client should do, an example.

use std::time::Duration;

use super::Problem;
use super::kind::Kind;
use crate::access::Scope;

/// A type of problem in words.
pub(super) struct Explanation {
    /// What is explained.
    pub(super) kind: Kind,
    /// What happened.
    pub(super) what: &'static str,
    /// What a client should do.
    pub(super) advice: &'static str,
    /// When a request gets this answer, where the request alone does not make it so.
    pub(super) when: Option<&'static str>,
    /// A request as method, path, header fields and body; `[9 × x]` stands for nine letters x.
    pub(super) request: &'static str,
    /// What it is answered.
    pub(super) answer: fn() -> Problem,
}

/// Every type of problem that is sent: those of the API, then those of the admin port.
pub(super) const EXPLANATIONS: [Explanation; 19] = [
    Explanation {
        kind: Kind::OrderNotFound,
        what: "Postgres was asked after the request came, and has no order with this id.",
        advice: "An order that was published a moment ago may not be stored yet: ask again \
                 if you expect it. Do not remember this answer; the service does not either.",
        when: None,
        request: "GET /api/v1/orders/nobody-knows",
        answer: || Problem::no_such_order("nobody-knows"),
    },
    Explanation {
        kind: Kind::OrderErased,
        what: "There was an order with this id, or there might have been one: whoever runs the \
               service has erased it for good.",
        advice: "Do not ask again, and delete copies that you keep. An order that is \
                 published anew under this id is not taken.",
        when: Some("After the order was erased:"),
        request: "GET /api/v1/orders/erased-order",
        answer: || Problem::order_erased("erased-order"),
    },
    Explanation {
        kind: Kind::LookupUnavailable,
        what: "The order is not in memory, and Postgres could not be asked: it is away, or \
               too many requests wait for it. Whether the order exists is not known.",
        advice: "Ask again after as many seconds as Retry-After says. Do not take this for \
                 a 404.",
        when: Some("While Postgres is away:"),
        request: "GET /api/v1/orders/nobody-knows",
        answer: || Problem::cannot_tell(1),
    },
    Explanation {
        kind: Kind::InvalidOrderId,
        what: "What stands in place of the id cannot be the id of an order.",
        advice: "Correct the id; asking again is of no use. The detail says what is wrong \
                 with it and what it must be.",
        when: None,
        request: "GET /api/v1/orders/a%20b",
        answer: || {
            Problem::bad_uid(
                "order uid has ' ' at character 2, must be 1 to 128 of \
             A-Z a-z 0-9 - . _ ~, but not . or ..",
            )
        },
    },
    Explanation {
        kind: Kind::InvalidRequestBody,
        what: "The body of the request is not JSON, or not a list of at most 1,000 ids.",
        advice: "Correct the body; asking again is of no use. The detail names the place. \
                 Split a longer list into several requests.",
        when: None,
        request: "POST /api/v1/orders/lookup\n\n{\"ids\":[\"b563feb7b2b84b6test\"]}",
        answer: || {
            Problem::bad_body(
                "unknown field `ids`, expected `uids` at line 1 column 6; \
             must be an object as in {\"uids\":[\"a\",\"b\"]}",
            )
        },
    },
    Explanation {
        kind: Kind::RequestBodyTooLarge,
        what: "The body of the request is longer than is read, or ended too early.",
        advice: "Send less at a time; asking again with the same body is of no use.",
        when: Some("With so many letters x in place of the brackets:"),
        request: "POST /api/v1/orders/lookup\n\n{\"uids\":[\"[300000 × x]\"]}",
        answer: || Problem::body_too_large(256 << 10),
    },
    Explanation {
        kind: Kind::RequestBodyTimeout,
        what: "The body of the request took too long to arrive. Nothing was looked up.",
        advice: "Send the request again on another connection. If this happens often, look \
                 at the network in between, or for a Content-Length that is too large.",
        when: Some("When the rest of the body does not come:"),
        request: "POST /api/v1/orders/lookup\ncontent-length: 100\n\n{\"uids\":[",
        answer: || Problem::body_too_slow(Duration::from_secs(10)),
    },
    Explanation {
        kind: Kind::MethodNotAllowed,
        what: "This address does not take the method of the request.",
        advice: "Use one of the methods that Allow lists.",
        when: None,
        request: "DELETE /api/v1/orders/b563feb7b2b84b6test",
        answer: || Problem::method_not_allowed("GET, HEAD"),
    },
    Explanation {
        kind: Kind::UriTooLong,
        what: "Path and query together are longer than is read.",
        advice: "Shorten the address. Ask for many orders with a POST to \
                 /api/v1/orders/lookup, which takes their ids in its body.",
        when: Some("With so many letters x in place of the brackets:"),
        request: "GET /api/v1/orders/nobody-knows?[3000 × x]",
        answer: || Problem::uri_too_long(2_048),
    },
    Explanation {
        kind: Kind::AddressNotFound,
        what: "Nothing is served at this address of the API.",
        advice: "Look for a slip in the path, or for a version of the API that is not \
                 served here. /api/v1/openapi.json describes all addresses.",
        when: None,
        request: "GET /api/v0/orders",
        answer: || Problem::no_such_address(),
    },
    Explanation {
        kind: Kind::InternalError,
        what: "The service failed to make an answer. The log of the service has the cause.",
        advice: "Ask again once, after some seconds. If it lasts, tell the operator the \
                 time and the address of the request.",
        when: Some("Because of a fault of the service:"),
        request: "GET /api/v1/orders/b563feb7b2b84b6test",
        answer: || Problem::internal(),
    },
    Explanation {
        kind: Kind::NotRecorded,
        what: "Who asks for what is recorded here, and the record cannot be written now. Nothing \
               is shown that is not recorded.",
        advice: "Ask again after as many seconds as Retry-After says. If it lasts, tell the \
                 operator: the log of the service has the cause.",
        when: Some("Where audit.on_overflow is refuse, while the audit log cannot be written:"),
        request: "GET /api/v1/orders/b563feb7b2b84b6test",
        answer: || Problem::not_recorded(1),
    },
    Explanation {
        kind: Kind::TokenRequired,
        what: "Tokens are needed here, and the request has none. Nothing was looked up.",
        advice: "Send a token in the header field Authorization. Who runs the service gives tokens \
                 out, or says whose are accepted. A token in the address or the body does not count.",
        when: Some("Where access.mode is tokens or jwt:"),
        request: "GET /api/v1/orders/b563feb7b2b84b6test",
        answer: || Problem::token_required(),
    },
    Explanation {
        kind: Kind::InvalidToken,
        what: "The token of the request is not accepted: it has ended, or is of somebody else, or \
               for something else. Nothing was looked up.",
        advice: "Get a new token and send the request again. If a new one is not accepted either, \
                 ask the operator: the metric waybill_access_refusals_total tells the reason.",
        when: Some("Where access.mode is tokens or jwt:"),
        request: "GET /api/v1/orders/b563feb7b2b84b6test\nauthorization: Bearer nobodys-token",
        answer: || Problem::invalid_token(),
    },
    Explanation {
        kind: Kind::InsufficientScope,
        what: "The token of the request is good, but does not allow this. Nothing was looked up.",
        advice: "Get a token with a scope that the detail names; asking again with this one is of \
                 no use.",
        when: Some("With a token of the scope rejects:read alone:"),
        request: "GET /api/v1/orders/b563feb7b2b84b6test\nauthorization: Bearer token-for-rejects",
        answer: || Problem::insufficient_scope(&[Scope::OrdersRead, Scope::OrdersReadMasked]),
    },
    Explanation {
        kind: Kind::TokenUnverifiable,
        what: "Whether the token of the request is good is not known: the issuer of tokens does \
               not answer, and its keys are not known, or not new enough. Nothing was looked up.",
        advice: "Keep the token, and ask again after as many seconds as Retry-After says.",
        when: Some("Where access.mode is jwt, while the issuer is away:"),
        request: "GET /api/v1/orders/b563feb7b2b84b6test\nauthorization: Bearer eyJhbGciOiJFZERTQSJ9.e30.AA",
        answer: || Problem::token_unverifiable(5),
    },
    Explanation {
        kind: Kind::InvalidLimit,
        what: "The list cannot have as many rows as the request asks for.",
        advice: "Ask for as many as the detail allows, or leave limit out.",
        when: None,
        request: "GET /orders.json?limit=0",
        answer: || {
            Problem::invalid_limit(
                "`limit` is `0`; must be a whole number from 1 to 500, given once",
            )
        },
    },
    Explanation {
        kind: Kind::DatabaseUnavailable,
        what: "What was asked for is in Postgres, which did not tell. The detail says why. \
               Nothing is lost by this.",
        advice: "Ask again after as many seconds as Retry-After says; /readyz?verbose on \
                 the admin port tells what is away.",
        when: Some("While Postgres is away:"),
        request: "GET /orders.json",
        answer: || {
            Problem::database_unavailable(
                "postgres cannot do it now: pool timed out while waiting for an open connection",
                5,
            )
        },
    },
    Explanation {
        kind: Kind::InvalidLogFilter,
        what: "What was sent is not a filter of the log. The filter in force is not changed.",
        advice: "Correct what the detail names and send the filter again.",
        when: None,
        request: "PUT /log-filter\n\ninfo,waybill=loud",
        answer: || {
            Problem::bad_log_filter(
                "`waybill=loud` is not a directive; it must be a level (error, warn, info, debug, trace, \
             off), or one for a module such as `waybill::ingest=debug`",
            )
        },
    },
];
