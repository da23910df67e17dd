//! `waybill publish`: send orders, or anything else, and say of each message whether it was stored.

use std::io::{self, Write};
use std::mem;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::HumanCount;
use order::generate::{Generator, Mix};
use tokio::sync::mpsc;

use self::deliver::{Report, Stop, Tally, WINDOW, deliver};
use self::input::Message;
use self::outage::Outage;
use self::pace::Pace;
use self::receipt::Receipt;
use super::progress::Progress;
use crate::broker::link::{ConnectError, Destination, Link};
use crate::config::Settings;
use crate::signals::Signals;
use crate::source::Kind;

mod deliver;
mod input;
mod outage;
mod pace;
mod receipt;

/// Messages that may wait between reading and sending; few, because each may be large.
const QUEUE: usize = 64;

/// What to send, and how fast.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  waybill publish data/model.json
  waybill publish orders/ --rate 100 --receipt receipt.ndjson
  waybill publish --ndjson - < orders.ndjson
  waybill publish data/model.json --to jetstream
  waybill publish --generate 1000 --bad-ratio 0.1")]
pub(super) struct Args {
    /// Files, folders, or - for standard input
    ///
    /// A file is one message, exactly as it is, unless its name ends in .ndjson or .jsonl: then
    /// every line that is not blank is one. Of a folder, the .json, .ndjson and .jsonl files in
    /// it are sent in the order of their names, in upper case too; what is left out is named.
    /// What is empty is an error, but nothing else is checked: what is no order is sent too.
    #[arg(value_name = "PATH", required_unless_present = "generate")]
    paths: Vec<PathBuf>,
    /// Standard input holds one message a line, not one message
    #[arg(long)]
    ndjson: bool,
    /// Send this many made-up orders, after the files if there are any
    #[arg(long, value_name = "N")]
    generate: Option<u64>,
    /// Make up the same orders for the same seed [default: another seed each time]
    #[arg(long, value_name = "S", requires = "generate")]
    seed: Option<u64>,
    /// The part of made-up messages that must be refused, from 0 to 1
    #[arg(long, value_name = "R", requires = "generate", default_value_t = 0.0, value_parser = ratio)]
    bad_ratio: f64,
    /// The part of made-up messages that repeat an earlier one, from 0 to 1
    #[arg(long, value_name = "R", requires = "generate", default_value_t = 0.0, value_parser = ratio)]
    duplicate_ratio: f64,
    /// Send at most this many messages a second, evenly
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// Write a line of JSON to this file for each confirmed message: its uid, its SHA-256 and
    /// what must become of it in a service that had nothing before
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// Send a message again for so long while the broker does not take it; 0s: never
    ///
    /// That is while the broker is away, restarts, elects a leader or does not answer. It counts
    /// from the last message that it confirmed. Messages that are sent again may arrive in
    /// another order. One that the broker did not answer may be there twice, which is told.
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = humantime::parse_duration)]
    retry_for: Duration,
    /// Send to the channel of NATS Streaming or to the stream of JetStream [default: the channel,
    /// or the stream where broker.enabled is false and jetstream.url is set]
    ///
    /// The stream must be there: a replica makes it where jetstream.create is true. A message
    /// has its SHA-256 as its id, so that one which is sent again is stored once as long as
    /// the stream remembers ids, which is 2 minutes unless it is set otherwise; what repeats an
    /// earlier message within that time is confirmed and not stored again.
    #[arg(long, value_name = "SYSTEM")]
    to: Option<Kind>,
    /// Send to this channel instead of broker.channel
    #[arg(long, value_name = "CHANNEL")]
    channel: Option<String>,
}

/// Sends everything, and fails unless everything is confirmed.
pub(super) async fn run(
    args: &Args,
    settings: &Settings,
    signals: &Signals,
) -> anyhow::Result<ExitCode> {
    if args.bad_ratio + args.duplicate_ratio > 1.0 {
        writeln!(
            io::stderr(),
            "error: --bad-ratio and --duplicate-ratio are more than 1 together"
        )?;
        return Ok(ExitCode::from(super::USAGE));
    }
    let kind = args.to.unwrap_or_else(|| settings.main_source());
    if kind == Kind::JetStream && args.channel.is_some() {
        writeln!(io::stderr(), "error: --channel is for --to stan; set jetstream.subject")?;
        return Ok(ExitCode::from(super::USAGE));
    }
    let files = input::Files::find(&args.paths, args.ndjson)?;
    for left_out in files.left_out() {
        writeln!(io::stderr(), "{left_out}")?;
    }
    let total = if files.is_empty() { args.generate } else { None };
    let mut receipt = match &args.receipt {
        Some(path) => Some(Receipt::create(path, settings.ingest.max_message_bytes.bytes())?),
        None => None,
    };
    let link = tokio::select! {
        link = connect(args, settings, kind) => link?,
        signal = signals.first() => {
            let stopped = Some(Stop::Interrupted(signal));
            return summarize(&Tally { stopped, ..Tally::default() }, kind, 0, Duration::ZERO);
        }
    };
    let messages = read_in_background(files.messages().chain(generated(args)?))?;
    let progress = Progress::start(total);
    let outage = Outage::new(args.retry_for, &progress);
    let tally = Tally::default();
    let mut report = Report { progress: &progress, receipt: receipt.as_mut(), tally };
    let (started, pace) = (Instant::now(), Pace::new(args.rate));
    let publish = async |payload| link.publish(payload).await;
    let delivered = deliver(messages, pace, publish, &outage, signals.first(), &mut report).await;
    let (tally, doubtful, elapsed) = (report.tally, outage.doubtful(), started.elapsed());
    progress.finish();
    if let Some(receipt) = receipt {
        receipt.finish()?;
    }
    delivered?;
    let summary = summarize(&tally, kind, doubtful, elapsed)?;
    // Every message has its outcome already, so that nobody waits for this who wants an end.
    tokio::select! {
        () = link.close() => {}
        _ = signals.first() => {}
    }
    Ok(summary)
}

/// Connects, and tries again while the server is away.
async fn connect(args: &Args, settings: &Settings, kind: Kind) -> anyhow::Result<Link> {
    let mut destination = Destination::new(settings, kind, WINDOW)?;
    if let (Destination::Stan(_, channel), Some(other)) = (&mut destination, &args.channel) {
        channel.clone_from(other);
    }
    let addresses = destination.addresses().to_owned();
    let mut is_told = false;
    let tell_once = |error: &ConnectError| {
        if !mem::replace(&mut is_told, true) {
            let allowed = humantime::format_duration(args.retry_for);
            let error = anyhow::Error::from(error.clone());
            // Who does not listen misses nothing that counts.
            let _ = writeln!(io::stderr(), "{error:#}; retrying for {allowed}");
        }
    };
    let link = Link::connect(destination, args.retry_for, tell_once).await;
    link.with_context(|| format!("cannot connect to {addresses}"))
}

/// The made-up messages, if any are asked for.
fn generated(args: &Args) -> io::Result<impl Iterator<Item = Message> + use<>> {
    let count = args.generate.unwrap_or(0);
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    if args.generate.is_some() && args.seed.is_none() {
        writeln!(io::stderr(), "made-up orders are of seed {seed}")?;
    }
    let mix = Mix { bad_ratio: args.bad_ratio, duplicate_ratio: args.duplicate_ratio };
    Ok((1..=count).zip(Generator::new(seed, mix)).map(Message::generated))
}

/// Reads on a thread of its own, no further ahead than needed. The thread is not waited for:
/// it may stand in a read of standard input that never returns.
fn read_in_background(
    messages: impl Iterator<Item = Message> + Send + 'static,
) -> io::Result<mpsc::Receiver<Message>> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    thread::Builder::new().name("input".into()).spawn(move || {
        for message in messages {
            if sender.blocking_send(message).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}

fn summarize(tally: &Tally, kind: Kind, doubtful: u64, took: Duration) -> anyhow::Result<ExitCode> {
    if let Some(reason) = &tally.stopped {
        writeln!(io::stderr(), "stopped: {reason}; what comes after was not sent")?;
    }
    if doubtful > 0 {
        let doubtful = HumanCount(doubtful);
        writeln!(
            io::stderr(),
            "{doubtful} sent again without knowing whether they were stored: they may be in the \
             {kind} twice"
        )?;
    }
    let Tally { confirmed, failed, .. } = *tally;
    let rate = HumanCount(per_second(confirmed, took.as_secs_f64()));
    let mut stdout = io::stdout().lock();
    writeln!(
        stdout,
        "{} confirmed, {} failed, {rate} msg/s",
        HumanCount(confirmed),
        HumanCount(failed)
    )?;
    stdout.flush()?;
    Ok(match tally.stopped {
        Some(Stop::Interrupted(signal)) => ExitCode::from(signal.exit_code()),
        None if failed == 0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate for people, positive and far below 2^52"
)]
fn per_second(count: u64, seconds: f64) -> u64 {
    (count as f64 / seconds.max(1e-9)).round() as u64
}

fn ratio(text: &str) -> Result<f64, String> {
    number_within(text, 0.0, 1.0)
}

fn rate(text: &str) -> Result<f64, String> {
    number_within(text, 0.001, 10_000_000.0)
}

fn number_within(text: &str, least: f64, greatest: f64) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|number| (least..=greatest).contains(number))
        .ok_or_else(|| format!("must be a number from {least} to {greatest}"))
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

    fn parse(line: &str) -> Result<Args, String> {
        Command::try_parse_from(["publish"].into_iter().chain(line.split_whitespace()))
            .map(|command| command.args)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn something_to_send_is_required() {
        assert!(parse("").unwrap_err().contains("<PATH>..."));
        assert_eq!(parse("a.json -").unwrap().paths.len(), 2);
        assert_eq!(parse("--generate 5").unwrap().generate, Some(5));
    }

    #[test]
    fn numbers_out_of_range_are_refused_with_what_is_legal() {
        for line in ["--bad-ratio 1.1", "--bad-ratio -1", "--duplicate-ratio NaN", "--bad-ratio x"]
        {
            let error = parse(&format!("--generate 1 {}", line.replace(' ', "="))).unwrap_err();
            assert!(error.contains("must be a number from 0 to 1"), "{line}: {error}");
        }
        for rate in ["0", "-5", "inf", "1e9"] {
            let error = parse(&format!("--generate 1 --rate={rate}")).unwrap_err();
            assert!(error.contains("must be a number from 0.001 to 10000000"), "{rate}: {error}");
        }
        assert_eq!(parse("--generate 1 --rate 2.5").unwrap().rate, Some(2.5));
    }

    #[test]
    fn options_of_made_up_orders_need_made_up_orders() {
        for option in ["--seed 1", "--bad-ratio 0.1", "--duplicate-ratio 0.1"] {
            let error = parse(&format!("a.json {option}")).unwrap_err();
            assert!(error.contains("--generate"), "{error}");
        }
    }
}
