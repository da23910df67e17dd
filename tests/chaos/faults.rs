//! Each fault: done, held, undone. It returns when all is as before, at least in its own part.

use std::time::Duration;

use anyhow::{Context as _, Result};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, raw_sql};
use testbed::Signal;
use testbed::broker::CLUSTER_ID;
use tokio::time::sleep;

use crate::clocks;
use crate::erasure;
use crate::failover;
use crate::link_faults;
use crate::load::Storm;
use crate::memory;
use crate::plan::{Fault, Kind};
use crate::power;
use crate::replica::{MAX_IN_FLIGHT, Replica};
use crate::stream_faults;
use crate::world::{CHANNEL, World};

/// How long a rolling restart waits for one replica before it goes on to the next.
const ROLL: Duration = Duration::from_secs(5);

/// Orders of which each comes four times.
const CONTESTED: usize = 150;

/// How long an attempt to take a replica's name may go on.
const IMPERSONATION: Duration = Duration::from_secs(3);

pub(crate) async fn inject(fault: Fault, world: &World) -> Result<()> {
    let replica = &world.replicas[fault.target];
    let hold = fault.hold;
    match fault.kind {
        Kind::KillReplica => kill(std::slice::from_ref(replica), hold).await,
        Kind::KillAllReplicas => kill(&world.replicas, hold).await,
        Kind::StopReplica => {
            let mut process = replica.process.lock().await;
            replica.stop(&mut process).await?;
            sleep(hold).await;
            replica.start(&mut process).await
        }
        Kind::RollingRestart => {
            for replica in &world.replicas {
                let mut process = replica.process.lock().await;
                replica.stop(&mut process).await?;
                replica.start(&mut process).await?;
                // A roll-out goes on in the end, ready or not: Postgres may be away.
                let _ = replica.until_ready(ROLL).await;
            }
            Ok(())
        }
        Kind::PauseReplica => pause(std::slice::from_ref(replica), hold).await,
        Kind::PauseAllReplicas => pause(&world.replicas, hold).await,
        Kind::KillPostgres | Kind::RestartPostgres => {
            let mut postgres = world.postgres.lock().await;
            world.note_deadlocks(&postgres);
            if fault.kind == Kind::KillPostgres {
                postgres.kill()?;
            } else {
                postgres.stop().await?;
            }
            sleep(hold).await;
            postgres.start_again().await
        }
        Kind::TerminateBackends => terminate(world, fault).await,
        Kind::ExhaustConnections => exhaust(world, hold).await,
        Kind::LockTables => lock(world, fault).await,
        Kind::FillDisk => fill_disk(world, hold).await,
        Kind::FailOver | Kind::SwitchOver | Kind::SplitPrimary => {
            failover::fail_over(world, fault).await
        }
        Kind::KillBroker | Kind::RestartBroker | Kind::ForgetSubscriptions => {
            let mut broker = world.broker.as_ref().context("no broker")?.lock().await;
            if fault.kind == Kind::RestartBroker {
                broker.stop().await?;
            } else {
                broker.kill()?;
            }
            if fault.kind == Kind::ForgetSubscriptions {
                broker.forget_subscriptions(CHANNEL)?;
            }
            sleep(hold).await;
            broker.start_again().await
        }
        Kind::CutBroker
        | Kind::SilenceBroker
        | Kind::DropAcks
        | Kind::CutStream
        | Kind::SilenceStream
        | Kind::DropStreamAcks
        | Kind::CutPostgres
        | Kind::SilencePostgres => link_faults::inject(fault, replica).await,
        Kind::KillBridge => {
            let bridge = world.bridge.as_ref().context("no bridge")?;
            bridge.kill(&world.command("bridge"), hold).await
        }
        Kind::CutPowerPostgres
        | Kind::CutPowerBroker
        | Kind::CutPowerStreamServer
        | Kind::CutPowerStream
        | Kind::CutPowerAll => power::cut(fault, world).await,
        Kind::ImpersonateReplica => impersonate(world, replica, hold).await,
        Kind::PoisonStorm => storm(world, Storm::Poison(MAX_IN_FLIGHT + 1)),
        Kind::Erase => erasure::erase(world, fault).await,
        Kind::Contest => storm(world, Storm::Contest(CONTESTED)),
        Kind::ShiftClock => clocks::shift(fault, world).await,
        kind if kind.is_of_memory() => memory::inject(fault, world).await,
        _ => stream_faults::inject(fault, world.streams.as_ref().context("no stream")?).await,
    }
}

async fn kill(replicas: &[std::sync::Arc<Replica>], hold: Duration) -> Result<()> {
    let mut halted = Vec::new();
    for replica in replicas {
        let mut process = replica.process.lock().await;
        replica.kill(&mut process)?;
        halted.push((replica, process));
    }
    sleep(hold).await;
    for (replica, process) in &mut halted {
        replica.start(process).await?;
    }
    Ok(())
}

async fn pause(replicas: &[std::sync::Arc<Replica>], hold: Duration) -> Result<()> {
    let mut halted = Vec::new();
    for replica in replicas {
        let mut process = replica.process.lock().await;
        process.as_mut().map_or(Ok(()), |process| process.signal(Signal::STOP))?;
        halted.push(process);
    }
    sleep(hold).await;
    for process in &mut halted {
        process.as_mut().map_or(Ok(()), |process| process.signal(Signal::CONT))?;
    }
    Ok(())
}

const TERMINATE: &str = "select pg_terminate_backend(pid) from pg_stat_activity \
                         where application_name = 'waybill'";

/// Ends the service's connections: at once, or when statements have piled up before a lock.
async fn terminate(world: &World, fault: Fault) -> Result<()> {
    let _postgres = world.postgres.lock().await;
    if fault.variant & 4 == 0 {
        raw_sql(TERMINATE).execute(&world.sql).await?;
    } else {
        let mut holding = world.sql.begin().await?;
        let lock = "lock table orders, rejected_messages in exclusive mode";
        raw_sql(lock).execute(&mut *holding).await?;
        sleep(fault.hold).await;
        raw_sql(TERMINATE).execute(&mut *holding).await?;
        holding.rollback().await?;
    }
    Ok(())
}

/// Takes every connection there is and then ends those of the service.
async fn exhaust(world: &World, hold: Duration) -> Result<()> {
    let postgres = world.postgres.lock().await;
    let url = world.database.on(&postgres).url;
    let mut taken = Vec::new();
    while let Ok(connection) = PgConnection::connect(&url).await {
        taken.push(connection);
    }
    raw_sql(TERMINATE).execute(&world.sql).await?;
    while let Ok(connection) = PgConnection::connect(&url).await {
        taken.push(connection);
    }
    sleep(hold).await;
    drop(taken);
    drop(postgres);
    Ok(())
}

/// Holds a lock on one of the tables, against writers or against everybody; or on the place of
/// an order that is about to come, so that a batch waits half written.
async fn lock(world: &World, fault: Fault) -> Result<()> {
    let _postgres = world.postgres.lock().await;
    let table = if fault.variant & 1 == 0 { "orders" } else { "rejected_messages" };
    let mode = if fault.variant & 2 == 0 { "exclusive" } else { "access exclusive" };
    let mut holding = world.sql.begin().await?;
    let uid = world.ledger.next_announced().filter(|_| fault.variant & 4 == 0);
    let lock = match uid {
        // An announced uid is made of hexadecimal digits.
        Some(uid) => format!("insert into orders values ('{uid}', '', 0) on conflict do nothing"),
        None => format!("lock table {table} in {mode} mode"),
    };
    raw_sql(AssertSqlSafe(lock)).execute(&mut *holding).await?;
    sleep(fault.hold).await;
    holding.rollback().await?;
    Ok(())
}

async fn fill_disk(world: &World, hold: Duration) -> Result<()> {
    let _postgres = world.postgres.lock().await;
    let disk = world.disk.lock().await;
    let disk = disk.as_ref().context("there is no small disk")?;
    disk.fill()?;
    sleep(hold).await;
    disk.empty()
}

/// Registers under the replica's client id while its link is down.
async fn impersonate(world: &World, replica: &Replica, hold: Duration) -> Result<()> {
    let mut link = replica.broker_link()?.lock().await;
    link.cut().await;
    let mut options = stan::Options::new(world.broker_url()?, CLUSTER_ID, &replica.name);
    options.request_timeout = Duration::from_secs(1);
    let connecting = async {
        loop {
            match stan::Connection::connect(options.clone()).await {
                Ok(connection) => return connection,
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
    };
    // The broker may be away for longer; then nobody is impersonated.
    let impostor = tokio::time::timeout(IMPERSONATION, connecting).await;
    link.heal().await?;
    sleep(hold).await;
    if let Ok(impostor) = impostor {
        // It may have been lost meanwhile, like any other.
        let _ = impostor.close().await;
    }
    Ok(())
}

fn storm(world: &World, storm: Storm) -> Result<()> {
    world.storms.send(storm).context("the publisher has ended")
}
