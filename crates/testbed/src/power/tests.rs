//! Random work and then a cut: what was synced is there, and nothing that was never written.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::SystemTime;

use fuser::INodeNo;
use proptest::collection::vec;
use proptest::prelude::*;

use super::content::Content;
use super::loss::Loss;
use super::tree::{Directory, Kind, Node, ROOT, Tree};
use super::{Losses, PowerDisk};

const SECTOR: usize = 512;
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// One thing that is done to a disk with two directories, each with up to four files.
#[derive(Debug, Clone, Copy)]
enum Work {
    Make(usize, usize),
    Write { file: (usize, usize), at: usize, length: usize, byte: u8 },
    Resize((usize, usize), usize),
    Sync(usize, usize),
    SyncDirectory(usize),
    Remove(usize, usize),
    Rename((usize, usize), (usize, usize)),
}

fn place() -> impl Strategy<Value = (usize, usize)> {
    (0..2_usize, 0..NAMES.len())
}

fn work() -> impl Strategy<Value = Work> {
    prop_oneof![
        3 => place().prop_map(|(dir, name)| Work::Make(dir, name)),
        6 => (place(), 0..3000_usize, 1..2000_usize, any::<u8>())
            .prop_map(|(file, at, length, byte)| Work::Write { file, at, length, byte }),
        1 => (place(), 0..4000_usize).prop_map(|(file, length)| Work::Resize(file, length)),
        3 => place().prop_map(|(dir, name)| Work::Sync(dir, name)),
        1 => (0..2_usize).prop_map(Work::SyncDirectory),
        1 => place().prop_map(|(dir, name)| Work::Remove(dir, name)),
        2 => (place(), place()).prop_map(|(from, to)| Work::Rename(from, to)),
    ]
}

/// What each directory names, and what the files that it names hold.
type State = Vec<(BTreeMap<OsString, INodeNo>, Vec<Vec<u8>>)>;

/// What a disk was told, for each file and directory since it was synced last.
struct Model {
    tree: Tree,
    directories: [INodeNo; 2],
    /// All that a file has held.
    held: HashMap<INodeNo, Vec<Vec<u8>>>,
    /// All that a directory has named.
    named: HashMap<INodeNo, Vec<BTreeMap<OsString, INodeNo>>>,
}

fn new(kind: Kind) -> Node {
    Node { user: 0, group: 0, mode: 0o700, modified: SystemTime::UNIX_EPOCH, kind }
}

fn directory() -> Node {
    new(Kind::Directory(Directory::default()))
}

impl Model {
    fn new() -> Self {
        let mut tree = Tree::new(directory());
        let inner = tree.make(ROOT, OsStr::new("inner"), directory()).unwrap();
        tree.sync_all();
        let directories = [ROOT, inner];
        let mut model = Self { tree, directories, held: HashMap::new(), named: HashMap::new() };
        model.look();
        model
    }

    /// Notes what is there now.
    fn look(&mut self) {
        for directory in self.directories {
            let now = self.tree.directory(directory).unwrap().now.clone();
            for node in now.values().filter(|node| !self.directories.contains(node)) {
                let bytes = self.tree.content(*node).unwrap().read(0, usize::MAX).to_vec();
                self.held.entry(*node).or_insert_with(|| vec![Vec::new()]).push(bytes);
            }
            self.named.entry(directory).or_default().push(now);
        }
    }

    fn file(&self, (dir, name): (usize, usize)) -> Option<INodeNo> {
        self.tree.look_up(self.directories[dir], OsStr::new(NAMES[name])).ok()
    }

    fn at(&self, (dir, name): (usize, usize)) -> (INodeNo, &'static OsStr) {
        (self.directories[dir], OsStr::new(NAMES[name]))
    }

    /// What cannot be done is refused, and no harm.
    fn run(&mut self, work: Work) {
        match work {
            Work::Make(dir, name) => {
                let (dir, name) = self.at((dir, name));
                let _ = self.tree.make(dir, name, new(Kind::File(Content::default())));
            }
            Work::Write { file, at, length, byte } => {
                let Some(file) = self.file(file) else { return };
                self.tree.content(file).unwrap().write(at, &vec![byte; length]);
            }
            Work::Resize(file, length) => {
                let Some(file) = self.file(file) else { return };
                self.tree.content(file).unwrap().resize(length);
            }
            Work::Sync(dir, name) => {
                let Some(file) = self.file((dir, name)) else { return };
                self.tree.sync(file).unwrap();
                let bytes = self.tree.content(file).unwrap().read(0, usize::MAX).to_vec();
                self.held.insert(file, vec![bytes]);
            }
            Work::SyncDirectory(dir) => {
                self.tree.sync(self.directories[dir]).unwrap();
                let names = self.tree.directory(self.directories[dir]).unwrap().now.clone();
                self.named.insert(self.directories[dir], vec![names]);
            }
            Work::Remove(dir, name) => {
                let (dir, name) = self.at((dir, name));
                let _ = self.tree.remove(dir, name);
            }
            Work::Rename(from, to) => {
                let _ = self.tree.rename(self.at(from), self.at(to));
            }
        }
        self.look();
    }

    /// After a cut each directory names what it has named at one moment since it was synced, and
    /// each sector of a file is as it was at one since that was.
    fn check(&mut self) {
        for directory in self.directories {
            let now = self.tree.directory(directory).unwrap().now.clone();
            assert!(self.named[&directory].contains(&now), "{directory:?} names {now:?}");
            for node in now.values().filter(|node| !self.directories.contains(node)) {
                let bytes = self.tree.content(*node).unwrap().read(0, usize::MAX).to_vec();
                for begin in (0..bytes.len()).step_by(SECTOR) {
                    let sector = &bytes[begin..bytes.len().min(begin + SECTOR)];
                    let was = |version: &Vec<u8>| {
                        let mut whole = version.clone();
                        whole.resize(whole.len().max(bytes.len()), 0);
                        whole[begin..begin + sector.len()] == *sector
                    };
                    let versions = &self.held[node];
                    assert!(versions.iter().any(was), "{node:?} at {begin} was never so");
                }
            }
        }
    }

    fn state(&mut self) -> State {
        let mut state = Vec::new();
        for directory in self.directories {
            let names = self.tree.directory(directory).unwrap().now.clone();
            let files = names.values().filter_map(|node| {
                self.tree.content(*node).ok().map(|file| file.read(0, usize::MAX).to_vec())
            });
            let files = files.collect();
            state.push((names, files));
        }
        state
    }
}

proptest! {
    #[test]
    fn a_cut_leaves_what_was_there_at_some_time_since_the_last_sync(
        work in vec(work(), 1..60),
        seed: u64,
    ) {
        let mut model = Model::new();
        for work in work {
            model.run(work);
        }
        model.tree.cut(seed);
        model.check();
    }

    #[test]
    fn a_synced_disk_loses_nothing(work in vec(work(), 1..60), seed: u64) {
        let mut model = Model::new();
        for work in work {
            model.run(work);
        }
        let before = model.state();
        model.tree.sync_all();
        prop_assert_eq!(model.tree.cut(seed), Losses::default());
        prop_assert_eq!(model.state(), before);
    }

    #[test]
    fn the_seed_decides_alone(work in vec(work(), 1..60), seed: u64) {
        let after = || {
            let mut model = Model::new();
            for work in work.clone() {
                model.run(work);
            }
            let losses = model.tree.cut(seed);
            (losses, model.state())
        };
        prop_assert_eq!(after(), after());
    }
}

#[test]
fn every_kind_of_loss_comes() {
    let (mut kept, mut torn, mut nothing, mut nameless) = (0, 0, 0, 0);
    for seed in 0..100 {
        let mut model = Model::new();
        model.run(Work::Make(0, 0));
        model.run(Work::Sync(0, 0));
        model.run(Work::Write { file: (0, 0), at: 0, length: 4 * SECTOR, byte: 7 });
        model.run(Work::Make(1, 1));
        model.tree.cut(seed);
        let file = model.file((0, 0)).unwrap();
        let bytes = model.tree.content(file).unwrap().read(0, usize::MAX).to_vec();
        kept += usize::from(bytes == vec![7; 4 * SECTOR]);
        nothing += usize::from(bytes.is_empty());
        torn += usize::from(bytes.contains(&0));
        nameless += usize::from(model.file((1, 1)).is_none());
    }
    assert!(kept > 20 && torn > 5 && nothing > 20, "{kept} kept, {torn} torn, {nothing} lost");
    assert!((20..80).contains(&nameless), "{nameless} new files are gone");
}

fn seed_that_loses_all() -> u64 {
    let loses_all = |seed: &u64| {
        let mut loss = Loss::new(*seed);
        (0..100).all(|_| !loss.keeps() && !loss.tears())
    };
    (0..1000).find(loses_all).expect("a quarter of the seeds do")
}

#[test]
fn a_synced_file_keeps_its_name_but_not_those_that_came_after_it() {
    let mut tree = Tree::new(directory());
    let inner = tree.make(ROOT, OsStr::new("inner"), directory()).unwrap();
    let before = tree.make(inner, OsStr::new("before"), new(Kind::File(Content::default())));
    let file = tree.make(inner, OsStr::new("file"), new(Kind::File(Content::default()))).unwrap();
    tree.make(inner, OsStr::new("after"), new(Kind::File(Content::default()))).unwrap();
    tree.make(ROOT, OsStr::new("elsewhere"), directory()).unwrap();
    tree.content(before.unwrap()).unwrap().write(0, b"lost");
    tree.content(file).unwrap().write(0, b"kept");
    tree.sync(file).unwrap();
    tree.cut(seed_that_loses_all());
    let names = |tree: &Tree, node| tree.directory(node).unwrap().now.keys().cloned().collect();
    let (root, inside): (Vec<_>, Vec<_>) = (names(&tree, ROOT), names(&tree, inner));
    assert_eq!(root, ["inner"]);
    assert_eq!(inside, ["before", "file"]);
    assert_eq!(tree.content(before.unwrap()).unwrap().len(), 0);
    assert_eq!(tree.content(file).unwrap().read(0, 9), b"kept");
}

/// The same by the kernel, which is asked for nothing that it remembers.
#[test]
fn a_mounted_disk_loses_what_was_not_synced() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("disk")).unwrap();
    let path = |name: &str| dir.path().join("disk").join(name);
    fs::write(path("old"), "from before").unwrap();
    let disk = PowerDisk::over(&dir.path().join("disk")).unwrap();
    assert_eq!(fs::read_to_string(path("old")).unwrap(), "from before");

    fs::create_dir(path("inner")).unwrap();
    let mut synced = File::create(path("inner/synced")).unwrap();
    synced.write_all(b"there").unwrap();
    synced.sync_all().unwrap();
    let synchronous = i32::try_from(rustix::fs::OFlags::DSYNC.bits()).unwrap();
    let mut by_flag = OpenOptions::new();
    by_flag.write(true).create(true).truncate(true).custom_flags(synchronous);
    let mut by_flag = by_flag.open(path("inner/by-flag")).unwrap();
    by_flag.write_all(b"there too").unwrap();
    let mut appended = OpenOptions::new().append(true).open(path("old")).unwrap();
    appended.write_all(b", and after").unwrap();
    fs::write(path("inner/never-synced"), "gone").unwrap();
    assert_eq!(fs::read_dir(path("inner")).unwrap().count(), 3);
    drop((synced, by_flag, appended));

    assert_eq!(disk.cut(seed_that_loses_all()), Losses { kept: 0, torn: 0, lost: 3 });
    assert_eq!(fs::read_to_string(path("old")).unwrap(), "from before");
    assert_eq!(fs::read_to_string(path("inner/synced")).unwrap(), "there");
    assert_eq!(fs::read_to_string(path("inner/by-flag")).unwrap(), "there too");
    assert_eq!(
        fs::metadata(path("inner/never-synced")).unwrap_err().kind(),
        std::io::ErrorKind::NotFound
    );

    fs::rename(path("inner/synced"), path("renamed")).unwrap();
    let mut again = String::new();
    let mut file = File::open(path("renamed")).unwrap();
    file.read_to_string(&mut again).unwrap();
    file.rewind().unwrap();
    assert_eq!(again, "there");
    drop(file);
    fs::remove_dir_all(path("inner")).unwrap();
    drop(disk);
    assert_eq!(fs::read_to_string(path("old")).unwrap(), "from before");
    assert!(!path("renamed").exists());
}
