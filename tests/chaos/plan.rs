//! Which faults, when: all decided by the seed before the first.

use std::time::Duration;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    KillReplica,
    KillAllReplicas,
    StopReplica,
    RollingRestart,
    PauseReplica,
    PauseAllReplicas,
    KillPostgres,
    RestartPostgres,
    TerminateBackends,
    ExhaustConnections,
    LockTables,
    FillDisk,
    FailOver,
    KillBroker,
    RestartBroker,
    ForgetSubscriptions,
    CutBroker,
    CutPostgres,
    SilenceBroker,
    SilencePostgres,
    DropAcks,
    ImpersonateReplica,
    PoisonStorm,
    Contest,
}

/// Each kind, its name, and how often it comes in a random mix. The names are what `--only`
/// takes and the report shows.
const KINDS: [(Kind, &str, u32); 24] = [
    (Kind::KillReplica, "kill-replica", 24),
    (Kind::KillAllReplicas, "kill-all-replicas", 5),
    (Kind::StopReplica, "stop-replica", 8),
    (Kind::RollingRestart, "rolling-restart", 2),
    (Kind::PauseReplica, "pause-replica", 5),
    (Kind::PauseAllReplicas, "pause-all-replicas", 2),
    (Kind::KillPostgres, "kill-postgres", 12),
    (Kind::RestartPostgres, "restart-postgres", 5),
    (Kind::TerminateBackends, "terminate-backends", 5),
    (Kind::ExhaustConnections, "exhaust-connections", 2),
    (Kind::LockTables, "lock-tables", 3),
    (Kind::FillDisk, "fill-disk", 2),
    (Kind::FailOver, "fail-over", 1),
    (Kind::KillBroker, "kill-broker", 10),
    (Kind::RestartBroker, "restart-broker", 4),
    (Kind::ForgetSubscriptions, "forget-subscriptions", 1),
    (Kind::CutBroker, "cut-broker", 5),
    (Kind::CutPostgres, "cut-postgres", 5),
    (Kind::SilenceBroker, "silence-broker", 4),
    (Kind::SilencePostgres, "silence-postgres", 4),
    (Kind::DropAcks, "drop-acks", 4),
    (Kind::ImpersonateReplica, "impersonate-replica", 2),
    (Kind::PoisonStorm, "poison-storm", 3),
    (Kind::Contest, "contest", 4),
];

impl Kind {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        KINDS.iter().map(|(kind, ..)| *kind)
    }

    pub(crate) fn name(self) -> &'static str {
        KINDS.iter().find(|(kind, ..)| *kind == self).map_or("", |(_, name, _)| name)
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        KINDS.iter().find(|(_, known, _)| *known == name).map(|(kind, ..)| *kind)
    }

    fn weight(self) -> u32 {
        KINDS.iter().find(|(kind, ..)| *kind == self).map_or(0, |(_, _, weight)| *weight)
    }
}

/// A fault to come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    /// Which replica, where it hits one.
    pub(crate) target: usize,
    /// How long it lasts.
    pub(crate) hold: Duration,
    /// Chooses among the variants of a kind.
    pub(crate) variant: u8,
    /// From its beginning to that of the next one.
    pub(crate) gap: Duration,
}

/// So many faults of these kinds, mixed by their weights.
pub(crate) fn mixed(seed: u64, count: usize, replicas: usize, kinds: &[Kind]) -> Vec<Fault> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let total: u32 = kinds.iter().map(|kind| kind.weight()).sum();
    let draw = |rng: &mut fastrand::Rng| {
        let mut ticket = rng.u32(0..total.max(1));
        let drawn = kinds.iter().find(|kind| {
            let wins = ticket < kind.weight();
            ticket = ticket.saturating_sub(kind.weight());
            wins
        });
        drawn.copied().unwrap_or(Kind::KillReplica)
    };
    (0..count)
        .map(|_| {
            let kind = draw(&mut rng);
            fault(kind, replicas, &mut rng)
        })
        .collect()
}

/// Each of these kinds once.
pub(crate) fn each(seed: u64, replicas: usize, kinds: &[Kind]) -> Vec<Fault> {
    let mut rng = fastrand::Rng::with_seed(seed);
    kinds.iter().map(|kind| fault(*kind, replicas, &mut rng)).collect()
}

fn fault(kind: Kind, replicas: usize, rng: &mut fastrand::Rng) -> Fault {
    let between =
        |rng: &mut fastrand::Rng, from: u64, to: u64| Duration::from_millis(rng.u64(from..=to));
    Fault {
        kind,
        target: rng.usize(0..replicas),
        hold: between(rng, 200, 1500),
        variant: rng.u8(..),
        gap: between(rng, 200, 1900),
    }
}
