//! The faults of the links of one replica.

use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Result;
use testbed::{Direction, Proxy};
use tokio::time::sleep;

use crate::origin::Origin;
use crate::plan::{Fault, Kind};
use crate::replica::Replica;

pub(crate) async fn inject(fault: Fault, replica: &Replica) -> Result<()> {
    let hold = fault.hold;
    match fault.kind {
        Kind::DropAcks => {
            let _link = replica.broker_link()?.lock().await;
            drop_acks(replica, Origin::Channel, hold).await
        }
        Kind::DropStreamAcks => {
            let _links = replica.stream_links.lock().await;
            drop_acks(replica, Origin::Stream, hold).await
        }
        Kind::CutBroker => {
            let mut link = replica.broker_link()?.lock().await;
            interrupt(std::slice::from_mut(&mut *link), None, hold).await
        }
        Kind::SilenceBroker => {
            let mut link = replica.broker_link()?.lock().await;
            interrupt(std::slice::from_mut(&mut *link), Some(fault.variant), hold).await
        }
        Kind::CutStream | Kind::SilenceStream => {
            let mut links = replica.stream_links.lock().await;
            // One of several, or all.
            let chosen = match usize::from(fault.variant >> 4) % (links.len() + 1) {
                0 => &mut links[..],
                one => &mut links[one - 1..one],
            };
            let silence = fault.kind == Kind::SilenceStream;
            interrupt(chosen, silence.then_some(fault.variant), hold).await
        }
        _ => {
            let mut link = replica.postgres_link.lock().await;
            let silence = fault.kind == Kind::SilencePostgres;
            let direction = silence.then_some(fault.variant);
            interrupt(std::slice::from_mut(&mut *link), direction, hold).await
        }
    }
}

async fn drop_acks(replica: &Replica, origin: Origin, hold: Duration) -> Result<()> {
    replica.acks_vanish(origin).store(true, Ordering::SeqCst);
    sleep(hold).await;
    replica.acks_vanish(origin).store(false, Ordering::SeqCst);
    Ok(())
}

/// Cuts links, or swallows what goes one way or both where a `direction` says which. At the end the
/// connections that lost bytes end too, as they do when a firewall has forgotten them: no TCP
/// connection goes on with a gap.
async fn interrupt(links: &mut [Proxy], direction: Option<u8>, time: Duration) -> Result<()> {
    for link in &mut *links {
        match direction {
            None => link.cut().await,
            Some(variant) => {
                if !variant.is_multiple_of(3) {
                    link.black_hole(Direction::ToServer);
                }
                if variant % 3 != 1 {
                    link.black_hole(Direction::ToClient);
                }
            }
        }
    }
    sleep(time).await;
    for link in links {
        link.cut().await;
        link.heal().await?;
    }
    Ok(())
}
