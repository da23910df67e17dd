//! A file that is looked at again and again, because others replace it.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::digest::Sha256Digest;

/// Longer than any list of tokens or keys, in bytes: what is longer is not read.
const MAX_BYTES: u64 = 1 << 20;

/// A file, and what it held when it was last read.
#[derive(Debug)]
pub(super) struct WatchedFile {
    path: PathBuf,
    seen: Option<Sha256Digest>,
}

impl WatchedFile {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), seen: None }
    }

    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Its content, if that is not what was read the last time.
    ///
    /// # Errors
    /// Why it cannot be read, with its name.
    pub(super) fn changed(&mut self) -> Result<Option<String>, String> {
        let content = read(&self.path).map_err(|why| format!("{}: {why}", self.name()))?;
        let digest = Some(Sha256Digest::of(content.as_bytes()));
        if digest == self.seen {
            return Ok(None);
        }
        self.seen = digest;
        Ok(Some(content))
    }
}

fn read(path: &Path) -> Result<String, String> {
    let mut content = String::new();
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    let read = file.take(MAX_BYTES + 1).read_to_string(&mut content);
    read.map_err(|error| error.to_string())?;
    if content.len() as u64 > MAX_BYTES {
        return Err(format!("it is longer than {MAX_BYTES} bytes"));
    }
    Ok(content)
}
