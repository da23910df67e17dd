//! What the process uses of its machine.

use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Opts};
use rustix::time::{ClockId, clock_gettime};

use super::SLIP;

const CPU: &str = "process_cpu_seconds_total";

/// The usual metrics of a process. The library counts whole seconds of processor time, which is
/// too coarse for a load test of seconds, so that one is read here.
pub(super) struct ProcessMetrics {
    usual: ProcessCollector,
    cpu: Counter,
}

impl ProcessMetrics {
    pub(super) fn new() -> Self {
        let opts = Opts::new(CPU, "Total user and system CPU time spent in seconds.");
        Self { usual: ProcessCollector::for_self(), cpu: Counter::with_opts(opts).expect(SLIP) }
    }
}

impl Collector for ProcessMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.usual.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let used = clock_gettime(ClockId::ProcessCPUTime);
        let used = std::time::Duration::try_from(used).unwrap_or_default();
        // Less than before if another scrape came in between.
        self.cpu.inc_by((used.as_secs_f64() - self.cpu.get()).max(0.0));
        let mut families = self.usual.collect();
        families.retain(|family| family.name() != CPU);
        families.extend(self.cpu.collect());
        families
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_counted_in_parts_of_a_second() {
        let metrics = ProcessMetrics::new();
        let cpu = || {
            let families = metrics.collect();
            let mut found = families.iter().filter(|family| family.name() == CPU);
            let value = found.next().unwrap().get_metric()[0].get_counter().get_value();
            assert!(found.next().is_none());
            value
        };
        let before = cpu();
        assert!(before > 0.0);
        // Some work, which takes far less than a second.
        let sum = (0..1_000_000_u64).fold(0, |sum: u64, number| sum.wrapping_mul(31) ^ number);
        assert!(cpu() > before, "{sum}");
    }
}
