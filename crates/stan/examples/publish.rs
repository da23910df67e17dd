//! Publishes lines of standard input to a channel, each waited for until the server stored it.

use std::io::BufRead as _;

use anyhow::{Context as _, Result};
use clap::Parser;
use stan::{Connection, Options};

#[derive(Parser)]
#[command(about)]
struct Args {
    /// The NATS servers, separated by commas.
    #[arg(long, default_value = "nats://127.0.0.1:4222")]
    url: String,
    /// The streaming server's cluster id.
    #[arg(long, default_value = "test-cluster")]
    cluster: String,
    /// The client id to register under, unique among live clients.
    #[arg(long, default_value = "publish-example")]
    client_id: String,
    /// The channel to publish to.
    channel: String,
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stderr, reason = "a program for the terminal")]
async fn main() -> Result<()> {
    let args = Args::parse();
    let options = Options::new(&args.url, &args.cluster, &args.client_id);
    let connection = Connection::connect(options).await.context("connecting")?;
    let mut count = 0_u64;
    for line in std::io::stdin().lock().lines() {
        let line = line.context("reading standard input")?;
        connection.publish(&args.channel, line.into()).await.context("publishing")?;
        count += 1;
    }
    connection.close().await.context("closing")?;
    eprintln!("{count} messages are stored");
    Ok(())
}
