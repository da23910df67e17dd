//! The bytes of a file: as they are read, as they were synced, and what was done between.

use super::loss::Loss;

/// What a disk writes whole or not at all, in bytes.
const SECTOR: usize = 512;

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// What a reader sees.
    now: Vec<u8>,
    /// What was there when the file was synced last.
    synced: Vec<u8>,
    /// What has been done since, in its order.
    unsynced: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write {
        at: usize,
        bytes: Vec<u8>,
    },
    /// To so many bytes.
    Resize(usize),
}

impl Content {
    /// Of a file that is on the disk.
    pub(super) fn synced(bytes: Vec<u8>) -> Self {
        Self { now: bytes.clone(), synced: bytes, unsynced: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.now.len()
    }

    /// At most `length` bytes, fewer at the end of the file.
    pub(super) fn read(&self, at: usize, length: usize) -> &[u8] {
        let end = at.saturating_add(length).min(self.now.len());
        self.now.get(at..end).unwrap_or_default()
    }

    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) {
        put(&mut self.now, at, bytes);
        self.unsynced.push(Change::Write { at, bytes: bytes.to_vec() });
    }

    pub(super) fn resize(&mut self, length: usize) {
        self.now.resize(length, 0);
        self.unsynced.push(Change::Resize(length));
    }

    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            match change {
                Change::Write { at, bytes } => put(&mut self.synced, at, &bytes),
                Change::Resize(length) => self.synced.resize(length, 0),
            }
        }
    }

    /// What was not synced is there, in part or not at all. Sectors reach a disk in any order, each
    /// as it was after some write; a resize does so by a journal, and what came after it not before
    /// it.
    pub(super) fn cut(&mut self, loss: &mut Loss) {
        if self.unsynced.is_empty() {
            return;
        }
        let mut then = self.synced.clone();
        let mut is_behind = false;
        for change in self.unsynced.drain(..) {
            if is_behind {
                loss.lose();
                continue;
            }
            match change {
                Change::Resize(length) if loss.keeps() => {
                    then.resize(length, 0);
                    self.synced.resize(length, 0);
                }
                Change::Resize(_) => is_behind = true,
                Change::Write { at, bytes } => {
                    put(&mut then, at, &bytes);
                    let end = at + bytes.len();
                    if loss.keeps() {
                        copy_sectors(&mut self.synced, &then, at, end, || true);
                    } else if loss.tears() {
                        if self.synced.len() < end && loss.coin() {
                            // A file may grow before its bytes come: they are zeros then.
                            self.synced.resize(end, 0);
                        }
                        copy_sectors(&mut self.synced, &then, at, end, || loss.coin());
                    }
                }
            }
        }
        self.now.clone_from(&self.synced);
    }
}

fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[at..end].copy_from_slice(bytes);
}

/// Copies the sectors that `is_there` chooses among those from `at` to `end`.
fn copy_sectors(
    to: &mut Vec<u8>,
    from: &[u8],
    at: usize,
    end: usize,
    mut is_there: impl FnMut() -> bool,
) {
    for sector in at / SECTOR..end.div_ceil(SECTOR) {
        if is_there() {
            let (begin, end) = (sector * SECTOR, from.len().min((sector + 1) * SECTOR));
            put(to, begin, &from[begin..end]);
        }
    }
}
