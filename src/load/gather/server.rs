//! Worker 0: knows who has come, and keeps everybody's files.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use axum::Router;
use axum::extract::{Path as UrlPath, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{post, put};
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::files::{self, FileName};
use super::{Attendance, not_here};

/// How long connections may take to close at the end.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// The most files that a worker may have.
const MAX_FILES: usize = 1000;

/// How far the workers are.
#[derive(Debug, Default)]
struct Workers {
    here: BTreeSet<usize>,
    gone: BTreeSet<usize>,
}

#[derive(Debug)]
struct Hub {
    /// Where the results are; none at a barrier, where there are none.
    dir: Option<PathBuf>,
    /// All, this one included.
    all: BTreeSet<usize>,
    workers: watch::Sender<Workers>,
}

/// Serves the other workers until all have what they came for. Who has come and does not take it
/// in time is not waited for.
pub(super) async fn serve(
    listener: TcpListener,
    dir: Option<&Path>,
    workers: usize,
    within: Duration,
) -> anyhow::Result<()> {
    let hub = Arc::new(Hub {
        dir: dir.map(Path::to_owned),
        all: (0..workers).collect(),
        workers: watch::Sender::new(Workers { here: BTreeSet::from([0]), ..Workers::default() }),
    });
    let stop = CancellationToken::new();
    let router = Router::new()
        .route("/workers/{worker}", post(come).delete(leave))
        .route("/files/{worker}/{file}", put(take).get(give))
        .with_state(Arc::clone(&hub));
    let serving =
        axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    let mut serving = std::pin::pin!(serving.into_future());
    let outcome = tokio::select! {
        ended = &mut serving => bail!("no longer served: {ended:?}"),
        outcome = hub.everybody(within) => outcome,
    };
    stop.cancel();
    // A connection that does not close is the other side's loss.
    let _ = timeout(LAST_ANSWERS, serving).await;
    outcome
}

impl Hub {
    /// Waits for all to come, then for all to go.
    async fn everybody(&self, within: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + within;
        let mut workers = self.workers.subscribe();
        let are_here = workers.wait_for(|workers| workers.here == self.all);
        if timeout_at(end, are_here).await.is_err() {
            let within = humantime::format_duration(within);
            bail!("not within {within}: {}", not_here(&self.missing()));
        }
        let others = self.all.len() - 1;
        let _ = timeout_at(end, workers.wait_for(|workers| workers.gone.len() == others)).await;
        Ok(())
    }

    fn missing(&self) -> BTreeSet<usize> {
        &self.all - &self.workers.borrow().here
    }

    /// Where a worker's file belongs, if it may have one.
    fn path(&self, worker: usize, file: &str) -> Result<PathBuf, Refusal> {
        let name: FileName = file.parse().map_err(|error| (StatusCode::BAD_REQUEST, error))?;
        match &self.dir {
            Some(dir) if self.all.contains(&worker) => Ok(files::path(dir, worker, &name)),
            _ => Err((StatusCode::NOT_FOUND, format!("there is no worker {worker}"))),
        }
    }

    fn files(&self) -> anyhow::Result<Vec<(usize, FileName)>> {
        let Some(dir) = &self.dir else { return Ok(Vec::new()) };
        let mut all = Vec::new();
        for worker in &self.all {
            let own = files::results(&dir.join(worker.to_string()))?;
            all.extend(own.into_iter().map(|name| (*worker, name)));
        }
        Ok(all)
    }
}

/// The status of an answer that is no success, and why.
type Refusal = (StatusCode, String);

fn failed(error: impl Display) -> Refusal {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}"))
}

/// A worker has come, with all its files, and asks who else has.
async fn come(
    State(hub): State<Arc<Hub>>,
    UrlPath(worker): UrlPath<usize>,
) -> Result<Vec<u8>, Refusal> {
    if !hub.all.contains(&worker) {
        return Err((StatusCode::NOT_FOUND, format!("there is no worker {worker}")));
    }
    hub.workers.send_modify(|workers| _ = workers.here.insert(worker));
    let missing = hub.missing();
    let files = if missing.is_empty() { hub.files().map_err(failed)? } else { Vec::new() };
    serde_json::to_vec(&Attendance { missing, files }).map_err(failed)
}

/// A worker has all that it came for.
async fn leave(State(hub): State<Arc<Hub>>, UrlPath(worker): UrlPath<usize>) -> StatusCode {
    hub.workers.send_modify(|workers| _ = workers.gone.insert(worker));
    StatusCode::NO_CONTENT
}

async fn take(
    State(hub): State<Arc<Hub>>,
    UrlPath((worker, file)): UrlPath<(usize, String)>,
    request: Request,
) -> Result<StatusCode, Refusal> {
    let path = hub.path(worker, &file)?;
    let kept = path.parent().map_or(Ok(Vec::new()), files::results).unwrap_or_default();
    if worker == 0 || kept.len() >= MAX_FILES {
        return Err((StatusCode::FORBIDDEN, format!("{worker}/{file} is not taken")));
    }
    files::save(&path, request.into_body()).await.map_err(failed)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn give(
    State(hub): State<Arc<Hub>>,
    UrlPath((worker, file)): UrlPath<(usize, String)>,
) -> Result<Response, Refusal> {
    let (length, body) = files::body(&hub.path(worker, &file)?).await.map_err(failed)?;
    Ok(([(CONTENT_LENGTH, length)], body).into_response())
}
