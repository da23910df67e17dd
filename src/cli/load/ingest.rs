//! `waybill load ingest`: how soon after it is published an order is served.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::HumanCount;

use crate::cli::progress::counted;
use crate::cli::tls::TlsArgs;
use crate::cli::token::TokenArgs;
use crate::config::Settings;
use crate::load::ingest::{Ingest, Results, Stage};
use crate::load::ingested::Order;
use crate::load::statistics::Latencies;
use crate::signals::Signals;
use crate::verify::Replica;

/// The highest rate that can be asked for.
const MAX_RATE: u32 = 1_000_000;

/// Publish orders at rising rates and measure when each is served
///
/// Made-up orders go to broker.channel, one stage after the other. An order is sent when it is
/// due, whatever became of those before it, and then GET /api/v1/orders/UID is asked until it
/// answers 200. After a stage it waits up to 30 seconds for what is not served yet.
///
/// Of the orders that are not served yet the oldest are asked for first: sixteen at a time, and more
/// while all of them are there. Those that were not there are asked for again 1,600 times a second
/// together, whatever the rate: that is what measuring costs the service. Times are too long by
/// 1 to 10 ms and by the time of an answer.
///
/// Exits with 0 when every order was served, with 1 when some was not confirmed or not served,
/// and with 2 when it could not be measured.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  waybill load ingest --rates 100,500 --duration 20s --url http://127.0.0.1:8080 --output results")]
pub(in crate::cli) struct Args {
    /// Orders a second, stage by stage
    #[arg(long, value_name = "RATE,…", required = true, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_RATE)))]
    rates: Vec<u32>,
    /// How long each stage publishes
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = duration)]
    duration: Duration,
    /// The address of the service, such as `http://127.0.0.1:8080`
    #[arg(long, value_name = "URL")]
    url: Replica,
    /// The directory for ingest-RATE.ndjson, a line an order; it is made where it is missing
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// Exit with 0 also when some order was not confirmed or not served: `load report` judges
    #[arg(long)]
    no_fail: bool,
    #[command(flatten)]
    tls: TlsArgs,
    #[command(flatten)]
    token: TokenArgs,
}

fn duration(text: &str) -> Result<Duration, String> {
    let must_be = "it must be a duration from 1s to 1day, such as 20s";
    let duration =
        humantime::parse_duration(text).map_err(|error| format!("{error}; {must_be}"))?;
    let range = Duration::from_secs(1)..=Duration::from_hours(24);
    if range.contains(&duration) { Ok(duration) } else { Err(must_be.to_owned()) }
}

/// Measures stage by stage and says in a line what each came to.
pub(super) async fn run(
    args: &Args,
    settings: &Settings,
    signals: &Signals,
) -> anyhow::Result<ExitCode> {
    if args.rates.iter().collect::<BTreeSet<_>>().len() < args.rates.len() {
        writeln!(io::stderr(), "error: --rates must not name a rate twice: it names the file")?;
        return Ok(ExitCode::from(crate::cli::USAGE));
    }
    tokio::select! {
        code = measure(args, settings) => code,
        // The file of the stage stays without its last line.
        signal = signals.first() => Ok(ExitCode::from(signal.exit_code())),
    }
}

async fn measure(args: &Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    let cannot_make = || format!("cannot make the directory {}", args.output.display());
    std::fs::create_dir_all(&args.output).with_context(cannot_make)?;
    let tls = args.tls.client(args.url.is_https())?;
    let authorization = args.token.authorization()?;
    let ingest = Ingest::connect(settings, &tls, args.url.clone(), authorization).await?;
    let mut is_whole = true;
    for &rate in &args.rates {
        let stage = Stage { rate, duration: args.duration };
        let summary = run_stage(&ingest, stage, &args.output).await?;
        is_whole &= summary.errors.is_empty();
        summary.print(stage)?;
    }
    ingest.close().await;
    Ok(if is_whole || args.no_fail { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn run_stage(ingest: &Ingest, stage: Stage, output: &Path) -> anyhow::Result<Summary> {
    let mut results = Results::create(output, stage.rate)?;
    let mut summary = Summary::default();
    let record = |order: Order| {
        summary.add(&order);
        results.record(order)
    };
    let orders = ingest.run(stage, record).await?;
    results.finish(orders)?;
    Ok(summary)
}

/// What came of a stage, for people.
#[derive(Debug, Default)]
struct Summary {
    /// Nanoseconds from publishing to being served.
    took: Vec<u64>,
    errors: BTreeMap<String, u64>,
}

impl Summary {
    fn add(&mut self, order: &Order) {
        self.took.extend(order.served.map(|served| order.since_sent(served)));
        if let Some(error) = &order.error {
            *self.errors.entry(error.clone()).or_default() += 1;
        }
    }

    fn print(self, stage: Stage) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        let lost: u64 = self.errors.values().sum();
        let served = self.took.len() as u64;
        let orders = counted(served + lost, "order", "orders");
        write!(stdout, "{}/s: {orders}, {} served", stage.rate, HumanCount(served))?;
        if served > 0 {
            let Latencies { p50, p90, p99, max, .. } = Latencies::of(self.took);
            for (name, took) in [("p50", p50), ("p90", p90), ("p99", p99), ("max", max)] {
                let took = Duration::from_nanos(took);
                write!(stdout, ", {name} {:.1} ms", took.as_secs_f64() * 1e3)?;
            }
        }
        writeln!(stdout)?;
        for (error, count) in &self.errors {
            writeln!(stdout, "  {} {error}", HumanCount(*count))?;
        }
        stdout.flush()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn parse(rates: &str, duration: &str) -> Result<Args, String> {
        let line =
            format!("ingest --rates {rates} --duration {duration} --url http://h --output d");
        Command::try_parse_from(line.split(' '))
            .map(|command| command.args)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn rates_and_durations_out_of_range_are_refused() {
        let args = parse("100,500", "1m").unwrap();
        assert_eq!((args.rates, args.duration), (vec![100, 500], Duration::from_mins(1)));
        for rates in ["0", "100,", "1.5", "1000001", "100;500"] {
            assert!(parse(rates, "1s").unwrap_err().contains("--rates"), "{rates}");
        }
        for duration in ["10ms", "2days", "20", "soon"] {
            let error = parse("100", duration).unwrap_err();
            assert!(error.contains("must be a duration from 1s to 1day"), "{duration}: {error}");
        }
    }
}
