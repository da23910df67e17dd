//! The faults of the servers of the stream.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use testbed::{NatsServer, Signal};
use tokio::time::{Instant, sleep};

use crate::plan::{Fault, Kind};
use crate::streams::Streams;
use crate::world::{CONSUMER, STREAM};

/// How long a cluster may take to have a leader again.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

pub(crate) async fn inject(fault: Fault, streams: &Streams) -> Result<()> {
    let mut servers = streams.servers.lock().await;
    let any = usize::from(fault.variant) % servers.len();
    match fault.kind {
        Kind::KillStreamLeader => {
            // While there is none, any of them will do.
            let leader = streams.leader().await.ok().flatten().unwrap_or(any);
            kill(&mut servers[leader..=leader], fault.hold).await
        }
        Kind::KillTwoStreamServers => {
            servers.rotate_left(any);
            let killed = kill(&mut servers[..2], fault.hold).await;
            servers.rotate_right(any);
            killed
        }
        Kind::KillAllStreamServers => kill(&mut servers, fault.hold).await,
        Kind::RestartStreamServer => {
            servers[any].stop().await?;
            sleep(fault.hold).await;
            servers[any].start_again().await
        }
        Kind::PauseStreamServer => {
            servers[any].signal(Signal::STOP)?;
            sleep(fault.hold).await;
            servers[any].signal(Signal::CONT)
        }
        Kind::FillStreamDisk => fill_disk(streams, &mut servers[0], fault.hold).await,
        Kind::MoveStreamLeader => {
            let operation = if fault.variant & 1 == 0 {
                format!("STREAM.LEADER.STEPDOWN.{STREAM}")
            } else {
                format!("CONSUMER.LEADER.STEPDOWN.{STREAM}.{CONSUMER}")
            };
            ask(streams, &operation).await
        }
        Kind::DeleteConsumer => ask(streams, &format!("CONSUMER.DELETE.{STREAM}.{CONSUMER}")).await,
        _ => kill(&mut servers[any..=any], fault.hold).await,
    }
}

/// `kill -9` at the same time, and all of them are there again after a while.
async fn kill(servers: &mut [NatsServer], hold: Duration) -> Result<()> {
    servers.iter_mut().try_for_each(NatsServer::kill)?;
    sleep(hold).await;
    for server in servers {
        server.start_again().await?;
    }
    Ok(())
}

/// Asks until there is a leader to do it: the fault before may have taken it away.
async fn ask(streams: &Streams, operation: &str) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        let answer = streams.request(operation).await;
        match answer {
            Ok(answer) if answer.get("error").is_none() => return Ok(()),
            _ if Instant::now() < until => sleep(PAUSE).await,
            answer => bail!("{operation}: {:?}", answer?),
        }
    }
}

/// A server that runs out of disk turns its streams off until it is restarted, as its liveness
/// probe has it be.
async fn fill_disk(streams: &Streams, server: &mut NatsServer, hold: Duration) -> Result<()> {
    let disk = streams.disk.as_ref().context("there is no small disk")?;
    disk.fill()?;
    sleep(hold).await;
    disk.empty()?;
    server.kill()?;
    server.start_again().await
}
