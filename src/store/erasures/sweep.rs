//! Erasures put on record once more, in a database that has never heard of them.

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use super::super::connection::with_timeout;
use super::super::{Error, Store};
use super::find::{self, Holding};
use super::{Erased, Erasure, lock, write};

/// Orders that are looked at by one statement.
const ORDERS_AT_ONCE: i64 = 100_000;

/// Rejects that are deleted in one transaction.
const REJECTS_AT_ONCE: usize = 500;

impl Store {
    /// Puts erasures on record that are known from elsewhere. From then on their orders are not
    /// stored any more; those that are stored remain until [`Store::sweep_erased`].
    pub async fn record_erasures(&self, erasures: &[Erasure]) -> Result<Erased, Error> {
        self.write_erasures(erasures, &[], &[]).await
    }

    /// Deletes every order that was erased, by what is on record, and every reject that holds
    /// one: after a restore of what is older than its erasures. It reads both tables.
    pub async fn sweep_erased(&self) -> Result<Erased, Error> {
        let mut swept = Erased::default();
        let mut last = Some(String::new());
        while let Some(after) = last {
            let page = sqlx::query!(
                "with page as ( \
                     select order_uid, sha256(convert_to(order_uid, 'UTF8')) as uid_sha256 \
                     from orders where order_uid > $1 order by order_uid limit $2 \
                 ) \
                 select max(order_uid) as last, array( \
                     select order_uid from page join erasures using (uid_sha256) \
                 ) as \"erased!\" \
                 from page",
                after,
                ORDERS_AT_ONCE,
            );
            let page = async |connection: &mut PgConnection| page.fetch_one(connection).await;
            let page = self.run("SELECT orders", page).await?;
            last = page.last;
            if !page.erased.is_empty() {
                let uids: Vec<&str> = page.erased.iter().map(String::as_str).collect();
                let erased = self.write_erasures(&[], &uids, &[]).await?;
                swept.orders.extend(erased.orders);
                swept.messages.extend(erased.messages);
            }
        }
        let rejects = async |connection: &mut PgConnection| {
            find::rejects(connection, &Holding::erased(), None).await.map_err(Error::from)
        };
        for some in self.run_unbounded(rejects).await?.chunks(REJECTS_AT_ONCE) {
            let erased = self.write_erasures(&[], &[], some).await?;
            swept.rejects += erased.rejects;
            swept.messages.extend(erased.messages);
        }
        Ok(swept)
    }

    async fn write_erasures(
        &self,
        erasures: &[Erasure],
        uids: &[&str],
        rejects: &[i64],
    ) -> Result<Erased, Error> {
        let transaction = async |connection: &mut PgConnection| {
            let mut transaction = with_timeout(connection.begin()).await?;
            lock(&mut transaction).await?;
            let erased = write(&mut transaction, erasures, uids, rejects).await?;
            with_timeout(transaction.commit()).await?;
            Ok::<_, Error>(erased)
        };
        let transaction = self.run_unbounded(transaction);
        let (erased, warned) = self.warnings.capture(transaction).await;
        if warned { Err(Error::CutShort) } else { erased }
    }
}
