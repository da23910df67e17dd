//! What `/proc` tells of processes, and ending one with its children.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

const PAUSE: Duration = Duration::from_millis(2);

/// How long a process that was sent SIGKILL may take to go.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether the process exists and is not a zombie. Of one that is killed the first thread may be
/// one already while others still hold its files and ports.
pub(crate) fn is_running(pid: Pid) -> bool {
    stat(pid).is_some_and(|stat| !matches!(stat.state, 'Z' | 'X') || stat.threads > 1)
}

/// The program and its arguments; nothing when it has ended.
pub(crate) fn command_line(pid: Pid) -> Vec<String> {
    let bytes = std::fs::read(path(pid, "cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.split_terminator('\0').map(str::to_owned).collect()
}

/// Kills a process, its children and its process group at once, as the end of a container does,
/// and waits until none of them runs.
///
/// It is halted first, so that it can have no child that was not seen.
pub(crate) fn kill_with_children(pid: Pid) {
    let _ = kill_process(pid, Signal::STOP);
    wait_until(|| stat(pid).is_none_or(|stat| matches!(stat.state, 'T' | 'Z' | 'X')));
    let family = family_of(pid);
    for member in &family {
        let _ = kill_process(*member, Signal::KILL);
    }
    let _ = kill_process_group(pid, Signal::KILL);
    // Members of the group were not halted, and may have had children since.
    wait_until(|| !family.iter().chain(&family_of(pid)).any(|member| is_running(*member)));
}

struct Stat {
    state: char,
    parent: i32,
    group: i32,
    threads: u32,
}

fn stat(pid: Pid) -> Option<Stat> {
    let text = std::fs::read_to_string(path(pid, "stat")).ok()?;
    // The program's name stands in parentheses and may hold any character.
    let (_, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    Some(Stat {
        state: fields.next()?.chars().next()?,
        parent: fields.next()?.parse().ok()?,
        group: fields.next()?.parse().ok()?,
        // Field 20 (proc_pid_stat(5)); of the first three the last was field 5.
        threads: fields.nth(14)?.parse().ok()?,
    })
}

/// A process, its children, and the members of the group that it leads.
fn family_of(pid: Pid) -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| Pid::from_raw(entry.ok()?.file_name().to_str()?.parse().ok()?))
        .filter(|member| {
            let is_related = |stat: Stat| [stat.parent, stat.group].contains(&pid.as_raw_pid());
            *member == pid || stat(*member).is_some_and(is_related)
        })
        .collect()
}

fn path(pid: Pid, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{}/{file}", pid.as_raw_pid()))
}

fn wait_until(condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() && Instant::now() < end {
        sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    use super::*;

    fn others_of(pid: Pid, count: usize) -> Vec<Pid> {
        let others =
            || -> Vec<Pid> { family_of(pid).into_iter().filter(|member| *member != pid).collect() };
        wait_until(|| others().len() == count);
        let others = others();
        assert_eq!(others.len(), count);
        others
    }

    #[test]
    fn a_process_ends_with_its_children() {
        let mut parent = Command::new("sh").args(["-c", "sleep 600 & wait"]).spawn().unwrap();
        let pid = Pid::from_child(&parent);
        let children = others_of(pid, 1);
        kill_with_children(pid);
        assert!(!is_running(children[0]));
        assert!(!is_running(pid), "a zombie does not run");
        assert!(command_line(pid).is_empty());
        parent.wait().unwrap();
    }

    #[test]
    fn threads_are_counted() {
        let mut single = Command::new("sleep").arg("600").spawn().unwrap();
        let threads = |id: u32| {
            let pid = Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
            stat(pid).unwrap().threads
        };
        assert_eq!(threads(single.id()), 1);
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let waiting = std::thread::spawn(move || ended.recv());
        assert!(threads(std::process::id()) >= 2);
        drop(end);
        waiting.join().unwrap().unwrap_err();
        single.kill().unwrap();
        single.wait().unwrap();
    }

    #[test]
    fn the_leader_of_a_group_ends_with_the_group() {
        let mut command = Command::new("sh");
        command.args(["-c", "sh -c 'sleep 600 & wait' & wait"]).process_group(0);
        let mut leader = command.spawn().unwrap();
        let pid = Pid::from_child(&leader);
        let members = others_of(pid, 2);
        kill_with_children(pid);
        assert!(!members.into_iter().any(is_running));
        leader.wait().unwrap();
    }
}
