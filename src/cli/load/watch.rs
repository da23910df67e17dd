//! `waybill load watch`: what the service uses meanwhile.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cli::tls::TlsArgs;
use crate::cli::token::TokenArgs;
use crate::config::Settings;
use crate::load::watch::{MetricsUrl, StageServer, Watch};
use crate::signals::Signals;

/// Sample processor time and memory of the service once a second, until a signal
///
/// Asks /metrics of every address that the host names have, for `process_cpu_seconds_total` and
/// `process_resident_memory_bytes`. A process that does not answer is named on standard error,
/// and asked again.
///
/// Exits with 0 at SIGTERM, SIGINT or SIGHUP, and with 2 when it cannot write or listen.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  waybill load watch --metrics http://127.0.0.1:8081/metrics --output results/server.ndjson")]
pub(in crate::cli) struct Args {
    /// Where the service's metrics are, such as `http://127.0.0.1:8081/metrics`; several follow each other
    #[arg(long, value_name = "URL", required = true, num_args = 1..)]
    metrics: Vec<MetricsUrl>,
    /// The file for the samples, a line of JSON each; it is appended to
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Tell Prometheus at /metrics of this address which stage runs, as `waybill_load_stage_rate`
    ///
    /// A stage runs while its results, in the directory of --output, grow.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    #[command(flatten)]
    tls: TlsArgs,
    #[command(flatten)]
    token: TokenArgs,
}

/// Samples until a signal.
pub(super) async fn run(
    args: &Args,
    settings: &Settings,
    signals: &Signals,
) -> anyhow::Result<ExitCode> {
    let tls = args.tls.client(args.metrics.iter().any(MetricsUrl::is_https))?;
    let authorization = args.token.authorization()?;
    let mut watch = Watch::new(&args.metrics, &tls, &args.output, authorization.as_ref())?;
    let directory = match args.output.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let server = match args.listen {
        Some(address) => Some(StageServer::bind(address, directory, &settings.http)?),
        None => None,
    };
    if let Some(server) = &server {
        writeln!(io::stderr(), "listening on {}", server.address())?;
    }
    let serve = async {
        match server {
            Some(server) => server.run().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        error = watch.run() => Err(error),
        () = serve => Err(anyhow::anyhow!("the port of --listen is not served any more")),
        _ = signals.first() => Ok(ExitCode::SUCCESS),
    }
}
