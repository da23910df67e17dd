//! A wall clock of a program that can be set. Others, and its monotonic clock, stay right.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::tools;

/// The wall clock of programs of the C library, such as the service; what Go builds asks the
/// kernel past it.
#[derive(Debug)]
pub struct Clock {
    library: PathBuf,
    /// Where libfaketime reads how far the clock is off.
    file: PathBuf,
}

impl Clock {
    /// A clock that is right, and set by a file in this directory.
    ///
    /// # Errors
    ///
    /// When libfaketime is missing, or the file cannot be written.
    pub fn in_dir(dir: &Path, name: &str) -> Result<Self> {
        let clock = Self { library: tools::faketime()?, file: dir.join(format!("{name}.clock")) };
        clock.shift(0)?;
        Ok(clock)
    }

    /// Whether there is what it takes.
    #[must_use]
    pub fn is_possible() -> bool {
        tools::faketime().is_ok()
    }

    /// Has a program that is to be started go by this clock.
    pub fn give(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }

    /// Sets it at once to so many hours from the right time.
    pub fn shift(&self, hours: i64) -> Result<()> {
        let new = self.file.with_extension("clock-new");
        let written = fs::write(&new, format!("{:+}", hours * 3600));
        written.and_then(|()| fs::rename(&new, &self.file)).context("cannot set a clock")
    }
}
