//! The service's own repair after a change of the primary: awaited, and killed in its middle.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::{Instant, sleep};

use crate::plan::Fault;
use crate::world::World;

/// How long a repair may take, also while other faults are at work.
const PATIENCE: Duration = Duration::from_mins(2);
const PAUSE: Duration = Duration::from_millis(20);

/// A replica that knows of the new primary may have an order in memory for a moment longer.
const FORGETS_WITHIN: Duration = Duration::from_millis(500);

/// The lock that the one who repairs holds, as `pg_locks` has it.
const LOCK: i64 = 0x7761_7962_696c_6c01;

/// The newest repair that was asked for.
pub(super) async fn asked(world: &World) -> Result<i64> {
    let newest = "select coalesce(max(id), 0) from repairs";
    Ok(sqlx::query_scalar(newest).fetch_one(&world.sql).await?)
}

/// Waits until a repair is done that began when all links led to the new primary, so that it has
/// seen everything that was stored elsewhere, and until every replica that runs knows the primary.
pub(super) async fn until_done(world: &World, asked: i64) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    while !is_done(world, asked).await.unwrap_or(false) {
        ensure!(Instant::now() < until, "not repaired within {PATIENCE:?}");
        sleep(PAUSE).await;
    }
    sleep(FORGETS_WITHIN).await;
    Ok(())
}

async fn is_finished(world: &World, asked: i64) -> Result<bool> {
    let finished = "select exists (select from repairs where id > $1 and finished_at is not null)";
    Ok(sqlx::query_scalar(finished).bind(asked).fetch_one(&world.sql).await?)
}

async fn is_done(world: &World, asked: i64) -> Result<bool> {
    if !is_finished(world, asked).await? {
        return Ok(false);
    }
    let timeline =
        "select ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint";
    let timeline: i64 = sqlx::query_scalar(timeline).fetch_one(&world.sql).await?;
    let known = format!("primary: timeline {timeline} of system");
    for replica in world.replicas.iter().filter(|replica| replica.address.borrow().is_some()) {
        if !replica.admin("/readyz?verbose").await?.contains(&known) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Kills all replicas while one of them repairs, unless that is done before, and starts them again.
pub(super) async fn kill_amid(world: &World, asked: i64, fault: Fault) -> Result<()> {
    let mut processes = Vec::new();
    for replica in &world.replicas {
        processes.push((replica, replica.process.lock().await));
    }
    let until = Instant::now() + PATIENCE;
    while !is_at_work(world).await.unwrap_or(false) {
        if is_finished(world, asked).await? {
            return Ok(());
        }
        ensure!(Instant::now() < until, "nobody repairs within {PATIENCE:?}");
        sleep(PAUSE / 4).await;
    }
    sleep(Duration::from_millis(fault.variant.into()) / 4).await;
    for (replica, process) in &mut processes {
        replica.kill(process)?;
    }
    let killed = open(world).await? > 0;
    world.ledger.history().tally.repairs_killed += u64::from(killed);
    sleep(fault.hold).await;
    for (replica, process) in &mut processes {
        replica.start(process).await?;
    }
    Ok(())
}

async fn is_at_work(world: &World) -> Result<bool> {
    let held = "select exists (select from pg_locks where locktype = 'advisory' and granted \
                and classid::bigint << 32 | objid::bigint = $1)";
    Ok(sqlx::query_scalar(held).bind(LOCK).fetch_one(&world.sql).await?)
}

async fn open(world: &World) -> Result<i64> {
    let open = "select count(*) from repairs where finished_at is null";
    Ok(sqlx::query_scalar(open).fetch_one(&world.sql).await?)
}

/// Whether no repair is asked for any more, and every replica knows that. One that has just begun
/// may ask for one when it sees the primary.
pub(crate) async fn nothing_is_open(world: &World) -> Result<bool> {
    for replica in &world.replicas {
        let knows = replica.admin("/readyz?verbose").await?.contains("primary: timeline ");
        if !knows || replica.metric("waybill_repair_pending").await? > 0.5 {
            return Ok(false);
        }
    }
    Ok(open(world).await? == 0)
}
