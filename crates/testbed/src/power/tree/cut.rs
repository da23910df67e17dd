//! What is left of a tree when the power is cut.

use std::collections::HashSet;

use super::{Kind, ROOT, Step, Tree};
use crate::power::loss::{Loss, Losses};

impl Tree {
    /// Leaves what was synced, and of the rest what `seed` decides: any part of the bytes, and of
    /// the changes of a directory's names the first ones.
    pub(in crate::power) fn cut(&mut self, seed: u64) -> Losses {
        let mut loss = Loss::new(seed);
        let mut behind = HashSet::new();
        for step in std::mem::take(&mut self.unsynced) {
            let Step(entries) = &step;
            let is_behind = entries.iter().any(|entry| behind.contains(&entry.directory));
            if is_behind {
                loss.lose();
            } else if loss.keeps() {
                self.apply(&step, |directory| &mut directory.synced);
                continue;
            }
            behind.extend(entries.iter().map(|entry| entry.directory));
        }
        let mut numbers: Vec<_> = self.nodes.keys().copied().collect();
        // The seed is to decide alone, not the order of a hash map.
        numbers.sort_unstable();
        for number in numbers {
            match self.nodes.get_mut(&number).map(|node| &mut node.kind) {
                Some(Kind::File(content)) => content.cut(&mut loss),
                Some(Kind::Directory(directory)) => directory.now.clone_from(&directory.synced),
                None => {}
            }
        }
        self.forget_the_nameless();
        loss.losses
    }

    fn forget_the_nameless(&mut self) {
        let mut named = HashSet::from([ROOT]);
        let mut left = vec![ROOT];
        while let Some(number) = left.pop() {
            if let Ok(directory) = self.directory(number) {
                left.extend(directory.now.values().filter(|node| named.insert(**node)));
            }
        }
        self.nodes.retain(|number, _| named.contains(number));
    }
}
