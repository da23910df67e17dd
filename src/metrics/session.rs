//! The session with the broker, read off its own counters.

use prometheus::{IntCounter, IntGauge, IntGaugeVec};
use stan::{Monitor, SessionState};

use super::{Maker, MeasuredGauge};

const STATES: [&str; 5] = ["connecting", "live", "lost", "retrying", "closed"];

/// The session with the broker.
#[derive(Debug)]
pub struct SessionMetrics {
    /// Absent where there is none to lose: without ingest, and until the cache is warm.
    connected: MeasuredGauge,
    state: IntGaugeVec,
    queue_messages: IntGauge,
    queue_bytes: IntGauge,
    in_hand: IntGauge,
    shed: IntCounter,
    rebuilds: IntCounter,
    reconnects: IntCounter,
    suppressed: IntCounter,
}

impl SessionMetrics {
    pub(super) fn new(maker: &Maker) -> Self {
        let state = maker.gauges(
            "stan_session_state",
            "1 for the state that the session is in, 0 for the others",
            &["state"],
        );
        for name in STATES {
            state.with_label_values(&[name]);
        }
        Self {
            state,
            connected: maker.measured("stan_connected", "1 while the session is live"),
            queue_messages: maker.gauge("ingest_queue_messages", "Messages waiting for a writer"),
            queue_bytes: maker.gauge("ingest_queue_bytes", "Payload waiting for a writer"),
            in_hand: maker.gauge("ingest_in_hand_messages", "Messages not acknowledged yet"),
            shed: maker.counter(
                "ingest_shed_total",
                "Messages dropped unacknowledged over ingest.queue_max_bytes; they come again",
            ),
            rebuilds: maker.counter("stan_session_rebuilds_total", "Sessions built anew"),
            reconnects: maker.counter("stan_reconnects_total", "Times the link came back"),
            suppressed: maker.counter(
                "stan_duplicates_suppressed_total",
                "Redeliveries of messages that were still in hand",
            ),
        }
    }

    /// Notes the state that the session is in.
    pub fn set_state(&self, state: &SessionState) {
        let current = match state {
            SessionState::Connecting => "connecting",
            SessionState::Live => "live",
            SessionState::Lost(_) => "lost",
            SessionState::Retrying(_) => "retrying",
            SessionState::Closed => "closed",
        };
        self.connected.set(Some((current == "live").into()));
        for name in STATES {
            self.state.with_label_values(&[name]).set((name == current).into());
        }
    }

    pub(super) fn refresh(&self, session: &Monitor) {
        let (stats, depth) = (session.stats(), session.depth());
        let whole = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.set_state(&session.state().borrow());
        self.queue_messages.set(whole(depth.messages));
        self.queue_bytes.set(whole(depth.bytes));
        self.in_hand.set(whole(depth.in_hand));
        for (counter, total) in [
            (&self.shed, stats.shed),
            (&self.rebuilds, stats.session_rebuilds),
            (&self.reconnects, stats.reconnects),
            (&self.suppressed, stats.duplicates_suppressed),
        ] {
            // The session's own counters are the truth; two scrapes at once may only be late.
            counter.inc_by(total.saturating_sub(counter.get()));
        }
    }
}
