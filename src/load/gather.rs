//! What the workers of a distributed load run do together: begin at the same moment, and hand each
//! other their results. Worker 0 serves, the others ask it, over plain HTTP.

mod client;
mod files;
mod server;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use http::uri::Authority;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use client::Client;
use files::FileName;

/// A worker of a distributed run, and how it finds the others.
#[derive(Debug, Clone)]
pub struct Worker {
    /// Which one this is, from 0.
    pub index: usize,
    /// How many there are.
    pub workers: usize,
    /// Where worker 0 is reached.
    pub first: Authority,
    /// Where worker 0 listens.
    pub listen: SocketAddr,
    /// How long to wait for the others.
    pub timeout: Duration,
}

impl Worker {
    /// Waits until every worker has come as far as this.
    ///
    /// # Errors
    /// A worker did not come in time; the text names those that are missing.
    pub async fn barrier(&self) -> anyhow::Result<()> {
        self.meet(None).await
    }

    /// Hands this worker's results to the others, and takes theirs. The result files in `dir`
    /// (`*.bin` and `ingest-*.ndjson`) are moved to `dir/INDEX`; afterwards there are `dir/0`,
    /// `dir/1` and so on, the same at each worker.
    ///
    /// # Errors
    /// There are no results, a worker did not come in time, or files cannot be read, written or
    /// transferred.
    pub async fn gather(&self, dir: &Path) -> anyhow::Result<()> {
        let own = files::move_results(dir, self.index);
        let own = own.with_context(|| format!("{}: cannot be gathered", dir.display()))?;
        ensure!(!own.is_empty(), "{}: no results to gather", dir.display());
        self.meet(Some((dir, &own))).await
    }

    async fn meet(&self, results: Option<(&Path, &[FileName])>) -> anyhow::Result<()> {
        if self.workers == 1 {
            return Ok(());
        }
        if self.index == 0 {
            let listener = TcpListener::bind(self.listen).await;
            let listener = listener.with_context(|| format!("cannot listen on {}", self.listen))?;
            let dir = results.map(|(dir, _)| dir);
            return server::serve(listener, dir, self.workers, self.timeout).await;
        }
        let client = Client::new(self);
        if let Some((dir, own)) = results {
            client.send(dir, own).await?;
        }
        let files = client.all_there().await?;
        if let Some((dir, _)) = results {
            client.receive(dir, &files).await?;
        }
        client.leave().await;
        Ok(())
    }
}

/// What worker 0 answers to a worker that tells that it has come.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Attendance {
    /// Those that have not come yet.
    missing: BTreeSet<usize>,
    /// The files of all workers, each with its worker; empty while anybody is missing.
    files: Vec<(usize, FileName)>,
}

/// Says who has not come.
fn not_here(missing: &BTreeSet<usize>) -> String {
    let list: Vec<_> = missing.iter().map(usize::to_string).collect();
    match &list[..] {
        [one] => format!("worker {one} has not come"),
        _ => format!("workers {} have not come", list.join(", ")),
    }
}
