//! A server program as a child: started, awaited, stopped, killed.
//!
//! Tests may start the service itself this way too: it ends with the test process.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process, kill_process_group};
use tokio::time::Instant;

use crate::log::Log;
use crate::proc;
use crate::reaper;

const PAUSE: Duration = Duration::from_millis(5);

/// A running child, or one that has ended.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: Log,
    lifetime: Lifetime,
    /// Its end was seen.
    is_over: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lifetime {
    /// It ends with us, whatever ends us.
    Bound,
    /// It goes on when this process ends.
    Detached,
}

impl Process {
    /// Starts a program that ends with this process at the latest, however that ends.
    ///
    /// Its output goes to the end of `log`. It has a process group of its own, so that
    /// Ctrl-C does not reach it first. Of `command` the program, arguments, directory and
    /// changes to the environment count.
    pub fn spawn(name: &str, command: &Command, log: &Path) -> Result<Self> {
        // The shell registers its own process number, which then is the program's.
        let register = ["sh", "-c", r#"echo "pid $$" >&0 && exec "$@" </dev/null"#, "sh"];
        let mut command = prefixed(&register.map(String::from), command);
        command.process_group(0).stdin(reaper::pipe_for_child()?);
        Self::launch(name, command, log, Lifetime::Bound)
    }

    /// Starts a program that stays when this process ends and its terminal closes.
    pub(crate) fn spawn_detached(name: &str, command: &Command, log: &Path) -> Result<Self> {
        let mut command = prefixed(&["setsid".to_owned()], command);
        command.stdin(Stdio::null());
        Self::launch(name, command, log, Lifetime::Detached)
    }

    fn launch(name: &str, mut command: Command, log: &Path, lifetime: Lifetime) -> Result<Self> {
        let (log, file) = Log::open(log)?;
        command.stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), child, log, lifetime, is_over: false })
    }

    /// The process number of the program.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the program has written since it was started.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.this_run()
    }

    /// How it ended; nothing while it runs.
    pub fn status(&mut self) -> Result<Option<ExitStatus>> {
        let status =
            self.child.try_wait().with_context(|| format!("cannot wait for {}", self.name))?;
        if status.is_some() && self.lifetime == Lifetime::Bound && !self.is_over {
            // What the program started ends with it. Later the number may be another's.
            self.is_over = true;
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            reaper::forget(self.id())?;
        }
        Ok(status)
    }

    /// Sends a signal, if the program still runs.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.status()?.is_none() {
            kill_process(Pid::from_child(&self.child), signal)
                .with_context(|| format!("cannot signal {}", self.name))?;
        }
        Ok(())
    }

    /// Waits until `is_ready` says so.
    ///
    /// # Errors
    ///
    /// When the program ends first or `deadline` passes; the error shows the log's end.
    pub async fn ready(
        &mut self,
        deadline: Duration,
        mut is_ready: impl AsyncFnMut(&Self) -> bool,
    ) -> Result<()> {
        let end = Instant::now() + deadline;
        while !is_ready(self).await {
            if let Some(status) = self.status()? {
                bail!("{} did not start ({status}); {}", self.name, self.log.tail());
            }
            if Instant::now() >= end {
                bail!("{} was not ready within {deadline:?}; {}", self.name, self.log.tail());
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Asks the program to end and waits for it.
    ///
    /// # Errors
    ///
    /// When it still runs after `patience`.
    pub async fn stop(&mut self, signal: Signal, patience: Duration) -> Result<ExitStatus> {
        self.signal(signal)?;
        let end = Instant::now() + patience;
        loop {
            if let Some(status) = self.status()? {
                return Ok(status);
            }
            if Instant::now() >= end {
                bail!(
                    "{} still runs {patience:?} after {signal:?}; {}",
                    self.name,
                    self.log.tail()
                );
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Kills the program with its children and its process group, and waits until they are gone.
    pub fn kill(&mut self) -> Result<()> {
        if self.status()?.is_none() {
            proc::kill_with_children(Pid::from_child(&self.child));
            self.child.wait().with_context(|| format!("cannot wait for {}", self.name))?;
            self.status()?;
        }
        Ok(())
    }

    /// Whether it ended because another program took its port.
    pub(crate) fn lost_its_port(&self) -> bool {
        self.log.tells_of_a_taken_port()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.lifetime == Lifetime::Bound {
            // What could not be killed here is left to the reaper.
            let _ = self.kill();
        }
    }
}

/// The same command as the arguments of another, which becomes it.
pub(crate) fn prefixed(prefix: &[String], command: &Command) -> Command {
    let mut words =
        prefix.iter().map(OsStr::new).chain([command.get_program()]).chain(command.get_args());
    let mut whole = Command::new(words.next().unwrap_or_default());
    whole.args(words);
    if let Some(dir) = command.get_current_dir() {
        whole.current_dir(dir);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => whole.env(name, value),
            None => whole.env_remove(name),
        };
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn a_program_that_ends_early_is_an_error_with_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such luck; exit 3"]);
        let mut process = Process::spawn("luck", &command, &dir.path().join("log")).unwrap();
        let error = process.ready(SOON, async |_| false).await.unwrap_err().to_string();
        assert!(error.starts_with("luck did not start (exit status: 3)"), "{error}");
        assert!(error.ends_with("no such luck"), "{error}");
    }

    #[tokio::test]
    async fn what_a_program_leaves_running_ends_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & echo $!"]);
        let mut process = Process::spawn("parent", &command, &dir.path().join("log")).unwrap();
        let ended = process.ready(SOON, async |_| false).await;
        assert!(ended.unwrap_err().to_string().contains("exit status: 0"));
        let child = Pid::from_raw(process.log().trim().parse().unwrap()).unwrap();
        let gone = async || (!proc::is_running(child)).then_some(());
        crate::wait::eventually("the child is gone", SOON, gone).await;
    }

    #[tokio::test]
    async fn a_program_that_does_not_stop_is_an_error_until_it_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"]);
        let mut process = Process::spawn("mule", &command, &dir.path().join("log")).unwrap();
        process.ready(SOON, async |process| process.log().contains("ready")).await.unwrap();
        let patience = Duration::from_millis(50);
        assert!(process.stop(Signal::TERM, patience).await.is_err());
        process.kill().unwrap();
        assert!(process.status().unwrap().is_some());
    }
}
