//! `waybill load report`: what vegeta's results say, and whether that is good enough.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use super::table;
use crate::load::page;
use crate::load::report::{Report, Verdict};
use crate::load::slo::Slo;

/// The results cannot be read whole, or the report cannot be written.
const UNUSABLE: u8 = 2;

/// Judge the results of a load test, print a table and write a page
///
/// Reads DIR/RATE.bin, one file of vegeta a stage; DIR/RATE-PART.bin, where a stage has parts that
/// are sent at the same time; and DIR/I/RATE.bin of each worker I of a distributed run. Writes
/// DIR/report.json and DIR/index.html, a page that needs nothing else.
///
/// Exits with 0 when every stage kept the objectives, 1 when one did not or sent less than 95 % of
/// what it was asked to, and 2 when the results cannot be read whole.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  waybill load report results --slo 'success>=0.999,p99<=50ms'")]
pub(in crate::cli) struct Args {
    /// The folder of the results
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// What each stage must keep to
    ///
    /// Terms with commas between them: success, p50, p90, p95, p99, p99.9, max or mean, then >=,
    /// <=, > or <, then a share for success, or a duration such as 50ms for the others.
    #[arg(long, value_name = "SLO", default_value = "success>=0.999,p99<=50ms")]
    slo: Slo,
    /// What each stage of ingest must keep to, in the time from publishing an order to 200 for it
    #[arg(long, value_name = "SLO", default_value = "success>=1,p99<=2s")]
    ingest_slo: Slo,
    /// Exit with 0 also when the objectives are not kept
    #[arg(long)]
    no_fail: bool,
    /// A last line after the report, such as how to get its page from where this runs
    #[arg(long, value_name = "TEXT")]
    footer: Option<String>,
    /// Print the page and write nothing; exit with 0, or 2 when the results cannot be read whole
    #[arg(long)]
    html: bool,
}

/// Judges, prints, and writes the report beside the results.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let report = match Report::read(&args.dir, &args.slo, &args.ingest_slo) {
        Ok(report) => report,
        Err(error) => return unusable(&error),
    };
    let mut stdout = io::stdout().lock();
    if args.html {
        stdout.write_all(page::render(&report).as_bytes())?;
    } else {
        if let Err(error) = write(args, &report) {
            return unusable(&error);
        }
        table::print(&mut stdout, &report)?;
        if let Some(footer) = &args.footer {
            writeln!(stdout, "{footer}")?;
        }
    }
    stdout.flush()?;
    Ok(match report.verdict {
        Verdict::Incomplete => ExitCode::from(UNUSABLE),
        Verdict::Failed if !args.no_fail && !args.html => ExitCode::FAILURE,
        Verdict::Passed | Verdict::Failed => ExitCode::SUCCESS,
    })
}

fn write(args: &Args, report: &Report) -> anyhow::Result<()> {
    let json = serde_json::to_string(report).context("the report cannot be written as JSON")?;
    for (name, content) in [("report.json", json), ("index.html", page::render(report))] {
        let path = args.dir.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn unusable(error: &anyhow::Error) -> anyhow::Result<ExitCode> {
    writeln!(io::stderr(), "error: {error:#}")?;
    Ok(ExitCode::from(UNUSABLE))
}
