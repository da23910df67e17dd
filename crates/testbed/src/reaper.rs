//! Nothing outlives the test process: a helper shell waits for its end and clears up.
//!
//! Destructors clear up after a test that returns or panics. They do not run after
//! `kill -9`, Ctrl-C or an abort, nor for statics; for those there is the helper. It reads
//! what to clear up from a pipe whose other end only the test process holds, so the pipe
//! ends exactly when that process is gone.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

/// SIGQUIT first: Postgres takes its shared memory with it. Each process leads a group, which ends
/// with it. The signals a terminal or a CI system sends to all of the test's processes must not end
/// the helper before its work.
const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM
pids='' dirs='' groups=''
# What libfaketime leaves in memory of a process that was killed.
forget_clock() {
    for file in "/dev/shm/faketime_shm_$1" "/dev/shm/sem.faketime_sem_$1"; do
        [ ! -e "$file" ] || rm -f "$file"
    done
}
while read -r verb value; do
    case $verb in
    pid) pids="$pids $value" ;;
    gone)
        kept=''
        for pid in $pids; do [ "$pid" = "$value" ] || kept="$kept $pid"; done
        pids=$kept
        forget_clock "$value"
        ;;
    group) groups="$groups $value" ;;
    dir) dirs="$dirs$value
" ;;
    esac
done
all() { for pid in $pids; do kill -s "$1" -- "-$pid" && any=1; done; }
all QUIT
all CONT
rounds=0 any=1
while [ -n "$any" ] && [ "$rounds" -lt 60 ]; do
    any=''
    if [ "$rounds" -lt 30 ]; then all 0; else all KILL; fi
    [ -z "$any" ] || sleep 0.1
    rounds=$((rounds + 1))
done
for pid in $pids; do forget_clock "$pid"; done
for group in $groups; do
    rounds=0
    until [ ! -d "$group" ] || rmdir "$group" || [ "$rounds" -ge 30 ]; do sleep 0.1; rounds=$((rounds + 1)); done
done
printf '%s' "$dirs" | while read -r dir; do
    # Most were removed by their owners; a process for each of hundreds would take its time.
    [ -e "$dir" ] || continue
    # A disk that was served by the test process has no end any more that could answer.
    for inside in "$dir"/*; do ! grep -q " $inside " /proc/mounts || umount -l "$inside"; done
    rounds=0
    until rm -rf "$dir" || [ "$rounds" -ge 30 ]; do sleep 0.1; rounds=$((rounds + 1)); done
done
"#;

/// The pipe to the helper of this process, once it is started.
static PIPE: Mutex<Option<File>> = Mutex::new(None);

/// Has a directory removed at the end.
pub(crate) fn remove_at_end(dir: &Path) -> Result<()> {
    tell(&format!("dir {}", dir.display()))
}

/// Has a cgroup removed at the end.
pub(crate) fn remove_group_at_end(group: &Path) -> Result<()> {
    tell(&format!("group {}", group.display()))
}

/// Says that a process has ended and been waited for: its number may be another's soon.
pub(crate) fn forget(pid: u32) -> Result<()> {
    tell(&format!("gone {pid}"))
}

/// The pipe as the standard input of a child, which writes `pid N` into it before it becomes
/// the server: so there is no moment at which a server runs unknown.
pub(crate) fn pipe_for_child() -> Result<Stdio> {
    with_pipe(|pipe| Ok(Stdio::from(pipe.try_clone()?)))
}

fn tell(line: &str) -> Result<()> {
    // One write a line: children write into the same pipe.
    with_pipe(|pipe| pipe.write_all(format!("{line}\n").as_bytes()))
}

fn with_pipe<T>(action: impl FnOnce(&mut File) -> io::Result<T>) -> Result<T> {
    let mut pipe = PIPE.lock().unwrap_or_else(PoisonError::into_inner);
    let pipe = match &mut *pipe {
        Some(pipe) => pipe,
        none => none.insert(start().context("cannot start the shell that clears up")?),
    };
    action(pipe).context("the shell that clears up is gone")
}

fn start() -> io::Result<File> {
    let mut shell = Command::new("sh");
    shell.args(["-c", SCRIPT]).current_dir("/").process_group(0);
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let pipe = shell.spawn()?.stdin.take();
    pipe.map(|pipe| File::from(OwnedFd::from(pipe))).ok_or_else(|| io::Error::other("no pipe"))
}
