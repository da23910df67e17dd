//! Starting spans, by the API of OpenTelemetry.
//!
//! Not by spans of `tracing`, which a bridge would have to translate: those are made, with all
//! their fields, before anybody asks whether the trace is sampled, and whether they are made at
//! all would hang on the log's filter.
//!
//! A span ends when the last context that holds it is dropped. Without a collector there are
//! none: all that happens is one look at [`TRACING`].

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use futures_util::future::Either;
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanKind, TraceContextExt as _, Tracer as _};
use opentelemetry_sdk::trace::{SdkTracer, Span};

use super::backlog::Backlog;
use super::traces::Traces;

/// Set once, when the process begins, if a collector is set; as logging, it is the process's.
static TRACING: OnceLock<Tracing> = OnceLock::new();

#[derive(Debug)]
struct Tracing {
    tracer: SdkTracer,
    backlog: Arc<Backlog>,
}

/// Makes spans from now on.
pub(super) fn start_tracing(traces: &Traces) {
    // It is set once: to start logging a second time is an error, and comes first.
    let _ = TRACING.set(Tracing { tracer: traces.tracer(), backlog: traces.backlog() });
}

/// Whether a collector is set.
pub(crate) fn is_tracing() -> bool {
    TRACING.get().is_some()
}

/// Spans that did not reach the collector since the process began; 0 without one.
#[must_use]
pub fn dropped_spans() -> u64 {
    TRACING.get().map_or(0, |tracing| tracing.backlog.dropped())
}

/// A span within the current one, or of a new trace if there is none. None without a collector
/// and where the current span is not sampled.
///
/// That of a new trace may turn out not to be sampled; it must be made the current one all the
/// same, with [`within`], so that those below it are not either.
pub(crate) fn span(name: impl Into<Cow<'static, str>>, kind: SpanKind) -> Option<Context> {
    if !is_tracing() {
        return None;
    }
    let parent = Context::current();
    if parent.has_active_span() && !parent.span().span_context().is_sampled() {
        return None;
    }
    span_below(&parent, name, kind).map(|span| parent.with_span(span))
}

/// A span below that of `parent`, sampled or not. None without a collector.
pub(crate) fn span_below(
    parent: &Context,
    name: impl Into<Cow<'static, str>>,
    kind: SpanKind,
) -> Option<Span> {
    let Tracing { tracer, .. } = TRACING.get()?;
    Some(tracer.span_builder(name).with_kind(kind).start_with_context(tracer, parent))
}

/// Runs `future` with `span` as the current one, if there is one.
pub(crate) fn within<F: Future>(
    span: Option<Context>,
    future: F,
) -> impl Future<Output = F::Output> {
    match span {
        Some(span) => Either::Left(future.with_context(span)),
        None => Either::Right(future),
    }
}
