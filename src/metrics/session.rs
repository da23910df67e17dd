//! A session with a broker, read off its own counters.

use prometheus::{IntCounter, IntGaugeVec};

use super::{Maker, MeasuredGauge};
use crate::session::{Monitor, SessionState};

const STATES: [&str; 5] = ["connecting", "live", "lost", "retrying", "closed"];

/// A session with a broker.
#[derive(Debug)]
pub struct SessionMetrics {
    /// Absent where there is none to lose: without ingest, where its broker is not read, and until
    /// the cache is warm.
    connected: MeasuredGauge,
    state: IntGaugeVec,
    rebuilds: IntCounter,
    reconnects: IntCounter,
    suppressed: IntCounter,
}

impl SessionMetrics {
    /// That with NATS Streaming.
    pub(super) fn of_stan(maker: &Maker) -> Self {
        Self::new(maker, "stan")
    }

    /// That with JetStream.
    pub(super) fn of_jetstream(maker: &Maker) -> Self {
        Self::new(maker, "jetstream")
    }

    fn new(maker: &Maker, broker: &str) -> Self {
        let name = |rest: &str| format!("{broker}_{rest}");
        let state = maker.gauges(
            &name("session_state"),
            "1 for the state that the session is in, 0 for the others",
            &["state"],
        );
        for name in STATES {
            state.with_label_values(&[name]);
        }
        Self {
            state,
            connected: maker.measured(&name("connected"), "1 while the session is live"),
            rebuilds: maker.counter(&name("session_rebuilds_total"), "Sessions built anew"),
            reconnects: maker.counter(&name("reconnects_total"), "Times the link came back"),
            suppressed: maker.counter(
                &name("duplicates_suppressed_total"),
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
        let stats = session.stats();
        self.set_state(&session.state());
        for (counter, total) in [
            (&self.rebuilds, stats.rebuilds),
            (&self.reconnects, stats.reconnects),
            (&self.suppressed, stats.duplicates_suppressed),
        ] {
            // The session's own counters are the truth; two scrapes at once may only be late.
            counter.inc_by(total.saturating_sub(counter.get()));
        }
    }
}
