//! A disk whose power can be cut: what was not synced is then lost, in part and torn.
//!
//! It is a FUSE file system within this process, which keeps everything in memory. Each file has
//! the bytes that are read and those that were synced, and each directory its names likewise.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result, bail};
use fuser::{BackgroundSession, Config, INodeNo, MountOption, SessionACL};

mod content;
mod fuse;
mod loss;
mod tree;

#[cfg(test)]
mod tests;

use content::Content;
use fuse::{Fuse, lock};
pub use loss::Losses;
use tree::{Directory, Kind, Node, ROOT, Tree};

/// So many requests are answered at the same time.
const THREADS: usize = 2;

/// A disk that is mounted until this is dropped.
#[derive(Debug)]
pub struct PowerDisk {
    dir: PathBuf,
    tree: Arc<Mutex<Tree>>,
    /// Ends when the disk is unmounted.
    _session: BackgroundSession,
}

impl PowerDisk {
    /// Mounts a disk over a directory that nobody has open, with what is in it, all of it synced.
    ///
    /// # Errors
    ///
    /// Without the rights to mount, without `/dev/fuse`, and when there is anything but files and
    /// directories.
    pub fn over(dir: &Path) -> Result<Self> {
        let mut tree = Tree::new(node(dir)?);
        read_directory(dir, &mut tree, ROOT)?;
        tree.sync_all();
        let tree = Arc::new(Mutex::new(tree));
        let mut config = Config::default();
        config.mount_options =
            vec![MountOption::FSName("power-disk".to_owned()), MountOption::DefaultPermissions];
        config.acl = SessionACL::All;
        config.n_threads = Some(THREADS);
        let session = fuser::spawn_mount(Fuse::new(Arc::clone(&tree)), dir, &config)
            .with_context(|| format!("cannot mount a disk over {}", dir.display()))?;
        Ok(Self { dir: dir.to_owned(), tree, _session: session })
    }

    /// Has everything on the disk, as the kernel would have in the end by itself.
    pub fn sync(&self) {
        lock(&self.tree).sync_all();
    }

    /// Cuts the power: what was not synced is lost, but for what `seed` decides. The processes that
    /// had files open must have been killed before, and start again after.
    #[must_use]
    pub fn cut(&self, seed: u64) -> Losses {
        lock(&self.tree).cut(seed)
    }
}

impl Drop for PowerDisk {
    /// At once; a server that still runs keeps it alive until it has closed its files.
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.dir).output();
    }
}

/// A file or a directory of another file system, without what a directory names.
fn node(path: &Path) -> Result<Node> {
    let metadata = fs::symlink_metadata(path)?;
    let kind = if metadata.is_dir() {
        Kind::Directory(Directory::default())
    } else if metadata.is_file() {
        Kind::File(Content::synced(fs::read(path)?))
    } else {
        bail!("{} is neither a file nor a directory", path.display());
    };
    Ok(Node {
        user: metadata.uid(),
        group: metadata.gid(),
        mode: u16::try_from(metadata.mode() & 0o7777)?,
        modified: metadata.modified()?,
        kind,
    })
}

fn read_directory(path: &Path, tree: &mut Tree, number: INodeNo) -> Result<()> {
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let name = path.file_name().context("a file without a name")?;
        let made = tree.make(number, name, node(&path)?);
        let made = made.map_err(|error| anyhow::anyhow!("{}: {error:?}", path.display()))?;
        if path.is_dir() {
            read_directory(&path, tree, made)?;
        }
    }
    Ok(())
}
