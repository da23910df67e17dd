//! Holds every acknowledgement until Postgres has confirmed that its message was settled before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::PgPool;
use testbed::Held;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::ledger::Ledger;
use crate::world::CHANNEL;

/// Acknowledgements checked with one query.
const AT_ONCE: usize = 500;

/// Time between two attempts while Postgres or the observer is away.
const RETRY: Duration = Duration::from_millis(50);

/// The messages that have neither their order nor their reject, and whose order was not erased.
const UNSETTLED: &str = "select m.sequence \
    from unnest($1::bigint[], $2::bytea[], $3::text[]) as m(sequence, digest, uid) \
    where not exists (select from orders o \
        where o.order_uid = m.uid and sha256(o.document) = m.digest) \
    and not exists (select from rejected_messages r \
        where r.channel = $4 and r.sequence = m.sequence and r.sha256 = m.digest) \
    and not exists (select from erasures e \
        where e.uid_sha256 = sha256(convert_to(m.uid, 'UTF8')))";

/// The sequence that a payload acknowledges, if it is an acknowledgement for our channel: in
/// protobuf, field 1 is the channel and field 2 the sequence.
pub(crate) fn acked_sequence(payload: &[u8]) -> Option<u64> {
    let rest = payload.strip_prefix(&[0x0a, u8::try_from(CHANNEL.len()).ok()?])?;
    let rest = rest.strip_prefix(CHANNEL.as_bytes())?.strip_prefix(&[0x10])?;
    let digits = rest.iter().rev().map(|byte| u64::from(byte & 0x7f));
    digits.reduce(|number, digit| number << 7 | digit)
}

/// Looks at the acknowledgements of one replica.
pub(crate) struct AckOracle {
    pub(crate) replica: Arc<crate::replica::Replica>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) postgres: PgPool,
}

/// An acknowledgement that is looked at.
struct Acked {
    sequence: u64,
    digest: [u8; 32],
    uid: Option<String>,
    at: Instant,
    held: Held,
}

impl AckOracle {
    /// Until the link is gone.
    pub(crate) async fn run(self, mut acks: mpsc::UnboundedReceiver<Held>) {
        let mut batch = Vec::new();
        while acks.recv_many(&mut batch, AT_ONCE).await > 0 {
            let at = Instant::now();
            let mut known = Vec::with_capacity(batch.len());
            for held in batch.drain(..) {
                known.push(self.know(held, at).await);
            }
            self.check(known.into_iter().flatten().collect()).await;
        }
    }

    /// Waits until the observer has seen the message too: it may be a moment behind.
    async fn know(&self, held: Held, at: Instant) -> Option<Acked> {
        let sequence = acked_sequence(&held.payload)?;
        loop {
            if let Some((digest, uid)) = self.ledger.message(sequence) {
                return Some(Acked { sequence, digest, uid, at, held });
            }
            sleep(RETRY / 10).await;
        }
    }

    async fn check(&self, acks: Vec<Acked>) {
        let unsettled = loop {
            match self.unsettled(&acks).await {
                Ok(unsettled) => break unsettled,
                // What was committed is still there when Postgres is back.
                Err(_) => sleep(RETRY).await,
            }
        };
        let name = &self.replica.name;
        for Acked { sequence, uid, at, held, .. } in acks {
            let settled = !unsettled.contains(&sequence.cast_signed());
            if !settled && !self.ledger.history().failover_window {
                let what = format!("{name} acknowledged message {sequence}, which is nowhere");
                self.ledger.violation("acked before commit", what);
            }
            self.ledger.acked(sequence, uid.filter(|_| settled), at);
            let vanishes = self.replica.drops_acks();
            let tally = &mut self.ledger.history().tally;
            tally.acks_seen += 1;
            tally.acks_swallowed += u64::from(vanishes);
            if vanishes { held.swallow() } else { held.pass() }
        }
    }

    async fn unsettled(&self, acks: &[Acked]) -> sqlx::Result<Vec<i64>> {
        let sequences: Vec<i64> = acks.iter().map(|ack| ack.sequence.cast_signed()).collect();
        let digests: Vec<&[u8]> = acks.iter().map(|ack| &ack.digest[..]).collect();
        let uids: Vec<Option<&str>> = acks.iter().map(|ack| ack.uid.as_deref()).collect();
        let question = sqlx::query_scalar(UNSETTLED).bind(sequences).bind(digests).bind(uids);
        question.bind(CHANNEL).fetch_all(&self.postgres).await
    }
}
