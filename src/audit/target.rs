//! Where lines go.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use tokio::task::spawn_blocking;

use crate::config::{self, AuditTarget, SettingsError};
use crate::store::Store;

/// Where the writer appends lines.
#[derive(Debug)]
pub(super) enum Target {
    Stdout,
    Stderr,
    File(Arc<Mutex<LogFile>>),
    Postgres(Store),
}

/// A file that is appended to. One that is moved away is made anew, as after a rotation.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: Option<File>,
    /// The last write failed, perhaps in the middle of a line.
    is_torn: bool,
}

impl Target {
    /// What the settings name, with `stream` for `stdout`; nothing when nothing is audited.
    ///
    /// # Errors
    /// A file that cannot be opened for appending.
    pub(super) fn of(
        settings: &config::Audit,
        store: &Store,
        stream: Self,
    ) -> Result<Option<Self>, SettingsError> {
        Ok(Some(match (settings.target, &settings.file) {
            (AuditTarget::None, _) => return Ok(None),
            (AuditTarget::File, Some(path)) => Self::file(path.clone())?,
            (AuditTarget::Postgres, _) => Self::Postgres(store.clone()),
            // Settings without the file of a `file` are refused when they are read.
            (AuditTarget::Stdout | AuditTarget::File, _) => stream,
        }))
    }

    fn file(path: PathBuf) -> Result<Self, SettingsError> {
        let opened = options().open(&path);
        let file = opened.map_err(|error| {
            let path = path.display();
            let problem = format!("`audit.file` {path} cannot be opened for appending: {error}");
            SettingsError { problems: vec![problem] }
        })?;
        let file = LogFile { path, file: Some(file), is_torn: false };
        Ok(Self::File(Arc::new(Mutex::new(file))))
    }

    /// Appends lines that have their ends. After an error some of them may have been written.
    pub(super) async fn append(&mut self, lines: &[&str]) -> anyhow::Result<()> {
        match self {
            Self::Stdout => write(io::stdout(), lines).await.context("standard output"),
            Self::Stderr => write(io::stderr(), lines).await.context("standard error"),
            Self::File(file) => {
                let (file, text) = (Arc::clone(file), lines.concat());
                // In one go: each change to a thread that may block costs more than the write.
                let append = move || {
                    let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                    file.append(&text).with_context(|| file.path.display().to_string())
                };
                spawn_blocking(append).await?
            }
            Self::Postgres(store) => Ok(store.append_audit_records(lines).await?),
        }
    }
}

/// Writes to one of the standard streams, which may have to wait for whoever reads it.
async fn write(mut stream: impl Write + Send + 'static, lines: &[&str]) -> anyhow::Result<()> {
    let text = lines.concat();
    let write = move || stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
    Ok(spawn_blocking(write).await??)
}

impl LogFile {
    fn append(&mut self, text: &str) -> io::Result<()> {
        if self.file.as_ref().is_some_and(|file| !is_at(file, &self.path)) {
            self.file = None;
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(options().open(&self.path)?),
        };
        // A torn line must not spoil the next one.
        let begin = if self.is_torn { "\n" } else { "" };
        self.is_torn = true;
        file.write_all([begin, text].concat().as_bytes())?;
        self.is_torn = false;
        Ok(())
    }
}

/// Readable for its owner alone: it tells of persons.
fn options() -> fs::OpenOptions {
    let mut options = File::options();
    options.create(true).append(true).mode(0o600);
    options
}

/// Whether the open file is still the one at the path.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(opened), Ok(named)) => (opened.dev(), opened.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}
