//! Small requests: to the broker's monitor, to replicas, to the service itself, to an issuer of
//! tokens.

use std::io;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::TokioExecutor;

/// Keeps connections open between requests. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct HttpClient<C = HttpConnector> {
    client: Client<C, Empty<Bytes>>,
    max_bytes: usize,
    /// Sent along with every request.
    authorization: Option<HeaderValue>,
}

impl HttpClient {
    /// A client for `http://` that reads bodies of up to `max_bytes`.
    pub(crate) fn new(max_bytes: usize) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { client, max_bytes, authorization: None }
    }

    /// The same with this value of `Authorization`, if there is one.
    pub(crate) fn with_authorization(self, authorization: Option<HeaderValue>) -> Self {
        Self { authorization, ..self }
    }
}

impl HttpClient<HttpsConnector<HttpConnector>> {
    /// A client for `https://` alone that trusts the authorities of the system.
    ///
    /// # Errors
    /// The system has none.
    pub(crate) fn with_tls(max_bytes: usize) -> io::Result<Self> {
        let connector = HttpsConnectorBuilder::new().with_native_roots()?;
        let connector = connector.https_only().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { client, max_bytes, authorization: None })
    }
}

impl<C: Connect + Clone + Send + Sync + 'static> HttpClient<C> {
    /// The response to a GET, with its whole body, whatever its status. The caller bounds the wait.
    ///
    /// # Errors
    /// `url` is not one, nobody answers, or the body is too long.
    pub(crate) async fn get(&self, url: &str) -> anyhow::Result<Response<Bytes>> {
        let mut request = Request::get(url).body(Empty::new())?;
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        let (head, body) = self.client.request(request).await?.into_parts();
        // The body also when nobody needs it: without, the connection is not used again.
        let body = Limited::new(body, self.max_bytes).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!(error))?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}
