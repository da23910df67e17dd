//! Wall clocks of replicas that are set forward or back by hours.

use anyhow::{Context as _, Result};
use tokio::time::sleep;

use crate::plan::Fault;
use crate::world::World;

/// The most that a clock is wrong.
const HOURS: u8 = 30;

/// Sets the clock of one replica, or of all. In half of the cases it stays as it is until the
/// next such fault, also for a replica that is started anew.
pub(crate) async fn shift(fault: Fault, world: &World) -> Result<()> {
    let hours = i64::from(1 + (fault.variant >> 3) % HOURS);
    let hours = if fault.variant & 1 == 0 { hours } else { -hours };
    let one = &world.replicas[fault.target..=fault.target];
    let replicas = if fault.variant & 2 == 0 { &world.replicas } else { one };
    let set = |hours| {
        replicas.iter().try_for_each(|replica| {
            replica.clock.as_ref().context("its clock cannot be set")?.shift(hours)
        })
    };
    set(hours)?;
    sleep(fault.hold).await;
    if fault.variant & 4 == 0 { set(0) } else { Ok(()) }
}
