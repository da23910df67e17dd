//! Reading the whole table into a cache, the newest pages first.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_util::TryStreamExt;
use tokio::task::{JoinError, JoinSet};

use super::connection::{Lease, with_timeout};
use super::copy_binary::{Malformed, Reader};
use super::{Error, Store};

/// 8 MiB of rows for each statement: enough that its start costs nothing, and little enough
/// that "newest first" means something.
const PAGES_AT_ONCE: u64 = 1024;

/// More connections than this only take processors from Postgres.
const MOST_CONNECTIONS: u32 = 4;

/// How far a warm-up is. It may be read while it goes on.
#[derive(Debug, Default)]
pub struct Progress {
    rows: AtomicU64,
    bytes: AtomicU64,
    pages_read: AtomicU64,
    pages: AtomicU64,
}

impl Progress {
    /// Rows handed to the sink.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Bytes of the documents among them.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The share of the table that was read, 0 to 1; 0 until its size is known.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share of up to 2^32 pages")]
    pub fn ratio(&self) -> f64 {
        match self.pages.load(Ordering::Relaxed) {
            0 => 0.0,
            pages => self.pages_read.load(Ordering::Relaxed) as f64 / pages as f64,
        }
    }
}

/// Whether a warm-up has read the whole table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WarmUp {
    /// All there was is read.
    Whole,
    /// The sink took no more.
    Full,
}

/// What the connections of one warm-up share.
struct Shared<F> {
    sink: F,
    /// Pages not handed to a connection yet: all below this.
    unread: AtomicU64,
    full: AtomicBool,
    progress: Arc<Progress>,
}

impl Store {
    /// Hands every order, the newest pages of the table first, to `sink` until that breaks.
    /// The sink is called from several tasks at once and must not block. Orders stored since
    /// the call may be missing: take a cursor before, and follow from there.
    pub async fn warm_up<F>(&self, progress: Arc<Progress>, sink: F) -> Result<WarmUp, Error>
    where
        F: Fn(&str, &[u8]) -> ControlFlow<()> + Send + Sync + 'static,
    {
        self.traced("COPY orders", self.read_table(progress, sink)).await
    }

    async fn read_table<F>(&self, progress: Arc<Progress>, sink: F) -> Result<WarmUp, Error>
    where
        F: Fn(&str, &[u8]) -> ControlFlow<()> + Send + Sync + 'static,
    {
        let pages = self.pages().await?;
        progress.pages.store(pages, Ordering::Relaxed);
        progress.pages_read.store(0, Ordering::Relaxed);
        let unread = AtomicU64::new(pages);
        let shared = Arc::new(Shared { sink, unread, full: AtomicBool::new(false), progress });
        // Half of the pool stays for those who look an order up meanwhile.
        let connections = (self.connections().max / 2).clamp(1, MOST_CONNECTIONS);
        let mut workers = JoinSet::new();
        for _ in 0..connections {
            workers.spawn(read_pages(self.clone(), Arc::clone(&shared)));
        }
        while let Some(worker) = workers.join_next().await {
            match worker.map_err(JoinError::try_into_panic) {
                Ok(result) => result?,
                // A panic of the sink goes on where it can be seen.
                Err(Ok(panic)) => std::panic::resume_unwind(panic),
                Err(Err(_cancelled)) => return Err(Error::Retry(sqlx::Error::WorkerCrashed)),
            }
        }
        Ok(if shared.full.load(Ordering::Relaxed) { WarmUp::Full } else { WarmUp::Whole })
    }

    /// How many pages the table has.
    async fn pages(&self) -> Result<u64, Error> {
        let pages = sqlx::query_scalar!(
            "select pg_relation_size('orders') / current_setting('block_size')::bigint \
             as \"pages!\"",
        );
        let pages =
            self.run("SELECT", async |connection| pages.fetch_one(connection).await).await?;
        Ok(pages.unsigned_abs())
    }
}

/// Reads ranges of pages until none is left or the sink is full, over one connection. That is
/// not returned to the pool: a statement that was cut short is still running on it.
async fn read_pages<F>(store: Store, shared: Arc<Shared<F>>) -> Result<(), Error>
where
    F: Fn(&str, &[u8]) -> ControlFlow<()>,
{
    let mut lease = store.lease().await?;
    let unlimited = sqlx::query!("set statement_timeout = 0");
    with_timeout(unlimited.execute(&mut *lease)).await?;
    while let Some(range) = shared.next_range() {
        let pages = range.end - range.start;
        if copy(&mut lease, range, &shared).await?.is_break() {
            shared.full.store(true, Ordering::Relaxed);
        } else {
            shared.progress.pages_read.fetch_add(pages, Ordering::Relaxed);
        }
    }
    Ok(())
}

impl<F> Shared<F> {
    fn next_range(&self) -> Option<Range<u64>> {
        if self.full.load(Ordering::Relaxed) {
            return None;
        }
        let below = |end: u64| end.saturating_sub(PAGES_AT_ONCE);
        let take = |end| (end > 0).then(|| below(end));
        let end = self.unread.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()?;
        Some(below(end)..end)
    }
}

/// Reads the rows of some pages. `Break` says that the sink is full.
async fn copy<F>(
    lease: &mut Lease,
    pages: Range<u64>,
    shared: &Shared<F>,
) -> Result<ControlFlow<()>, Error>
where
    F: Fn(&str, &[u8]) -> ControlFlow<()>,
{
    let statement = format!(
        "copy (select order_uid, document from orders where ctid >= '({},0)' and ctid < '({},0)') \
         to stdout (format binary)",
        pages.start, pages.end
    );
    let mut stream = with_timeout(lease.copy_out_raw(&statement)).await?;
    let mut reader = Reader::default();
    let (mut rows, mut bytes) = (0, 0);
    let mut flow = ControlFlow::Continue(());
    while let Some(piece) = with_timeout(stream.try_next()).await? {
        let read = reader.feed(&piece, |uid, document| {
            rows += 1;
            bytes += document.len() as u64;
            (shared.sink)(uid, document)
        });
        flow = read.map_err(illegible)?;
        if flow.is_break() || shared.full.load(Ordering::Relaxed) {
            flow = ControlFlow::Break(());
            break;
        }
    }
    shared.progress.rows.fetch_add(rows, Ordering::Relaxed);
    shared.progress.bytes.fetch_add(bytes, Ordering::Relaxed);
    if flow.is_continue() {
        reader.finish().map_err(illegible)?;
    }
    Ok(flow)
}

fn illegible(error: Malformed) -> Error {
    Error::Retry(sqlx::Error::Protocol(error.to_string()))
}
