//! Servers on disks that lose what was not synced, and the cuts of their power.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use testbed::{Broker, Losses, NatsServer, Postgres, PowerDisk};
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use crate::disk;
use crate::origin::Origin;
use crate::plan::{Fault, Kind};
use crate::streams::Streams;
use crate::world::{Settings, World};

/// What does not sync as it must.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mutant {
    /// Postgres never does.
    FsyncOff,
    /// Postgres confirms a commit first, and does so a little later.
    SynchronousCommitOff,
    /// The broker never does.
    FileSyncOff,
    /// The server of the stream does so every two minutes.
    SyncIntervalDefault,
}

/// What Postgres needs so that its power can be cut; its log of changes goes round quickly.
const SAFE: [(&str, &str); 4] = [
    ("fsync", "on"),
    ("full_page_writes", "on"),
    ("min_wal_size", "32MB"),
    ("max_wal_size", "32MB"),
];

pub(crate) fn postgres_settings(settings: &Settings) -> &'static [(&'static str, &'static str)] {
    if settings.power && settings.mutant != Some(Mutant::FsyncOff) { &SAFE } else { &[] }
}

/// The service refuses a role or a database with `synchronous_commit = off`, so a trigger sets it
/// in each transaction of its own.
const UNDERMINE: &str = "
create function commit_later() returns trigger language plpgsql as
    $$ begin perform set_config('synchronous_commit', 'off', true); return null; end $$;
create trigger commit_later after insert on orders
    for each statement execute function commit_later();
create trigger commit_later after insert on rejected_messages
    for each statement execute function commit_later();
";

/// Does what cannot be done before the tables are there.
pub(crate) async fn undermine(world: &World, settings: &Settings) -> Result<()> {
    if settings.mutant == Some(Mutant::SynchronousCommitOff) {
        sqlx::raw_sql(UNDERMINE).execute(&world.sql).await?;
    }
    if let Some(disks) = &world.disks {
        // As after half a minute: what is lost is to be orders, and not the database.
        disks.postgres.sync();
    }
    Ok(())
}

/// Whether this process may mount such disks.
pub(crate) fn is_possible() -> bool {
    disk::is_possible() && Path::new("/dev/fuse").exists()
}

/// Where the servers have their files.
#[derive(Debug)]
pub(crate) struct Disks {
    postgres: PowerDisk,
    broker: Option<PowerDisk>,
    /// Of each server of the stream.
    streams: Vec<PowerDisk>,
}

impl Disks {
    /// Lays what the servers have on such disks.
    pub(crate) async fn mount(
        postgres: &mut Postgres,
        broker: Option<&mut Mutex<Broker>>,
        streams: Option<&mut Streams>,
    ) -> Result<Self> {
        postgres.stop().await?;
        let on_postgres = PowerDisk::over(&postgres.data_directory())?;
        postgres.start_again().await?;
        let mut disks = Self { postgres: on_postgres, broker: None, streams: Vec::new() };
        if let Some(broker) = broker {
            let broker = broker.get_mut();
            broker.stop().await?;
            disks.broker = Some(PowerDisk::over(&broker.store_directory())?);
            broker.start_again().await?;
        }
        if let Some(streams) = streams {
            let servers = streams.servers.get_mut();
            for server in &mut *servers {
                server.stop().await?;
                disks.streams.push(PowerDisk::over(&server.store_directory())?);
                server.start_again().await?;
            }
            for server in servers {
                server.until_healthy().await;
            }
        }
        Ok(disks)
    }
}

/// What one cut hits, locked for its time.
#[derive(Default)]
struct Hit<'a> {
    postgres: Option<(MutexGuard<'a, Postgres>, &'a PowerDisk)>,
    broker: Option<(MutexGuard<'a, Broker>, &'a PowerDisk)>,
    streams: Option<MutexGuard<'a, Vec<NatsServer>>>,
    /// Those of the stream that are hit.
    servers: Vec<(usize, &'a PowerDisk)>,
}

/// Cuts the power, gives it back after a while, and has the servers started again. In a quarter of
/// the cases it fails once more while they start.
pub(crate) async fn cut(fault: Fault, world: &World) -> Result<()> {
    let mut hit = Hit::of(fault, world).await?;
    let seed = u64::from(fault.hold.subsec_nanos()) << 8 | u64::from(fault.variant);
    hit.cut(world, seed)?;
    sleep(fault.hold).await;
    if fault.variant.is_multiple_of(4) {
        let soon = Duration::from_millis(u64::from(fault.variant) * 4);
        // Most are still at their recovery then.
        if let Ok(started) = timeout(soon, hit.start(world)).await {
            started?;
        }
        hit.cut(world, !seed)?;
    }
    hit.start(world).await
}

impl<'a> Hit<'a> {
    async fn of(fault: Fault, world: &'a World) -> Result<Self> {
        let disks = world.disks.as_ref().context("there are no disks whose power can be cut")?;
        let mut hit = Self::default();
        let all = fault.kind == Kind::CutPowerAll;
        if all || fault.kind == Kind::CutPowerPostgres {
            hit.postgres = Some((world.postgres.lock().await, &disks.postgres));
        }
        if let Some(broker) = &world.broker
            && let Some(disk) = &disks.broker
            && (all || fault.kind == Kind::CutPowerBroker)
        {
            hit.broker = Some((broker.lock().await, disk));
        }
        if let Some(streams) = &world.streams
            && (all || matches!(fault.kind, Kind::CutPowerStream | Kind::CutPowerStreamServer))
        {
            let one = (fault.kind == Kind::CutPowerStreamServer)
                .then(|| usize::from(fault.variant) % disks.streams.len());
            hit.streams = Some(streams.servers.lock().await);
            let disks = disks.streams.iter().enumerate();
            hit.servers =
                disks.filter(|(number, _)| one.is_none_or(|one| one == *number)).collect();
        }
        Ok(hit)
    }

    fn cut(&mut self, world: &World, seed: u64) -> Result<()> {
        if let Some((postgres, _)) = &mut self.postgres {
            world.note_deadlocks(postgres);
            postgres.kill()?;
        }
        if let Some((broker, _)) = &mut self.broker {
            broker.kill()?;
        }
        if let Some(servers) = &mut self.streams {
            for (number, _) in &self.servers {
                servers[*number].kill()?;
            }
        }
        let disks = self.postgres.iter().map(|(_, disk)| *disk);
        let disks = disks.chain(self.broker.iter().map(|(_, disk)| *disk));
        let disks = disks.chain(self.servers.iter().map(|(_, disk)| *disk));
        for (number, disk) in (0..).zip(disks) {
            let Losses { kept, torn, lost } = disk.cut(seed.wrapping_add(number));
            let tally = &mut world.ledger.history().tally;
            tally.unsynced_kept += kept;
            tally.unsynced_torn += torn;
            tally.unsynced_lost += lost;
        }
        Ok(())
    }

    async fn start(&mut self, world: &World) -> Result<()> {
        if self.broker.is_some() {
            world.ledger.power_was_cut(Origin::Channel);
        }
        if !self.servers.is_empty() {
            world.ledger.power_was_cut(Origin::Stream);
        }
        if let Some((postgres, _)) = &mut self.postgres {
            postgres.start_again().await?;
        }
        if let Some((broker, _)) = &mut self.broker {
            repair(broker.store_directory(), world).await?;
            broker.start_again().await?;
        }
        if let Some(servers) = &mut self.streams {
            for (number, _) in &self.servers {
                servers[*number].start_again().await?;
            }
        }
        Ok(())
    }
}

/// Does what the chart does before each start: otherwise the broker may not start, not deliver what
/// it confirms, or lose that when its power is cut for the second time.
async fn repair(store: PathBuf, world: &World) -> Result<()> {
    let repair = spawn_blocking(move || waybill::broker_store::repair(&store));
    let changes = repair.await?.context("the store of the broker cannot be repaired")?;
    world.ledger.history().tally.stores_repaired += u64::from(!changes.is_empty());
    Ok(())
}
