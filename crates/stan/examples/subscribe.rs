//! Prints a channel's messages as a member of a durable queue group, until interrupted.

use anyhow::{Context as _, Result};
use clap::Parser;
use stan::{Options, Session, StartPosition, SubscriptionOptions};

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
    #[arg(long, default_value = "subscribe-example")]
    client_id: String,
    /// The queue group, whose members share the messages.
    #[arg(long, default_value = "printers")]
    group: String,
    /// The channel to read from its first message on.
    channel: String,
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "a program for the terminal")]
async fn main() -> Result<()> {
    let args = Args::parse();
    let options = Options::new(&args.url, &args.cluster, &args.client_id);
    let mut group = SubscriptionOptions::durable_queue(&args.channel, &args.group, &args.group);
    group.start_position = StartPosition::First;
    let session = Session::supervise(options, group).await.context("starting")?;
    let messages = session.messages();
    loop {
        tokio::select! {
            message = messages.recv() => {
                let Some(message) = message else { break };
                println!("{} {}", message.sequence, String::from_utf8_lossy(&message.data));
                message.ack();
            }
            interrupted = tokio::signal::ctrl_c() => {
                interrupted.context("waiting for an interrupt")?;
                break;
            }
        }
    }
    session.close().await;
    Ok(())
}
