//! Log lines with the ids of the span they were written in.

use std::fmt;

use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

/// Adds `trace_id` and `span_id` to a line that is written within a sampled span, and nothing
/// to any other. The ids have the form of W3C Trace Context: 32 and 16 hexadecimal digits.
pub(super) struct WithTraceIds<F> {
    format: F,
    is_json: bool,
}

impl<F> WithTraceIds<F> {
    /// Around a format that writes a JSON object a line.
    pub(super) fn json(format: F) -> Self {
        Self { format, is_json: true }
    }

    /// Around a format that writes text for people.
    pub(super) fn text(format: F) -> Self {
        Self { format, is_json: false }
    }
}

impl<S, N, F> FormatEvent<S, N> for WithTraceIds<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(span) = sampled_span() else {
            return self.format.format_event(ctx, writer, event);
        };
        let mut line = String::new();
        self.format.format_event(ctx, Writer::new(&mut line), event)?;
        let (trace_id, span_id) = (span.trace_id(), span.span_id());
        let line = line.trim_end_matches('\n');
        match line.strip_suffix('}') {
            Some(object) if self.is_json => {
                writeln!(writer, r#"{object},"trace_id":"{trace_id}","span_id":"{span_id}"}}"#)
            }
            _ => writeln!(writer, "{line} trace_id={trace_id} span_id={span_id}"),
        }
    }
}

fn sampled_span() -> Option<SpanContext> {
    opentelemetry::Context::map_current(|cx| {
        let span = cx.span();
        let ids = span.span_context();
        (ids.is_valid() && ids.is_sampled()).then(|| ids.clone())
    })
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use opentelemetry::Context;
    use opentelemetry::trace::{SpanId, TraceFlags, TraceId, TraceState};
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::{Layer, Registry, fmt as log};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        /// What is written by one event within a span of these flags, and one outside.
        fn of(
            layer: impl Layer<Registry> + Send + Sync,
            flags: TraceFlags,
            lines: &Self,
        ) -> String {
            let (trace, span) = (TraceId::from(7), SpanId::from(9));
            let ids = SpanContext::new(trace, span, flags, false, TraceState::default());
            tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
                let within = Context::new().with_remote_span_context(ids).attach();
                tracing::warn!(rows = 3, "Slow");
                drop(within);
                tracing::warn!("Slow again");
            });
            String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn json(flags: TraceFlags) -> Vec<serde_json::Value> {
        let lines = Lines::default();
        let writer = {
            let lines = lines.clone();
            move || lines.clone()
        };
        let layer = log::layer().json().flatten_event(true).with_writer(writer);
        let text = Lines::of(layer.map_event_format(WithTraceIds::json), flags, &lines);
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_json_line_within_a_sampled_span_carries_its_ids() {
        let lines = json(TraceFlags::SAMPLED);
        assert_eq!(lines[0]["trace_id"], "00000000000000000000000000000007");
        assert_eq!(lines[0]["span_id"], "0000000000000009");
        assert_eq!((&lines[0]["message"], &lines[0]["rows"]), (&"Slow".into(), &3.into()));
        assert!(lines[1].get("trace_id").is_none(), "{lines:?}");
    }

    #[test]
    fn a_line_within_a_span_that_is_not_sampled_carries_none() {
        let lines = json(TraceFlags::default());
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| line.get("trace_id").is_none()), "{lines:?}");
    }

    #[test]
    fn a_line_for_people_ends_with_the_ids() {
        let lines = Lines::default();
        let writer = {
            let lines = lines.clone();
            move || lines.clone()
        };
        let layer = log::layer().with_ansi(false).with_writer(writer);
        let layer = layer.map_event_format(WithTraceIds::text);
        let text = Lines::of(layer, TraceFlags::SAMPLED, &lines);
        let ids = "trace_id=00000000000000000000000000000007 span_id=0000000000000009\n";
        assert!(text.contains(&format!("Slow rows=3 {ids}")), "{text}");
        assert!(text.ends_with("Slow again\n"), "{text}");
    }
}
