//! Files of results: how they are called, and how they are written from a body.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context as _;
use axum::body::{Body, Bytes};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Body as HttpBody;
use serde::{Deserialize, Serialize};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio_util::io::ReaderStream;

/// The longest file that is taken, in bytes: some three million results of vegeta.
const MAX_BYTES: usize = 1 << 30;

/// The longest name.
const MAX_NAME: usize = 100;

/// The name of a file of results such as `100.bin` or `ingest-100.ndjson`. It comes from other
/// workers too, so it has nothing that leads out of a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct FileName(String);

impl FromStr for FileName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let is_result = match name.strip_suffix(".bin") {
            Some(rate) => rate.starts_with(|first: char| first.is_ascii_digit()),
            None => name.starts_with("ingest-") && name.ends_with(".ndjson"),
        };
        if is_result && name.len() <= MAX_NAME && name.bytes().all(is_plain) {
            return Ok(Self(name.to_owned()));
        }
        Err(format!("{name:?}: a file of results must be called RATE.bin or ingest-RATE.ndjson"))
    }
}

impl TryFrom<String> for FileName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

impl From<FileName> for String {
    fn from(name: FileName) -> Self {
        name.0
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Where a worker's file is.
pub(super) fn path(dir: &Path, worker: usize, name: &FileName) -> PathBuf {
    dir.join(worker.to_string()).join(&name.0)
}

/// Moves the results in `dir` to the folder of the worker, and names all that are there.
pub(super) fn move_results(dir: &Path, worker: usize) -> io::Result<Vec<FileName>> {
    let own = dir.join(worker.to_string());
    fs::create_dir_all(&own)?;
    for name in results(dir)? {
        fs::rename(dir.join(&name.0), own.join(&name.0))?;
    }
    results(&own)
}

/// The files of results in a folder, by name.
pub(super) fn results(dir: &Path) -> io::Result<Vec<FileName>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if entry.file_type()?.is_file() {
            names.extend(name);
        }
    }
    names.sort();
    Ok(names)
}

/// A file as a body, and its length.
pub(super) async fn body(path: &Path) -> io::Result<(u64, Body)> {
    let file = File::open(path).await?;
    let length = file.metadata().await?.len();
    Ok((length, Body::from_stream(ReaderStream::new(file))))
}

/// Writes a body to a file, which is there only when all of it has come.
pub(super) async fn save<B>(path: &Path, body: B) -> anyhow::Result<()>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let unfinished = path.with_added_extension("part");
    if let Some(folder) = path.parent() {
        tokio::fs::create_dir_all(folder).await?;
    }
    let mut file = File::create(&unfinished).await?;
    let mut body = Limited::new(body, MAX_BYTES);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| anyhow::anyhow!(error)).context("the body")?;
        if let Ok(data) = frame.into_data() {
            file.write_all(&data).await?;
        }
    }
    file.flush().await?;
    tokio::fs::rename(&unfinished, path).await?;
    Ok(())
}
