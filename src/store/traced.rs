//! Spans of statements, by OpenTelemetry's semantic conventions for database clients.

use std::borrow::Cow;

use futures_util::future::Either;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanKind, SpanRef, Status, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};

use super::{Error, Store};
use crate::telemetry;

/// The tables of the migrations, which a summary may name as its second word.
const TABLES: [&str; 3] = ["orders", "rejected_messages", "erasures"];

impl Store {
    /// Runs `statement` in a span with the name `summary`: its operation and what that is done
    /// to, such as `SELECT orders`. Neither the text of the statement nor its values are told.
    pub(super) fn traced<T, E: Fault>(
        &self,
        summary: &'static str,
        statement: impl Future<Output = Result<T, E>>,
    ) -> impl Future<Output = Result<T, E>> {
        let Some(span) = telemetry::span(summary, SpanKind::Client) else {
            return Either::Left(statement);
        };
        self.describe(summary, &span.span());
        // Boxed: else every caller's future would have room for it twice.
        Either::Right(Box::pin(async move {
            let given_up = GivenUp(&span);
            let answer = statement.with_context(span.clone()).await;
            std::mem::forget(given_up);
            if let Err(error) = &answer {
                error.describe(&span.span());
            }
            answer
        }))
    }

    fn describe(&self, summary: &'static str, span: &SpanRef<'_>) {
        if !span.is_recording() {
            return;
        }
        let options = self.pool.connect_options();
        let database = options.get_database().unwrap_or(options.get_username()).to_owned();
        let (operation, target) = summary.split_once(' ').unwrap_or((summary, ""));
        span.set_attributes([
            KeyValue::new("db.system.name", "postgresql"),
            KeyValue::new("db.namespace", database),
            KeyValue::new("db.query.summary", summary),
            KeyValue::new("db.operation.name", operation),
            KeyValue::new("server.address", options.get_host().to_owned()),
            KeyValue::new("server.port", i64::from(options.get_port())),
        ]);
        if TABLES.contains(&target) {
            span.set_attribute(KeyValue::new("db.collection.name", target));
        }
    }
}

/// Says in the span of a statement, when dropped, that nobody waits for its answer any more.
struct GivenUp<'a>(&'a Context);

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        let span = self.0.span();
        span.set_attribute(KeyValue::new("error.type", "given_up"));
        span.set_status(Status::error(""));
    }
}

/// An error as a span tells it: by its kind, for the words of Postgres may quote a value.
pub(super) trait Fault {
    /// The SQLSTATE, if Postgres itself refused.
    fn sqlstate(&self) -> Option<Cow<'_, str>>;

    /// What it is if Postgres itself said nothing.
    fn kind(&self) -> &'static str;

    fn describe(&self, span: &SpanRef<'_>) {
        let error_type = match self.sqlstate() {
            Some(code) => {
                span.set_attribute(KeyValue::new("db.response.status_code", code.to_string()));
                code.into_owned().into()
            }
            None => Cow::Borrowed(self.kind()),
        };
        span.set_attribute(KeyValue::new("error.type", error_type));
        span.set_status(Status::error(""));
    }
}

impl Fault for sqlx::Error {
    fn sqlstate(&self) -> Option<Cow<'_, str>> {
        self.as_database_error()?.code()
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Io(_) => "io",
            Self::Tls(_) => "tls",
            Self::PoolTimedOut => "pool_timed_out",
            Self::PoolClosed => "pool_closed",
            _ => "_OTHER",
        }
    }
}

impl Fault for Error {
    fn sqlstate(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Retry(error) | Self::RetrySlowly(error) | Self::Refuse(error) => error.sqlstate(),
            _ => None,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Retry(error) | Self::RetrySlowly(error) | Self::Refuse(error) => error.kind(),
            other => other.class().as_str(),
        }
    }
}
