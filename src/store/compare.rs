//! Asking what is kept of messages that are known from elsewhere.

use std::collections::{HashMap, HashSet};
use std::io;

use order::uids_named;
use sqlx::postgres::{PgBindIterExt, PgConnection};

use super::erasures::erased_among;
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
    /// The message as it is in the channel.
    pub payload: &'a [u8],
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
    /// It is an order that was erased, or names one.
    Erased,
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
        let mut standings: Vec<_> = claims.iter().map(standing).collect();
        self.find_erased(claims, &mut standings).await?;
        Ok(standings)
    }

    /// Finds out which of those that are missing or differing were erased.
    async fn find_erased(
        &self,
        claims: &[Claim<'_>],
        standings: &mut [Standing],
    ) -> Result<(), Error> {
        let is_open =
            |standing: &Standing| matches!(standing, Standing::Missing | Standing::Differing);
        let open = standings.iter().enumerate().filter(|(_, standing)| is_open(standing));
        let named: Vec<(usize, Sha256Digest)> = open
            .flat_map(|(place, _)| {
                digests_of(&claims[place]).into_iter().map(move |it| (place, it))
            })
            .collect();
        if named.is_empty() {
            return Ok(());
        }
        let digests: Vec<_> = named.iter().map(|(_, digest)| *digest).collect();
        let erased = self
            .run("SELECT erasures", async |connection| erased_among(connection, &digests).await)
            .await?;
        for (place, _) in named.iter().filter(|(_, digest)| erased.contains(digest)) {
            standings[*place] = Standing::Erased;
        }
        Ok(())
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

/// The SHA-256 of the uid of an order, or of every uid that another message names.
fn digests_of(claim: &Claim<'_>) -> Vec<Sha256Digest> {
    if let Some(uid) = claim.uid {
        return vec![Sha256Digest::of(uid.as_bytes())];
    }
    let named = uids_named(claim.payload);
    named.map(|uid| Sha256Digest::of(uid.as_str().as_bytes())).collect()
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
