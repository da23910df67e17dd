//! The trace of a batch, by OpenTelemetry's semantic conventions for messaging.
//!
//! A batch is the root of a trace: its messages come from as many publishers, and a frame of NATS
//! Streaming has no place where one could tell its context. So a message is a link, with a context
//! made of its channel and sequence, which is the same wherever and however often it is delivered.

use std::sync::Arc;

use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Context, KeyValue};
use stan::Message;

use crate::digest::Sha256Digest;
use crate::telemetry;

/// Links of one span, which is what the SDK keeps: a batch may have ten thousand messages.
const MOST_LINKS: usize = 128;

/// What became of messages, each noted once.
pub(super) const STORED: &str = "waybill.batch.stored";
pub(super) const DUPLICATE: &str = "waybill.batch.duplicate";
pub(super) const REJECTED: &str = "waybill.batch.rejected";
pub(super) const ERASED: &str = "waybill.batch.erased";
pub(super) const KEPT: &str = "waybill.batch.kept";

/// The root span of a batch. None without a collector.
pub(super) fn batch(channel: &Arc<str>, messages: &[Message]) -> Option<Context> {
    if !telemetry::is_tracing() {
        return None;
    }
    let root = telemetry::span(format!("process {channel}"), SpanKind::Consumer)?;
    let span = root.span();
    if span.is_recording() {
        let sequences = || messages.iter().map(|message| message.sequence);
        let redelivered = messages.iter().filter(|message| message.redelivered).count();
        span.set_attributes(operation(channel, "process", "process", messages.len()));
        span.set_attributes([
            KeyValue::new("waybill.batch.first_sequence", number(sequences().min())),
            KeyValue::new("waybill.batch.last_sequence", number(sequences().max())),
            KeyValue::new("waybill.batch.redelivered", count(redelivered)),
        ]);
        let digest = Sha256Digest::of(channel.as_bytes());
        for sequence in sequences().take(MOST_LINKS) {
            let id = KeyValue::new("messaging.message.id", sequence.to_string());
            span.add_link(context_of(&digest, sequence), vec![id]);
        }
    }
    Some(root)
}

/// A span of something that is done with the current batch.
pub(super) fn step(name: &'static str) -> Option<Context> {
    telemetry::span(name, SpanKind::Internal)
}

/// The span of acknowledging messages of the current batch.
pub(super) fn acknowledge(channel: &Arc<str>, messages: usize) -> Option<Context> {
    if !telemetry::is_tracing() {
        return None;
    }
    let context = telemetry::span(format!("ack {channel}"), SpanKind::Client)?;
    context.span().set_attributes(operation(channel, "ack", "settle", messages));
    Some(context)
}

/// Notes in the root span that this became of so many messages of the current batch.
pub(super) fn note(key: &'static str, messages: usize) {
    Context::map_current(|cx| cx.span().set_attribute(KeyValue::new(key, count(messages))));
}

fn operation(
    channel: &Arc<str>,
    name: &'static str,
    kind: &'static str,
    messages: usize,
) -> [KeyValue; 5] {
    [
        KeyValue::new("messaging.system", "nats_streaming"),
        KeyValue::new("messaging.operation.name", name),
        KeyValue::new("messaging.operation.type", kind),
        KeyValue::new("messaging.destination.name", Arc::clone(channel)),
        KeyValue::new("messaging.batch.message_count", count(messages)),
    ]
}

/// What stands for a message in a link. Its trace id is the first 8 bytes of the SHA-256 of the
/// channel's name, then the sequence in 8 bytes, the highest first; its span id is the sequence.
/// Nobody sends such a span, so it is not sampled.
fn context_of(channel: &Sha256Digest, sequence: u64) -> SpanContext {
    let mut trace_id = [0; 16];
    trace_id[..8].copy_from_slice(&channel.as_bytes()[..8]);
    trace_id[8..].copy_from_slice(&sequence.to_be_bytes());
    let (trace_id, span_id) = (TraceId::from_bytes(trace_id), SpanId::from(sequence));
    SpanContext::new(trace_id, span_id, TraceFlags::default(), true, TraceState::default())
}

fn number(sequence: Option<u64>) -> i64 {
    count(sequence.unwrap_or(0))
}

fn count(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_one_context_whoever_makes_it() {
        let context = context_of(&Sha256Digest::of(b"orders"), 258);
        // printf orders | sha256sum | head -c 16
        assert_eq!(context.trace_id().to_string(), "1c168adb00d208e40000000000000102");
        assert_eq!(context.span_id().to_string(), "0000000000000102");
        assert!(context.is_valid() && !context.is_sampled());
    }
}
