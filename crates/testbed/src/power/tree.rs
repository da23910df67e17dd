//! Files and directories, each as it is and as it was synced.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::time::SystemTime;

use fuser::{Errno, INodeNo};

use super::content::Content;

mod cut;

/// What has no name of its own: the directory that everything is in.
pub(super) const ROOT: INodeNo = INodeNo::ROOT;

/// All files and directories of a disk.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: HashMap<INodeNo, Node>,
    next: u64,
    /// Changes of names that were not synced, in their order.
    unsynced: Vec<Step>,
}

/// A file or a directory. Owner, mode and time are on the disk at once.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) user: u32,
    pub(super) group: u32,
    /// The bits of permission.
    pub(super) mode: u16,
    pub(super) modified: SystemTime,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    File(Content),
    Directory(Directory),
}

/// What a directory names.
#[derive(Debug, Default)]
pub(super) struct Directory {
    pub(super) now: BTreeMap<OsString, INodeNo>,
    synced: BTreeMap<OsString, INodeNo>,
}

/// Names that come and go together.
#[derive(Debug)]
struct Step(Vec<Entry>);

/// In `directory`, `name` now means `node`, or nothing.
#[derive(Debug)]
struct Entry {
    directory: INodeNo,
    name: OsString,
    node: Option<INodeNo>,
}

impl Tree {
    pub(super) fn new(root: Node) -> Self {
        Self { nodes: HashMap::from([(ROOT, root)]), next: ROOT.0 + 1, unsynced: Vec::new() }
    }

    pub(super) fn node(&self, number: INodeNo) -> Result<&Node, Errno> {
        self.nodes.get(&number).ok_or(Errno::ESTALE)
    }

    pub(super) fn node_mut(&mut self, number: INodeNo) -> Result<&mut Node, Errno> {
        self.nodes.get_mut(&number).ok_or(Errno::ESTALE)
    }

    pub(super) fn directory(&self, number: INodeNo) -> Result<&Directory, Errno> {
        match &self.node(number)?.kind {
            Kind::Directory(directory) => Ok(directory),
            Kind::File(_) => Err(Errno::ENOTDIR),
        }
    }

    pub(super) fn content(&mut self, number: INodeNo) -> Result<&mut Content, Errno> {
        match &mut self.node_mut(number)?.kind {
            Kind::File(content) => Ok(content),
            Kind::Directory(_) => Err(Errno::EISDIR),
        }
    }

    pub(super) fn look_up(&self, directory: INodeNo, name: &OsStr) -> Result<INodeNo, Errno> {
        self.directory(directory)?.now.get(name).copied().ok_or(Errno::ENOENT)
    }

    /// Makes a file or a directory under a name that is free.
    pub(super) fn make(
        &mut self,
        directory: INodeNo,
        name: &OsStr,
        node: Node,
    ) -> Result<INodeNo, Errno> {
        self.must_be_free(directory, name)?;
        let number = INodeNo(self.next);
        self.next += 1;
        self.nodes.insert(number, node);
        self.step(vec![entry(directory, name, Some(number))]);
        Ok(number)
    }

    /// Gives a file another name.
    pub(super) fn link(
        &mut self,
        node: INodeNo,
        directory: INodeNo,
        name: &OsStr,
    ) -> Result<(), Errno> {
        self.must_be_free(directory, name)?;
        self.step(vec![entry(directory, name, Some(node))]);
        Ok(())
    }

    /// Takes the name of a file, or of a directory that is empty.
    pub(super) fn remove(&mut self, directory: INodeNo, name: &OsStr) -> Result<(), Errno> {
        self.must_be_empty(self.look_up(directory, name)?)?;
        self.step(vec![entry(directory, name, None)]);
        Ok(())
    }

    /// Gives a file or directory another name, in place of whatever has that.
    pub(super) fn rename(
        &mut self,
        (from, name): (INodeNo, &OsStr),
        (to, new_name): (INodeNo, &OsStr),
    ) -> Result<(), Errno> {
        let node = self.look_up(from, name)?;
        match self.look_up(to, new_name) {
            // Both are names of one file already, and stay (rename(2)).
            Ok(before) if before == node => return Ok(()),
            Ok(before) => self.must_be_empty(before)?,
            Err(_) => {}
        }
        self.step(vec![entry(from, name, None), entry(to, new_name, Some(node))]);
        Ok(())
    }

    fn must_be_free(&self, directory: INodeNo, name: &OsStr) -> Result<(), Errno> {
        match self.look_up(directory, name) {
            Err(Errno::ENOENT) => Ok(()),
            Ok(_) => Err(Errno::EEXIST),
            Err(error) => Err(error),
        }
    }

    fn must_be_empty(&self, node: INodeNo) -> Result<(), Errno> {
        match &self.node(node)?.kind {
            Kind::Directory(directory) if !directory.now.is_empty() => Err(Errno::ENOTEMPTY),
            _ => Ok(()),
        }
    }

    fn step(&mut self, entries: Vec<Entry>) {
        let step = Step(entries);
        self.apply(&step, |directory| &mut directory.now);
        self.unsynced.push(step);
    }

    fn apply(
        &mut self,
        Step(entries): &Step,
        names: impl Fn(&mut Directory) -> &mut BTreeMap<OsString, INodeNo>,
    ) {
        for Entry { directory, name, node } in entries {
            let Some(Node { kind: Kind::Directory(directory), .. }) = self.nodes.get_mut(directory)
            else {
                continue;
            };
            match node {
                Some(node) => names(directory).insert(name.clone(), *node),
                None => names(directory).remove(name),
            };
        }
    }

    /// Has the bytes of a file on the disk, or the names in a directory; and with it, as ext4 and
    /// others do beyond what POSIX asks, its own name and those of the directories that it is in.
    pub(super) fn sync(&mut self, node: INodeNo) -> Result<(), Errno> {
        if let Kind::File(content) = &mut self.node_mut(node)?.kind {
            content.sync();
        }
        let mut wanted = HashSet::from([node]);
        let mut needed = Vec::new();
        let mut rest = Vec::new();
        // What came before in the same directory is needed too: its names change in their order.
        for step in std::mem::take(&mut self.unsynced).into_iter().rev() {
            let Step(entries) = &step;
            let names_wanted = entries.iter().any(|entry| {
                wanted.contains(&entry.directory)
                    || entry.node.is_some_and(|node| wanted.contains(&node))
            });
            if names_wanted {
                wanted.extend(entries.iter().map(|entry| entry.directory));
                needed.push(step);
            } else {
                rest.push(step);
            }
        }
        for step in needed.iter().rev() {
            self.apply(step, |directory| &mut directory.synced);
        }
        rest.reverse();
        self.unsynced = rest;
        Ok(())
    }

    /// Has everything on the disk.
    pub(super) fn sync_all(&mut self) {
        for step in std::mem::take(&mut self.unsynced) {
            self.apply(&step, |directory| &mut directory.synced);
        }
        for node in self.nodes.values_mut() {
            if let Kind::File(content) = &mut node.kind {
                content.sync();
            }
        }
    }
}

fn entry(directory: INodeNo, name: &OsStr, node: Option<INodeNo>) -> Entry {
    Entry { directory, name: name.to_owned(), node }
}
