//! Reading one order by its uid.

use super::{Error, Store};
use crate::digest::Sha256Digest;

/// The answer to "what is stored under this uid?".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The order, byte for byte as published.
    Document(Vec<u8>),
    /// Nothing any more: it was erased.
    Erased,
    /// Nothing, said a primary: there was no such order when it was asked.
    Absent,
    /// Nothing, said a standby, which may be behind: this is no answer.
    UnknownOnStandby,
}

impl Store {
    /// Looks an order up. The caller bounds the waiting: to drop this is safe at any time.
    pub async fn find(&self, uid: &str) -> Result<Found, Error> {
        // A transaction that began during recovery stays read-only when a promotion ends it, and
        // saw no more than the standby had.
        let query = sqlx::query!(
            "select document as \"document?\", \
             document is null and exists (select from erasures where uid_sha256 = $2) \
                 as \"is_erased!\", \
             pg_is_in_recovery() or current_setting('transaction_read_only')::boolean \
                 and not current_setting('default_transaction_read_only')::boolean \
                 as \"is_standby!\" \
             from (values (0)) as asked left join orders on order_uid = $1",
            uid,
            Sha256Digest::of(uid.as_bytes()) as _,
        );
        let found =
            self.run("SELECT orders", async |connection| query.fetch_one(connection).await).await?;
        Ok(match found.document {
            Some(document) => Found::Document(document),
            None if found.is_erased => Found::Erased,
            None if found.is_standby => Found::UnknownOnStandby,
            None => Found::Absent,
        })
    }
}
