//! The disk as the kernel sees it.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use fuser::{Errno, FileAttr, FileType, INodeNo, Request};

use super::tree::{Kind, Node, Tree};

mod requests;

/// In bytes; what is free is told in these.
const BLOCK: u32 = 4096;

/// The file system of one disk.
pub(super) struct Fuse {
    tree: Arc<Mutex<Tree>>,
    listings: Mutex<Listings>,
}

/// What open directories named when they were opened: names may go while they are read.
#[derive(Default)]
struct Listings {
    next: u64,
    open: HashMap<u64, Vec<(INodeNo, FileType, OsString)>>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fuse {
    pub(super) fn new(tree: Arc<Mutex<Tree>>) -> Self {
        Self { tree, listings: Mutex::default() }
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        lock(&self.tree)
    }

    fn make(
        &self,
        request: &Request,
        (parent, name): (INodeNo, &OsStr),
        mode: u32,
        kind: Kind,
    ) -> Result<FileAttr, Errno> {
        let node = Node {
            user: request.uid(),
            group: request.gid(),
            mode: permissions(mode),
            modified: SystemTime::now(),
            kind,
        };
        let mut tree = self.tree();
        let number = tree.make(parent, name, node)?;
        attributes(&tree, number)
    }

    /// Notes what a directory names; answers under which number.
    fn list(&self, node: INodeNo) -> Result<u64, Errno> {
        let tree = self.tree();
        let kind = |node: &INodeNo| match tree.directory(*node) {
            Ok(_) => FileType::Directory,
            Err(_) => FileType::RegularFile,
        };
        let now = &tree.directory(node)?.now;
        let named = now.iter().map(|(name, node)| (*node, kind(node), name.clone()));
        let here = [".", ".."].map(|name| (node, FileType::Directory, name.into()));
        let list = here.into_iter().chain(named).collect();
        let mut listings = lock(&self.listings);
        listings.next += 1;
        let number = listings.next;
        listings.open.insert(number, list);
        Ok(number)
    }
}

fn permissions(mode: u32) -> u16 {
    u16::try_from(mode & 0o7777).unwrap_or_default()
}

fn attributes(tree: &Tree, number: INodeNo) -> Result<FileAttr, Errno> {
    let node = tree.node(number)?;
    let (kind, size, links) = match &node.kind {
        Kind::File(content) => (FileType::RegularFile, content.len() as u64, 1),
        Kind::Directory(_) => (FileType::Directory, u64::from(BLOCK), 2),
    };
    Ok(FileAttr {
        ino: number,
        size,
        blocks: size.div_ceil(512),
        atime: node.modified,
        mtime: node.modified,
        ctime: node.modified,
        crtime: node.modified,
        kind,
        perm: node.mode,
        nlink: links,
        uid: node.user,
        gid: node.group,
        rdev: 0,
        blksize: BLOCK,
        flags: 0,
    })
}

fn index(offset: u64) -> Result<usize, Errno> {
    usize::try_from(offset).map_err(|_| Errno::EFBIG)
}
