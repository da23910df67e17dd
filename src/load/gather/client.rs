//! The workers but the first: each sends its files to worker 0 and takes those of the others.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use axum::body::Body;
use http::header::CONTENT_LENGTH;
use http::uri::Authority;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::{Instant, timeout_at};

use super::files::{self, FileName};
use super::{Attendance, Worker, not_here};
use crate::retry;

/// Time between two questions to worker 0, and so about the most by which one begins too late.
const PAUSE: Duration = Duration::from_millis(100);

/// The longest answer that is no file.
const MAX_ANSWER: usize = 1 << 20;

pub(super) struct Client {
    http: legacy::Client<HttpConnector, Body>,
    first: Authority,
    index: usize,
    within: Duration,
    end: Instant,
}

/// A request that worker 0 understood and refused: the same again would be refused again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

/// Worker 0 is there, and others are not.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Waiting(String);

impl Client {
    pub(super) fn new(worker: &Worker) -> Self {
        Self {
            http: legacy::Client::builder(TokioExecutor::new()).build_http(),
            first: worker.first.clone(),
            index: worker.index,
            within: worker.timeout,
            end: Instant::now() + worker.timeout,
        }
    }

    /// Sends the worker's own files.
    pub(super) async fn send(&self, dir: &Path, own: &[FileName]) -> anyhow::Result<()> {
        for name in own {
            let path = files::path(dir, self.index, name);
            let target = format!("/files/{}/{name}", self.index);
            self.in_time(async || {
                let (length, body) = files::body(&path).await?;
                self.ask(Method::PUT, &target, Some((length, body))).await.map(drop)
            })
            .await?;
        }
        Ok(())
    }

    /// Tells worker 0 that this one has come, waits until all have, and names their files.
    pub(super) async fn all_there(&self) -> anyhow::Result<Vec<(usize, FileName)>> {
        let target = format!("/workers/{}", self.index);
        self.in_time(async || {
            let response = self.ask(Method::POST, &target, None).await?;
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            let body = body.map_err(|error| anyhow!(error))?.to_bytes();
            let Attendance { missing, files } = serde_json::from_slice(&body)?;
            if missing.is_empty() { Ok(files) } else { Err(Waiting(not_here(&missing)).into()) }
        })
        .await
    }

    /// Takes the files of the others.
    pub(super) async fn receive(
        &self,
        dir: &Path,
        all: &[(usize, FileName)],
    ) -> anyhow::Result<()> {
        for (worker, name) in all.iter().filter(|(worker, _)| *worker != self.index) {
            let target = format!("/files/{worker}/{name}");
            self.in_time(async || {
                let response = self.ask(Method::GET, &target, None).await?;
                files::save(&files::path(dir, *worker, name), response.into_body()).await
            })
            .await?;
        }
        Ok(())
    }

    /// Tells worker 0 that it need not stay for this one.
    pub(super) async fn leave(&self) {
        let target = format!("/workers/{}", self.index);
        // If it has gone meanwhile, it knows.
        let _ = timeout_at(self.end, self.ask(Method::DELETE, &target, None)).await;
    }

    /// Repeats an attempt until it succeeds, the time is over, or worker 0 refuses.
    pub(super) async fn in_time<T>(
        &self,
        attempt: impl AsyncFn() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let settled = async || match attempt().await {
            Err(error) if !error.is::<Refused>() => Err(error),
            settled => Ok(settled),
        };
        // Worker 0, whose time may be over before ours, is not the one that is missed.
        let (mut waiting, mut failure) = (None, None);
        let attempts = retry::until_done(retry::every(PAUSE), settled, |error| {
            let why = Some(format!("{error:#}"));
            if error.is::<Waiting>() {
                (waiting, failure) = (why, None);
            } else {
                failure = why;
            }
        });
        timeout_at(self.end, attempts).await.unwrap_or_else(|_| {
            let within = humantime::format_duration(self.within);
            let why: Vec<_> = waiting.into_iter().chain(failure).collect();
            let silent = || format!("worker 0 at {} is silent", self.first);
            let why = if why.is_empty() { silent() } else { why.join("; then ") };
            Err(anyhow!("not within {within}: {why}"))
        })
    }

    /// The response of worker 0, if it is a success.
    pub(super) async fn ask(
        &self,
        method: Method,
        target: &str,
        file: Option<(u64, Body)>,
    ) -> anyhow::Result<Response<Incoming>> {
        let request =
            Request::builder().method(method).uri(format!("http://{}{target}", self.first));
        let request = match file {
            Some((length, body)) => request.header(CONTENT_LENGTH, length).body(body)?,
            None => request.body(Body::empty())?,
        };
        let response = self.http.request(request).await;
        let response = response.with_context(|| format!("worker 0 at {}", self.first))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let why = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let why = why.map(|why| String::from_utf8_lossy(&why.to_bytes()).into_owned());
        let why = why.unwrap_or_default();
        Err(Refused(format!("worker 0 at {}: {status}: {why}", self.first)).into())
    }
}
