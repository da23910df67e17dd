//! Holds every acknowledgement until Postgres has confirmed that its message was settled before.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sqlx::postgres::PgPool;
use testbed::Held;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::ledger::Ledger;
use crate::origin::{Origin, Place};

/// Acknowledgements checked with one query.
const AT_ONCE: usize = 500;

/// Time between two attempts while Postgres or the observer is away.
const RETRY: Duration = Duration::from_millis(50);

/// The messages that have neither their order nor their reject, and whose order was not erased.
const UNSETTLED: &str = "select m.sequence \
    from unnest($1::text[], $2::bigint[], $3::bytea[], $4::text[]) \
        as m(channel, sequence, digest, uid) \
    where not exists (select from orders o \
        where o.order_uid = m.uid and sha256(o.document) = m.digest) \
    and not exists (select from rejected_messages r \
        where r.channel = m.channel and r.sequence = m.sequence and r.sha256 = m.digest) \
    and not exists (select from erasures e \
        where e.uid_sha256 = sha256(convert_to(m.uid, 'UTF8')))";

/// Looks at the acknowledgements of one replica.
pub(crate) struct AckOracle {
    pub(crate) replica: Arc<crate::replica::Replica>,
    /// Where they go.
    pub(crate) origin: Origin,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) postgres: PgPool,
}

/// An acknowledgement that is looked at.
struct Acked {
    place: Place,
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

    /// Waits until the observer has seen the message too: it may be a moment behind. One that the
    /// server lost with its power may never be seen, nor can it learn of the acknowledgement.
    async fn know(&self, held: Held, at: Instant) -> Option<Acked> {
        let place = (self.origin, self.origin.acked(&held.subject, &held.payload)?);
        loop {
            if held.is_void() && *self.ledger.life(self.origin).borrow() > 0 {
                return None;
            }
            if let Some((digest, uid)) = self.ledger.message(place) {
                return Some(Acked { place, digest, uid, at, held });
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
        for Acked { place, digest, uid, at, held } in acks {
            let settled = !unsettled.contains(&place);
            if !settled && !self.ledger.history().failover_window {
                let what = format!("{name} acknowledged message {place:?}, which is nowhere");
                self.ledger.violation("acked before commit", what);
            }
            self.ledger.acked(place, digest, uid.filter(|_| settled), at);
            let vanishes = self.replica.acks_vanish(self.origin).load(Ordering::SeqCst);
            let tally = &mut self.ledger.history().tally;
            tally.acks_seen += 1;
            tally.acks_swallowed += u64::from(vanishes);
            if vanishes { held.swallow() } else { held.pass() }
        }
    }

    async fn unsettled(&self, acks: &[Acked]) -> sqlx::Result<Vec<Place>> {
        let channels = vec![self.origin.reject_channel(); acks.len()];
        let sequences: Vec<i64> = acks.iter().map(|ack| ack.place.1.cast_signed()).collect();
        let digests: Vec<&[u8]> = acks.iter().map(|ack| &ack.digest[..]).collect();
        let uids: Vec<Option<&str>> = acks.iter().map(|ack| ack.uid.as_deref()).collect();
        let question = sqlx::query_scalar(UNSETTLED).bind(channels).bind(sequences);
        let unsettled: Vec<i64> =
            question.bind(digests).bind(uids).fetch_all(&self.postgres).await?;
        Ok(unsettled.into_iter().map(|sequence| (self.origin, sequence.cast_unsigned())).collect())
    }
}
