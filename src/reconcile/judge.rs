//! Compares messages with what Postgres keeps of them, and puts back what is missing.

use std::collections::HashMap;
use std::time::Duration;

use super::Observer;
use super::finding::{Finding, Kind, Repair};
use super::reader::Read;
use super::retry::retry;
use crate::digest::Sha256Digest;
use crate::ingest::{self, Applied, Batch, Candidate as _};
use crate::source::Source;
use crate::store::{Claim, NewReject, Standing, Store};
use anyhow::ensure;
use order::Order;

pub(super) struct Judge<'a> {
    pub(super) store: &'a Store,
    pub(super) source: &'a Source,
    /// How long Postgres may be away.
    pub(super) patience: Duration,
}

impl Judge<'_> {
    /// What of the batch is missing or differing, in the order of the sequences, and how many of
    /// its messages were erased. An error means that Postgres could not be asked, so nothing is
    /// known.
    pub(super) async fn look_at(
        &self,
        batch: &Batch<Read>,
        observer: &mut dyn Observer,
    ) -> anyhow::Result<(Vec<Finding>, u64)> {
        let orders =
            batch.orders.iter().map(|(message, order)| (message, Some(order.uid().as_str()), None));
        let rejects = batch
            .rejects
            .iter()
            .map(|reject| (&reject.message, None, Some(reject.reason.as_str())));
        let (claims, reasons): (Vec<Claim<'_>>, Vec<_>) = orders
            .chain(rejects)
            .map(|(message, uid, reason)| {
                let (sequence, payload) = (message.sequence(), message.payload());
                (Claim { sequence, sha256: Sha256Digest::of(payload), uid, payload }, reason)
            })
            .unzip();
        let compare =
            async |(): &mut ()| Ok(self.store.compare(self.source.name(), &claims).await?);
        let standings = retry(self.patience, observer, &mut (), compare).await?;
        let is_erased = |standing: &&Standing| **standing == Standing::Erased;
        let erased = standings.iter().filter(is_erased).count() as u64;
        let mut findings: Vec<Finding> = claims
            .iter()
            .zip(reasons)
            .zip(standings)
            .filter_map(|((claim, reason), standing)| {
                let kind = match standing {
                    Standing::Stored | Standing::Rejected | Standing::Erased => return None,
                    Standing::Differing => Kind::Differing,
                    Standing::Missing => Kind::Missing,
                };
                Some(Finding {
                    from: claim.sequence,
                    to: claim.sequence,
                    kind,
                    uid: claim.uid.map(str::to_owned),
                    reason,
                    sha256: Some(claim.sha256),
                    repair: None,
                })
            })
            .collect();
        findings.sort_by_key(|finding| finding.from);
        Ok((findings, erased))
    }

    /// Puts back what was found missing, as ingest would have written it, and says in each
    /// finding what was done. Batches come in the order of sequences and the lowest of a batch is
    /// first, so the first write of a uid wins again, unless a later one is stored already.
    /// Returns the messages of the batch, to be acknowledged.
    pub(super) async fn repair(
        &self,
        batch: Batch<Read>,
        findings: &mut [Finding],
        observer: &mut dyn Observer,
    ) -> anyhow::Result<Vec<Read>> {
        let mut open: HashMap<u64, &mut Finding> =
            findings.iter_mut().map(|finding| (finding.from, finding)).collect();
        let (orders, whole): (Vec<_>, Vec<_>) =
            batch.orders.into_iter().partition(|(read, _)| open.contains_key(&read.sequence()));
        let (mut rejects, kept): (Vec<_>, Vec<_>) = batch
            .rejects
            .into_iter()
            .partition(|reject| open.contains_key(&reject.message.sequence()));
        let mut settled: Vec<Read> = whole.into_iter().map(|(message, _)| message).collect();
        settled.extend(kept.into_iter().map(|reject| reject.message));
        let mut settle = |message: Read, repair| {
            if let Some(finding) = open.get_mut(&message.sequence()) {
                finding.repair = Some(repair);
            }
            settled.push(message);
        };

        let mut left = orders;
        while !left.is_empty() {
            let before = left.len();
            let applied = self.insert_orders(left, observer).await?;
            for (message, _) in applied.stored {
                settle(message, Repair::Stored);
            }
            for (message, _) in applied.duplicates {
                settle(message, Repair::Duplicate);
            }
            for (message, _) in applied.erased {
                settle(message, Repair::Erased);
            }
            rejects.extend(applied.rejects);
            left = applied.indeterminate;
            ensure!(left.len() < before, "orders are deleted while they are put back");
        }
        let rows: Vec<NewReject<'_>> =
            rejects.iter().map(|reject| reject.row(self.source.name())).collect();
        let insert = async |(): &mut ()| Ok(self.store.insert_rejects(&rows).await?);
        let erased = retry(self.patience, observer, &mut (), insert).await?;
        drop(rows);
        for (reject, is_erased) in rejects.into_iter().zip(erased) {
            settle(reject.message, if is_erased { Repair::Erased } else { Repair::Rejected });
        }
        Ok(settled)
    }

    async fn insert_orders(
        &self,
        orders: Vec<(Read, Order)>,
        observer: &mut dyn Observer,
    ) -> anyhow::Result<Applied<Read>> {
        let rows = ingest::rows(&orders, |_| self.source.column());
        let insert = async |(): &mut ()| Ok(self.store.insert_orders_again(&rows).await?);
        let outcomes = retry(self.patience, observer, &mut (), insert).await?;
        drop(rows);
        Ok(Applied::new(orders, outcomes))
    }
}

/// The same findings as they are when those before them are put back: what repeats one of them is
/// present by then, and another order under its uid differs. So a repair finds the same however
/// the messages fall into batches.
pub(super) fn one_by_one(mut findings: Vec<Finding>) -> Vec<Finding> {
    let mut put_back: HashMap<String, Option<Sha256Digest>> = HashMap::new();
    findings.retain_mut(|finding| {
        let (Some(uid), Kind::Missing) = (&finding.uid, finding.kind) else { return true };
        match put_back.get(uid) {
            Some(sha256) if *sha256 == finding.sha256 => return false,
            Some(_) => finding.kind = Kind::Differing,
            None => {
                put_back.insert(uid.clone(), finding.sha256);
            }
        }
        true
    });
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_takes_those_before_it_for_put_back() {
        let missing = |sequence, uid: Option<&str>, sha256: &str| Finding {
            kind: Kind::Missing,
            uid: uid.map(str::to_owned),
            sha256: Some(Sha256Digest::of(sha256.as_bytes())),
            ..Finding::gone(sequence, sequence)
        };
        let found = vec![
            missing(1, Some("a"), "1"),
            missing(2, None, "1"),
            missing(3, Some("a"), "1"),
            missing(4, Some("a"), "2"),
            missing(5, Some("b"), "1"),
            missing(6, None, "1"),
            Finding { kind: Kind::Differing, ..missing(7, Some("c"), "1") },
        ];
        let findings: Vec<_> =
            one_by_one(found).iter().map(|finding| (finding.from, finding.kind)).collect();
        let expected = [
            (1, Kind::Missing),
            (2, Kind::Missing),
            (4, Kind::Differing),
            (5, Kind::Missing),
            (6, Kind::Missing),
            (7, Kind::Differing),
        ];
        assert_eq!(findings, expected);
    }
}
