//! Measures publishing, or consuming with acks by hand: messages a second and CPU a message.
//!
//! The counterpart of stan.go's stan-bench; `benches/stan.sh` runs both side by side.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use clap::{Parser, ValueEnum};
use stan::{Connection, Messages, Options, Session, StartPosition, SubscriptionOptions};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

#[derive(Parser)]
#[command(about)]
struct Args {
    /// Whether to measure publishing or consuming.
    mode: Mode,
    /// The NATS servers, separated by commas.
    #[arg(long, default_value = "nats://127.0.0.1:4222")]
    url: String,
    /// The streaming server's cluster id.
    #[arg(long, default_value = "test-cluster")]
    cluster: String,
    /// The channel; `consume` reads what `publish` left there.
    #[arg(long, default_value = "bench")]
    channel: String,
    /// How many messages to publish or consume.
    #[arg(short, default_value_t = 100_000)]
    n: u64,
    /// Bytes of payload in each published message.
    #[arg(long, default_value_t = 128)]
    size: usize,
    /// Unacknowledged messages at a time: of the publisher, or of each member.
    #[arg(long, default_value_t = 512)]
    window: u32,
    /// Members of the queue group, each with a link of its own.
    #[arg(long, default_value_t = 1)]
    members: u32,
    /// Threads of the runtime; as many as there are processors, if not given.
    #[arg(long)]
    threads: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Publish without waiting for each acknowledgement, only for a place in the window.
    Publish,
    /// Consume in supervised sessions, as services do.
    Consume,
    /// Consume in plain subscriptions, which are not rebuilt.
    ConsumePlain,
}

/// From the first message to the last.
struct Measured {
    wall: Duration,
    cpu: Duration,
}

fn main() -> Result<()> {
    let args = Args::parse();
    ensure!(args.n > 0 && args.window > 0 && args.members > 0, "a count is 0");
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = args.threads {
        runtime.worker_threads(threads.max(1));
    }
    runtime.enable_all().build()?.block_on(async { tokio::spawn(run(args)).await? })
}

#[expect(clippy::print_stdout, reason = "a program for the terminal")]
#[expect(clippy::cast_precision_loss, reason = "only for display")]
async fn run(args: Args) -> Result<()> {
    let Measured { wall, cpu } = match args.mode {
        Mode::Publish => publish(&args).await?,
        Mode::Consume | Mode::ConsumePlain => consume(&args).await?,
    };
    let count = args.n as f64;
    println!(
        "{:.0} msgs/s, {:.2} us CPU/msg",
        count / wall.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / count
    );
    Ok(())
}

async fn publish(args: &Args) -> Result<Measured> {
    let mut options = options(args, "bench-publisher");
    options.max_pub_acks_in_flight = args.window as usize;
    let connection = Connection::connect(options).await.context("connecting")?;
    let data = Bytes::from(vec![0; args.size]);
    let (began, cpu_before) = (Instant::now(), cpu_time());
    let mut acks = VecDeque::with_capacity(args.window as usize + 1);
    for _ in 0..args.n {
        acks.push_back(connection.publish_async(&args.channel, data.clone()).await?);
        if acks.len() > args.window as usize
            && let Some(oldest) = acks.pop_front()
        {
            oldest.await.context("publishing")?;
        }
    }
    for ack in acks {
        ack.await.context("publishing")?;
    }
    let measured = Measured { wall: began.elapsed(), cpu: cpu_time().saturating_sub(cpu_before) };
    connection.close().await.context("closing")?;
    Ok(measured)
}

async fn consume(args: &Args) -> Result<Measured> {
    let group = format!("bench-{}", std::process::id());
    let mut subscription = SubscriptionOptions::durable_queue(&args.channel, &group, &group);
    subscription.start_position = StartPosition::First;
    subscription.max_in_flight = args.window;
    let left = Arc::new(AtomicU64::new(args.n));
    let mut members = Vec::new();
    for number in 0..args.members {
        let options = options(args, &format!("{group}-{number}"));
        members.push(Member::join(args.mode, options, subscription.clone()).await?);
    }
    let mut takers = JoinSet::new();
    let (first, mut began) = mpsc::channel(1);
    for messages in members.iter().map(Member::messages) {
        takers.spawn(take(args.n, messages, Arc::clone(&left), first.clone()));
    }
    let (began, cpu_before) = began.recv().await.context("no members")?;
    // The others wait for messages that never come.
    takers.join_next().await.context("no members")??;
    let measured = Measured { wall: began.elapsed(), cpu: cpu_time().saturating_sub(cpu_before) };
    takers.abort_all();
    for member in members {
        member.leave().await?;
    }
    Ok(measured)
}

/// Acks until nothing is left; a redelivery counts as a message, so no ack wait may pass.
async fn take(
    n: u64,
    messages: Messages,
    left: Arc<AtomicU64>,
    first: mpsc::Sender<(Instant, Duration)>,
) {
    loop {
        let batch = messages.recv_batch(1024, usize::MAX).await;
        // Should two think they are the first, only one is read.
        if left.load(Ordering::Relaxed) == n {
            let _ = first.try_send((Instant::now(), cpu_time()));
        }
        for message in batch {
            message.ack();
            if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                return;
            }
        }
    }
}

enum Member {
    Supervised(Session),
    Plain(Connection, stan::Subscription),
}

impl Member {
    async fn join(mode: Mode, options: Options, group: SubscriptionOptions) -> Result<Self> {
        if mode == Mode::Consume {
            return Ok(Self::Supervised(Session::supervise(options, group).await?));
        }
        let connection = Connection::connect(options).await.context("connecting")?;
        let subscription = connection.subscribe(group).await.context("subscribing")?;
        Ok(Self::Plain(connection, subscription))
    }

    fn messages(&self) -> Messages {
        match self {
            Self::Supervised(session) => session.messages(),
            Self::Plain(_, subscription) => subscription.messages(),
        }
    }

    async fn leave(self) -> Result<()> {
        match self {
            Self::Supervised(session) => session.close().await,
            Self::Plain(connection, subscription) => {
                subscription.close().await.context("closing the subscription")?;
                connection.close().await.context("closing")?;
            }
        }
        Ok(())
    }
}

fn options(args: &Args, client_id: &str) -> Options {
    Options::new(&args.url, &args.cluster, client_id)
}

/// What this process used so far, in user and kernel.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
