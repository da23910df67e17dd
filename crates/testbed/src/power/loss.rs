//! What a cut of the power takes, decided by its seed.

use fastrand::Rng;

/// Decides for each change that was not synced whether it had reached the disk, and counts.
#[derive(Debug)]
pub(super) struct Loss {
    rng: Rng,
    /// Of the changes, how many have reached the disk by themselves.
    share: f64,
    pub(super) losses: Losses,
}

/// How many changes that were not synced a cut has met.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Losses {
    /// Those that had reached the disk all the same.
    pub kept: u64,
    /// Writes of which some sectors had.
    pub torn: u64,
    /// Those that had not.
    pub lost: u64,
}

impl Loss {
    /// In a quarter of the cuts nothing has reached the disk, and in another nearly everything.
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let share = match rng.u8(0..4) {
            0 => 0.0,
            1 => 0.95,
            _ => rng.f64(),
        };
        Self { rng, share, losses: Losses::default() }
    }

    /// Whether a change is there whole; if it is not, it is lost, or [torn](Self::tears).
    pub(super) fn keeps(&mut self) -> bool {
        let keeps = self.rng.f64() < self.share;
        if keeps {
            self.losses.kept += 1;
        } else {
            self.losses.lost += 1;
        }
        keeps
    }

    /// Whether a write that is not there whole is there in part.
    pub(super) fn tears(&mut self) -> bool {
        let tears = self.share > 0.0 && self.coin();
        if tears {
            self.losses.lost -= 1;
            self.losses.torn += 1;
        }
        tears
    }

    /// A change is lost because one before it was.
    pub(super) fn lose(&mut self) {
        self.losses.lost += 1;
    }

    pub(super) fn coin(&mut self) -> bool {
        self.rng.bool()
    }
}
