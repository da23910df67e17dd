//! `waybill reconcile`: compare the channel with Postgres, and put back what is missing.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::HumanCount;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::operator;
use super::progress::{Progress, counted};
use crate::audit::{Action, CommandLog};
use crate::config::Settings;
use crate::ingest::Limits;
use crate::ranges::Ranges;
use crate::reconcile::{End, Finding, Kind, Observer, Reconcile, Tally};
use crate::signals::{Signal, Signals};
use crate::store::Store;

/// One for the work, and one to end a wait for a standby that the first was cut off in.
const CONNECTIONS: u32 = 2;

/// Without a terminal, the time between two lines that tell how far it is.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Compare the whole channel with the database, and put back what is missing
///
/// Reads the channel again and looks for each message in the database.
/// A message is present when an order with its very bytes is stored, or when it is kept as a
/// reject. It is missing when there is no trace of it, differing when other bytes are stored
/// under its order's id and it is not kept as a reject, and gone when the broker has deleted it.
/// What may be an order is judged by the settings in force, as the service does.
///
/// The channel is read under a client id of its own: the group keeps its position, and replicas
/// may run meanwhile. What they have not taken yet counts as missing.
///
/// Exits with 0 when nothing is missing or differing, or all of it was put back; else with 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  waybill reconcile
  waybill reconcile --repair --report missing.ndjson
  waybill reconcile --from 12000 --to 13000")]
pub(super) struct Args {
    /// Put back what is missing: orders, and rejects of what is refused or in conflict
    ///
    /// The first write of an id wins, in the order of the channel, but what is stored stays.
    /// Rejects that were pruned are missing too, and come back.
    #[arg(long)]
    repair: bool,
    /// The first sequence to look at; a run that was cut short says where to go on
    #[arg(long, value_name = "SEQ", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    from: u64,
    /// The last sequence to look at [default: the newest when it starts]
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..))]
    to: Option<u64>,
    /// Write a line of JSON to this file for each message or range that is not present
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Give up when the broker or the database is away for so long
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = humantime::parse_duration)]
    patience: Duration,
}

/// Compares, repairs if asked to, and fails unless everything is there in the end.
pub(super) async fn run(
    args: &Args,
    settings: &Settings,
    signals: &Signals,
) -> anyhow::Result<ExitCode> {
    let (database, ingest) = (&settings.database, &settings.ingest);
    let store = Store::new(database.url()?.expose(), CONNECTIONS, database.connect_timeout)
        .context("`database.url`")?;
    let reconcile = Reconcile {
        options: crate::broker::options(&settings.broker, "")?,
        broker: settings.broker.clone(),
        store: store.clone(),
        limits: Limits {
            batch_max_rows: ingest.batch_max_rows,
            batch_max_bytes: ingest.batch_max_bytes.bytes(),
            max_message_bytes: ingest.max_message_bytes.bytes(),
        },
        queue_max_bytes: ingest.queue_max_bytes.bytes(),
        from: args.from,
        to: args.to,
        repair: args.repair,
        patience: args.patience,
    };
    let log = if args.repair {
        Some(
            CommandLog::begin(&settings.audit, &store, Action::OrderRepair, Vec::new(), operator())
                .await?,
        )
    } else {
        None
    };
    let mut screen = Screen::new(args.from, args.report.as_deref())?;
    let stop = CancellationToken::new();
    let mut interrupted = None;
    let stopping = async {
        interrupted = Some(signals.first().await);
        stop.cancel();
        std::future::pending().await
    };
    let (tally, end) = tokio::select! {
        ended = reconcile.run(&stop, &mut screen) => ended,
        ended = stopping => ended,
    };
    let done = screen.finish().and_then(|names| names.summarize(&tally, &end, interrupted));
    let done = match log {
        Some(log) => log.end(done).await,
        None => done,
    };
    store.close().await;
    done
}

/// Where everything is told: a bar or lines, the report, and what the summary names.
struct Screen {
    from: u64,
    last: Option<u64>,
    progress: Progress,
    shown: u64,
    told: Instant,
    report: Option<BufWriter<File>>,
    names: Names,
}

/// The sequences of each kind; the first ranges of them are named.
#[derive(Default)]
struct Names {
    missing: Ranges,
    differing: Ranges,
    gone: Ranges,
}

impl Screen {
    fn new(from: u64, report: Option<&Path>) -> anyhow::Result<Self> {
        let create = |path: &Path| {
            let file = File::create(path)
                .with_context(|| format!("cannot write the report {}", path.display()));
            file.map(BufWriter::new)
        };
        Ok(Self {
            from,
            last: None,
            progress: Progress::start(None),
            shown: from,
            told: Instant::now(),
            report: report.map(create).transpose()?,
            names: Names::default(),
        })
    }

    fn tell(&self, line: fmt::Arguments<'_>) {
        // Who does not listen misses nothing that counts.
        let _ = self.progress.write_line(line);
    }

    fn finish(mut self) -> anyhow::Result<Names> {
        self.progress.finish();
        if let Some(report) = &mut self.report {
            report.flush().context("cannot write the report")?;
        }
        Ok(self.names)
    }
}

impl Observer for Screen {
    fn begin(&mut self, last: Option<u64>) {
        self.last = last;
        match last {
            Some(last) => {
                self.tell(format_args!("looking at sequences {} to {last}", self.from));
                self.progress = Progress::start(Some(last - self.from + 1));
            }
            None => self.tell(format_args!("nothing in the channel from {} on", self.from)),
        }
    }

    fn finding(&mut self, finding: &Finding) -> anyhow::Result<()> {
        let ranges = match finding.kind {
            Kind::Missing => &mut self.names.missing,
            Kind::Differing => &mut self.names.differing,
            Kind::Gone => &mut self.names.gone,
        };
        ranges.add(finding.from, finding.to);
        if let Some(report) = &mut self.report {
            let line = serde_json::to_string(finding).context("cannot write the report")?;
            writeln!(report, "{line}").context("cannot write the report")?;
        }
        Ok(())
    }

    fn progress(&mut self, tally: &Tally) {
        self.progress.advance_by(tally.next - self.shown);
        self.shown = tally.next;
        if self.progress.is_hidden() && self.told.elapsed() >= BETWEEN_LINES {
            self.told = Instant::now();
            let Tally { next, missing, differing, .. } = tally;
            let last = self.last.unwrap_or_default();
            let so_far = next - 1;
            self.tell(format_args!(
                "looked at {so_far} of {last}; missing {missing}, differing {differing}"
            ));
        }
    }

    fn waiting(&mut self, trouble: &dyn fmt::Display, pause: Duration) {
        self.tell(format_args!("{trouble}; trying again in {pause:?}"));
    }
}

impl Names {
    fn summarize(
        &self,
        tally: &Tally,
        end: &End,
        interrupted: Option<Signal>,
    ) -> anyhow::Result<ExitCode> {
        let mut stdout = io::stdout().lock();
        let Tally { present, missing, differing, gone, stored, duplicates, rejected, .. } = *tally;
        let erased = match tally.erased + tally.erased_meanwhile {
            0 => String::new(),
            erased => format!(", {} erased", HumanCount(erased)),
        };
        writeln!(
            stdout,
            "{} present, {} missing, {} differing, {} gone{erased}",
            HumanCount(present),
            HumanCount(missing),
            HumanCount(differing),
            HumanCount(gone)
        )?;
        for (ranges, what) in [
            (&self.missing, "missing"),
            (&self.differing, "differing"),
            (&self.gone, "not in the channel any more"),
        ] {
            if !ranges.is_empty() {
                writeln!(stdout, "{what}: sequences {ranges}")?;
            }
        }
        if stored + duplicates + rejected > 0 {
            writeln!(
                stdout,
                "put back: {}, {}; stored meanwhile: {}",
                counted(stored, "order", "orders"),
                counted(rejected, "reject", "rejects"),
                counted(duplicates, "order", "orders")
            )?;
        }
        stdout.flush()?;
        let why = match end {
            End::Complete if tally.is_whole() => return Ok(ExitCode::SUCCESS),
            End::Complete => return Ok(ExitCode::FAILURE),
            End::Interrupted => "interrupted".to_owned(),
            End::Failed(error) => format!("error: {error:#}"),
        };
        writeln!(io::stderr(), "{why}; go on with --from {}", tally.next)?;
        Ok(match (end, interrupted) {
            (End::Interrupted, Some(signal)) => ExitCode::from(signal.exit_code()),
            _ => ExitCode::FAILURE,
        })
    }
}
