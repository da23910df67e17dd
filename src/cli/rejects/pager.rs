//! Going through all rejects that match, a few at a time.

use std::collections::HashMap;
use std::collections::VecDeque;

use crate::store::{Direction, Error, KeptReject, RejectFilter, Store};

/// Rejects read at once, without their payloads.
const PAGE: u32 = 500;

/// Goes through the rejects that match, a page at a time.
pub(super) struct Pager {
    store: Store,
    filter: RejectFilter,
    direction: Direction,
    left: u64,
    /// Read and not handed out yet.
    pending: VecDeque<KeptReject>,
}

impl Pager {
    /// A pager over at most `limit` of the rejects that match.
    pub(super) fn new(
        store: Store,
        filter: RejectFilter,
        direction: Direction,
        limit: u64,
    ) -> Self {
        Self { store, filter, direction, left: limit, pending: VecDeque::new() }
    }

    /// The next page; an empty one is the end.
    pub(super) async fn page(&mut self) -> Result<Vec<KeptReject>, Error> {
        let limit = u32::try_from(self.left).unwrap_or(PAGE).min(PAGE);
        if limit == 0 {
            return Ok(Vec::new());
        }
        let page = self.store.rejects(&self.filter, self.direction, limit).await?;
        if let Some(last) = page.last() {
            self.direction = match self.direction {
                Direction::NewestBelow(_) => Direction::NewestBelow(last.id),
                Direction::OldestAbove(_) => Direction::OldestAbove(last.id),
            };
        }
        // A short page is the last one: what comes in meanwhile is for the next one.
        self.left = if page.len() < limit as usize { 0 } else { self.left - u64::from(limit) };
        Ok(page)
    }

    /// The next ones with their payloads: at most `most_rows`, and together at most `most_bytes`
    /// unless the first alone has more. None is the end. One that is removed meanwhile is
    /// left out.
    pub(super) async fn batch(
        &mut self,
        most_rows: usize,
        most_bytes: usize,
    ) -> Result<Option<Vec<(KeptReject, Vec<u8>)>>, Error> {
        if self.pending.is_empty() {
            self.pending = self.page().await?.into();
        }
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while let Some(next) = self.pending.front() {
            bytes += next.size_bytes;
            let is_full = taken.len() == most_rows || bytes > most_bytes as u64;
            if is_full && !taken.is_empty() {
                break;
            }
            taken.extend(self.pending.pop_front());
        }
        if taken.is_empty() {
            return Ok(None);
        }
        let ids: Vec<i64> = taken.iter().map(|kept| kept.id).collect();
        let payloads = self.store.reject_payloads(&ids, usize::MAX).await?;
        let mut payloads: HashMap<i64, Vec<u8>> = payloads.into_iter().collect();
        let with_payload = |kept: KeptReject| payloads.remove(&kept.id).map(|bytes| (kept, bytes));
        Ok(Some(taken.into_iter().filter_map(with_payload).collect()))
    }
}
