//! Asks for the token of a request before anything else, so that a refusal tells nothing, not by
//! its time either, of what was asked for.

use std::sync::Arc;

use http::header::VARY;
use http::{HeaderMap, HeaderValue};

use super::problem::Problem;
use crate::access::{Access, Denial, Scope, Subject};
use crate::metrics::Metrics;

/// When to ask again where a token could not be verified, in seconds.
pub(super) const RETRY_AFTER: u32 = 5;

/// What lets orders be read, whole or masked.
pub(super) const ORDERS: &[Scope] = &[Scope::OrdersRead, Scope::OrdersReadMasked];

/// Asks for tokens where they are needed.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    access: Access,
    metrics: Metrics,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It has no token.
    Missing,
    /// Its token does not count.
    Invalid,
    /// Whether its token counts cannot be told now.
    Unverifiable,
    /// Its token allows none of these.
    Insufficient(&'static [Scope]),
}

impl Guard {
    pub(super) fn new(access: Access, metrics: Metrics) -> Self {
        Self { access, metrics }
    }

    pub(super) fn protects_metrics(&self) -> bool {
        self.access.protects_metrics()
    }

    /// Who sent a request with these headers, if one of the `needed` scopes is allowed.
    pub(super) async fn admit(
        &self,
        headers: &HeaderMap,
        needed: &'static [Scope],
    ) -> Result<Arc<Subject>, Refusal> {
        let (refusal, reason) = match self.access.subject(headers).await {
            Ok(subject) if subject.has_any(needed) => return Ok(subject),
            Ok(_) => (Refusal::Insufficient(needed), "insufficient_scope"),
            Err(Denial::Missing) => (Refusal::Missing, "missing"),
            Err(Denial::Invalid(fault)) => (Refusal::Invalid, fault.as_str()),
            Err(Denial::Unverifiable) => (Refusal::Unverifiable, "unverifiable"),
        };
        self.metrics.access.refused(reason);
        tracing::debug!(reason, "A request was refused because of its token");
        Err(refusal)
    }
}

impl Refusal {
    /// What a program is told. What exactly is wrong with a token, the metrics tell the operator,
    /// and nobody else.
    pub(super) fn problem(self) -> Problem {
        match self {
            Self::Missing => Problem::token_required(),
            Self::Invalid => Problem::invalid_token(),
            Self::Unverifiable => Problem::token_unverifiable(RETRY_AFTER),
            Self::Insufficient(needed) => Problem::insufficient_scope(needed),
        }
    }
}

/// Notes that the answer is another one for another token.
pub(super) fn vary(headers: &mut HeaderMap) {
    headers.append(VARY, HeaderValue::from_static("authorization"));
}
