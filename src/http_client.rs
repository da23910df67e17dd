//! Small requests over plain HTTP: to the broker's monitor, to replicas, to the service itself.

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// Keeps connections open between requests. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct HttpClient {
    client: Client<HttpConnector, Empty<Bytes>>,
    max_bytes: usize,
}

impl HttpClient {
    /// A client that reads bodies of up to `max_bytes`.
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http(), max_bytes }
    }

    /// The response to a GET, with its whole body, whatever its status. The caller bounds the wait.
    ///
    /// # Errors
    /// `url` is not one, nobody answers, or the body is too long.
    pub(crate) async fn get(&self, url: &str) -> anyhow::Result<Response<Bytes>> {
        let (head, body) = self.client.get(url.parse()?).await?.into_parts();
        // The body also when nobody needs it: without, the connection is not used again.
        let body = Limited::new(body, self.max_bytes).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!(error))?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}
