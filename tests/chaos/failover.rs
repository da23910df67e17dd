//! Another server becomes the primary of Postgres, which lacks what the one before committed last.
//! An operator erases again what was erased; the replicas notice and repair by themselves.

mod repair;
mod routes;

use std::collections::HashSet;
use std::time::Duration;

use anyhow::Result;
use testbed::Postgres;
use tokio::time::sleep;

use crate::disk::Disk;
use crate::erasure;
use crate::plan::{Fault, Kind};
use crate::world::World;

pub(crate) use repair::nothing_is_open;

/// A server that is the primary no more. It stays until the fault is over, for whoever finds it.
struct Former {
    _disk: Option<Disk>,
    _server: Postgres,
}

/// In a quarter of the cases it happens once more before anybody has repaired anything, and in
/// another one all replicas are killed amid the repair.
pub(crate) async fn fail_over(world: &World, fault: Fault) -> Result<()> {
    let mut postgres = world.postgres.lock().await;
    world.ledger.history().failover_window = true;
    let mut former = vec![change_primary(world, &mut postgres, fault).await?];
    if fault.variant.is_multiple_of(4) {
        former.push(change_primary(world, &mut postgres, fault).await?);
    }
    let asked = repair::asked(world).await?;
    erasure::again(world, &world.database.on(&postgres).owner_url).await?;
    if fault.variant % 4 == 1 {
        repair::kill_amid(world, asked, fault).await?;
    }
    repair::until_done(world, asked).await?;
    routes::come_home(world, &postgres).await?;
    world.ledger.history().failover_window = false;
    Ok(())
}

/// Makes a standby that then falls behind, and makes it the primary.
async fn change_primary(world: &World, postgres: &mut Postgres, fault: Fault) -> Result<Former> {
    let (standby, disk) = standby(world, postgres).await?;
    let cut_off = "alter system set primary_conninfo = ''; select pg_reload_conf()";
    standby.psql(&standby.superuser_url(), cut_off).await?;
    sleep(fault.hold).await;
    world.note_deadlocks(postgres);
    match fault.kind {
        Kind::SwitchOver => postgres.demote().await?,
        Kind::FailOver => postgres.kill()?,
        _ => {}
    }
    standby.promote().await?;
    let before = std::mem::replace(postgres, standby);
    routes::lead_observers(world, postgres).await?;
    let present = sqlx::query_scalar("select order_uid from orders").fetch_all(&world.sql).await?;
    world.ledger.lost_with_a_primary(&HashSet::from_iter(present));
    let stays = usize::from(fault.kind == Kind::SplitPrimary);
    // Some are on the other side of the partition, where the server before still accepts.
    let (those, others): (Vec<_>, Vec<_>) = world
        .replicas
        .iter()
        .enumerate()
        .partition(|(number, _)| (number + usize::from(fault.variant)) % 2 >= stays);
    routes::lead(&those, postgres).await?;
    if !others.is_empty() {
        sleep(split(fault)).await;
        routes::lead(&others, postgres).await?;
    }
    let disk = std::mem::replace(&mut *world.disk.lock().await, disk);
    Ok(Former { _disk: disk, _server: before })
}

/// How long a partition lasts: mostly until after those on one side have repaired.
fn split(fault: Fault) -> Duration {
    fault.hold + Duration::from_millis(u64::from(fault.variant) * 30)
}

/// Of a server whose tables lie on a small disk, with one of its own.
async fn standby(world: &World, postgres: &Postgres) -> Result<(Postgres, Option<Disk>)> {
    match &*world.disk.lock().await {
        None => Ok((postgres.standby().await?, None)),
        Some(disk) => {
            let (standby, disk) = disk.standby(postgres).await?;
            Ok((standby, Some(disk)))
        }
    }
}
