//! Which faults, when: all decided by the seed before the first.

use std::time::Duration;

use clap::ValueEnum;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
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
    Erase,
}

impl Kind {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Self::value_variants().iter().copied()
    }

    /// What `--only` takes and the report shows.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// How often it comes in a random mix.
    fn weight(self) -> u32 {
        match self {
            Self::KillReplica => 24,
            Self::KillPostgres => 12,
            Self::KillBroker => 10,
            Self::StopReplica => 8,
            Self::KillAllReplicas
            | Self::PauseReplica
            | Self::RestartPostgres
            | Self::TerminateBackends
            | Self::CutBroker
            | Self::CutPostgres => 5,
            Self::RestartBroker
            | Self::SilenceBroker
            | Self::SilencePostgres
            | Self::DropAcks
            | Self::Contest
            | Self::Erase => 4,
            Self::LockTables | Self::PoisonStorm => 3,
            Self::RollingRestart
            | Self::PauseAllReplicas
            | Self::ExhaustConnections
            | Self::FillDisk
            | Self::ImpersonateReplica => 2,
            Self::FailOver | Self::ForgetSubscriptions => 1,
        }
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
