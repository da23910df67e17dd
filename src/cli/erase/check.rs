//! Where an order is still to be found.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use http::StatusCode;
use order::OrderUid;
use serde::Serialize;
use tokio::time::timeout;

use crate::cli::output::Output;
use crate::digest::Sha256Digest;
use crate::http_client::HttpClient;
use crate::store::{Store, Traces};
use crate::verify::Replica;

/// How long one replica may take.
const WITHIN: Duration = Duration::from_secs(10);

/// No order is longer: the broker would not take it.
pub(super) const MAX_ANSWER: usize = 64 << 20;

/// What nothing here can look into.
const OUT_OF_REACH: [&str; 6] = [
    "messages in the channel, until the broker's limits delete them",
    "messages in streams that repeat it, and archives of the channel, until they are deleted",
    "backups and archived write-ahead logs, until they are replaced",
    "pages of the database's files that held it, until they are vacuumed and written over",
    "copies that clients, proxies and other programs have made",
    "logs and traces of other programs that name its id",
];

/// What was found, as `--output json` tells it.
#[derive(Debug, Serialize)]
struct Report<'a> {
    uid: &'a str,
    uid_sha256: Sha256Digest,
    erasure: Option<Record>,
    is_stored: bool,
    /// The rejects in which its id stands somewhere.
    rejects: Vec<i64>,
    replicas: Vec<Asked<'a>>,
    out_of_reach: [&'static str; 6],
}

#[derive(Debug, Serialize)]
struct Record {
    erased_at: String,
    reason: String,
}

#[derive(Debug, Serialize)]
struct Asked<'a> {
    #[serde(serialize_with = "display")]
    url: &'a Replica,
    /// What it answered; none if it did not.
    status: Option<u16>,
}

fn display<S: serde::Serializer>(url: &Replica, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(url)
}

pub(super) async fn run(
    uid: &OrderUid,
    replicas: &[Replica],
    client: &HttpClient,
    output: Output,
    store: &Store,
) -> anyhow::Result<ExitCode> {
    let Traces { erasure, is_stored, rejects } = store.traces(uid).await?;
    let mut asked = Vec::new();
    for url in replicas {
        let address = format!("{url}/api/v1/orders/{uid}");
        let answer = timeout(WITHIN, client.get(&address)).await;
        let status = answer.ok().and_then(Result::ok).map(|answer| answer.status().as_u16());
        asked.push(Asked { url, status });
    }
    let report = Report {
        uid: uid.as_str(),
        uid_sha256: Sha256Digest::of(uid.as_str().as_bytes()),
        erasure: erasure.map(|(erased_at, reason)| Record { erased_at, reason }),
        is_stored,
        rejects,
        replicas: asked,
        out_of_reach: OUT_OF_REACH,
    };
    let mut stdout = io::stdout().lock();
    match output {
        Output::Json => writeln!(stdout, "{}", serde_json::to_string(&report)?)?,
        Output::Text => report.print(&mut stdout)?,
    }
    stdout.flush()?;
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Report<'_> {
    /// Whether it is on record, nothing is left in the tables, and no replica shows it.
    fn is_clean(&self) -> bool {
        let is_gone = |asked: &Asked<'_>| asked.status == Some(StatusCode::GONE.as_u16());
        self.erasure.is_some()
            && !self.is_stored
            && self.rejects.is_empty()
            && self.replicas.iter().all(is_gone)
    }

    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        match &self.erasure {
            Some(Record { erased_at, reason }) => {
                writeln!(out, "on record: erased at {erased_at}, {reason}")?;
            }
            None => writeln!(out, "on record: nothing, it was not erased")?,
        }
        let stored = if self.is_stored { "STORED" } else { "not stored" };
        writeln!(out, "orders: {stored}")?;
        if self.rejects.is_empty() {
            writeln!(out, "rejects: its id stands in none")?;
        } else {
            let ids: Vec<String> = self.rejects.iter().map(i64::to_string).collect();
            writeln!(out, "rejects: its id stands in {}", ids.join(", "))?;
        }
        for Asked { url, status } in &self.replicas {
            let answer = match status {
                Some(200) => "200, SERVED".to_owned(),
                Some(410) => "410, erased".to_owned(),
                Some(status) => status.to_string(),
                None => "no answer".to_owned(),
            };
            writeln!(out, "replica {url}: {answer}")?;
        }
        for place in self.out_of_reach {
            writeln!(out, "not looked into: {place}")?;
        }
        Ok(())
    }
}
