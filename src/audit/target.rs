//! Where lines go.

use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

use crate::config::{self, AuditTarget, SettingsError};
use crate::store::Store;

/// Where the writer appends lines.
#[derive(Debug)]
pub(super) enum Target {
    Stdout,
    Stderr,
    File(LogFile),
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
        let file = Some(File::from_std(file));
        Ok(Self::File(LogFile { path, file, is_torn: false }))
    }

    /// Appends lines that have their ends. After an error some of them may have been written.
    pub(super) async fn append(&mut self, lines: &[&str]) -> anyhow::Result<()> {
        match self {
            Self::Stdout => write(io::stdout(), lines).await.context("standard output"),
            Self::Stderr => write(io::stderr(), lines).await.context("standard error"),
            Self::File(file) => {
                let path = file.path.clone();
                file.append(lines).await.with_context(|| path.display().to_string())
            }
            Self::Postgres(store) => Ok(store.append_audit_records(lines).await?),
        }
    }
}

/// Writes to one of the standard streams, which may have to wait for whoever reads it.
async fn write(mut stream: impl Write + Send + 'static, lines: &[&str]) -> anyhow::Result<()> {
    let text = lines.concat();
    let write = move || stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
    Ok(tokio::task::spawn_blocking(write).await??)
}

impl LogFile {
    async fn append(&mut self, lines: &[&str]) -> io::Result<()> {
        if let Some(file) = &self.file
            && !is_at(file, &self.path).await
        {
            self.file = None;
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tokio::fs::OpenOptions::from(options()).open(&self.path).await?),
        };
        // A torn line must not spoil the next one.
        let begin = if self.is_torn { "\n" } else { "" };
        self.is_torn = true;
        file.write_all([begin, &lines.concat()].concat().as_bytes()).await?;
        file.flush().await?;
        self.is_torn = false;
        Ok(())
    }
}

/// Readable for its owner alone: it tells of persons.
fn options() -> std::fs::OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true).mode(0o600);
    options
}

/// Whether the open file is still the one at the path.
async fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata().await, tokio::fs::metadata(path).await) {
        (Ok(opened), Ok(named)) => (opened.dev(), opened.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}
