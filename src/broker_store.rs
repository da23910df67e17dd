//! Repairs the file store of a NATS Streaming server after a loss of power.
//!
//! The server confirms a message when it has synced it, and the index beside it. What it had not
//! synced may remain in part, and it does not stand that: it may not start; write on behind what is
//! torn, and lose that at the next loss of power; take a message that it confirms later for one that
//! it has delivered, because it gives a lost sequence again; or forget what a member of a group has
//! not acknowledged, because the member's client is lost. The repair removes what does not fit what
//! was confirmed, and adds such clients: at worst subscriptions are forgotten, and the channel is
//! delivered again.
//!
//! The layout of the files is that of nats-streaming-server 0.25.6 (`stores/filestore.go`).

mod clients;
mod messages;
mod record;
mod subscriptions;

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use record::{Record, VERSION, typed};

/// What was changed in a store.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// A file was replaced.
    Rewritten {
        /// Which file.
        path: PathBuf,
        /// How many records of it were kept.
        kept: usize,
        /// How many bytes were not.
        removed: usize,
        /// How many records were added: of clients that have subscriptions.
        added: usize,
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
            Self::Rewritten { path, kept, removed, added } => {
                let path = path.display();
                write!(
                    f,
                    "{path}: kept {kept} records, removed {removed} bytes, added {added} records"
                )
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
    let (mut changes, mut clients) = (Vec::new(), BTreeSet::new());
    for channel in entries(store)? {
        if channel.is_dir() {
            clients.append(&mut repair_channel(&channel, &mut changes)?);
        }
    }
    let path = store.join("clients.dat");
    let data = read(&path)?.unwrap_or_default();
    let kept: Vec<Record<'_>> = typed(&data).collect();
    let added = clients::missing(&kept, clients);
    if !data.is_empty() || !added.is_empty() {
        let kept: Vec<&[u8]> = kept.iter().map(|record| record.bytes).collect();
        replace(&path, &data, &kept, &added, &mut changes)?;
    }
    Ok(changes)
}

/// Repairs the files of a channel. Returns the clients that subscribe to it.
fn repair_channel(channel: &Path, changes: &mut Vec<Change>) -> anyhow::Result<BTreeSet<String>> {
    let mut last = 0;
    for path in entries(channel)?.iter().filter(|path| messages::is_file(path)) {
        last = last.max(repair_messages(path, changes)?);
    }
    let path = channel.join("subs.dat");
    let Some(data) = read(&path)? else { return Ok(BTreeSet::new()) };
    let records = subscriptions::beginning(&data, last);
    let kept: Vec<&[u8]> = records.iter().map(|record| record.bytes).collect();
    replace(&path, &data, &kept, &[], changes)?;
    Ok(subscriptions::clients(&records))
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
    replace(path, &data, &whole, &[], changes)?;
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

/// What a file has; None if there is none.
fn read(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(data) => Ok(Some(data)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}

/// Replaces a file that has other data than the records kept, or to which some are added.
fn replace(
    path: &Path,
    data: &[u8],
    kept: &[&[u8]],
    added: &[Vec<u8>],
    changes: &mut Vec<Change>,
) -> anyhow::Result<()> {
    let length = VERSION.len() + kept.iter().map(|record| record.len()).sum::<usize>();
    if data.starts_with(&VERSION) && data.len() == length && added.is_empty() {
        return Ok(());
    }
    let records = kept.iter().copied().chain(added.iter().map(Vec::as_slice));
    write(path, records).with_context(|| format!("{} cannot be replaced", path.display()))?;
    changes.push(Change::Rewritten {
        path: path.to_owned(),
        kept: kept.len(),
        removed: data.len().saturating_sub(length),
        added: added.len(),
    });
    Ok(())
}

/// Puts these records in the place of a file at once, with the owner and the mode that it has, or
/// the directory where there is no file yet.
fn write<'a>(path: &Path, records: impl Iterator<Item = &'a [u8]>) -> io::Result<()> {
    let directory = path.parent().unwrap_or(path);
    let (old, new) =
        (fs::metadata(path).or_else(|_| fs::metadata(directory))?, path.with_extension("new"));
    let file = File::create(&new)?;
    file.set_permissions(fs::Permissions::from_mode(old.mode() & 0o666))?;
    fchown(&file, Some(old.uid()), Some(old.gid()))?;
    let mut writer = io::BufWriter::new(file);
    writer.write_all(&VERSION)?;
    for record in records {
        writer.write_all(record)?;
    }
    writer.into_inner()?.sync_all()?;
    fs::rename(&new, path)?;
    File::open(directory)?.sync_all()
}
