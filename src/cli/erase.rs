//! `waybill erase`: delete orders for good, on record.

mod check;
mod ids;
mod perform;
mod records;
mod streams;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use order::OrderUid;

use self::streams::Streams;
use super::operator;
use super::output::Output;
use super::tls::TlsArgs;
use super::token::TokenArgs;
use crate::audit::{Action, CommandLog};
use crate::config::Settings;
use crate::digest::Sha256Digest;
use crate::http_client::HttpClient;
use crate::signals::Signals;
use crate::store::Store;
use crate::verify::Replica;

/// One for the work, and one to end a wait for a standby that the first was cut off in.
const CONNECTIONS: u32 = 2;

/// The longest reason, in characters, as the table has it.
const LONGEST_REASON: usize = 500;

/// Erase orders for good, and keep them from ever being stored again
///
/// In one transaction the order is deleted, and every reject that names it as its `order_uid`, and
/// the SHA-256 of its id is put on record, with the time and the reason. From then on it is
/// answered with 410, and neither the channel nor a replay nor a repair brings it back.
/// An order that is not stored is put on record all the same.
/// The messages of what was deleted are deleted from the streams of JetStream that they came from,
/// too, and overwritten there; what cannot be is named with its stream and sequence.
///
/// It logs in with `database.erase_url`, or else as the owner of the tables. docs/erasure.md says
/// what it does not reach: messages in the channel, backups, copies elsewhere.
///
/// Exits with 0 when all is erased, messages of streams included; --check with 0 when nothing is left where it looks, else with 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  waybill erase b563feb7b2b84b6test --reason 'request 4711'
  waybill erase --file ids.txt --reason 'request 4712' --output json
  waybill erase --check b563feb7b2b84b6test --replica http://127.0.0.1:8080
  waybill erase --export erasures.ndjson
  waybill erase --apply erasures.ndjson")]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true)
    .args(["uids", "file", "check", "export", "apply"]))]
pub(super) struct Args {
    /// The orders to erase
    #[arg(value_name = "UID", value_parser = uid, requires = "reason")]
    uids: Vec<OrderUid>,
    /// Erase the orders whose ids stand in this file, one a line; `-` reads standard input
    #[arg(long, value_name = "FILE", requires = "reason")]
    file: Option<PathBuf>,
    /// Why, such as the number of a request: it stays on record, so no personal data
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: Option<String>,
    /// Say where this order, or its id, is still to be found; changes nothing
    #[arg(long, value_name = "UID", value_parser = uid, conflicts_with_all = ["uids", "file", "reason"])]
    check: Option<OrderUid>,
    /// Ask this replica too, such as `http://127.0.0.1:8080`; may be given several times
    #[arg(long, value_name = "URL", requires = "check", conflicts_with_all = ["uids", "file", "export", "apply"])]
    replica: Vec<Replica>,
    /// Write all erasures on record to this file, to keep beside backups; `-` writes standard output
    #[arg(long, value_name = "FILE", conflicts_with_all = ["uids", "file", "reason", "check"])]
    export: Option<PathBuf>,
    /// Carry out the erasures of such a file, after a restore; `-` reads standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["uids", "file", "reason", "check", "export"])]
    apply: Option<PathBuf>,
    /// How the result is written
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Output::Text)]
    output: Output,
    /// Give up when the database or a stream's server is away, or the tables are locked by others,
    /// for so long
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = humantime::parse_duration)]
    patience: Duration,
    #[command(flatten)]
    tls: TlsArgs,
    #[command(flatten)]
    token: TokenArgs,
}

/// Does one of them, over a connection of the role that erases.
pub(super) async fn run(
    args: &Args,
    settings: &Settings,
    signals: &Signals,
) -> anyhow::Result<ExitCode> {
    let database = &settings.database;
    let url = database.erase_url()?;
    let store = Store::new(url.expose(), CONNECTIONS, database.connect_timeout)
        .context("`database.erase_url`")?;
    if let Some(uid) = &args.check {
        let tls = args.tls.client(args.replica.iter().any(Replica::is_https))?;
        let authorization = args.token.authorization()?;
        let client = HttpClient::new(&tls, check::MAX_ANSWER).with_authorization(authorization);
        return check::run(uid, &args.replica, &client, args.output, &store).await;
    }
    if let Some(path) = &args.export {
        return records::export(path, &store).await;
    }
    let done = Box::pin(erase(args, settings, &store, signals)).await;
    store.close().await;
    done
}

/// Erases what a person or a file of records names, on the record of the audit log too.
async fn erase(
    args: &Args,
    settings: &Settings,
    store: &Store,
    signals: &Signals,
) -> anyhow::Result<ExitCode> {
    let streams = Streams::new(&settings.jetstream, args.patience, signals)?;
    let begin = |targets| {
        CommandLog::begin(&settings.audit, store, Action::OrderErase, targets, operator())
    };
    if let Some(path) = &args.apply {
        let log = begin(vec![format!("apply={}", path.display())]).await?;
        let applied = records::apply(path, args.output, args.patience, store, &streams).await;
        return log.end(applied).await;
    }
    let mut uids = args.uids.clone();
    if let Some(path) = &args.file {
        uids.extend(ids::read(path)?);
    }
    let reason = args.reason.as_deref().context("a reason must be given with --reason")?;
    // By their digests, as the table has them: the ids are to be gone.
    let digest = |uid: &OrderUid| Sha256Digest::of(uid.as_str().as_bytes()).to_string();
    let log = begin(uids.iter().map(digest).collect()).await?;
    let erased = perform::run(uids, reason, args, store, &streams, signals).await;
    log.end(erased).await
}

fn uid(text: &str) -> Result<OrderUid, String> {
    OrderUid::try_from(text).map_err(|error| error.to_string())
}

fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    match text.chars().count() {
        1..=LONGEST_REASON if !text.contains(char::is_control) => Ok(text.to_owned()),
        _ => Err(format!("must be 1 to {LONGEST_REASON} characters on one line")),
    }
}
