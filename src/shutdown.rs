//! Owns every long task, notices when one ends, and stops them in order.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::signals::Signals;

/// The tasks of the service, in the stages they are stopped in.
#[derive(Debug)]
pub struct Lifecycle {
    /// What takes orders; stopped first.
    pub ingest: Stage,
    /// What answers lookups and health checks; stopped second.
    pub serving: Stage,
    /// What writes records of those answers; stopped last.
    pub audit: Stage,
    ended: watch::Receiver<Option<&'static str>>,
    signals: Signals,
}

/// Why the service is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// SIGTERM, SIGINT or SIGHUP: someone asked.
    Signal,
    /// This task ended, by return or by panic, before anyone asked.
    TaskEnded(&'static str),
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal => formatter.write_str("asked by a signal"),
            Self::TaskEnded(name) => write!(formatter, "the {name} task ended on its own"),
        }
    }
}

/// The stop was not a clean one; the process should exit with a failure.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unclean {
    /// A second signal cut the stop short.
    #[error("stopped at once by a second signal")]
    SecondSignal,
    /// The stop took too long.
    #[error("not stopped within {}: {}", humantime::format_duration(*timeout), running.join(", "))]
    TimedOut {
        /// The time that `shutdown.timeout` allowed for the stop.
        timeout: Duration,
        /// The tasks that were still running.
        running: Vec<&'static str>,
    },
    /// The tasks are stopped, but one had ended on its own or panicked.
    #[error("the {0} task ended on its own")]
    TaskEnded(&'static str),
}

impl Lifecycle {
    /// A lifecycle without tasks that ends by `signals`.
    #[must_use]
    pub fn new(signals: Signals) -> Self {
        let (sender, ended) = watch::channel(None);
        let stage = || Stage::new(sender.clone());
        Self { ingest: stage(), serving: stage(), audit: stage(), ended, signals }
    }

    /// Waits until the service is to stop.
    pub async fn stop_requested(&self) -> Reason {
        let mut ended = self.ended.clone();
        let ended = async {
            // The stages hold the sender.
            match ended.wait_for(Option::is_some).await.as_deref() {
                Ok(Some(name)) => *name,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            name = ended => Reason::TaskEnded(name),
            _ = self.signals.first() => Reason::Signal,
        }
    }

    /// Runs `ordered_stop`, which stops the stages one after the other, but no
    /// longer than `timeout` and only until a second signal comes.
    ///
    /// # Errors
    ///
    /// When it was cut short, or when a task had ended on its own.
    pub async fn stop_within(
        &self,
        timeout: Duration,
        ordered_stop: impl Future<Output = ()>,
    ) -> Result<(), Unclean> {
        let cut_short = tokio::select! {
            () = ordered_stop => None,
            _ = self.signals.second() => Some(Unclean::SecondSignal),
            () = tokio::time::sleep(timeout) => {
                let mut running = self.ingest.running();
                running.extend(self.serving.running());
                running.extend(self.audit.running());
                Some(Unclean::TimedOut { timeout, running })
            }
        };
        if let Some(unclean) = cut_short {
            // The tasks that are dropped from here on have not ended on their own.
            self.ingest.stop.cancel();
            self.serving.stop.cancel();
            self.audit.stop.cancel();
            return Err(unclean);
        }
        match *self.ended.borrow() {
            None => Ok(()),
            Some(name) => Err(Unclean::TaskEnded(name)),
        }
    }
}

/// Tasks that are stopped together.
#[derive(Debug)]
pub struct Stage {
    stop: CancellationToken,
    tasks: TaskTracker,
    running: Arc<Mutex<Vec<&'static str>>>,
    ended: watch::Sender<Option<&'static str>>,
}

impl Stage {
    fn new(ended: watch::Sender<Option<&'static str>>) -> Self {
        Self {
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            running: Arc::default(),
            ended,
        }
    }

    /// Runs `task` on the current runtime until it ends. If that is before its
    /// stage is stopped, or by a panic, the whole service is to stop: half a
    /// service is worse than a restart.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        lock(&self.running).push(name);
        let end = End {
            name,
            stop: self.stop.clone(),
            running: Arc::clone(&self.running),
            ended: self.ended.clone(),
        };
        self.tasks.spawn(async move {
            let _at_the_end = end;
            task.await;
        });
    }

    /// Cancelled when the stage is to stop; its tasks then finish what they began.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Asks the tasks to stop and waits until they have. Unbounded: see
    /// [`Lifecycle::stop_within`].
    pub async fn stop_and_wait(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn running(&self) -> Vec<&'static str> {
        lock(&self.running).clone()
    }
}

/// Dropped with its task, however that ends; this is how a panic is seen.
struct End {
    name: &'static str,
    stop: CancellationToken,
    running: Arc<Mutex<Vec<&'static str>>>,
    ended: watch::Sender<Option<&'static str>>,
}

impl Drop for End {
    fn drop(&mut self) {
        let name = self.name;
        let mut running = lock(&self.running);
        if let Some(position) = running.iter().position(|other| *other == name) {
            running.swap_remove(position);
        }
        drop(running);
        if thread::panicking() {
            tracing::error!(task.name = name, "The {name} task panicked");
        } else if !self.stop.is_cancelled() {
            tracing::error!(task.name = name, "The {name} task ended on its own");
        } else {
            return;
        }
        // The first to end is the cause; others may follow from it.
        self.ended.send_if_modified(|ended| {
            let first = ended.is_none();
            ended.get_or_insert(name);
            first
        });
    }
}

/// A list of names stays whole whoever panicked while holding it.
fn lock<'list>(list: &'list Mutex<Vec<&'static str>>) -> MutexGuard<'list, Vec<&'static str>> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::signals::Signal;

    const MINUTE: Duration = Duration::from_mins(1);

    fn lifecycle() -> (Lifecycle, watch::Sender<Vec<Signal>>) {
        let (sender, signals) = Signals::by_hand();
        (Lifecycle::new(signals), sender)
    }

    async fn stop(lifecycle: &Lifecycle) {
        lifecycle.ingest.stop_and_wait().await;
        lifecycle.serving.stop_and_wait().await;
    }

    #[tokio::test]
    async fn a_task_that_ends_early_stops_the_service_with_a_failure() {
        let (lifecycle, _signals) = lifecycle();
        lifecycle.ingest.spawn("consumer", async {});

        assert_eq!(lifecycle.stop_requested().await, Reason::TaskEnded("consumer"));
        let stopped = lifecycle.stop_within(MINUTE, stop(&lifecycle)).await;
        assert_eq!(stopped, Err(Unclean::TaskEnded("consumer")));
    }

    #[tokio::test]
    async fn so_does_a_task_that_panics() {
        let (lifecycle, _signals) = lifecycle();
        lifecycle.serving.spawn("http", async { panic!("for the test") });

        assert_eq!(lifecycle.stop_requested().await, Reason::TaskEnded("http"));
    }

    #[tokio::test]
    async fn a_panic_while_stopping_is_a_failure_too() {
        let (lifecycle, signals) = lifecycle();
        let token = lifecycle.ingest.token();
        lifecycle.ingest.spawn("writer", async move {
            token.cancelled().await;
            panic!("for the test");
        });

        signals.send_replace(vec![Signal::Terminate]);
        assert_eq!(lifecycle.stop_requested().await, Reason::Signal);
        let stopped = lifecycle.stop_within(MINUTE, stop(&lifecycle)).await;
        assert_eq!(stopped, Err(Unclean::TaskEnded("writer")));
    }

    #[tokio::test]
    async fn serving_goes_on_until_ingest_has_finished() {
        let (lifecycle, _signals) = lifecycle();
        let order = Arc::new(Mutex::new(Vec::new()));
        let serving_token = lifecycle.serving.token();
        for (stage, name) in [(&lifecycle.ingest, "ingest"), (&lifecycle.serving, "serving")] {
            let (token, order) = (stage.token(), Arc::clone(&order));
            let serving_token = serving_token.clone();
            stage.spawn(name, async move {
                token.cancelled().await;
                tokio::task::yield_now().await;
                lock(&order).push(name);
                assert_eq!(serving_token.is_cancelled(), name == "serving");
            });
        }

        let stopped = lifecycle.stop_within(MINUTE, stop(&lifecycle)).await;

        assert_eq!(stopped, Ok(()));
        assert_eq!(*lock(&order), ["ingest", "serving"]);
    }

    #[tokio::test]
    async fn a_task_that_does_not_stop_is_named_after_the_timeout() {
        let (lifecycle, _signals) = lifecycle();
        lifecycle.ingest.spawn("stubborn", std::future::pending());
        let token = lifecycle.ingest.token();
        lifecycle.ingest.spawn("willing", async move { token.cancelled().await });

        let timeout = Duration::from_millis(50);
        let stopped = lifecycle.stop_within(timeout, stop(&lifecycle)).await;

        let error = stopped.expect_err("one task never ends");
        assert_eq!(error.to_string(), "not stopped within 50ms: stubborn");
    }

    #[tokio::test]
    async fn a_second_signal_stops_at_once() {
        let (lifecycle, signals) = lifecycle();
        let token = lifecycle.ingest.token();
        let (began, beginning) = oneshot::channel();
        lifecycle.ingest.spawn("stubborn", async move {
            token.cancelled().await;
            began.send(()).expect("the test waits for it");
            std::future::pending::<()>().await;
        });

        signals.send_replace(vec![Signal::Terminate]);
        assert_eq!(lifecycle.stop_requested().await, Reason::Signal);
        let second_signal = async {
            beginning.await.expect("the stop begins");
            signals.send_replace(vec![Signal::Terminate; 2]);
        };
        let stop = lifecycle.stop_within(MINUTE, stop(&lifecycle));
        let (stopped, ()) = tokio::join!(stop, second_signal);

        assert_eq!(stopped, Err(Unclean::SecondSignal));
        let asked = [&lifecycle.ingest, &lifecycle.serving].map(|stage| stage.stop.is_cancelled());
        assert_eq!(asked, [true, true], "a task that is dropped now has not ended on its own");
    }

    /// The only test that signals the process, and once only.
    #[tokio::test]
    async fn sigterm_begins_the_stop() {
        let lifecycle = Lifecycle::new(Signals::listen().expect("signal handlers"));
        let token = lifecycle.ingest.token();
        lifecycle.ingest.spawn("idle", async move { token.cancelled().await });

        let this = rustix::process::getpid();
        rustix::process::kill_process(this, rustix::process::Signal::TERM).expect("allowed");

        assert_eq!(lifecycle.stop_requested().await, Reason::Signal);
        assert_eq!(lifecycle.stop_within(MINUTE, stop(&lifecycle)).await, Ok(()));
    }
}
