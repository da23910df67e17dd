//! Asks replicas for orders.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use backon::Retryable as _;
use http::header::RETRY_AFTER;
use http::uri::Scheme;
use http::{HeaderValue, StatusCode, Uri};
use tokio::time::{Instant, timeout};

use crate::digest::Sha256Digest;
use crate::http_client::HttpClient;
use crate::retry;
use crate::tls::ClientTls;

/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// No order is longer: the broker would not take it.
const MAX_ANSWER: usize = 64 << 20;

/// The address under which a replica, or all behind one name, serve the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica(String);

impl FromStr for Replica {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let must_be = || "it must be a URL such as http://127.0.0.1:8080".to_owned();
        let uri: Uri = text.parse().map_err(|_| must_be())?;
        let is_http = [Scheme::HTTP, Scheme::HTTPS].iter().any(|it| uri.scheme() == Some(it));
        if is_http && uri.query().is_none() {
            Ok(Self(text.trim_end_matches('/').to_owned()))
        } else {
            Err(must_be())
        }
    }
}

impl Replica {
    /// Whether it is to be asked over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        // The scheme of a URI may be written in any case.
        self.0.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"))
    }
}

impl fmt::Display for Replica {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What a replica has under a uid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Served {
    /// 200, with a body of this SHA-256.
    Bytes(Sha256Digest),
    /// 410: the replica says that the order was erased.
    Erased,
    /// 404: the replica says that there is no such order.
    Absent,
    /// Neither, for this reason.
    Unanswered(String),
}

/// Keeps connections to replicas open.
pub(super) struct Client {
    client: HttpClient,
    /// How long a replica may answer "cannot tell now".
    patience: Duration,
}

impl Client {
    pub(super) fn new(
        tls: &ClientTls,
        patience: Duration,
        authorization: Option<HeaderValue>,
    ) -> Self {
        let client = HttpClient::new(tls, MAX_ANSWER).with_authorization(authorization);
        Self { client, patience }
    }

    /// Asks until there is an answer. Only "cannot tell now, ask again" is asked again; every
    /// other failure is one.
    pub(super) async fn order(&self, replica: &Replica, uid: &str) -> Served {
        let address = format!("{replica}/api/v1/orders/{uid}");
        let began = Instant::now();
        let delay = |failure: &Failure| match failure {
            Failure::Unavailable { retry_after }
                if began.elapsed() + *retry_after <= self.patience =>
            {
                Some(*retry_after)
            }
            _ => None,
        };
        let attempts = (|| self.ask_in_time(&address)).retry(retry::every(Duration::ZERO));
        match attempts.adjust(|failure, _| delay(failure)).await {
            Ok(served) => served,
            Err(Failure::Other(why)) => Served::Unanswered(why),
            Err(Failure::Unavailable { .. }) => {
                let patience = humantime::format_duration(self.patience);
                Served::Unanswered(format!("503 for {patience}"))
            }
        }
    }

    async fn ask_in_time(&self, address: &str) -> Result<Served, Failure> {
        let answer = timeout(ANSWER_TIMEOUT, self.ask(address)).await;
        answer
            .unwrap_or_else(|_| Err(Failure::Other(format!("no answer within {ANSWER_TIMEOUT:?}"))))
    }

    async fn ask(&self, address: &str) -> Result<Served, Failure> {
        // With its causes, which a client's own error text leaves out.
        let response = self.client.get(address).await.map_err(|error| format!("{error:#}"))?;
        let (head, body) = response.into_parts();
        match head.status {
            StatusCode::OK => Ok(Served::Bytes(Sha256Digest::of(&body))),
            StatusCode::GONE => Ok(Served::Erased),
            StatusCode::NOT_FOUND => Ok(Served::Absent),
            StatusCode::SERVICE_UNAVAILABLE => {
                let seconds = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                match seconds.and_then(|seconds| seconds.parse().ok()) {
                    Some(seconds) => {
                        Err(Failure::Unavailable { retry_after: Duration::from_secs(seconds) })
                    }
                    None => Err("503 without Retry-After".to_owned().into()),
                }
            }
            status => Err(format!("answered {status}").into()),
        }
    }
}

/// Why a replica did not say what it has.
enum Failure {
    /// It cannot tell now, and says when to ask again.
    Unavailable { retry_after: Duration },
    /// Any other failure, which is not repeated.
    Other(String),
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self::Other(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_addresses_are_legal() {
        let replica: Replica = "http://127.0.0.1:8080/".parse().unwrap();
        assert_eq!((&*replica.to_string(), replica.is_https()), ("http://127.0.0.1:8080", false));
        assert!("HTTPS://host".parse::<Replica>().unwrap().is_https());
        for text in ["", "127.0.0.1:8080", "ftp://host", "/orders", "http://host/?a"] {
            assert!(text.parse::<Replica>().is_err(), "{text}");
        }
    }
}
