//! The bridge that copies the channel into an archive, and the proof that both are equal.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use futures_util::TryStreamExt as _;
use testbed::{Process, Signal};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use crate::ledger::{Digest, Ledger, digest};
use crate::origin::Origin;
use crate::streams::Streams;
use crate::world::World;

/// The stream that the channel is copied into.
const ARCHIVE: &str = "ORDERS_STAN";

/// How long it may take to end when asked, and to copy what is left.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(20);

/// A process of `waybill bridge`.
pub(crate) struct Bridge {
    process: Mutex<Process>,
    log: PathBuf,
}

impl Bridge {
    pub(crate) fn start(command: &Command, log: PathBuf) -> Result<Self> {
        let process = Process::spawn("bridge", command, &log)?;
        Ok(Self { process: Mutex::new(process), log })
    }

    /// `kill -9`, and another one after a while.
    pub(crate) async fn kill(&self, command: &Command, hold: Duration) -> Result<()> {
        let mut process = self.process.lock().await;
        process.kill()?;
        sleep(hold).await;
        *process = Process::spawn("bridge", command, &self.log)?;
        Ok(())
    }
}

/// Waits until the archive has all of the channel, and compares them by the bridge and by hand.
pub(crate) async fn check(world: &World) -> Result<()> {
    let (Some(bridge), Some(streams)) = (&world.bridge, &world.streams) else { return Ok(()) };
    let mut process = bridge.process.lock().await;
    if let Some(status) = process.status()? {
        let what = format!("the bridge has ended by itself: {status}");
        world.ledger.violation("stuck", what);
        return Ok(());
    }
    let of_channel = of_channel(&world.ledger);
    let last = of_channel.last_key_value().map_or(0, |(last, _)| *last);
    let began = Instant::now();
    while streams.last_sequence(ARCHIVE).await.ok() != Some(last) {
        if began.elapsed() > PATIENCE {
            let what = format!("the bridge has not copied message {last} after {PATIENCE:?}");
            world.ledger.violation("stuck", what);
            break;
        }
        sleep(PAUSE).await;
    }
    let ended = process.stop(Signal::TERM, PATIENCE).await?;
    ensure!(ended.success(), "the bridge was stopped and ended with {ended}");
    let mut command = world.command("bridge");
    command.arg("--once");
    let output = tokio::process::Command::from(command).kill_on_drop(true).output().await?;
    if !output.status.success() {
        let what = String::from_utf8_lossy(&output.stdout);
        let why = String::from_utf8_lossy(&output.stderr);
        world.ledger.violation("archive", format!("{} {}", what.trim(), why.trim()));
    }
    let archived = of_archive(streams, last).await?;
    if archived != of_channel {
        let differ =
            of_channel.iter().find(|(sequence, digest)| archived.get(sequence) != Some(digest));
        let what = format!("the archive is not the channel, first at {:?}", differ.map(|at| at.0));
        world.ledger.violation("archive", what);
    }
    world.ledger.history().tally.archived += archived.len() as u64;
    Ok(())
}

fn of_channel(ledger: &Ledger) -> BTreeMap<u64, Digest> {
    let history = ledger.history();
    let of_channel = history.messages.iter().filter(|((origin, _), _)| *origin == Origin::Channel);
    of_channel.map(|((_, sequence), entry)| (*sequence, entry.digest)).collect()
}

async fn of_archive(streams: &Streams, last: u64) -> Result<BTreeMap<u64, Digest>> {
    let archive = streams.stream(ARCHIVE)?;
    let read = archive.read(1..=last).map_ok(|stored| (stored.sequence, digest(&stored.data)));
    Ok(read.try_collect().await?)
}
