//! `waybill bridge`: copy the channel into a stream of JetStream, and prove it.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use indicatif::HumanCount;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::output::Output;
use super::progress::{Progress, counted};
use crate::bridge::{Bridge, Comparison, End, Observer, Report, Stage};
use crate::config::{Settings, SettingsError, check_stream};
use crate::signals::{Signal, Signals};

/// What the client ids at the broker begin with, and our name at the servers of the stream.
const NAME: &str = "waybill-bridge";

/// Without a terminal, the time between two lines that tell how far it is.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Copy the channel into a stream of JetStream, under the same sequences
///
/// Copies `broker.channel` into a stream at the servers of `jetstream.url`, from where that ends,
/// and follows the channel until a signal stops it. The stream is made if it is absent; it begins
/// with the channel's first sequence, is kept on disk, has no limits and cannot be purged. A
/// sequence that the channel has no more is a gap in the stream too.
///
/// Each message is stored under its own sequence or not at all, so that a bridge may be killed and
/// started again at any time. It refuses to go on when somebody else has written to the stream.
/// The channel is read under a client id of its own: the group keeps its position.
///
/// Exits with 0 when a signal has stopped it; with --once when both sides are equal, and with 1
/// when they are not. docs/bridge.md says more.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  waybill bridge
  waybill bridge --once
  waybill bridge --stream ORDERS_2026 --once --output json")]
pub(super) struct Args {
    /// The stream to copy into
    #[arg(long, value_name = "STREAM", default_value = "ORDERS_STAN", value_parser = check_stream)]
    stream: String,
    /// End when all that was in the channel at the start is copied, and compare both sides then
    ///
    /// Reads both from the channel's first message on and compares all bytes. Waits for a server
    /// that is away for a minute; without --once it waits for as long as it takes.
    #[arg(long)]
    once: bool,
    /// How the result is written
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Output::Text)]
    output: Output,
}

/// Copies, and fails unless both sides are equal at the end, if there is one.
pub(super) async fn run(
    args: &Args,
    settings: &Settings,
    signals: &Signals,
) -> anyhow::Result<ExitCode> {
    let servers = crate::broker::stream_options(&settings.jetstream, NAME)?;
    let ingest = &settings.ingest;
    let bridge = Bridge {
        options: crate::broker::options(&settings.broker, NAME)?,
        broker: settings.broker.clone(),
        batch_max_rows: ingest.batch_max_rows,
        batch_max_bytes: ingest.batch_max_bytes.bytes(),
        queue_max_bytes: ingest.queue_max_bytes.bytes(),
        servers: servers.ok_or_else(SettingsError::no_stream)?,
        stream: args.stream.clone(),
        replicas: settings.jetstream.replicas,
        once: args.once,
    };
    let screen = Screen::new();
    let stop = CancellationToken::new();
    let mut interrupted = None;
    let stopping = async {
        interrupted = Some(signals.first().await);
        stop.cancel();
        std::future::pending().await
    };
    let (report, end) = tokio::select! {
        ended = bridge.run(&stop, &screen) => ended,
        ended = stopping => ended,
    };
    screen.progress.into_inner().finish();
    print(&report, args.output)?;
    conclude(&report, &end, args.once, interrupted)
}

/// Where everything is told: a bar or lines.
struct Screen {
    stage: Cell<Stage>,
    last: Cell<Option<u64>>,
    progress: RefCell<Progress>,
    shown: Cell<u64>,
    told: Cell<Instant>,
}

impl Screen {
    fn new() -> Self {
        Self {
            stage: Cell::new(Stage::Copy),
            last: Cell::new(None),
            progress: RefCell::new(Progress::start(None)),
            shown: Cell::new(1),
            told: Cell::new(Instant::now()),
        }
    }

    fn tell(&self, line: fmt::Arguments<'_>) {
        // Who does not listen misses nothing that counts.
        let _ = self.progress.borrow().write_line(line);
    }
}

impl Observer for Screen {
    fn begin(&self, stage: Stage, first: u64, last: Option<u64>) {
        let doing = match stage {
            Stage::Copy => "copying",
            Stage::Compare => "comparing",
        };
        match last {
            Some(last) if first > last => self.tell(format_args!("{doing}: there is nothing")),
            Some(last) => self.tell(format_args!("{doing} sequences {first} to {last}")),
            None => self.tell(format_args!("{doing} from sequence {first} on")),
        }
        self.progress.replace(Progress::start(last.map(|last| (last + 1).saturating_sub(first))));
        self.stage.set(stage);
        self.last.set(last);
        self.shown.set(first);
    }

    fn progress(&self, next: u64) {
        let progress = self.progress.borrow();
        progress.advance_by(next.saturating_sub(self.shown.get()));
        let is_due = self.told.get().elapsed() >= BETWEEN_LINES && next > self.shown.get();
        self.shown.set(next);
        if progress.is_hidden() && is_due {
            self.told.set(Instant::now());
            let done = match self.stage.get() {
                Stage::Copy => "copied",
                Stage::Compare => "compared",
            };
            let so_far = next - 1;
            match self.last.get() {
                Some(last) => self.tell(format_args!("{done} up to {so_far} of {last}")),
                None => self.tell(format_args!("{done} up to {so_far}")),
            }
        }
    }

    fn waiting(&self, trouble: &dyn fmt::Display, pause: Duration) {
        self.tell(format_args!("{trouble}; trying again in {pause:?}"));
    }
}

fn print(report: &Report, output: Output) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match output {
        Output::Json => writeln!(stdout, "{}", serde_json::to_string(report)?)?,
        Output::Text => {
            let Report { channel, stream, copied, gaps, last, comparison } = report;
            writeln!(
                stdout,
                "{channel} -> {stream}: {} copied, {}, up to sequence {last}",
                counted(*copied, "message", "messages"),
                counted(*gaps, "gap", "gaps"),
            )?;
            if let Some(comparison) = comparison {
                write_comparison(&mut stdout, comparison)?;
            }
        }
    }
    Ok(stdout.flush()?)
}

fn write_comparison(out: &mut impl Write, comparison: &Comparison) -> io::Result<()> {
    let Comparison { first, last, messages, channel_sha256, stream_sha256, .. } = comparison;
    let compared = counted(*messages, "message", "messages");
    let range = match (first, last) {
        (Some(first), Some(last)) => format!("{compared}, sequences {first} to {last}"),
        _ => compared,
    };
    if comparison.equal {
        return writeln!(out, "equal: {range}, SHA-256 {channel_sha256}");
    }
    let Comparison { missing, differing, at, .. } = comparison;
    writeln!(
        out,
        "not equal: of {range}, {} missing in the stream, {} differ: sequences {at}\n\
         SHA-256 of the channel {channel_sha256}, of the stream {stream_sha256}",
        HumanCount(*missing),
        HumanCount(*differing),
    )
}

fn conclude(
    report: &Report,
    end: &End,
    once: bool,
    interrupted: Option<Signal>,
) -> anyhow::Result<ExitCode> {
    let is_equal = report.comparison.as_ref().is_some_and(|comparison| comparison.equal);
    Ok(match (end, interrupted) {
        (End::Complete, _) if is_equal => ExitCode::SUCCESS,
        // That is how one ends that follows the channel.
        (End::Interrupted, _) if !once => ExitCode::SUCCESS,
        (End::Interrupted, Some(signal)) => {
            writeln!(io::stderr(), "interrupted by {signal}; another run goes on from there")?;
            ExitCode::from(signal.exit_code())
        }
        (End::Failed(error), _) => {
            writeln!(io::stderr(), "error: {error:#}")?;
            ExitCode::FAILURE
        }
        (End::Complete | End::Interrupted, _) => ExitCode::FAILURE,
    })
}
