//! Orders that were served are erased, as an operator would; then everything is tried that could
//! bring them back.

use anyhow::{Result, ensure};
use tokio::process::Command;

use crate::plan::Fault;
use crate::world::World;

/// Orders erased at once.
const VICTIMS: usize = 5;

/// Erases some orders, and in half of the cases repairs by the channel and replays rejects.
pub(crate) async fn erase(world: &World, fault: Fault) -> Result<()> {
    let postgres = world.postgres.lock().await;
    // Messages of a stream cannot be deleted while its servers are away.
    let _servers = match &world.streams {
        Some(streams) => Some(streams.servers.lock().await),
        None => None,
    };
    let url = world.database.on(&postgres);
    let mut rng =
        fastrand::Rng::with_seed(u64::from(fault.variant) ^ u64::from(fault.hold.subsec_nanos()));
    let victims = world.ledger.begin_erasing(VICTIMS, &mut rng);
    if !victims.is_empty() {
        run(world, &url.owner_url, &["erase", "--reason", "chaos"], &victims).await?;
        world.ledger.erased(&victims);
        // Now: a replay, which comes next in half of the cases, would take them away as well.
        let kept = format!(
            "select count(*) from rejected_messages where reason = 'conflict' and exists ( \
                 select from unnest('{{{}}}'::text[]) as uid \
                 where position(convert_to(uid, 'UTF8') in payload) > 0)",
            victims.join(",")
        );
        let kept = postgres.psql(&url.owner_url, &kept).await?;
        if kept.trim() != "0" {
            let what = format!("{} rejects are kept of erased orders", kept.trim());
            world.ledger.violation("resurrected", what);
        }
    }
    if fault.variant & 1 == 0 {
        for origin in world.sources.origins() {
            let repair = ["reconcile", "--repair", "--source", origin.option()];
            run(world, &url.url, &repair, &[]).await?;
        }
        // Rejects stay rejects, and its exit code says so.
        let _ = run(world, &url.url, &["rejects", "replay"], &[]).await;
    }
    drop(postgres);
    Ok(())
}

/// What an old primary may have taken along is erased again.
pub(crate) async fn again(world: &World, owner_url: &str) -> Result<()> {
    let victims = world.ledger.all_erased();
    if victims.is_empty() {
        return Ok(());
    }
    run(world, owner_url, &["erase", "--reason", "chaos"], &victims).await
}

async fn run(world: &World, database: &str, command: &[&str], more: &[String]) -> Result<()> {
    let mut program = world.command(command[0]);
    program.args(&command[1..]).args(more);
    program.env("WAYBILL_DATABASE__URL", database);
    program.env("WAYBILL_DATABASE__MIGRATE_URL", database);
    let output = Command::from(program).kill_on_drop(true).output().await?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} failed: {}", command[0], complaint.trim());
    Ok(())
}
