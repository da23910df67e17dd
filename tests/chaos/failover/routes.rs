//! Where the links to Postgres lead when another server is the primary.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Result;
use testbed::Postgres;

use crate::replica::Replica;
use crate::world::World;

fn at(postgres: &Postgres) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, postgres.port()).into()
}

/// The harness finds it at once.
pub(super) async fn lead_observers(world: &World, postgres: &Postgres) -> Result<()> {
    world.sql_link.lock().await.redirect(at(postgres)).await
}

/// Has replicas reach the new primary: at the second address, where they have one, while the first
/// still leads to the server before; else at the only one.
pub(super) async fn lead(replicas: &[(usize, &Arc<Replica>)], postgres: &Postgres) -> Result<()> {
    for (_, replica) in replicas {
        let link = replica.second_postgres_link.as_ref().unwrap_or(&replica.postgres_link);
        link.lock().await.redirect(at(postgres)).await?;
    }
    Ok(())
}

/// The new primary is found at the first address again, where the faults of links are made.
pub(super) async fn come_home(world: &World, postgres: &Postgres) -> Result<()> {
    for replica in &world.replicas {
        if let Some(second) = &replica.second_postgres_link {
            replica.postgres_link.lock().await.redirect(at(postgres)).await?;
            second.lock().await.cut().await;
        }
    }
    Ok(())
}
