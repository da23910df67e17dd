//! Tokens that were verified, so that the next request with the same one costs little.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use hashbrown::HashTable;
use twox_hash::XxHash3_64;

use super::subject::Subject;

/// Parts with a lock of their own, so that threads seldom wait for each other.
const SHARDS: usize = 16;

/// Tokens that a part remembers: with [`SHARDS`] and the longest token, 32 MiB at the most.
const MOST_IN_SHARD: usize = 256;

/// A subject, and until when its token counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verified {
    pub(super) subject: Arc<Subject>,
    /// In seconds since 1970, the last in which it counts included.
    pub(super) until: u64,
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Verified tokens by their hash.
///
/// The hash is XXH3 under a seed that is drawn at each start, for a SHA-256 of a JSON Web Token
/// takes as long as a third of an answer where the processor has no instructions for it. Nobody
/// without the seed can make tokens of one hash, and only what was verified is ever put in. The
/// tokens themselves are compared where the 64 bits of the hash are equal, so that the time of a
/// failed look tells nothing of those that are there.
pub(super) struct VerifiedTokens {
    seed: u64,
    /// Grows when what was verified before does not count any more.
    round: AtomicU64,
    shards: [RwLock<HashTable<Entry>>; SHARDS],
}

struct Entry {
    hash: u64,
    token: Box<[u8]>,
    verified: Verified,
}

impl Default for VerifiedTokens {
    fn default() -> Self {
        let shards = std::array::from_fn(|_| RwLock::default());
        // fastrand is seeded from the system's random numbers, by way of std's RandomState.
        Self { seed: fastrand::u64(..), round: AtomicU64::new(0), shards }
    }
}

impl VerifiedTokens {
    fn hash(&self, token: &[u8]) -> u64 {
        XxHash3_64::oneshot_with_seed(self.seed, token)
    }

    fn shard(&self, hash: u64) -> &RwLock<HashTable<Entry>> {
        // The table takes its place from the lowest bits, and its tags from the highest.
        &self.shards[(hash >> 32) as usize % SHARDS]
    }

    /// The subject of a token that was verified before and still counts.
    pub(super) fn get(&self, token: &[u8]) -> Option<Arc<Subject>> {
        let hash = self.hash(token);
        let shard = self.shard(hash).read().unwrap_or_else(PoisonError::into_inner);
        let entry = shard.find(hash, |entry| entry.hash == hash && *entry.token == *token)?;
        (entry.verified.until >= now()).then(|| Arc::clone(&entry.verified.subject))
    }

    /// What to hand to [`Self::insert`], from before the token was verified.
    pub(super) fn round(&self) -> u64 {
        self.round.load(Ordering::Acquire)
    }

    /// Remembers a token, unless all were forgotten since `round`.
    pub(super) fn insert(&self, round: u64, token: &[u8], verified: Verified) {
        let hash = self.hash(token);
        let mut shard = self.shard(hash).write().unwrap_or_else(PoisonError::into_inner);
        // Under the lock that `forget` takes too, after the round has grown.
        if self.round() != round {
            return;
        }
        if shard.len() >= MOST_IN_SHARD {
            make_room(&mut shard);
        }
        let same = |entry: &Entry| entry.hash == hash && *entry.token == *token;
        if let Ok(there) = shard.find_entry(hash, same) {
            there.remove();
        }
        let entry = Entry { hash, token: token.into(), verified };
        shard.insert_unique(hash, entry, |entry| entry.hash);
    }

    /// Forgets all: what tells good tokens has changed.
    pub(super) fn forget(&self) {
        self.round.fetch_add(1, Ordering::AcqRel);
        for shard in &self.shards {
            shard.write().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }
}

/// Removes what has ended, else one in eight: those come back when they are used.
fn make_room(shard: &mut HashTable<Entry>) {
    let now = now();
    shard.retain(|entry| entry.verified.until >= now);
    if shard.len() >= MOST_IN_SHARD {
        shard.retain(|_| fastrand::u8(..8) != 0);
    }
    if shard.len() >= MOST_IN_SHARD {
        shard.clear();
    }
}

impl fmt::Debug for VerifiedTokens {
    /// Without the tokens.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("VerifiedTokens").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::scope::Scopes;
    use crate::access::subject::SubjectKind;

    fn verified(name: &str, until: u64) -> Verified {
        let name = name.to_owned();
        let subject = Subject { kind: SubjectKind::Token, name, scopes: Scopes::default() };
        Verified { subject: Arc::new(subject), until }
    }

    fn name(tokens: &VerifiedTokens, token: &str) -> Option<String> {
        tokens.get(token.as_bytes()).map(|subject| subject.name.clone())
    }

    #[test]
    fn a_token_is_known_until_it_ends() {
        let tokens = VerifiedTokens::default();
        let later = now() + 3600;
        tokens.insert(0, b"a", verified("one", later));
        tokens.insert(0, b"b", verified("other", later));
        tokens.insert(0, b"old", verified("ended", now() - 1));
        assert_eq!(name(&tokens, "a").as_deref(), Some("one"));
        assert_eq!(name(&tokens, "b").as_deref(), Some("other"));
        assert_eq!((name(&tokens, "old"), name(&tokens, "")), (None, None));
        tokens.insert(0, b"a", verified("again", later));
        assert_eq!(name(&tokens, "a").as_deref(), Some("again"));
    }

    #[test]
    fn what_was_verified_before_all_was_forgotten_is_not_remembered() {
        let tokens = VerifiedTokens::default();
        let round = tokens.round();
        tokens.insert(round, b"a", verified("one", u64::MAX));
        tokens.forget();
        assert_eq!(name(&tokens, "a"), None);
        tokens.insert(round, b"a", verified("one", u64::MAX));
        assert_eq!(name(&tokens, "a"), None);
        tokens.insert(tokens.round(), b"a", verified("one", u64::MAX));
        assert!(name(&tokens, "a").is_some());
    }

    #[test]
    fn so_many_are_remembered_and_no_more() {
        let tokens = VerifiedTokens::default();
        for n in 0..10_000 {
            tokens.insert(0, format!("token {n}").as_bytes(), verified("one", u64::MAX));
        }
        let count: usize = tokens.shards.iter().map(|shard| shard.read().unwrap().len()).sum();
        assert!((2_000..=SHARDS * MOST_IN_SHARD).contains(&count), "{count}");
        let last = "token 9999";
        assert!(name(&tokens, last).is_some(), "the newest is there");
    }
}
