//! Which files of a folder hold messages.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::cannot_read;

/// Names that are told of what is left out.
const NAMED: usize = 5;

/// The files of a folder, by whether they are published.
#[derive(Debug)]
pub(super) struct Folder {
    /// The files that can be told from their names to hold messages, by name.
    pub(super) files: Vec<PathBuf>,
    pub(super) left_out: LeftOut,
}

/// What of a folder is not sent.
#[derive(Debug)]
pub(in crate::cli::publish) struct LeftOut {
    folder: PathBuf,
    names: Vec<PathBuf>,
}

impl Folder {
    /// Looks into a folder, and not into those below. A link that leads nowhere is an error,
    /// if its name is that of a message.
    pub(super) fn read(folder: &Path) -> anyhow::Result<Self> {
        let (mut files, mut names) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(folder).with_context(|| cannot_read(folder))? {
            let path = entry.with_context(|| cannot_read(folder))?.path();
            let is_message = has_extension(&path, &["json", "ndjson", "jsonl"]);
            if is_message && fs::metadata(&path).with_context(|| cannot_read(&path))?.is_file() {
                files.push(path);
            } else {
                names.extend(path.file_name().map(PathBuf::from));
            }
        }
        if files.is_empty() {
            bail!("no .json, .ndjson or .jsonl files in {}", folder.display());
        }
        files.sort_unstable();
        names.sort_unstable();
        Ok(Self { files, left_out: LeftOut { folder: folder.to_owned(), names } })
    }
}

impl LeftOut {
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.names.len();
        write!(formatter, "not sent of {}, for not being ", self.folder.display())?;
        write!(formatter, ".json, .ndjson or .jsonl files: {count} (")?;
        for (number, name) in self.names.iter().take(NAMED).enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(formatter, "{comma}{}", name.display())?;
        }
        formatter.write_str(if count > NAMED { ", …)" } else { ")" })
    }
}

/// Whether the name ends so, in upper or lower case.
pub(super) fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    let extension = path.extension().unwrap_or_default();
    extensions.iter().any(|wanted| extension.eq_ignore_ascii_case(wanted))
}
