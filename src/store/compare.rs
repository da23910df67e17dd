//! Asking what is kept of messages that are known from elsewhere.

use std::collections::{HashMap, HashSet};
use std::io;

use sqlx::postgres::{PgBindIterExt, PgConnection};

use super::{Error, Store, bigint};
use crate::digest::Sha256Digest;

/// A message that should have left a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim<'a> {
    /// Its sequence in the channel.
    pub sequence: u64,
    /// SHA-256 of the message as it is in the channel.
    pub sha256: Sha256Digest,
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
    pub async fn compare(
        &self,
        channel: &str,
        claims: &[Claim<'_>],
    ) -> Result<Vec<Standing>, Error> {
        let (orders, rejects) = self
            .run("SELECT orders", async |connection| traces(connection, channel, claims).await)
            .await?;
        let standing = |claim: &Claim<'_>| match is_stored(claim, &orders) {
            Some(true) => Standing::Stored,
            _ if rejects.contains(&(bigint(claim.sequence), claim.sha256)) => Standing::Rejected,
            Some(false) => Standing::Differing,
            None => Standing::Missing,
        };
        Ok(claims.iter().map(standing).collect())
    }

    /// Those of these SHA-256 whose message is kept as a reject, whatever channel it came from,
    /// as a primary knows it.
    pub async fn rejected_among(
        &self,
        sha256s: &[Sha256Digest],
    ) -> Result<HashSet<Sha256Digest>, Error> {
        let kept = self.run("SELECT rejected_messages", async |connection| {
            on_primary(connection).await?;
            let kept = sqlx::query_scalar!(
                "select distinct sha256 as \"sha256: Sha256Digest\" from rejected_messages \
                 where sha256 = any($1)",
                sha256s as _,
            );
            kept.fetch_all(connection).await
        });
        Ok(kept.await?.into_iter().collect())
    }
}

/// What is stored under the uids of `claims`, and which of the others are kept as rejects of
/// `channel`.
async fn traces(
    connection: &mut PgConnection,
    channel: &str,
    claims: &[Claim<'_>],
) -> sqlx::Result<(HashMap<String, Sha256Digest>, HashSet<(i64, Sha256Digest)>)> {
    on_primary(connection).await?;
    let orders = sqlx::query!(
        "select order_uid, sha256(document) as \"sha256!: Sha256Digest\" from orders where order_uid = any($1)",
        claims.iter().filter_map(|claim| claim.uid).bind_iter() as _,
    );
    let orders = orders.map(|order| (order.order_uid, order.sha256));
    let orders = orders.fetch_all(&mut *connection).await?.into_iter().collect();
    let others = || claims.iter().filter(|claim| is_stored(claim, &orders) != Some(true));
    let rejects = sqlx::query!(
        "select sequence, sha256 as \"sha256: Sha256Digest\" from rejected_messages where channel = $1 and \
         (sequence, sha256) in (select * from unnest($2::bigint[], $3::bytea[]))",
        channel,
        others().map(|claim| bigint(claim.sequence)).bind_iter() as _,
        others().map(|claim| claim.sha256).bind_iter() as _,
    );
    let rejects = rejects.map(|reject| (reject.sequence, reject.sha256));
    let rejects = rejects.fetch_all(connection).await?.into_iter().collect();
    Ok((orders, rejects))
}

/// Whether an order is stored with the bytes of `claim`; `None` if there is none of its uid.
fn is_stored(claim: &Claim<'_>, orders: &HashMap<String, Sha256Digest>) -> Option<bool> {
    claim.uid.and_then(|uid| orders.get(uid)).map(|sha256| *sha256 == claim.sha256)
}

/// A connection to a primary stays one: to become a standby the server has to start again.
async fn on_primary(connection: &mut PgConnection) -> sqlx::Result<()> {
    let standby = sqlx::query_scalar!("select pg_is_in_recovery() as \"is_standby!\"");
    if standby.fetch_one(connection).await? {
        return Err(sqlx::Error::Io(io::Error::other("it is a standby, which may be behind")));
    }
    Ok(())
}
