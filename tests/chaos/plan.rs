//! Which faults, when: all decided by the seed before the first.

use std::time::Duration;

use clap::ValueEnum;

use crate::origin::{Origin, Sources};

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
    SwitchOver,
    SplitPrimary,
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
    ShiftClock,
    OomKillReplica,
    OomKillBroker,
    OomKillPostgres,
    OomKillStreamServer,
    KillStreamServer,
    KillStreamLeader,
    KillTwoStreamServers,
    KillAllStreamServers,
    RestartStreamServer,
    PauseStreamServer,
    MoveStreamLeader,
    DeleteConsumer,
    FillStreamDisk,
    CutStream,
    SilenceStream,
    DropStreamAcks,
    KillBridge,
    CutPowerPostgres,
    CutPowerBroker,
    CutPowerStreamServer,
    CutPowerStream,
    CutPowerAll,
}

impl Kind {
    /// Those for worlds whose servers are on disks that lose what was not synced, or the others.
    pub(crate) fn all(of_power: bool) -> impl Iterator<Item = Self> {
        Self::value_variants().iter().copied().filter(move |kind| kind.is_of_power() == of_power)
    }

    pub(crate) fn is_of_power(self) -> bool {
        matches!(
            self,
            Self::CutPowerPostgres
                | Self::CutPowerBroker
                | Self::CutPowerStreamServer
                | Self::CutPowerStream
                | Self::CutPowerAll
        )
    }

    /// Whether another server becomes the primary.
    pub(crate) fn changes_primary(self) -> bool {
        matches!(self, Self::FailOver | Self::SwitchOver | Self::SplitPrimary)
    }

    /// Whether the kernel kills a process for want of memory.
    pub(crate) fn is_of_memory(self) -> bool {
        matches!(
            self,
            Self::OomKillReplica
                | Self::OomKillBroker
                | Self::OomKillPostgres
                | Self::OomKillStreamServer
        )
    }

    /// What `--only` takes and the report shows.
    pub(crate) fn name(self) -> String {
        crate::value_name(&self)
    }

    /// Whether it has a target where these are read, with so many servers of the stream.
    pub(crate) fn is_possible(self, sources: Sources, stream_servers: usize) -> bool {
        let origins = sources.origins();
        match self {
            Self::KillBroker
            | Self::RestartBroker
            | Self::ForgetSubscriptions
            | Self::CutBroker
            | Self::SilenceBroker
            | Self::DropAcks
            | Self::ImpersonateReplica
            | Self::OomKillBroker
            | Self::CutPowerBroker => origins.contains(&Origin::Channel),
            Self::KillStreamLeader
            | Self::KillTwoStreamServers
            | Self::MoveStreamLeader
            | Self::CutPowerStreamServer => origins.contains(&Origin::Stream) && stream_servers > 1,
            // A full disk of one of three does not hold anybody up.
            Self::FillStreamDisk => origins.contains(&Origin::Stream) && stream_servers == 1,
            Self::KillStreamServer
            | Self::OomKillStreamServer
            | Self::KillAllStreamServers
            | Self::RestartStreamServer
            | Self::PauseStreamServer
            | Self::DeleteConsumer
            | Self::CutStream
            | Self::SilenceStream
            | Self::DropStreamAcks
            | Self::CutPowerStream => origins.contains(&Origin::Stream),
            Self::KillBridge => sources == Sources::Both,
            _ => true,
        }
    }

    /// How often it comes in a random mix.
    fn weight(self) -> u32 {
        match self {
            Self::KillReplica => 24,
            Self::KillPostgres => 12,
            Self::KillBroker
            | Self::KillStreamServer
            | Self::KillBridge
            | Self::CutPowerPostgres
            | Self::CutPowerBroker
            | Self::CutPowerStream
            | Self::CutPowerAll => 10,
            Self::StopReplica => 8,
            Self::KillAllReplicas
            | Self::PauseReplica
            | Self::RestartPostgres
            | Self::TerminateBackends
            | Self::CutBroker
            | Self::CutPostgres
            | Self::KillStreamLeader
            | Self::KillTwoStreamServers
            | Self::KillAllStreamServers
            | Self::MoveStreamLeader
            | Self::CutStream
            | Self::CutPowerStreamServer => 5,
            Self::RestartBroker
            | Self::SilenceBroker
            | Self::SilencePostgres
            | Self::DropAcks
            | Self::RestartStreamServer
            | Self::SilenceStream
            | Self::DropStreamAcks
            | Self::Contest
            | Self::Erase
            | Self::ShiftClock
            | Self::OomKillReplica
            | Self::OomKillBroker
            | Self::OomKillPostgres
            | Self::OomKillStreamServer => 4,
            Self::LockTables
            | Self::PoisonStorm
            | Self::FailOver
            | Self::SwitchOver
            | Self::SplitPrimary => 3,
            Self::RollingRestart
            | Self::PauseAllReplicas
            | Self::ExhaustConnections
            | Self::FillDisk
            | Self::FillStreamDisk
            | Self::PauseStreamServer
            | Self::ImpersonateReplica => 2,
            Self::ForgetSubscriptions | Self::DeleteConsumer => 1,
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

/// The cut that ends a world whose power is cut.
pub(crate) fn last_cut(seed: u64) -> Fault {
    fault(Kind::CutPowerAll, 1, &mut fastrand::Rng::with_seed(!seed))
}

fn fault(kind: Kind, replicas: usize, rng: &mut fastrand::Rng) -> Fault {
    let between =
        |rng: &mut fastrand::Rng, from: u64, to: u64| Duration::from_millis(rng.u64(from..=to));
    Fault {
        kind,
        target: rng.usize(0..replicas),
        hold: if kind.is_of_power() { between(rng, 20, 300) } else { between(rng, 200, 1500) },
        variant: rng.u8(..),
        gap: if kind.is_of_power() { between(rng, 50, 1000) } else { between(rng, 200, 1900) },
    }
}
