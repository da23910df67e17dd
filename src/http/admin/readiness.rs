//! `/readyz`: whether this replica wants lookups, and with `?verbose` how all it leans on does.

use std::fmt::Write as _;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use tokio::time::timeout;

use super::{Admin, text};
use crate::ingest::Watch;
use crate::primary::Known;
use crate::session::{Monitor, SessionState};

/// How long a look at Postgres may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// How one part does: a word on it, as an error when it is in trouble.
type Told = Result<String, String>;

/// 200 when lookups are welcome, else 503. Postgres and the broker do not count once the cache
/// is warm: what is in memory is served without them.
pub(super) async fn readyz(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Response {
    let status =
        if admin.health.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let verbose =
        query.is_some_and(|query| query.split('&').any(|part| part.starts_with("verbose")));
    let mut report = if verbose { report(&admin).await } else { String::new() };
    let _ = writeln!(report, "{}", admin.health.describe());
    text(status, report)
}

/// A line for each part, and one for each thing that is lost. Writing to a string cannot fail.
async fn report(admin: &Admin) -> String {
    let mut report = String::new();
    let settings = &admin.settings;
    let broker =
        [("broker", session(&admin.session)), ("broker's monitor", admin.monitor.describe())];
    let stream =
        [("stream", session(&admin.stream)), ("stream's state", admin.stream_monitor.describe())];
    let lines =
        [("cache", cache(admin)), ("postgres", postgres(admin).await), ("primary", primary(admin))]
            .into_iter();
    let lines = lines.chain(broker.into_iter().filter(|_| settings.broker.enabled));
    let lines = lines.chain(stream.into_iter().filter(|_| settings.jetstream.url.is_some()));
    for (name, told) in lines.chain([("rejects", admin.rejects.describe())]) {
        let (sign, what) = match told {
            Ok(what) => ('+', what),
            Err(what) => ('-', what),
        };
        let _ = writeln!(report, "[{sign}] {name}: {what}");
    }
    let (lost, perhaps) = admin.losses.describe();
    let (stream_lost, stream_perhaps) = admin.stream_losses.describe();
    for (name, what) in [
        ("lost to retention", lost),
        ("perhaps lost to retention", perhaps),
        ("the channel began anew", admin.losses.describe_reset()),
        ("lost from the stream", stream_lost),
        ("perhaps lost from the stream", stream_perhaps),
        ("the stream began anew", admin.stream_losses.describe_reset()),
    ] {
        if let Some(what) = what {
            let _ = writeln!(report, "[-] {name}: {what}");
        }
    }
    report
}

fn cache(admin: &Admin) -> Told {
    let phase = admin.health.describe();
    if admin.health.is_ready() && admin.health.is_warm() { Ok(phase) } else { Err(phase) }
}

async fn postgres(admin: &Admin) -> Told {
    match timeout(PROBE_TIMEOUT, admin.store.ping()).await {
        Ok(Ok(())) => Ok("answers".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {PROBE_TIMEOUT:?}")),
    }
}

fn primary(admin: &Admin) -> Told {
    let Known { primary, repairing, .. } = admin.primary.get();
    let told = primary.map_or_else(|| "not known".to_owned(), |primary| primary.to_string());
    if repairing { Err(format!("{told}; what it may lack is being put back")) } else { Ok(told) }
}

fn session(watch: &Watch) -> Told {
    match watch.get().map(Monitor::state) {
        Some(SessionState::Live) => Ok("session live".to_owned()),
        Some(SessionState::Connecting) => Err("connecting".to_owned()),
        Some(SessionState::Lost(why) | SessionState::Retrying(why)) => Err(why),
        Some(SessionState::Closed) => Err("session closed".to_owned()),
        None => Ok("not subscribed".to_owned()),
    }
}
