//! The types of problems: a closed list, each with an address that leads to its explanation.

use http::StatusCode;

/// A type of problem, as the `type` of an answer names it. Names, titles and statuses are part of
/// the API: new ones may come, none changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Kind {
    /// No order has this id.
    OrderNotFound,
    /// The order with this id was erased.
    OrderErased,
    /// Whether an order has this id cannot be told.
    LookupUnavailable,
    /// What stands in place of an id cannot be one.
    InvalidOrderId,
    /// The body is not a list of ids.
    InvalidRequestBody,
    /// The body is longer than is read.
    RequestBodyTooLarge,
    /// The body did not arrive in time.
    RequestBodyTimeout,
    /// The address does not take this method.
    MethodNotAllowed,
    /// The request target is longer than is read.
    UriTooLong,
    /// Nothing is served at this address.
    AddressNotFound,
    /// A fault of the service.
    InternalError,
    /// The request cannot be recorded in the audit log.
    NotRecorded,
    /// The request has no token, but needs one.
    TokenRequired,
    /// The token of the request does not count.
    InvalidToken,
    /// The token of the request does not allow this.
    InsufficientScope,
    /// Whether the token of the request counts cannot be told now.
    TokenUnverifiable,
    /// Admin port: what was sent is no filter of the log.
    InvalidLogFilter,
    /// Admin port: a list cannot have so many rows.
    InvalidLimit,
    /// Admin port: Postgres does not tell what was asked.
    DatabaseUnavailable,
}

impl Kind {
    /// The status of every answer of this type.
    pub(in crate::http) fn status(self) -> StatusCode {
        self.facts().0
    }

    /// The last part of its address.
    pub(in crate::http) fn name(self) -> &'static str {
        self.facts().1
    }

    /// What it is in a few words, the same in every answer of this type.
    pub(in crate::http) fn title(self) -> &'static str {
        self.facts().2
    }

    fn facts(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Self::OrderNotFound => (S::NOT_FOUND, "order-not-found", "Order not found"),
            Self::OrderErased => (S::GONE, "order-erased", "Order erased"),
            Self::LookupUnavailable => {
                (S::SERVICE_UNAVAILABLE, "lookup-unavailable", "Lookup unavailable")
            }
            Self::InvalidOrderId => (S::BAD_REQUEST, "invalid-order-id", "Invalid order id"),
            Self::InvalidRequestBody => {
                (S::BAD_REQUEST, "invalid-request-body", "Invalid request body")
            }
            Self::RequestBodyTooLarge => {
                (S::PAYLOAD_TOO_LARGE, "request-body-too-large", "Request body too large")
            }
            Self::RequestBodyTimeout => {
                (S::REQUEST_TIMEOUT, "request-body-timeout", "Request body timed out")
            }
            Self::MethodNotAllowed => {
                (S::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed")
            }
            Self::UriTooLong => (S::URI_TOO_LONG, "uri-too-long", "Request target too long"),
            Self::AddressNotFound => (S::NOT_FOUND, "address-not-found", "Address not found"),
            Self::InternalError => (S::INTERNAL_SERVER_ERROR, "internal-error", "Internal error"),
            Self::NotRecorded => (S::SERVICE_UNAVAILABLE, "not-recorded", "Not recorded"),
            Self::TokenRequired => (S::UNAUTHORIZED, "token-required", "Token required"),
            Self::InvalidToken => (S::UNAUTHORIZED, "invalid-token", "Invalid token"),
            Self::InsufficientScope => (S::FORBIDDEN, "insufficient-scope", "Insufficient scope"),
            Self::TokenUnverifiable => {
                (S::SERVICE_UNAVAILABLE, "token-unverifiable", "Token cannot be verified")
            }
            Self::InvalidLogFilter => (S::BAD_REQUEST, "invalid-log-filter", "Invalid log filter"),
            Self::InvalidLimit => (S::BAD_REQUEST, "invalid-limit", "Invalid limit"),
            Self::DatabaseUnavailable => {
                (S::SERVICE_UNAVAILABLE, "database-unavailable", "Database unavailable")
            }
        }
    }

    /// Whether the admin port alone sends it.
    pub(in crate::http) fn is_admin(self) -> bool {
        matches!(self, Self::InvalidLogFilter | Self::InvalidLimit | Self::DatabaseUnavailable)
    }
}
