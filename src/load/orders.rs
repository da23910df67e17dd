//! The orders that a load test asks for: which there are, and what the service says of them.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use backon::Retryable as _;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::header::ETAG;
use http::{HeaderValue, StatusCode};
use tokio::time::{Instant, timeout};

use crate::http_client::HttpClient;
use crate::retry;
use crate::store::{Progress, Store};
use crate::tls::ClientTls;
use crate::verify::Replica;

/// How long the service may take until it has an order: one published a moment ago is on its way.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// Orders that are asked for at the same time.
const CONCURRENCY: usize = 16;

/// No order is longer: the broker would not take it.
const MAX_ANSWER: usize = 64 << 20;

/// An order that the service has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its id.
    pub uid: String,
    /// Its entity tag, with the quotes.
    pub etag: String,
}

/// The ids of up to `most` orders in the database, of the newest pages of the table.
///
/// # Errors
/// Postgres cannot be asked.
pub async fn newest(store: &Store, most: usize) -> anyhow::Result<Vec<String>> {
    let uids = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&uids);
    let take = move |uid: &str, _document: &[u8]| {
        let mut uids = sink.lock().unwrap_or_else(PoisonError::into_inner);
        if uids.len() == most {
            return ControlFlow::Break(());
        }
        uids.push(uid.to_owned());
        ControlFlow::Continue(())
    };
    store.warm_up(Arc::new(Progress::default()), take).await?;
    Ok(std::mem::take(&mut uids.lock().unwrap_or_else(PoisonError::into_inner)))
}

/// Asks the service for each of `uids` until it has all of them, with this `authorization`.
///
/// # Errors
/// It does not have one within a minute, which is named.
pub async fn known(
    tls: &ClientTls,
    service: &Replica,
    uids: Vec<String>,
    authorization: Option<HeaderValue>,
) -> anyhow::Result<Vec<Known>> {
    let client = HttpClient::new(tls, MAX_ANSWER).with_authorization(authorization);
    let (client, service) = (&client, &service);
    let answers = stream::iter(uids).map(|uid| async move {
        let address = format!("{service}/api/v1/orders/{uid}");
        let began = Instant::now();
        let ask = || async { ask(client, &address).await };
        let attempts = ask.retry(retry::every(PAUSE)).when(|_| began.elapsed() < PATIENCE);
        let patience = humantime::format_duration(PATIENCE);
        let etag = attempts.await.with_context(|| format!("after {patience}, {address}"))?;
        Ok(Known { uid, etag })
    });
    answers.buffered(CONCURRENCY).try_collect().await
}

/// The entity tag of the order at `address`.
async fn ask(client: &HttpClient, address: &str) -> anyhow::Result<String> {
    let response = timeout(ANSWER_TIMEOUT, client.get(address)).await;
    let response = response.map_err(|_| anyhow!("no answer within {ANSWER_TIMEOUT:?}"))??;
    ensure!(response.status() == StatusCode::OK, "answered {}", response.status());
    let etag = response.headers().get(ETAG).context("answered without an entity tag")?;
    Ok(etag.to_str().context("the entity tag is no text")?.to_owned())
}
