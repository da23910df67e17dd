//! `waybill load targets`: the requests for vegeta, made from orders that there are.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use fastrand::Rng;

use crate::cli::tls::TlsArgs;
use crate::cli::token::TokenArgs;
use crate::config::Settings;
use crate::load::mix::{Kind, Mix};
use crate::load::orders;
use crate::load::targets::Targets;
use crate::store::Store;
use crate::verify::{Receipt, Replica};

/// One reads the table; `Store::warm_up` leaves the other half of the connections alone.
const CONNECTIONS: u32 = 2;

/// Make the requests of a load test, for vegeta, from orders that there are
///
/// Writes a line of JSON for each request, as `vegeta attack -format=json` takes them.
/// The orders are those of a receipt, or else the newest in the database of the settings. Each is
/// asked for at URL first, for its entity tag; one that is not there within a minute is an error.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  waybill load targets --url http://127.0.0.1:8080 --mix hits=90,misses=10 --output targets.json")]
pub(in crate::cli) struct Args {
    /// Ask for the orders of a receipt of `waybill publish --receipt`; may be given several times
    #[arg(long, value_name = "FILE", num_args = 1..)]
    receipt: Vec<PathBuf>,
    /// How many requests to write
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    count: u32,
    /// How many of the requests are of which kind, as weights
    ///
    /// hits: an order by its id; misses: an order that nobody has, answered with 404; pages: the
    /// page of an order; unchanged: an order with the entity tag it has, answered with 304; many:
    /// 20 orders in one request.
    #[arg(
        long,
        value_name = "MIX",
        default_value = "hits=80,misses=10,pages=4,unchanged=4,many=2"
    )]
    mix: Mix,
    /// The address of the service
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: Replica,
    /// Make the same requests of the same orders for the same seed [default: another seed each time]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Close the connection after this share of the requests, from 0 to 1
    ///
    /// As many new ones are opened. What balances connections, such as a Service of Kubernetes,
    /// leads each to one replica: kept ones alone measure few replicas, and do not tell when new
    /// ones fail.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
    new_connections: f64,
    /// Where to write them; - is standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    #[command(flatten)]
    tls: TlsArgs,
    // The requests then hold the token, so that a file of them is the owner's alone.
    #[command(flatten)]
    token: TokenArgs,
}

fn share(text: &str) -> Result<f64, String> {
    let share: Option<f64> = text.parse().ok();
    let share = share.filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "it must be a number from 0 to 1, such as 0.5".to_owned())
}

/// Chooses orders, asks the service for them, and writes the targets.
pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    let mut uids = Vec::new();
    if needs_orders(&args.mix, args.count) {
        uids = if args.receipt.is_empty() {
            from_database(settings, args.count as usize).await?
        } else {
            from_receipts(&args.receipt)?
        };
        // The order in which they are found is that of the ids or of time.
        Rng::with_seed(seed).shuffle(&mut uids);
        uids.truncate(args.count as usize);
    }
    let tls = args.tls.client(args.url.is_https())?;
    let authorization = args.token.authorization()?;
    let orders = orders::known(&tls, &args.url, uids, authorization.clone()).await?;
    let targets = Targets::new(&args.url, &orders, seed).with_authorization(authorization.as_ref());
    let targets = targets.with_new_connections(args.new_connections);
    if args.output == Path::new("-") {
        let mut stdout = BufWriter::new(io::stdout().lock());
        targets.write(&args.mix, args.count, &mut stdout)?;
        stdout.flush()?;
    } else {
        let name = args.output.display();
        let file = create(&args.output).with_context(|| format!("cannot write {name}"))?;
        let mut file = BufWriter::new(file);
        let written = targets.write(&args.mix, args.count, &mut file).and_then(|()| file.flush());
        written.with_context(|| format!("cannot write {name}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A file that others cannot read: the requests may hold a token.
fn create(path: &Path) -> io::Result<File> {
    File::options().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn needs_orders(mix: &Mix, count: u32) -> bool {
    let parts = Kind::ALL.into_iter().zip(mix.divide(count));
    parts.into_iter().any(|(kind, part)| kind != Kind::Miss && part > 0)
}

async fn from_database(settings: &Settings, most: usize) -> anyhow::Result<Vec<String>> {
    let database = &settings.database;
    let store = Store::new(database.url()?.expose(), CONNECTIONS, database.connect_timeout)
        .context("`database.url`")?;
    let uids = orders::newest(&store, most).await.context("the orders are not known")?;
    store.close().await;
    ensure!(!uids.is_empty(), "there are no orders in the database; publish some first");
    Ok(uids)
}

fn from_receipts(paths: &[PathBuf]) -> anyhow::Result<Vec<String>> {
    let mut receipt = Receipt::default();
    for path in paths {
        receipt.add_file(path)?;
    }
    let uids: Vec<String> = receipt.stored().map(str::to_owned).collect();
    ensure!(!uids.is_empty(), "the receipt names no order that must be stored");
    Ok(uids)
}
