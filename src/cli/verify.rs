//! `waybill verify`: check that what was confirmed is served, or kept as a reject.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::HumanCount;

use super::progress::{Progress, counted};
use super::tls::TlsArgs;
use super::token::TokenArgs;
use crate::config::Settings;
use crate::signals::Signals;
use crate::store::Store;
use crate::verify::{Fault, FaultKind, Receipt, Replica, Verify};

/// Faults of each kind that are named.
const NAMED: usize = 5;

/// Check that every confirmed message of `publish --receipt` is served or kept as a reject
///
/// Every order must be served byte for byte by every replica, every refused message must be among
/// the rejects in the database, and none of the refused may be served. Of several orders published
/// under one id, the replicas must serve the same one, and the others must be rejects. Let the
/// service drain the channel first: what it has not taken yet is missing.
///
/// Exits with 0 when all is well, else with 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  waybill verify --receipt receipt.ndjson --url http://127.0.0.1:8080")]
pub(super) struct Args {
    /// A receipt that `waybill publish --receipt` wrote; may be given several times
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    receipt: Vec<PathBuf>,
    /// The address of a replica, such as `http://127.0.0.1:8080`; may be given several times
    #[arg(long, value_name = "URL", required = true, num_args = 1..)]
    url: Vec<Replica>,
    /// Give up on an order when a replica answers 503 with Retry-After for so long
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
    patience: Duration,
    #[command(flatten)]
    tls: TlsArgs,
    #[command(flatten)]
    token: TokenArgs,
}

/// The faults found, counted, and the first few of each kind in words.
#[derive(Default)]
struct Faults {
    counts: [u64; 4],
    named: Vec<Fault>,
}

impl Faults {
    fn add(&mut self, fault: Fault) {
        let count = &mut self.counts[fault.kind as usize];
        *count += 1;
        if *count <= NAMED as u64 {
            self.named.push(fault);
        }
    }

    fn count(&self, kind: FaultKind) -> u64 {
        self.counts[kind as usize]
    }

    /// Prints those that are named, by kind, and a line that begins with what was `checked`.
    fn print(&mut self, checked: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        self.named.sort_by_key(|fault| fault.kind);
        for Fault { kind, text } in &self.named {
            writeln!(stdout, "{kind}: {text}")?;
        }
        writeln!(
            stdout,
            "{checked}: {} wrong, {} missing, {}, {} unanswered",
            HumanCount(self.count(FaultKind::Wrong)),
            HumanCount(self.count(FaultKind::Missing)),
            counted(self.count(FaultKind::AbsentReject), "absent reject", "absent rejects"),
            HumanCount(self.count(FaultKind::Unanswered)),
        )?;
        stdout.flush()
    }
}

/// Checks, tells what is wrong, and fails if anything is.
pub(super) async fn run(
    args: &Args,
    settings: &Settings,
    signals: &Signals,
) -> anyhow::Result<ExitCode> {
    let mut receipt = Receipt::default();
    for path in &args.receipt {
        receipt.add_file(path)?;
    }
    let (uids, orders, refused) = (receipt.uids(), receipt.orders(), receipt.refused());
    let database = &settings.database;
    let store = Store::new(database.url()?.expose(), 1, database.connect_timeout)
        .context("`database.url`")?;
    let tls = args.tls.client(args.url.iter().any(Replica::is_https))?;
    let verify = Verify {
        receipt,
        replicas: args.url.clone(),
        store,
        tls,
        patience: args.patience,
        authorization: args.token.authorization()?,
    };
    let progress = Progress::start(Some(uids as u64));
    let mut faults = Faults::default();
    let mut looked_at: u64 = 0;
    let count = || {
        looked_at += 1;
        progress.advance();
    };
    let verified = tokio::select! {
        verified = verify.run(|fault| faults.add(fault), count) => verified.map(|()| None),
        signal = signals.first() => Ok(Some(signal)),
    };
    progress.finish();
    if matches!(verified, Ok(None)) {
        verify.store.close().await;
    }

    let checked = format!(
        "{} checked at {}, {} refused",
        counted(orders as u64, "order", "orders"),
        counted(args.url.len() as u64, "address", "addresses"),
        HumanCount(refused as u64),
    );
    faults.print(&checked)?;
    if let Some(signal) = verified? {
        let (looked_at, uids) = (HumanCount(looked_at), HumanCount(uids as u64));
        writeln!(io::stderr(), "interrupted when {looked_at} of {uids} ids were looked at")?;
        return Ok(ExitCode::from(signal.exit_code()));
    }
    let well = faults.counts == [0; 4];
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
