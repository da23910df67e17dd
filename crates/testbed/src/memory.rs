//! Takes all memory from a process, so that the kernel kills it: a memory cgroup. Needs root.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::time::{Instant, sleep};

use crate::reaper;

const PAUSE: Duration = Duration::from_millis(5);

/// How long a process may do with what it has.
const PATIENCE: Duration = Duration::from_secs(30);

/// A version of cgroups: where groups with a limit of memory are made, the file of the limit, and
/// the one with the number of kills.
struct Version {
    root: &'static str,
    limit: &'static str,
    events: &'static str,
}

const VERSIONS: [Version; 2] = [
    Version { root: "/sys/fs/cgroup", limit: "memory.max", events: "memory.events" },
    Version {
        root: "/sys/fs/cgroup/memory",
        limit: "memory.limit_in_bytes",
        events: "memory.oom_control",
    },
];

/// A cgroup with a limit of memory, removed when this is dropped.
#[derive(Debug)]
pub struct MemoryLimit {
    group: PathBuf,
    events: PathBuf,
}

impl MemoryLimit {
    /// A cgroup whose members may get so many bytes more than they have.
    ///
    /// # Errors
    ///
    /// Without the right to make one, and where the kernel has no limits of memory.
    pub fn new(bytes: u64) -> Result<Self> {
        static GROUPS: AtomicU32 = AtomicU32::new(0);
        let number = GROUPS.fetch_add(1, Ordering::Relaxed);
        let name = format!("waybill-test-{}-{number}", std::process::id());
        let version = VERSIONS.iter().find(|version| offers_limits(version));
        let version = version.context("the kernel offers no cgroups with limits of memory")?;
        let group = Path::new(version.root).join(name);
        reaper::remove_group_at_end(&group)?;
        fs::create_dir(&group).context("cannot make a cgroup")?;
        let limited = Self { events: group.join(version.events), group };
        fs::write(limited.group.join(version.limit), bytes.to_string())
            .context("cannot limit the memory of a cgroup")?;
        Ok(limited)
    }

    /// Whether this process may make one.
    #[must_use]
    pub fn is_possible() -> bool {
        Self::new(0).is_ok()
    }

    /// Puts a process under it. What it has it keeps, but it may not have more than the limit.
    pub fn put(&self, process: u32) -> Result<()> {
        fs::write(self.group.join("cgroup.procs"), process.to_string())
            .with_context(|| format!("cannot put process {process} into a cgroup"))
    }

    /// Waits until the kernel has killed a member for want of memory.
    ///
    /// # Errors
    ///
    /// When none needed more within half a minute.
    pub async fn until_killed(&self) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while self.kills()? == 0 {
            ensure!(Instant::now() < end, "nothing was killed for want of memory in {PATIENCE:?}");
            sleep(PAUSE).await;
        }
        Ok(())
    }

    fn kills(&self) -> Result<u64> {
        let events = fs::read_to_string(&self.events)?;
        let kills = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        Ok(kills.context("the kernel does not count who is killed")?.parse()?)
    }
}

impl Drop for MemoryLimit {
    /// What was killed may take a moment to leave it.
    fn drop(&mut self) {
        const ATTEMPTS: u32 = 500;
        for _ in 0..ATTEMPTS {
            match fs::remove_dir(&self.group) {
                Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                // What cannot be removed here is left to the reaper.
                _ => return,
            }
        }
    }
}

/// Only a group below the root has the file; the root of version 2 tells it by its controllers.
fn offers_limits(version: &Version) -> bool {
    let root = Path::new(version.root);
    let controllers = fs::read_to_string(root.join("cgroup.subtree_control")).unwrap_or_default();
    root.join(version.limit).exists() || controllers.split_whitespace().any(|one| one == "memory")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::process::Process;

    #[tokio::test]
    async fn what_needs_more_memory_than_there_is_gets_killed() {
        if !MemoryLimit::is_possible() {
            assert!(std::env::var_os("CI").is_none(), "a cgroup needs root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "while :; do text=\"$text and more\"; done"]);
        let mut process = Process::spawn("eater", &command, &dir.path().join("log")).unwrap();
        let limit = MemoryLimit::new(0).unwrap();
        let group = limit.group.clone();
        assert_eq!(limit.kills().unwrap(), 0);
        limit.put(process.id()).unwrap();
        limit.until_killed().await.unwrap();
        process.kill().unwrap();
        drop(limit);
        assert!(!group.exists());
    }
}
