//! The primary dies and a standby that lags behind takes its place. An operator erases again what
//! was erased; the replicas notice and repair by themselves.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::{Instant, sleep};

use crate::erasure;
use crate::world::World;

/// How long a repair may take, also while other faults are at work.
const PATIENCE: Duration = Duration::from_mins(2);
const PAUSE: Duration = Duration::from_millis(100);

/// A replica that was halted notices later than others, and asks for another repair.
const QUIET: Duration = Duration::from_secs(3);

pub(crate) async fn fail_over(world: &World, hold: Duration) -> Result<()> {
    let mut postgres = world.postgres.lock().await;
    let standby = postgres.standby().await?;
    world.ledger.history().failover_window = true;
    let cut_off = "alter system set primary_conninfo = ''; select pg_reload_conf()";
    standby.psql(&standby.superuser_url(), cut_off).await?;
    sleep(hold).await;
    world.note_deadlocks(&postgres);
    postgres.kill()?;
    standby.promote().await?;
    *postgres = standby;
    let server = (Ipv4Addr::LOCALHOST, postgres.port()).into();
    world.sql_link.lock().await.redirect(server).await?;
    let present = sqlx::query_scalar("select order_uid from orders").fetch_all(&world.sql).await?;
    world.ledger.lost_with_a_primary(&HashSet::from_iter(present));
    for replica in &world.replicas {
        replica.postgres_link.lock().await.redirect(server).await?;
    }
    erasure::again(world, &world.database.on(&postgres).owner_url).await?;
    until_repaired(world).await?;
    world.ledger.history().failover_window = false;
    Ok(())
}

/// Waits until a repair is finished, none is asked for any more, and every replica that runs knows.
async fn until_repaired(world: &World) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    let (mut settled, mut since) = (false, Instant::now());
    while !settled || since.elapsed() < QUIET {
        ensure!(Instant::now() < until, "not repaired within {PATIENCE:?}");
        sleep(PAUSE).await;
        let now_settled = is_repaired(world).await.unwrap_or(false);
        if !now_settled || !settled {
            since = Instant::now();
        }
        settled = now_settled;
    }
    Ok(())
}

async fn is_repaired(world: &World) -> Result<bool> {
    let repairs = "select count(*), count(*) filter (where finished_at is null) from repairs";
    let (asked, open): (i64, i64) = sqlx::query_as(repairs).fetch_one(&world.sql).await?;
    if asked == 0 || open > 0 {
        return Ok(false);
    }
    for replica in world.replicas.iter().filter(|replica| replica.address.borrow().is_some()) {
        if replica.metric("waybill_repair_pending").await? > 0.5 {
            return Ok(false);
        }
    }
    Ok(true)
}
