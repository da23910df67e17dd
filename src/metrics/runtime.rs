//! The tokio runtimes of the process, read off their own counters.

use std::sync::{Mutex, PoisonError};

use prometheus::{CounterVec, IntGaugeVec};
use tokio::runtime::Handle;

use super::Maker;

/// The runtime of ingest, cache and admin port, and those of the site's threads together.
const RUNTIMES: [&str; 2] = ["main", "http"];

/// How busy the runtimes are.
#[derive(Debug)]
pub struct RuntimeMetrics {
    watched: Mutex<Vec<(&'static str, Handle)>>,
    workers: IntGaugeVec,
    alive_tasks: IntGaugeVec,
    queued_tasks: IntGaugeVec,
    busy: CounterVec,
}

impl RuntimeMetrics {
    pub(super) fn new(maker: &Maker) -> Self {
        let labels = &["runtime"];
        let metrics = Self {
            watched: Mutex::default(),
            workers: maker.gauges("runtime_workers", "Threads that run tasks", labels),
            alive_tasks: maker.gauges("runtime_alive_tasks", "Tasks that have not ended", labels),
            queued_tasks: maker.gauges(
                "runtime_queued_tasks",
                "Tasks that are ready and wait in the queue that the threads share",
                labels,
            ),
            busy: maker.float_counters(
                "runtime_busy_seconds_total",
                "Time that the threads spent on running tasks, all of them together",
                labels,
            ),
        };
        for runtime in RUNTIMES {
            metrics.workers.with_label_values(&[runtime]);
            metrics.alive_tasks.with_label_values(&[runtime]);
            metrics.queued_tasks.with_label_values(&[runtime]);
            metrics.busy.with_label_values(&[runtime]);
        }
        metrics
    }

    /// Shows the runtime that this is called in as `main`.
    pub fn watch_main(&self) {
        self.watch("main");
    }

    /// Shows the runtime that this is called in as one of `http`.
    pub fn watch_http(&self) {
        self.watch("http");
    }

    fn watch(&self, name: &'static str) {
        self.watched().push((name, Handle::current()));
    }

    fn watched(&self) -> std::sync::MutexGuard<'_, Vec<(&'static str, Handle)>> {
        // A list that is only pushed to is whole whoever panicked.
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn refresh(&self) {
        let watched = self.watched();
        for runtime in RUNTIMES {
            let (mut workers, mut alive, mut queued, mut busy) = (0, 0, 0, 0.0);
            for (_, handle) in watched.iter().filter(|(name, _)| *name == runtime) {
                let metrics = handle.metrics();
                workers += metrics.num_workers();
                alive += metrics.num_alive_tasks();
                queued += metrics.global_queue_depth();
                busy += (0..metrics.num_workers())
                    .map(|worker| metrics.worker_total_busy_duration(worker).as_secs_f64())
                    .sum::<f64>();
            }
            let whole = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
            self.workers.with_label_values(&[runtime]).set(whole(workers));
            self.alive_tasks.with_label_values(&[runtime]).set(whole(alive));
            self.queued_tasks.with_label_values(&[runtime]).set(whole(queued));
            let counter = self.busy.with_label_values(&[runtime]);
            counter.inc_by((busy - counter.get()).max(0.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Metrics;

    #[tokio::test]
    async fn a_runtime_shows_its_threads_and_tasks() {
        let metrics = Metrics::new();
        metrics.runtime.watch_main();
        let forever = tokio::spawn(std::future::pending::<()>());
        metrics.runtime.refresh();
        let text = metrics.render();
        for series in [
            "waybill_runtime_workers{runtime=\"main\"} 1",
            "waybill_runtime_alive_tasks{runtime=\"main\"} 1",
            "waybill_runtime_workers{runtime=\"http\"} 0",
        ] {
            assert!(text.contains(series), "{series} is missing in\n{text}");
        }
        forever.abort();
    }
}
