//! The page in a real browser.

mod accessibility;
mod driver;
mod hostile;
mod layout;
mod lookups;
mod pictures;
mod script;

use bytes::Bytes;

use crate::service::{MODEL, Replica, World};

/// A replica that holds the canonical order.
async fn with_the_model() -> (World, Replica) {
    let world = World::new().await;
    let replica = world.serve("pages").await;
    world.publish_raw([Bytes::from_static(MODEL)]).await;
    world.until_drained().await;
    (world, replica)
}

/// The address of a page.
fn at(replica: &Replica, path: &str) -> String {
    format!("http://{}{path}", replica.site)
}
