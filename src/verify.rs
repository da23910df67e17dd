//! Holds what `waybill publish` had confirmed against what replicas serve and Postgres keeps.

mod ask;
mod receipt;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};
use http::HeaderValue;

use crate::digest::Sha256Digest;
use crate::store::Store;
use crate::tls::ClientTls;
pub use ask::Replica;
use ask::{Client, Served};
pub use receipt::Receipt;

/// Orders asked for at the same time, each of every replica.
const CONCURRENCY: usize = 16;

/// Rejects asked for with one question.
const REJECTS_AT_ONCE: usize = 10_000;

/// Something confirmed that is not where it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong, in a word of the report.
    pub kind: FaultKind,
    /// Which order or message, at which replica, and how it differs.
    pub text: String,
}

/// The kinds of faults, in the order in which the report counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// Other bytes are served than were published, or bytes that had to be refused.
    Wrong,
    /// A replica says that there is no such order.
    Missing,
    /// A refused message is not kept as a reject.
    AbsentReject,
    /// A replica gave no answer that tells.
    Unanswered,
}

impl fmt::Display for FaultKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Wrong => "wrong",
            Self::Missing => "missing",
            Self::AbsentReject => "absent reject",
            Self::Unanswered => "unanswered",
        })
    }
}

/// What to check, and where.
pub struct Verify {
    /// The messages that the broker confirmed, and what must have become of each.
    pub receipt: Receipt,
    /// Each must serve every order.
    pub replicas: Vec<Replica>,
    /// The Postgres that is asked for rejects.
    pub store: Store,
    /// How replicas are asked over TLS.
    pub tls: ClientTls,
    /// How long a replica may answer 503 with `Retry-After`.
    pub patience: Duration,
    /// Sent to the replicas as `Authorization`, where they need a token.
    pub authorization: Option<HeaderValue>,
}

impl Verify {
    /// Checks everything. Tells `fault` each fault, and `progress` after each order.
    ///
    /// # Errors
    /// Postgres, which keeps the rejects, could not be asked.
    pub async fn run(
        &self,
        mut fault: impl FnMut(Fault),
        mut progress: impl FnMut(),
    ) -> anyhow::Result<()> {
        let mut rejects: BTreeSet<Sha256Digest> = self.receipt.refused.keys().copied().collect();
        let client = Client::new(&self.tls, self.patience, self.authorization.clone());
        let mut answers = stream::iter(self.receipt.orders.iter())
            .map(|(uid, _)| self.ask_all(&client, uid))
            .buffered(CONCURRENCY);
        while let Some((uid, served)) = answers.next().await {
            self.judge(uid, &served, &mut rejects, &mut fault);
            progress();
        }
        let rejects: Vec<_> = rejects.into_iter().collect();
        for some in rejects.chunks(REJECTS_AT_ONCE) {
            let kept =
                self.store.rejected_among(some).await.context("the rejects are not known")?;
            for sha256 in some.iter().filter(|sha256| !kept.contains(sha256)) {
                let why = self.receipt.refused.get(sha256).map_or_else(
                    || "another order won its uid".to_owned(),
                    |reason| format!("refused as {reason}"),
                );
                let text = format!("sha256 {sha256}: {why}, and no reject is kept");
                fault(Fault { kind: FaultKind::AbsentReject, text });
            }
        }
        Ok(())
    }

    async fn ask_all<'a>(&self, client: &Client, uid: &'a str) -> (&'a str, Vec<Served>) {
        let questions = self.replicas.iter().map(|replica| client.order(replica, uid));
        (uid, join_all(questions).await)
    }

    /// Of several orders published under one uid any may have won, but on every replica the
    /// same, and the others must be kept as rejects.
    fn judge(
        &self,
        uid: &str,
        served: &[Served],
        rejects: &mut BTreeSet<Sha256Digest>,
        fault: &mut impl FnMut(Fault),
    ) {
        let published = &self.receipt.orders[uid];
        let mut winner = None;
        let is_erased = served.contains(&Served::Erased);
        for (replica, served) in self.replicas.iter().zip(served) {
            let mut tell = |kind, what: &str| {
                fault(Fault { kind, text: format!("order {uid} at {replica}: {what}") });
            };
            match served {
                Served::Unanswered(why) => tell(FaultKind::Unanswered, why),
                Served::Erased => {}
                // Nothing that may be served was published under this uid.
                Served::Absent if published.is_empty() => {}
                Served::Absent => tell(FaultKind::Missing, "no such order"),
                Served::Bytes(_) if is_erased => {
                    tell(
                        FaultKind::Wrong,
                        "served, though another replica says that it was erased",
                    );
                }
                Served::Bytes(sha256) if published.contains(sha256) => {
                    if *winner.get_or_insert(*sha256) != *sha256 {
                        tell(FaultKind::Wrong, "another order than at the replicas before it");
                    }
                }
                Served::Bytes(sha256) => match self.receipt.refused.get(sha256) {
                    Some(reason) => {
                        tell(FaultKind::Wrong, &format!("served, though refused as {reason}"));
                    }
                    None if published.is_empty() => {}
                    None => {
                        let other = format!("bytes never published, sha256 {sha256}");
                        tell(FaultKind::Wrong, &other);
                    }
                },
            }
        }
        if let Some(winner) = winner {
            rejects.extend(published.iter().filter(|sha256| **sha256 != winner));
        }
    }
}
