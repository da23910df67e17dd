//! Does one thing a number of times, for `benches/guard`, which counts the instructions.
//!
//! `guard THING TIMES`, where the thing is `lookup`, `unsampled`, `parse`, `batch` or `insert`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::{HeaderValue, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use order::Order;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use waybill::cache::{Cache, Prepared};
use waybill::config::{LogFormat, Telemetry};
use waybill::http::server::{RequestBody, Respond as _};
use waybill::http::site::{Pages, Site};
use waybill::lookup::Lookup;
use waybill::metrics::Metrics;
use waybill::store::{NewOrder, Store, copy_stream};
use waybill::telemetry;

/// Orders in a batch.
const BATCH: usize = 500;

const MODEL: &[u8] = include_bytes!("../data/model.json");

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: guard THING TIMES";
    let thing = arguments.next().context(usage)?;
    let times = arguments.next().context(usage)?.parse()?;
    match thing.as_str() {
        "lookup" => lookup(times)?,
        "unsampled" => {
            // Nobody is there, and nothing is sent.
            let settings = Telemetry {
                log_format: LogFormat::Json,
                log_filter: "info".to_owned(),
                otlp_endpoint: Some("http://127.0.0.1:9".to_owned()),
                trace_sample_ratio: 0.0,
            };
            let _telemetry = telemetry::init(&settings, "guard")?;
            lookup(times)?;
        }
        "parse" => parse(times),
        "batch" => batch(times),
        "insert" => insert(times),
        other => bail!("{other}: must be lookup, unsampled, parse, batch or insert"),
    }
    Ok(())
}

fn lookup(times: usize) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(hits(times))
}

/// Hits over one connection, hyper's work included.
async fn hits(times: usize) -> Result<()> {
    let order =
        Order::parse(Bytes::from_static(MODEL), MODEL.len()).expect("the model is an order");
    let cache = Cache::new(1 << 20);
    cache.insert(Prepared::new(order.uid(), order.document()));
    let store = Store::new("postgres://nobody@127.0.0.1:9/nothing", 1, Duration::from_secs(1))?;
    let metrics = Metrics::new();
    let site = Site {
        lookup: Lookup::new(cache, store, metrics.clone(), 1, Duration::from_secs(1)),
        metrics,
        cache_control: HeaderValue::from_static("private, no-cache"),
        base_path: Arc::from(""),
        pages: Pages::default(),
    };
    let responder = site.into_responder();
    let (mut peer, end) = duplex(64 << 10);
    tokio::spawn(async move {
        let answer = |request: Request<Incoming>| {
            let answer = responder.respond(request.map(RequestBody::from));
            async move { Ok::<_, std::convert::Infallible>(answer.await) }
        };
        let mut http = http1::Builder::new();
        let served = http.writev(false).serve_connection(TokioIo::new(end), service_fn(answer));
        served.await.expect("the connection is served");
    });
    let uid = order.uid();
    let request = format!(
        "GET /api/v1/orders/{uid} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: guard\r\n\r\n"
    );
    let mut answer = vec![0; 64 << 10];
    for _ in 0..times {
        peer.write_all(request.as_bytes()).await?;
        let mut read = 0;
        while !answer[..read].ends_with(MODEL) {
            read += peer.read(&mut answer[read..]).await?;
        }
        anyhow::ensure!(answer.starts_with(b"HTTP/1.1 200"), "no hit");
    }
    Ok(())
}

fn documents() -> Vec<Bytes> {
    let model = std::str::from_utf8(MODEL).expect("UTF-8");
    let document =
        |n| model.replace("b563feb7b2b84b6test", &format!("b563feb7b2b84b{n:05}")).into();
    (0..BATCH).map(document).collect()
}

fn orders() -> Vec<Order> {
    let parse = |document| Order::parse(document, usize::MAX).expect("an order");
    documents().into_iter().map(parse).collect()
}

fn parse(times: usize) {
    for _ in 0..times {
        let order = Order::parse(black_box(Bytes::from_static(MODEL)), MODEL.len());
        let _ = black_box(order);
    }
}

/// What the service does with a batch of new orders before Postgres has it.
fn batch(times: usize) {
    let documents = documents();
    for _ in 0..times {
        let parse =
            |document: &Bytes| Order::parse(document.clone(), usize::MAX).expect("an order");
        let orders: Vec<Order> = documents.iter().map(parse).collect();
        let rows: Vec<NewOrder<'_>> = orders
            .iter()
            .map(|order| NewOrder {
                uid: order.uid().as_str(),
                document: order.document(),
                sequence: 1,
            })
            .collect();
        copy_stream(&rows.iter().collect::<Vec<_>>()).for_each(|piece| drop(black_box(piece)));
    }
}

/// Orders into a cache that has room for half of them.
fn insert(times: usize) {
    let orders = orders();
    let cache = Cache::new(500 << 10);
    for order in orders.iter().cycle().take(times) {
        cache.insert(Prepared::new(order.uid(), order.document()));
    }
    black_box(cache.size());
}
