//! Where the keys of the issuer come from.

use std::path::Path;
use std::time::Duration;

use http::StatusCode;
use tokio::time::timeout;

use crate::config;
use crate::http_client::HttpClient;
use crate::tls::{ClientFiles, ClientTls};

/// How often an issuer is asked while all is well, so that a key that it takes back does not count
/// for long.
const ASK_EVERY: Duration = Duration::from_mins(5);

/// Time between two looks at a file, which lies in memory or on a local disk.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long an issuer may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Longer than any set of keys, in bytes.
const MAX_ANSWER: usize = 1 << 20;

#[derive(Debug)]
pub(super) enum Source {
    File(Box<Path>),
    Url(String, Box<HttpClient>),
}

impl Source {
    /// # Errors
    /// The system trusts no authority, but the issuer is to be asked by TLS.
    pub(super) fn new(settings: &config::Access) -> Result<Self, String> {
        if let Some(path) = &settings.jwks_file {
            return Ok(Self::File(path.as_path().into()));
        }
        let url = settings.jwks_url.clone().ok_or("`access.jwks_url` is not set")?;
        let tls = if url.starts_with("http://") {
            ClientTls::none()
        } else {
            ClientTls::load(&ClientFiles::default()).map_err(|why| {
                format!(
                    "`access.jwks_url` cannot be asked by TLS: {why}, by \
                     SSL_CERT_FILE"
                )
            })?
        };
        Ok(Self::Url(url, Box::new(HttpClient::new(&tls, MAX_ANSWER))))
    }

    /// The document, if nobody has to be waited for.
    pub(super) fn now(&self) -> Option<Result<Vec<u8>, String>> {
        match self {
            Self::File(path) => Some(read(path).map_err(|why| self.told(&why))),
            Self::Url(..) => None,
        }
    }

    /// The document as it is now.
    pub(super) async fn fetch(&self) -> Result<Vec<u8>, String> {
        let answer = async {
            match self {
                Self::File(path) => return read(path),
                Self::Url(url, client) => client.get(url).await,
            }
            // With its causes, which a client's own error text leaves out.
            .map_err(|error| format!("{error:#}"))
            .and_then(|answer| match answer.status() {
                StatusCode::OK => Ok(answer.into_body().into()),
                status => Err(format!("answered {status}; it must be 200")),
            })
        };
        let answer = timeout(ANSWER_TIMEOUT, answer).await;
        answer.unwrap_or_else(|_| Err(format!("no answer within {ANSWER_TIMEOUT:?}")))
    }

    /// What is wrong, with the name of the setting and of the place.
    pub(super) fn told(&self, why: &str) -> String {
        match self {
            Self::File(path) => format!("`access.jwks_file` {}: {why}", path.display()),
            Self::Url(url, _) => format!("`access.jwks_url` {url}: {why}"),
        }
    }

    pub(super) fn refresh_every(&self) -> Duration {
        match self {
            Self::File(_) => LOOK_EVERY,
            Self::Url(..) => ASK_EVERY,
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("it cannot be read: {error}"))
}
