//! `waybill reconcile`: compare the channel or the stream with Postgres, and put back what is
//! missing.

mod screen;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use self::screen::Screen;
use super::operator;
use crate::audit::{Action, CommandLog};
use crate::broker;
use crate::config::{Settings, SettingsError};
use crate::ingest::Limits;
use crate::reconcile::{ChannelOrigin, Origin, Reconcile, StreamOrigin};
use crate::signals::Signals;
use crate::source::{Kind, Source};
use crate::store::Store;

/// One for the work, and one to end a wait for a standby that the first was cut off in.
const CONNECTIONS: u32 = 2;

/// Compare the whole channel or stream with the database, and put back what is missing
///
/// Reads it again and looks for each message in the database.
/// A message is present when an order with its very bytes is stored, or when it is kept as a
/// reject. It is missing when there is no trace of it, differing when other bytes are stored
/// under its order's id and it is not kept as a reject, and gone when the server has deleted it.
/// What may be an order is judged by the settings in force, as the service does.
///
/// The channel is read under a client id of its own, the stream without its consumer: the group
/// keeps its position, and replicas may run meanwhile. What they have not taken yet counts as
/// missing.
///
/// Exits with 0 when nothing is missing or differing, or all of it was put back; else with 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  waybill reconcile
  waybill reconcile --repair --report missing.ndjson
  waybill reconcile --from 12000 --to 13000
  waybill reconcile --source jetstream
  waybill reconcile --source jetstream --stream ORDERS_STAN")]
pub(super) struct Args {
    /// What to read: the channel of NATS Streaming or the stream of JetStream [default: the
    /// channel, or the stream where broker.enabled is false and jetstream.url is set]
    #[arg(long, value_name = "SYSTEM")]
    source: Option<Kind>,
    /// Read this stream instead of jetstream.stream: an archive of the channel
    ///
    /// It has the messages of broker.channel under their sequences there, as `waybill bridge`
    /// writes it, and is compared with what came from the channel. Messages of all its subjects
    /// are.
    #[arg(long, value_name = "NAME")]
    stream: Option<String>,
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
    /// Give up when the server or the database is away for so long
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = humantime::parse_duration)]
    patience: Duration,
}

/// Compares, repairs if asked to, and fails unless everything is there in the end.
pub(super) async fn run(
    args: &Args,
    settings: &Settings,
    signals: &Signals,
) -> anyhow::Result<ExitCode> {
    let kind = args.source.unwrap_or_else(|| settings.main_source());
    if kind == Kind::Stan && args.stream.is_some() {
        writeln!(io::stderr(), "error: --stream is for --source jetstream")?;
        return Ok(ExitCode::from(super::USAGE));
    }
    let (database, ingest) = (&settings.database, &settings.ingest);
    let store = Store::new(database.url()?.expose(), CONNECTIONS, database.connect_timeout)
        .context("`database.url`")?;
    let reconcile = Reconcile {
        origin: origin(kind, args.stream.as_deref(), settings)?,
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
        gentle: false,
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
    let mut screen = Screen::new(kind, args.from, args.report.as_deref())?;
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
    let done = screen.finish().and_then(|names| names.summarize(kind, &tally, &end, interrupted));
    let done = match log {
        Some(log) => log.end(done).await,
        None => done,
    };
    store.close().await;
    done
}

/// What is to be read.
fn origin(kind: Kind, stream: Option<&str>, settings: &Settings) -> anyhow::Result<Origin> {
    let Settings { broker, jetstream, .. } = settings;
    if kind == Kind::Stan {
        let channel = ChannelOrigin {
            options: broker::options(broker, "waybill-reconcile")?,
            broker: broker.clone(),
        };
        return Ok(Origin::Channel(Box::new(channel)));
    }
    let options = broker::stream_options(jetstream, "waybill-reconcile")?;
    let options = options.ok_or_else(SettingsError::no_stream)?;
    let archive = stream.filter(|name| *name != jetstream.stream);
    let stream = match archive {
        Some(name) => StreamOrigin {
            options,
            name: name.to_owned(),
            subject: None,
            source: Source::channel(&broker.channel),
        },
        None => StreamOrigin {
            options,
            name: jetstream.stream.clone(),
            subject: Some(jetstream.subject.clone()),
            source: Source::stream(&jetstream.stream),
        },
    };
    Ok(Origin::Stream(Box::new(stream)))
}
