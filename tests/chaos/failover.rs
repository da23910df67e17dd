//! The primary dies and a standby that lags behind takes its place; then the runbook is followed:
//! erasures once more, `waybill reconcile --repair`, and a rolling restart, because a replica may hold in memory what
//! the old primary took along.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::sleep;

use crate::erasure;
use crate::origin::Origin;
use crate::world::World;

/// How long a restarted replica is waited for before the next one.
const ROLL: Duration = Duration::from_mins(1);

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
    for origin in world.sources.origins() {
        reconcile(world, *origin, &world.database.on(&postgres).url).await?;
    }
    for replica in &world.replicas {
        let mut process = replica.process.lock().await;
        replica.stop(&mut process).await?;
        replica.start(&mut process).await?;
        replica.until_ready(ROLL).await?;
    }
    world.ledger.history().failover_window = false;
    Ok(())
}

async fn reconcile(world: &World, origin: Origin, database: &str) -> Result<()> {
    let mut command = world.command("reconcile");
    command.args(["--repair", "--source", origin.option()]);
    command.env("WAYBILL_DATABASE__URL", database);
    let output = tokio::process::Command::from(command).kill_on_drop(true).output().await?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "reconcile failed: {}", complaint.trim());
    Ok(())
}
