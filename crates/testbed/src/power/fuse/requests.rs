//! What the kernel asks for.

use std::ffi::OsStr;
use std::io;
use std::time::{Duration, SystemTime};

use fuser::{
    Errno, FileHandle, Filesystem, FopenFlags, Generation, INodeNo, InitFlags, KernelConfig,
    LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use rustix::fs::OFlags;

use super::{BLOCK, Fuse, attributes, index, lock, permissions};
use crate::power::content::Content;
use crate::power::tree::{Directory, Kind, Tree};

/// Names and attributes are asked for each time: a cut changes them behind the kernel's back.
const FRESH: Duration = Duration::ZERO;

/// So many blocks are free: servers refuse to start on a disk that looks full.
const FREE: u64 = 1 << 22;

/// Answers as `$answer` does, or with the error.
macro_rules! answer {
    ($reply:ident, $result:expr, $ok:pat => $answer:expr) => {
        match $result {
            Ok($ok) => $answer,
            Err(error) => $reply.error(error),
        }
    };
}

impl Filesystem for Fuse {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // Postgres maps files of `pg_dynshmem`. A kernel that cannot says so when it tries.
        let _ = config.add_capabilities(InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let tree = self.tree();
        let found = tree.look_up(parent, name).and_then(|number| attributes(&tree, number));
        answer!(reply, found, found => reply.entry(&FRESH, &found, Generation(0)));
    }

    fn getattr(&self, _: &Request, node: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        answer!(reply, attributes(&self.tree(), node), found => reply.attr(&FRESH, &found));
    }

    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        mode: Option<u32>,
        user: Option<u32>,
        group: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        modified: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut tree = self.tree();
        let change = |tree: &mut Tree| {
            if let Some(size) = size {
                tree.content(number)?.resize(index(size)?);
            }
            let node = tree.node_mut(number)?;
            node.mode = mode.map_or(node.mode, permissions);
            node.user = user.unwrap_or(node.user);
            node.group = group.unwrap_or(node.group);
            node.modified = match modified {
                Some(TimeOrNow::SpecificTime(time)) => time,
                Some(TimeOrNow::Now) => SystemTime::now(),
                None => node.modified,
            };
            attributes(tree, number)
        };
        answer!(reply, change(&mut tree), found => reply.attr(&FRESH, &found));
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        let node = self.make(request, (parent, name), mode, Kind::Directory(Directory::default()));
        answer!(reply, node, node => reply.entry(&FRESH, &node, Generation(0)));
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let node = self.make(request, (parent, name), mode, Kind::File(Content::default()));
        let flags = FopenFlags::FOPEN_DIRECT_IO;
        answer!(reply, node, node =>
            reply.created(&FRESH, &node, Generation(0), FileHandle(0), flags));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer!(reply, self.tree().remove(parent, name), () => reply.ok());
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer!(reply, self.tree().remove(parent, name), () => reply.ok());
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if !flags.is_empty() {
            return reply.error(Errno::EINVAL);
        }
        let renamed = self.tree().rename((parent, name), (new_parent, new_name));
        answer!(reply, renamed, () => reply.ok());
    }

    fn link(&self, _: &Request, node: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let mut tree = self.tree();
        let linked = tree.link(node, parent, name).and_then(|()| attributes(&tree, node));
        answer!(reply, linked, linked => reply.entry(&FRESH, &linked, Generation(0)));
    }

    /// Without the kernel's cache: each write is to come here as it is made.
    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &Request,
        node: INodeNo,
        _: FileHandle,
        at: u64,
        length: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut tree = self.tree();
        let read = index(at).and_then(|at| Ok(tree.content(node)?.read(at, length as usize)));
        answer!(reply, read, bytes => reply.data(bytes));
    }

    fn write(
        &self,
        _: &Request,
        node: INodeNo,
        _: FileHandle,
        at: u64,
        bytes: &[u8],
        _: WriteFlags,
        flags: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let mut tree = self.tree();
        let write = |tree: &mut Tree| {
            tree.content(node)?.write(index(at)?, bytes);
            tree.node_mut(node)?.modified = SystemTime::now();
            let flags = OFlags::from_bits_retain(flags.0.cast_unsigned());
            if flags.contains(OFlags::DSYNC) { tree.sync(node) } else { Ok(()) }
        };
        // The kernel writes a few megabytes at most in one go.
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        answer!(reply, write(&mut tree), () => reply.written(length));
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, node: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        answer!(reply, self.tree().sync(node), () => reply.ok());
    }

    fn fsyncdir(&self, _: &Request, node: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        answer!(reply, self.tree().sync(node), () => reply.ok());
    }

    fn opendir(&self, _: &Request, node: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        answer!(reply, self.list(node), handle =>
            reply.opened(FileHandle(handle), FopenFlags::empty()));
    }

    fn readdir(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let listings = lock(&self.listings);
        let list = listings.open.get(&handle.0).map(Vec::as_slice).unwrap_or_default();
        for (next, (node, kind, name)) in (1..).zip(list).skip(index(offset).unwrap_or(usize::MAX))
        {
            if reply.add(*node, next, *kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        reply: ReplyEmpty,
    ) {
        lock(&self.listings).open.remove(&handle.0);
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(2 * FREE, FREE, FREE, FREE, FREE, BLOCK, 255, BLOCK);
    }
}
