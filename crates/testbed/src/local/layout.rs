//! What lies where under `.waybill`.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::secret;

/// The directory `.waybill` of the working directory.
#[derive(Debug)]
pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The directory as it is; nothing when there is none.
    pub(super) fn find() -> Result<Option<Self>> {
        let root = std::env::current_dir().context("the working directory is gone")?;
        let layout = Self { root: root.join(".waybill") };
        Ok(layout.root.is_dir().then_some(layout))
    }

    /// The directory, made where it is missing.
    pub(super) fn create() -> Result<Self> {
        // Postgres may have to enter as another user, so only the secrets are closed.
        make_dir(Path::new(".waybill"), 0o755)?;
        let layout = Self::find()?.context("cannot find the new .waybill")?;
        for dir in ["log", "run", "postgres", "broker", "jetstream"] {
            make_dir(&layout.path(dir), 0o755)?;
        }
        make_dir(&layout.path("secrets"), 0o700)?;
        Ok(layout)
    }

    /// Keeps other commands from the directory until the file is dropped.
    pub(super) fn lock(&self) -> Result<File> {
        let file = File::create(self.path("lock")).context("cannot write .waybill/lock")?;
        file.try_lock().context("another command is at work in .waybill: wait for its end")?;
        Ok(file)
    }

    /// The absolute path of something in the directory.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(super) fn log(&self, daemon: &str) -> PathBuf {
        self.path(&format!("log/{daemon}.log"))
    }

    pub(super) fn record(&self, daemon: &str) -> PathBuf {
        self.path(&format!("run/{daemon}.json"))
    }

    /// The settings file of the service.
    pub(super) fn settings(&self) -> PathBuf {
        self.path("waybill.toml")
    }

    pub(super) fn has_secret(&self, name: &str) -> bool {
        self.path(&format!("secrets/{name}")).exists()
    }

    /// A password, made up when it is first asked for.
    pub(super) fn secret(&self, name: &str) -> Result<String> {
        let path = self.path(&format!("secrets/{name}"));
        if !path.exists() {
            write_private(&path, &secret::random()?)?;
        }
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Removes the directory and all in it.
    pub(super) fn remove(&self) -> Result<()> {
        std::fs::remove_dir_all(&self.root).context("cannot remove .waybill")
    }
}

/// Replaces a file that only its owner may read; one that is the same already is left alone.
pub(super) fn write_private(path: &Path, text: &str) -> Result<()> {
    if std::fs::read_to_string(path).is_ok_and(|present| present == text) {
        return Ok(());
    }
    let unfinished = path.with_extension("unfinished");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options
        .open(&unfinished)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| std::fs::rename(&unfinished, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn make_dir(path: &Path, mode: u32) -> Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            bail!("cannot make the directory {}: {error}", path.display())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_private_file_is_closed_to_others_and_rewritten_only_when_it_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        write_private(&path, "one").unwrap();
        let first = path.metadata().unwrap();
        assert_eq!(first.permissions().mode() & 0o777, 0o600);
        write_private(&path, "one").unwrap();
        assert_eq!(path.metadata().unwrap().modified().unwrap(), first.modified().unwrap());
        write_private(&path, "two").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two");
    }

    #[test]
    fn a_password_stays_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout { root: dir.path().to_owned() };
        make_dir(&layout.path("secrets"), 0o700).unwrap();
        assert!(!layout.has_secret("owner"));
        let password = layout.secret("owner").unwrap();
        assert_eq!(password.len(), 32);
        assert_eq!(layout.secret("owner").unwrap(), password);
        assert_ne!(layout.secret("runtime").unwrap(), password);
    }

    #[test]
    fn a_second_lock_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout { root: dir.path().to_owned() };
        let lock = layout.lock().unwrap();
        assert!(layout.lock().is_err());
        drop(lock);
        layout.lock().unwrap();
    }
}
