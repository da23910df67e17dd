//! Which orders may be asked for now.

use std::cell::Cell;

use tokio::sync::{Semaphore, SemaphorePermit};

/// Orders that may be asked for at the same time whether they are there or not.
const FEWEST: u32 = 16;

/// Orders that may be asked for at the same time while all are there.
const MOST: u32 = 256;

/// A turn more is given for so many orders that were there when they were first asked for, and
/// one is taken for each that was not. So one in nine may be asked for too early.
const HITS_FOR_A_TURN: u32 = 8;

/// Turns for the orders that wait longest. There are few while orders are asked for before they
/// are there, and more when the asking is what they wait for.
pub(super) struct Turns {
    free: Semaphore,
    count: Cell<u32>,
    hits: Cell<u32>,
    /// Turns whose order was not there.
    missed: Cell<u32>,
}

impl Default for Turns {
    fn default() -> Self {
        let free = Semaphore::new(FEWEST as usize);
        Self { free, count: FEWEST.into(), hits: 0.into(), missed: 0.into() }
    }
}

impl Turns {
    /// Waits for a turn behind all who wait already.
    pub(super) async fn next(&self) -> Turn<'_> {
        let permit = self.free.acquire().await.expect("the semaphore is never closed");
        Turn { turns: self, permit: Some(permit), has_missed: false }
    }
}

/// The right to ask for one order until this is dropped.
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    permit: Option<SemaphorePermit<'a>>,
    has_missed: bool,
}

impl Turn<'_> {
    /// The order was there.
    pub(super) fn served(&mut self) {
        let Turns { free, count, hits, .. } = self.turns;
        if self.has_missed {
            return;
        }
        hits.set(hits.get() + 1);
        if hits.get() >= HITS_FOR_A_TURN && count.get() < MOST {
            hits.set(0);
            count.set(count.get() + 1);
            free.add_permits(1);
        }
    }

    /// The order was not there: how many others are to be asked for before it is asked for again,
    /// itself counted.
    pub(super) fn missed(&mut self) -> u32 {
        let missed = &self.turns.missed;
        if !self.has_missed {
            self.has_missed = true;
            missed.set(missed.get() + 1);
        }
        missed.get()
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let Turns { count, missed, .. } = self.turns;
        if !self.has_missed {
            return;
        }
        missed.set(missed.get() - 1);
        if count.get() > FEWEST
            && let Some(permit) = self.permit.take()
        {
            count.set(count.get() - 1);
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(turns: &Turns) -> usize {
        turns.free.available_permits()
    }

    #[tokio::test]
    async fn turns_become_more_while_all_orders_are_there_and_fewer_when_some_are_not() {
        let turns = Turns::default();
        assert_eq!(free(&turns), FEWEST as usize);
        for _ in 0..HITS_FOR_A_TURN * 10 {
            turns.next().await.served();
        }
        assert_eq!(free(&turns), FEWEST as usize + 10);
        for _ in 0..4 {
            let mut turn = turns.next().await;
            turn.missed();
            turn.missed();
            turn.served();
        }
        assert_eq!(free(&turns), FEWEST as usize + 6);
        for _ in 0..HITS_FOR_A_TURN * MOST {
            turns.next().await.served();
        }
        assert_eq!(free(&turns), MOST as usize);
        for _ in 0..MOST {
            turns.next().await.missed();
        }
        assert_eq!(free(&turns), FEWEST as usize);
    }

    #[tokio::test]
    async fn who_misses_waits_for_all_who_miss() {
        let turns = Turns::default();
        let mut first = turns.next().await;
        assert_eq!((first.missed(), first.missed()), (1, 1));
        let mut second = turns.next().await;
        assert_eq!((second.missed(), first.missed()), (2, 2));
        drop(second);
        assert_eq!(first.missed(), 1);
    }
}
