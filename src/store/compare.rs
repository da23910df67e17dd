//! Asking what is kept of messages that are known from elsewhere.

use std::collections::{HashMap, HashSet};
use std::io;

use sqlx::postgres::{PgBindIterExt, PgConnection};

use super::lease::answered;
use super::{Error, Store, bigint};

/// A message that should have left a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim<'a> {
    /// Its sequence in the channel.
    pub sequence: u64,
    /// SHA-256 of the message.
    pub sha256: [u8; 32],
    /// The order's id, if it is one.
    pub uid: Option<&'a str>,
}

/// What is kept of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// An order with these very bytes is stored.
    Stored,
    /// The message is kept as a reject.
    Rejected,
    /// Other bytes are stored under its uid, and no reject is kept.
    Differing,
    /// There is no trace of it.
    Missing,
}

impl Store {
    /// Says of each message of `channel` what is kept of it, as a primary knows it: that
    /// something is missing is never concluded from a standby, which may be behind.
    #[tracing::instrument(name = "store.compare", skip_all, fields(rows = claims.len()))]
    pub async fn compare(
        &self,
        channel: &str,
        claims: &[Claim<'_>],
    ) -> Result<Vec<Standing>, Error> {
        let mut lease = self.lease().await?;
        on_primary(&mut lease).await?;
        let orders: HashMap<String, Vec<u8>> = answered(
            sqlx::query_as(
                "select order_uid, sha256(document) from orders where order_uid = any($1)",
            )
            .bind(claims.iter().filter_map(|claim| claim.uid).bind_iter())
            .fetch_all(&mut *lease),
        )
        .await?
        .into_iter()
        .collect();
        let is_stored = |claim: &Claim<'_>| {
            claim.uid.and_then(|uid| orders.get(uid)).map(|sha256| *sha256 == claim.sha256)
        };
        let others = || claims.iter().filter(|claim| is_stored(claim) != Some(true));
        let rejects: HashSet<(i64, Vec<u8>)> = answered(
            sqlx::query_as(
                "select sequence, sha256 from rejected_messages where channel = $1 and \
                 (sequence, sha256) in (select * from unnest($2::bigint[], $3::bytea[]))",
            )
            .bind(channel)
            .bind(others().map(|claim| bigint(claim.sequence)).bind_iter())
            .bind(others().map(|claim| &claim.sha256[..]).bind_iter())
            .fetch_all(&mut *lease),
        )
        .await?
        .into_iter()
        .collect();
        lease.give_back();

        let standing = |claim: &Claim<'_>| match is_stored(claim) {
            Some(true) => Standing::Stored,
            _ if rejects.contains(&(bigint(claim.sequence), claim.sha256.to_vec())) => {
                Standing::Rejected
            }
            Some(false) => Standing::Differing,
            None => Standing::Missing,
        };
        Ok(claims.iter().map(standing).collect())
    }

    /// Those of these SHA-256 whose message is kept as a reject, whatever channel it came from,
    /// as a primary knows it.
    #[tracing::instrument(name = "store.rejected_among", skip_all, fields(rows = sha256s.len()))]
    pub async fn rejected_among(&self, sha256s: &[[u8; 32]]) -> Result<HashSet<Vec<u8>>, Error> {
        let mut lease = self.lease().await?;
        on_primary(&mut lease).await?;
        let kept = answered(
            sqlx::query_scalar(
                "select distinct sha256 from rejected_messages where sha256 = any($1)",
            )
            .bind(sha256s.iter().map(|sha256| &sha256[..]).bind_iter())
            .fetch_all(&mut *lease),
        )
        .await?;
        lease.give_back();
        Ok(kept.into_iter().collect())
    }
}

/// A connection to a primary stays one: to become a standby the server has to start again.
async fn on_primary(connection: &mut PgConnection) -> Result<(), Error> {
    let question = sqlx::query_scalar("select pg_is_in_recovery()");
    if answered(question.fetch_one(connection)).await? {
        let standby = io::Error::other("it is a standby, which may be behind");
        return Err(Error::Retry(sqlx::Error::Io(standby)));
    }
    Ok(())
}
