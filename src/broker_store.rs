//! Repairs the file store of a NATS Streaming server after a loss of power.
//!
//! The server confirms a message when it has synced it, and the index beside it. What it had not
//! synced may remain in part, and it does not stand that: it may not start; write on behind what is
//! torn, and lose that at the next loss of power; or take a message that it confirms later for one
//! that it has delivered, because it gives a lost sequence again. The repair removes what does not
//! fit what was confirmed: at worst clients and subscriptions are forgotten, and the channel is
//! delivered again.
//!
//! The layout of the files is that of nats-streaming-server 0.25.6 (`stores/filestore.go`).

mod messages;
mod record;
mod subscriptions;

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use record::VERSION;

/// What was changed in a store.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// A file was replaced by one without what does not belong there.
    Rewritten {
        /// Which file.
        path: PathBuf,
        /// How many records it has now.
        records: usize,
        /// How many bytes it lacks now.
        removed: usize,
    },
    /// An index was deleted that named other messages than there are; the server makes it anew.
    IndexDeleted {
        /// Which file.
        path: PathBuf,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rewritten { path, records, removed } => {
                write!(f, "{}: removed {removed} bytes, kept {records} records", path.display())
            }
            Self::IndexDeleted { path } => {
                write!(f, "{}: deleted, the broker makes it anew", path.display())
            }
        }
    }
}

/// Repairs the store in this directory, the `dir` of the server's settings, while the server is
/// stopped. What it changes is replaced as a whole, so that it may be interrupted at any time.
pub fn repair(store: &Path) -> anyhow::Result<Vec<Change>> {
    let mut changes = Vec::new();
    repair_records(&store.join("clients.dat"), None, &mut changes)?;
    for channel in entries(store)? {
        if !channel.is_dir() {
            continue;
        }
        let mut last = 0;
        for path in entries(&channel)?.iter().filter(|path| messages::is_file(path)) {
            last = last.max(repair_messages(path, &mut changes)?);
        }
        repair_records(&channel.join("subs.dat"), Some(last), &mut changes)?;
    }
    Ok(changes)
}

/// What a directory has, by name.
fn entries(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let list = || fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect();
    let entries: io::Result<Vec<PathBuf>> = list();
    let mut entries = entries.with_context(|| format!("{} cannot be read", directory.display()))?;
    entries.sort_unstable();
    Ok(entries)
}

/// Repairs a file of messages and the index beside it. Returns the last sequence.
fn repair_messages(path: &Path, changes: &mut Vec<Change>) -> anyhow::Result<u64> {
    let Some(data) = read(path)? else { return Ok(0) };
    let kept = messages::whole(&data);
    let whole: Vec<&[u8]> = kept.iter().map(|message| message.record).collect();
    replace(path, &data, &whole, changes)?;
    let index = path.with_extension("idx");
    if let Some(named) = read(&index)?
        && !messages::are_named(&kept, &named)
    {
        fs::remove_file(&index)
            .with_context(|| format!("{} cannot be deleted", index.display()))?;
        changes.push(Change::IndexDeleted { path: index });
    }
    Ok(kept.last().map_or(0, |message| message.sequence))
}

/// Repairs a file of clients or, where the last sequence of the channel is given, subscriptions.
fn repair_records(path: &Path, last: Option<u64>, changes: &mut Vec<Change>) -> anyhow::Result<()> {
    let Some(data) = read(path)? else { return Ok(()) };
    let whole = subscriptions::beginning(&data, last);
    replace(path, &data, &whole, changes)
}

/// What a file has; None if there is none.
fn read(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(data) => Ok(Some(data)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}

/// Replaces a file that has other data than these records.
fn replace(
    path: &Path,
    data: &[u8],
    records: &[&[u8]],
    changes: &mut Vec<Change>,
) -> anyhow::Result<()> {
    let length = VERSION.len() + records.iter().map(|record| record.len()).sum::<usize>();
    if data.starts_with(&VERSION) && data.len() == length {
        return Ok(());
    }
    write(path, records).with_context(|| format!("{} cannot be replaced", path.display()))?;
    let removed = data.len().saturating_sub(length);
    changes.push(Change::Rewritten { path: path.to_owned(), records: records.len(), removed });
    Ok(())
}

/// Puts these records in the place of a file at once, with the owner and the mode that it has.
fn write(path: &Path, records: &[&[u8]]) -> io::Result<()> {
    let (old, new) = (fs::metadata(path)?, path.with_extension("new"));
    let file = File::create(&new)?;
    file.set_permissions(old.permissions())?;
    fchown(&file, Some(old.uid()), Some(old.gid()))?;
    let mut writer = io::BufWriter::new(file);
    writer.write_all(&VERSION)?;
    for record in records {
        writer.write_all(record)?;
    }
    writer.into_inner()?.sync_all()?;
    fs::rename(&new, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}
