//! The smallest HTTP client that can ask a server on this machine how it is.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(10);

/// Asks `127.0.0.1:port` for `path`; answers the status and the body.
///
/// # Errors
///
/// When nothing listens there, or no whole answer came within ten seconds.
pub async fn get(port: u16, path: &str) -> Result<(u16, String)> {
    timeout(PATIENCE, ask(port, path))
        .await
        .with_context(|| format!("no answer from 127.0.0.1:{port}{path} within {PATIENCE:?}"))?
        .with_context(|| format!("cannot get 127.0.0.1:{port}{path}"))
}

/// HTTP/1.0, so that the answer is never chunked and ends with the connection.
async fn ask(port: u16, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer with no end of headers")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.with_context(|| format!("no status in {head:?}"))?, body.to_owned()))
}
