//! Tokens that a file lists by their digests.

mod list;

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::verified::{Verified, VerifiedTokens, now};
use super::watched_file::WatchedFile;
use super::{Denial, Fault};
use crate::config;
use crate::digest::Sha256Digest;
use crate::retry::LastError;
use list::TokenList;

/// Time between two looks at the file, which lies in memory or on a local disk.
const INTERVAL: Duration = Duration::from_secs(1);

/// The tokens of `access.tokens_file`.
#[derive(Debug)]
pub(super) struct Tokens {
    file: Mutex<WatchedFile>,
    list: RwLock<TokenList>,
    verified: Arc<VerifiedTokens>,
}

impl Tokens {
    /// # Errors
    /// Why the file cannot be used.
    pub(super) fn new(
        settings: &config::Access,
        verified: Arc<VerifiedTokens>,
    ) -> Result<Self, String> {
        let path = settings.tokens_file.as_deref().ok_or("`access.tokens_file` is not set")?;
        let mut file = WatchedFile::new(path);
        let list = read(&mut file)?.unwrap_or_default();
        Ok(Self { file: Mutex::new(file), list: RwLock::new(list), verified })
    }

    /// Whose token this is.
    ///
    /// The time that it takes tells nothing of the tokens that are listed: what is looked for, and
    /// compared byte by byte until the first difference, is the SHA-256 of the presented token.
    /// Nobody can choose tokens by the first bytes of their digests further than by trying, and
    /// whoever learned a whole digest so would still not have the token.
    pub(super) fn verify(&self, token: &[u8]) -> Result<Verified, Denial> {
        let list = self.list.read().unwrap_or_else(PoisonError::into_inner);
        let found = list.get(&Sha256Digest::of(token)).ok_or(Denial::Invalid(Fault::Unknown))?;
        if found.until < now() {
            return Err(Denial::Invalid(Fault::Expired));
        }
        Ok(found.clone())
    }

    /// Takes over what the file holds whenever that changes, until `stop`.
    pub(super) async fn follow(&self, stop: CancellationToken) {
        let mut last_error = LastError::default();
        while stop.run_until_cancelled(sleep(INTERVAL)).await.is_some() {
            // A file that is just being replaced may be away or torn.
            match self.look() {
                Err(error) if last_error.changes_to(&error) => {
                    tracing::warn!(error, "The tokens known stay in force");
                }
                Ok(()) if last_error.ends() => {
                    tracing::info!("The file of tokens can be read again");
                }
                Ok(()) | Err(_) => {}
            }
        }
    }

    fn look(&self) -> Result<(), String> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(list) = read(&mut file)? else { return Ok(()) };
        let tokens = list.len();
        *self.list.write().unwrap_or_else(PoisonError::into_inner) = list;
        // After the list: what was verified by the old one meanwhile does not come back.
        self.verified.forget();
        tracing::info!(tokens, "The new tokens of access.tokens_file are in force");
        Ok(())
    }
}

/// The tokens of the file, if it has changed.
fn read(file: &mut WatchedFile) -> Result<Option<TokenList>, String> {
    let changed = file.changed();
    let changed = changed.map_err(|why| format!("`access.tokens_file` cannot be read: {why}"))?;
    let list = changed.as_deref().map(TokenList::parse).transpose();
    list.map_err(|why| format!("`access.tokens_file` cannot be used: {}: {why}", file.name()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::access::scope::Scope;
    use crate::log_limit::tests::LoggedLines;

    fn entry(name: &str, token: &str, scope: &str) -> String {
        let sha256 = Sha256Digest::of(token.as_bytes());
        format!("[[token]]\nname = \"{name}\"\nsha256 = \"{sha256}\"\nscopes = [\"{scope}\"]\n")
    }

    #[test]
    fn a_changed_file_is_taken_over_and_a_bad_one_is_not() {
        let lines = LoggedLines::collect();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens.toml");
        fs::write(&path, entry("one", "secret-1", "admin")).expect("written");
        let mut file = WatchedFile::new(&path);
        let list = RwLock::new(read(&mut file).expect("tokens").expect("changed"));
        let verified = Arc::new(VerifiedTokens::default());
        let tokens = Tokens { file: Mutex::new(file), list, verified: Arc::clone(&verified) };
        let first = tokens.verify(b"secret-1").expect("listed");
        assert_eq!(first.subject.name, "one");
        assert!(first.subject.scopes.has(Scope::Admin));
        verified.insert(0, b"secret-1", first);
        tokens.look().expect("unchanged");
        assert!(verified.get(b"secret-1").is_some());
        assert!(lines.take().is_empty());

        fs::write(&path, entry("one", "secret-1", "everything")).expect("written");
        let refused = tokens.look().expect_err("not a scope");
        assert!(refused.contains("tokens.toml") && refused.contains("`everything`"), "{refused}");
        assert!(tokens.verify(b"secret-1").is_ok() && verified.get(b"secret-1").is_some());

        fs::write(&path, entry("two", "secret-2", "admin")).expect("written");
        tokens.look().expect("taken over");
        assert_eq!(tokens.verify(b"secret-1"), Err(Denial::Invalid(Fault::Unknown)));
        assert_eq!(tokens.verify(b"secret-2").expect("listed").subject.name, "two");
        assert!(verified.get(b"secret-1").is_none(), "what was remembered is forgotten");
        fs::remove_file(&path).expect("removed");
        assert!(tokens.look().expect_err("away").contains("cannot be read"));
        assert!(tokens.verify(b"secret-2").is_ok());
    }

    #[test]
    fn a_token_that_has_ended_does_not_count() {
        let ended = entry("one", "secret", "admin") + "expires = 2020-01-01T00:00:00Z\n";
        let list = RwLock::new(TokenList::parse(&ended).expect("tokens"));
        let file = Mutex::new(WatchedFile::new("nowhere".as_ref()));
        let tokens = Tokens { file, list, verified: Arc::default() };
        assert_eq!(tokens.verify(b"secret"), Err(Denial::Invalid(Fault::Expired)));
        assert_eq!(tokens.verify(b"secret "), Err(Denial::Invalid(Fault::Unknown)));
    }
}
