//! What the log says of messages that are refused: however many, a few lines a minute.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use order::Reason;
use tokio::time::sleep;

use crate::log_limit::LOG_INTERVAL;

/// Messages with a line of their own, of each reason in a minute.
const LINES: u64 = 5;

/// Logs refused messages, the first few of each reason one by one and the rest of a minute in
/// one line. Clones share it.
///
/// Nothing is lost by it: each message is kept as a reject, and counted in the metrics.
#[derive(Debug, Clone, Default)]
pub struct RefusalLog(Arc<Mutex<BTreeMap<&'static str, Refused>>>);

/// Refused for one reason since the last summary.
#[derive(Debug, Default)]
struct Refused {
    lines: u64,
    more: u64,
    first_sequence: u64,
    last_sequence: u64,
}

impl RefusalLog {
    /// Notes a message that is kept as a reject. Its detail may name a uid, which has no place
    /// in the log.
    pub(super) fn refused(&self, reason: Reason, sequence: u64) {
        let reason = reason.as_str();
        if self.has_a_line(reason, sequence) {
            tracing::info!(
                message.sequence = sequence,
                reason,
                "Message {sequence} is refused and kept"
            );
        }
    }

    fn has_a_line(&self, reason: &'static str, sequence: u64) -> bool {
        let mut reasons = self.reasons();
        let refused = reasons.entry(reason).or_default();
        if refused.lines < LINES {
            refused.lines += 1;
            return true;
        }
        if refused.more == 0 {
            (refused.first_sequence, refused.last_sequence) = (sequence, sequence);
        }
        refused.more += 1;
        // Several writers are at it at once.
        refused.first_sequence = refused.first_sequence.min(sequence);
        refused.last_sequence = refused.last_sequence.max(sequence);
        false
    }

    /// Sums up every minute, until it is dropped.
    pub(super) async fn summarise_every_minute(self) {
        loop {
            sleep(LOG_INTERVAL).await;
            self.summarise();
        }
    }

    /// Logs how many messages had no line of their own since the last time.
    pub(super) fn summarise(&self) {
        let reasons = std::mem::take(&mut *self.reasons());
        for (reason, refused) in reasons.into_iter().filter(|(_, refused)| refused.more > 0) {
            tracing::info!(
                reason,
                messages = refused.more,
                first_sequence = refused.first_sequence,
                last_sequence = refused.last_sequence,
                "More messages are refused and kept"
            );
        }
    }

    fn reasons(&self) -> MutexGuard<'_, BTreeMap<&'static str, Refused>> {
        // Nothing in the critical sections panics half way, so a poisoned map is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::log_limit::tests::LoggedLines;

    #[tokio::test(start_paused = true)]
    async fn an_hour_of_refusals_is_a_few_lines_a_minute_and_every_one_is_told() {
        let logged = LoggedLines::collect();
        let log = RefusalLog::default();
        let summaries = tokio::spawn(log.clone().summarise_every_minute());
        let (reasons, mut sequence) = ([Reason::NotJson, Reason::Conflict], 0);
        for _ in 0..36_000 {
            for reason in reasons {
                sequence += 1;
                log.refused(reason, sequence);
            }
            sleep(Duration::from_millis(100)).await;
        }
        summaries.abort();
        log.summarise();

        let lines = logged.take();
        assert!((700..=732).contains(&lines.len()), "12 a minute, not {}", lines.len());
        let single = lines.iter().filter(|line| line.contains("is refused and kept")).count();
        let more =
            lines.iter().filter_map(|line| line.split_once(" messages=")).map(|(_, rest)| {
                rest.split(' ').next().expect("a number").parse::<u64>().expect("a number")
            });
        assert_eq!(single as u64 + more.sum::<u64>(), sequence, "each is told, alone or in a sum");
        let sum = "INFO More messages are refused and kept reason=\"conflict\" messages=59";
        assert!(lines[10].starts_with(sum), "{}", lines[10]);
        assert!(lines[10].contains(" first_sequence=12 last_sequence=120"), "{}", lines[10]);
    }

    #[test]
    fn without_more_there_is_no_summary() {
        let logged = LoggedLines::collect();
        let log = RefusalLog::default();
        log.refused(Reason::NotJson, 7);
        log.summarise();
        assert_eq!(
            logged.take(),
            ["INFO Message 7 is refused and kept message.sequence=7 reason=\"not_json\""]
        );
    }
}
