//! What is counted, and how it is told.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::plan::Kind;

/// Violations that are shown; the rest is counted.
const SHOWN: usize = 20;

/// What was counted in one world, or in several.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) confirmed: u64,
    pub(crate) maybe: u64,
    pub(crate) unsent: u64,
    pub(crate) messages: u64,
    pub(crate) orders: u64,
    pub(crate) rejects: u64,
    pub(crate) archived: u64,
    pub(crate) acks_seen: u64,
    pub(crate) acks_swallowed: u64,
    pub(crate) lookups: u64,
    pub(crate) absent: u64,
    pub(crate) gone: u64,
    pub(crate) erased: u64,
    pub(crate) cannot_tell: u64,
    pub(crate) slowest_cannot_tell: Duration,
    pub(crate) no_answer: u64,
    pub(crate) final_lookups: u64,
    pub(crate) slowest_drain: Duration,
    pub(crate) primaries: u64,
    pub(crate) repairs_killed: u64,
    pub(crate) lost_and_repaired: u64,
    pub(crate) superfluous_rejects: u64,
    pub(crate) stores_repaired: u64,
    pub(crate) unsynced_kept: u64,
    pub(crate) unsynced_torn: u64,
    pub(crate) unsynced_lost: u64,
    pub(crate) vanished: u64,
    pub(crate) rows_of_vanished: u64,
    max_stale: Duration,
    faults: BTreeMap<Kind, Recoveries>,
    violations: BTreeMap<&'static str, u64>,
    shown: Vec<String>,
}

/// How one kind of fault was recovered from.
#[derive(Debug, Default)]
struct Recoveries {
    faults: u64,
    /// From the end of the fault until something published after it was acknowledged.
    flowing: Vec<Duration>,
    /// … until everything published before its end was acknowledged.
    caught_up: Vec<Duration>,
}

impl Tally {
    pub(crate) fn violation(&mut self, kind: &'static str, what: impl Into<String>) {
        *self.violations.entry(kind).or_default() += 1;
        if self.shown.len() < SHOWN {
            self.shown.push(format!("{kind}: {}", what.into()));
        }
    }

    pub(crate) fn stale(&mut self, late: Duration) {
        self.max_stale = self.max_stale.max(late);
    }

    pub(crate) fn fault(&mut self, kind: Kind) {
        self.faults.entry(kind).or_default().faults += 1;
    }

    pub(crate) fn recovered(&mut self, kind: Kind, flowing: Duration, caught_up: Duration) {
        let recoveries = self.faults.entry(kind).or_default();
        recoveries.flowing.push(flowing);
        recoveries.caught_up.push(caught_up);
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }

    /// What was found first, each with its kind.
    pub(crate) fn found(&self) -> &[String] {
        &self.shown
    }

    pub(crate) fn kills(&self) -> u64 {
        self.faults.values().map(|recoveries| recoveries.faults).sum()
    }

    /// Adds what was counted in another world.
    pub(crate) fn add(&mut self, other: Self) {
        self.confirmed += other.confirmed;
        self.maybe += other.maybe;
        self.unsent += other.unsent;
        self.messages += other.messages;
        self.orders += other.orders;
        self.rejects += other.rejects;
        self.archived += other.archived;
        self.acks_seen += other.acks_seen;
        self.acks_swallowed += other.acks_swallowed;
        self.lookups += other.lookups;
        self.absent += other.absent;
        self.gone += other.gone;
        self.erased += other.erased;
        self.cannot_tell += other.cannot_tell;
        self.slowest_cannot_tell = self.slowest_cannot_tell.max(other.slowest_cannot_tell);
        self.no_answer += other.no_answer;
        self.final_lookups += other.final_lookups;
        self.primaries += other.primaries;
        self.repairs_killed += other.repairs_killed;
        self.lost_and_repaired += other.lost_and_repaired;
        self.superfluous_rejects += other.superfluous_rejects;
        self.stores_repaired += other.stores_repaired;
        self.unsynced_kept += other.unsynced_kept;
        self.unsynced_torn += other.unsynced_torn;
        self.unsynced_lost += other.unsynced_lost;
        self.vanished += other.vanished;
        self.rows_of_vanished += other.rows_of_vanished;
        self.slowest_drain = self.slowest_drain.max(other.slowest_drain);
        self.max_stale = self.max_stale.max(other.max_stale);
        for (kind, more) in other.faults {
            let all = self.faults.entry(kind).or_default();
            all.faults += more.faults;
            all.flowing.extend(more.flowing);
            all.caught_up.extend(more.caught_up);
        }
        for (kind, more) in other.violations {
            *self.violations.entry(kind).or_default() += more;
        }
        let room = SHOWN - self.shown.len();
        self.shown.extend(other.shown.into_iter().take(room));
    }

    /// The report for people.
    pub(crate) fn text(&self, took: Duration) -> String {
        let mut text = String::new();
        let mut line = |words: String| text.push_str(&(words + "\n"));
        line(format!(
            "{:<28}{:>7}{:>24}{:>24}",
            "fault", "times", "flowing p50 / max", "caught up p50 / max"
        ));
        for (kind, recoveries) in &self.faults {
            let Recoveries { faults, flowing, caught_up } = recoveries;
            let (flowing, caught_up) = (quantiles(flowing), quantiles(caught_up));
            line(format!("{:<28}{faults:>7}{flowing:>24}{caught_up:>24}", kind.name()));
        }
        line(String::new());
        for (name, value) in self.rows(took) {
            line(format!("{name:<52}{value:>14}"));
        }
        for shown in &self.shown {
            line(shown.clone());
        }
        text
    }

    /// The same as rows of tables in Markdown.
    pub(crate) fn markdown(&self, took: Duration) -> String {
        let mut text = String::from(
            "| fault | times | flowing again, p50 / max | caught up, p50 / max |\n|---|---|---|---|\n",
        );
        for (kind, recoveries) in &self.faults {
            let Recoveries { faults, flowing, caught_up } = recoveries;
            let (flowing, caught_up) = (quantiles(flowing), quantiles(caught_up));
            let name = kind.name();
            // A string takes everything.
            let _ = writeln!(text, "| {name} | {faults} | {flowing} | {caught_up} |");
        }
        text.push_str("\n| counted | |\n|---|---|\n");
        for (name, value) in self.rows(took) {
            let _ = writeln!(text, "| {name} | {value} |");
        }
        text
    }

    fn rows(&self, took: Duration) -> Vec<(&'static str, String)> {
        let found = |kind: &str| self.violations.get(kind).copied().unwrap_or(0).to_string();
        let mut rows = vec![
            ("faults", self.kills().to_string()),
            ("duration", format!("{} min {:02} s", took.as_secs() / 60, took.as_secs() % 60)),
            ("publishes confirmed", self.confirmed.to_string()),
            ("publishes with unknown outcome", self.maybe.to_string()),
            ("publishes never sent", self.unsent.to_string()),
            ("messages in channel and stream", self.messages.to_string()),
            ("messages in the archive, equal to the channel", self.archived.to_string()),
            ("orders stored", self.orders.to_string()),
            ("rejects kept", self.rejects.to_string()),
            ("orders erased", self.erased.to_string()),
            ("acknowledgements held and checked", self.acks_seen.to_string()),
            ("acknowledgements swallowed on the way", self.acks_swallowed.to_string()),
            ("lookups during faults", self.lookups.to_string()),
            ("… answered 404", self.absent.to_string()),
            ("… answered 410", self.gone.to_string()),
            ("… answered 503", self.cannot_tell.to_string()),
            ("slowest 503", milliseconds(self.slowest_cannot_tell)),
            ("… without an answer (replica down)", self.no_answer.to_string()),
            ("changes of the primary", self.primaries.to_string()),
            ("repairs killed in their middle", self.repairs_killed.to_string()),
            ("orders an old primary took along, put back", self.lost_and_repaired.to_string()),
            ("… kept as conflicts beside that", self.superfluous_rejects.to_string()),
            ("unsynced changes that a cut of the power lost", self.unsynced_lost.to_string()),
            ("… left in part", self.unsynced_torn.to_string()),
            ("… left as they were", self.unsynced_kept.to_string()),
            ("stores of the broker that were torn, and repaired", self.stores_repaired.to_string()),
            ("messages that were seen, and lost unconfirmed", self.vanished.to_string()),
            ("orders and rejects that were stored from such", self.rows_of_vanished.to_string()),
            ("lookups of the final checks", self.final_lookups.to_string()),
            ("slowest full drain", milliseconds(self.slowest_drain)),
            ("longest staleness", milliseconds(self.max_stale)),
        ];
        rows.extend(crate::checker::VIOLATIONS.map(|kind| (kind, found(kind))));
        rows
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

fn quantiles(times: &[Duration]) -> String {
    let mut times = times.to_vec();
    times.sort_unstable();
    match times.last() {
        None => "–".to_owned(),
        Some(max) => {
            let p50 = times[(times.len() - 1) / 2].as_secs_f64();
            format!("{p50:.2} s / {:.2} s", max.as_secs_f64())
        }
    }
}
