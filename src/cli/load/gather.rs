//! `waybill load barrier` and `waybill load gather`: several workers as one run.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use http::uri::Authority;

use crate::cli::USAGE;
use crate::load::gather::Worker;

/// Wait until all workers of a distributed load run are here, so that they begin together
///
/// Worker 0 waits for the others to call, the others call it until it is there.
///
/// Exits with 0 when all are here, with 2 when one did not come in time, and says which.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  waybill load barrier --workers 3 --index 1 --first load-0:7070")]
pub(in crate::cli) struct BarrierArgs {
    #[command(flatten)]
    workers: WorkerArgs,
}

/// Hand the results of all workers of a distributed load run to each of them
///
/// The result files in DIR (RATE.bin, ingest-RATE.ndjson) are moved to DIR/INDEX. Afterwards each
/// worker has DIR/0, DIR/1 and so on, and `waybill load report DIR` says the same at all of them.
///
/// Exits with 0 when all are there, with 2 when they are not, and says whose are missing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  waybill load gather results --workers 3 --index 1 --first load-0:7070")]
pub(in crate::cli) struct GatherArgs {
    /// The folder with this worker's results
    dir: PathBuf,
    #[command(flatten)]
    workers: WorkerArgs,
}

// No doc comment: clap would show it in place of the command's own.
#[derive(Debug, clap::Args)]
struct WorkerArgs {
    /// How many workers there are
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    workers: u16,
    /// Which of them this is, from 0
    #[arg(long, value_name = "I")]
    index: u16,
    /// Where worker 0 is reached
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    first: Authority,
    /// Where worker 0 listens
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:8090")]
    listen: SocketAddr,
    /// How long to wait for the others
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

fn host_and_port(text: &str) -> Result<Authority, String> {
    let authority: Option<Authority> = text.parse().ok();
    let authority = authority.filter(|authority| {
        authority.port_u16().is_some() && !authority.host().is_empty() && !text.contains('@')
    });
    authority.ok_or_else(|| "it must be a host and a port such as load-0.load:8090".to_owned())
}

impl WorkerArgs {
    fn worker(&self) -> Result<Worker, String> {
        let Self { workers, index, .. } = *self;
        if index >= workers {
            return Err(format!(
                "--index {index}: of {workers} workers the last is {}",
                workers - 1
            ));
        }
        Ok(Worker {
            index: index.into(),
            workers: workers.into(),
            first: self.first.clone(),
            listen: self.listen,
            timeout: self.timeout,
        })
    }
}

/// Waits.
pub(super) async fn barrier(args: &BarrierArgs) -> anyhow::Result<ExitCode> {
    let worker = match args.workers.worker() {
        Ok(worker) => worker,
        Err(error) => return misused(&error),
    };
    worker.barrier().await?;
    writeln!(io::stdout(), "all {} workers are here", worker.workers)?;
    Ok(ExitCode::SUCCESS)
}

/// Gathers.
pub(super) async fn gather(args: &GatherArgs) -> anyhow::Result<ExitCode> {
    let worker = match args.workers.worker() {
        Ok(worker) => worker,
        Err(error) => return misused(&error),
    };
    worker.gather(&args.dir).await?;
    let dir = args.dir.display();
    writeln!(io::stdout(), "the results of all {} workers are in {dir}", worker.workers)?;
    Ok(ExitCode::SUCCESS)
}

fn misused(why: &str) -> anyhow::Result<ExitCode> {
    writeln!(io::stderr(), "error: {why}")?;
    Ok(ExitCode::from(USAGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worker_0_is_named_by_host_and_port() {
        for text in ["load-0.load:8090", "127.0.0.1:1", "[::1]:8090"] {
            assert_eq!(host_and_port(text).map(|named| named.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "load-0", ":8090", "http://load-0:8090", "a@b:1", "load-0:99999"] {
            assert!(host_and_port(text).is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn an_index_beyond_the_workers_is_a_mistake_of_the_command_line() {
        let args = |index| WorkerArgs {
            workers: 3,
            index,
            first: host_and_port("127.0.0.1:1").unwrap(),
            listen: "127.0.0.1:0".parse().unwrap(),
            timeout: Duration::ZERO,
        };
        assert!(args(2).worker().is_ok());
        assert_eq!(
            args(3).worker().map(|worker| worker.index),
            Err("--index 3: of 3 workers the last is 2".to_owned())
        );
    }
}
