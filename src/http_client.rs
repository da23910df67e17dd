//! Small requests: to the broker's monitor, to replicas, to the service itself, to an issuer of
//! tokens.

use std::sync::Arc;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::ServerName;

use crate::tls::ClientTls;

/// Keeps connections open between requests. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct HttpClient {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    max_bytes: usize,
    /// Sent along with every request.
    authorization: Option<HeaderValue>,
}

impl HttpClient {
    /// A client that reads bodies of up to `max_bytes`, and speaks `tls` where a URL says so.
    pub(crate) fn new(tls: &ClientTls, max_bytes: usize) -> Self {
        Self::with(tls, max_bytes, None)
    }

    /// The same, for addresses whose certificates are for the name `host`.
    ///
    /// # Errors
    /// `host` is neither a name nor an address.
    pub(crate) fn of_host(tls: &ClientTls, max_bytes: usize, host: &str) -> anyhow::Result<Self> {
        let name = ServerName::try_from(host)?.to_owned();
        Ok(Self::with(tls, max_bytes, Some(name)))
    }

    fn with(tls: &ClientTls, max_bytes: usize, name: Option<ServerName<'static>>) -> Self {
        let config = Arc::unwrap_or_clone(Arc::clone(&tls.0));
        let mut connector = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http();
        if let Some(name) = name {
            connector = connector.with_server_name_resolver(FixedServerNameResolver::new(name));
        }
        let connector = connector.enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self { client, max_bytes, authorization: None }
    }

    /// The same with this value of `Authorization`, if there is one.
    pub(crate) fn with_authorization(self, authorization: Option<HeaderValue>) -> Self {
        Self { authorization, ..self }
    }

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
