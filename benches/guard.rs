//! Does one thing a number of times, for `benches/guard`, which counts the instructions.
//!
//! `guard THING TIMES`, where the thing is `lookup`, `tokens`, `jwt`, `masked`, `unsampled`,
//! `parse`, `batch` or `insert`.

use std::hint::black_box;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderValue, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jsonwebtoken::Algorithm;
use order::Order;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use waybill::access::Access;
use waybill::cache::{Cache, Prepared};
use waybill::config::{self, AccessMode, LogFormat, Telemetry};
use waybill::digest::Sha256Digest;
use waybill::http::server::{RequestBody, Respond as _};
use waybill::http::site::{Pages, Site};
use waybill::lookup::Lookup;
use waybill::metrics::Metrics;
use waybill::primary::PrimaryState;
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
        "lookup" => lookup(times, None)?,
        "tokens" => lookup(times, Some(Tokens::of_a_file("orders:read")?))?,
        "masked" => lookup(times, Some(Tokens::of_a_file("orders:read:masked")?))?,
        "jwt" => lookup(times, Some(Tokens::of_an_issuer()?))?,
        "unsampled" => {
            // Nobody is there, and nothing is sent.
            let settings = Telemetry {
                log_format: LogFormat::Json,
                log_filter: "info".to_owned(),
                otlp_endpoint: Some("http://127.0.0.1:9".to_owned()),
                trace_sample_ratio: 0.0,
            };
            let _telemetry = telemetry::init(&settings, "guard")?;
            lookup(times, None)?;
        }
        "parse" => parse(times),
        "batch" => batch(times),
        "insert" => insert(times),
        other => {
            bail!("{other}: must be lookup, tokens, jwt, masked, unsampled, parse, batch or insert")
        }
    }
    Ok(())
}

fn lookup(times: usize, tokens: Option<Tokens>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(hits(times, tokens))
}

/// Hits over one connection, hyper's work included.
async fn hits(times: usize, tokens: Option<Tokens>) -> Result<()> {
    let order =
        Order::parse(Bytes::from_static(MODEL), MODEL.len()).expect("the model is an order");
    let cache = Cache::new(1 << 20);
    cache.insert(Prepared::new(order.uid(), order.document()));
    let store = Store::new("postgres://nobody@127.0.0.1:9/nothing", 1, Duration::from_secs(1))?;
    let metrics = Metrics::new();
    let site = Site {
        lookup: Lookup::new(
            cache,
            store,
            PrimaryState::default(),
            metrics.clone(),
            1,
            Duration::from_secs(1),
        ),
        metrics,
        cache_control: HeaderValue::from_static("private, no-cache"),
        base_path: Arc::from(""),
        pages: Pages::default(),
        access: tokens.as_ref().map(|tokens| tokens.access.clone()),
        auditor: None,
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
    let authorization = tokens
        .map(|tokens| format!("Authorization: Bearer {}\r\n", tokens.token))
        .unwrap_or_default();
    let request = format!(
        "GET /api/v1/orders/{uid} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: guard\r\n\
         {authorization}\r\n"
    );
    let mut answer = vec![0; 64 << 10];
    for _ in 0..times {
        peer.write_all(request.as_bytes()).await?;
        let mut read = 0;
        while !answer[..read].ends_with(b"}") {
            read += peer.read(&mut answer[read..]).await?;
        }
        anyhow::ensure!(answer.starts_with(b"HTTP/1.1 200"), "no hit");
    }
    Ok(())
}

/// What asks for tokens, and a good one.
struct Tokens {
    access: Access,
    token: String,
}

impl Tokens {
    fn of_a_file(scope: &str) -> Result<Self> {
        let token = "q7Zk0hXv3mTn8cRb1yLwEo5sJdUfAiGp2xNtVaKeWuM".to_owned();
        let sha256 = Sha256Digest::of(token.as_bytes());
        let mut file = tempfile::NamedTempFile::new()?;
        write!(file, "[[token]]\nname='x'\nsha256='{sha256}'\nscopes=['{scope}']\n")?;
        let tokens_file = Some(file.path().to_owned());
        let settings = config::Access { mode: AccessMode::Tokens, tokens_file, ..Self::settings() };
        Self::new(&settings, token)
    }

    /// A token of about the size that identity providers give out.
    fn of_an_issuer() -> Result<Self> {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
        let key = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("a key");
        let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let x = encoded(key.public_key().as_ref());
        let jwk = serde_json::json!({ "kty": "OKP", "crv": "Ed25519", "kid": "guard", "x": x });
        let claims = serde_json::json!({
            "iss": "guard", "aud": ["waybill", "account"], "exp": 4_000_000_000_u64,
            "iat": 1_800_000_000, "jti": "4d7b7b0e-4c9b-4a51-9a3b-5d9cbbfd1b58", "typ": "Bearer",
            "sub": "f1a3c9e6-1d0f-4f6c-8a61-0a6f2f0d1c55", "azp": "web", "email_verified": true,
            "sid": "2f8f6f6e-7f43-4b31-8c57-6f1c6d1f3a10", "preferred_username": "clerk",
            "name": "A Clerk", "realm_access": { "roles": ["offline_access", "default-roles"] },
            "scope": "openid profile email orders:read", "email": "clerk@example.org",
        });
        let header = br#"{"alg":"EdDSA","typ":"JWT","kid":"guard"}"#;
        let message = format!("{}.{}", encoded(header), encoded(claims.to_string().as_bytes()));
        let token = format!("{message}.{}", encoded(key.sign(message.as_bytes()).as_ref()));
        let mut file = tempfile::NamedTempFile::new()?;
        write!(file, "{}", serde_json::json!({ "keys": [jwk] }))?;
        let jwks_file = Some(file.path().to_owned());
        Self::new(&config::Access { mode: AccessMode::Jwt, jwks_file, ..Self::settings() }, token)
    }

    fn new(settings: &config::Access, token: String) -> Result<Self> {
        let access = Access::new(settings, &Metrics::new())?.context("tokens are asked for")?;
        Ok(Self { access, token })
    }

    fn settings() -> config::Access {
        config::Access {
            mode: AccessMode::None,
            tokens_file: None,
            issuer: Some("guard".to_owned()),
            audience: Some("waybill".to_owned()),
            jwks_url: None,
            jwks_file: None,
            algorithms: vec![Algorithm::EdDSA],
            leeway: Duration::ZERO,
            scope_claim: "scope".to_owned(),
            keys_max_age: Duration::from_hours(1),
            protect_metrics: false,
        }
    }
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
                source: None,
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
