//! A process needs more memory than there is, and the kernel kills it. Needs root.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sqlx::raw_sql;
use testbed::{MemoryLimit, NatsServer};
use tokio::time::{Instant, sleep};

use crate::plan::{Fault, Kind};
use crate::replica::Replica;
use crate::world::World;

/// Bytes that a statement may have, and one that needs more of them.
const OF_A_STATEMENT: u64 = 16 << 20;
const HUNGRY: &str = "select length(repeat('x', 256 << 20))";

/// How long Postgres may take to begin anew by itself.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) async fn inject(fault: Fault, world: &World) -> Result<()> {
    let hold = fault.hold;
    match fault.kind {
        Kind::OomKillReplica => kill_replica(&world.replicas[fault.target], hold).await,
        Kind::OomKillPostgres => kill_backend(world).await,
        Kind::OomKillBroker => {
            let mut broker = world.broker.as_ref().context("no broker")?.lock().await;
            until_killed(broker.id()).await?;
            // It is dead; this waits for its end.
            broker.kill()?;
            sleep(hold).await;
            broker.start_again().await
        }
        _ => {
            let streams = world.streams.as_ref().context("no stream")?;
            let mut servers = streams.servers.lock().await;
            let any = usize::from(fault.variant) % servers.len();
            kill_stream_server(&mut servers[any], hold).await
        }
    }
}

async fn kill_replica(replica: &Replica, hold: Duration) -> Result<()> {
    let mut process = replica.process.lock().await;
    if let Some(process) = &*process {
        until_killed(process.id()).await?;
    }
    replica.kill(&mut process)?;
    sleep(hold).await;
    replica.start(&mut process).await
}

async fn kill_stream_server(server: &mut NatsServer, hold: Duration) -> Result<()> {
    until_killed(server.id()).await?;
    server.kill()?;
    sleep(hold).await;
    server.start_again().await
}

/// Gives a process no more memory, and waits until it needed some.
async fn until_killed(process: u32) -> Result<()> {
    let limit = MemoryLimit::new(0)?;
    limit.put(process)?;
    limit.until_killed().await
}

/// A statement takes too much. Postgres then ends all sessions and begins anew, for the memory that
/// they share may be damaged.
async fn kill_backend(world: &World) -> Result<()> {
    let postgres = world.postgres.lock().await;
    let mut connection = world.sql.acquire().await?;
    let pid: i32 =
        sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *connection).await?;
    let limit = MemoryLimit::new(OF_A_STATEMENT)?;
    limit.put(pid.unsigned_abs())?;
    let answer = raw_sql(HUNGRY).execute(&mut *connection).await;
    ensure!(answer.is_err(), "a statement had more memory than it was given");
    limit.until_killed().await?;
    drop(connection);
    let began = Instant::now();
    while !postgres.log().contains("all server processes terminated; reinitializing")
        || raw_sql("select").execute(&world.sql).await.is_err()
    {
        ensure!(began.elapsed() < PATIENCE, "Postgres did not begin anew");
        sleep(PAUSE).await;
    }
    Ok(())
}
