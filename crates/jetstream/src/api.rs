//! Requests of the JetStream API: JSON both ways, under `$JS.API`.

use std::time::Duration;

use bytes::Bytes;
use nats_link::Transport;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, RequestKind};

/// Sends requests, each of which waits as long for its answer.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    pub(crate) transport: Transport,
    pub(crate) within: Duration,
}

#[derive(Deserialize)]
struct Refusal {
    error: Option<Fault>,
}

#[derive(Deserialize)]
struct Fault {
    code: u16,
    #[serde(default)]
    err_code: u32,
    #[serde(default)]
    description: String,
}

impl Api {
    /// Sends a request to `$JS.API.<operation>` and reads its answer; one that refuses is an error.
    pub(crate) async fn call<A: DeserializeOwned>(
        &self,
        request: RequestKind,
        operation: &str,
        body: &serde_json::Value,
    ) -> Result<A, Error> {
        let subject = format!("$JS.API.{operation}");
        let payload = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let answer = self.transport.request(subject, payload, self.within).await;
        let answer = answer.map_err(|error| Error::of(error, request, self.within))?;
        decode(request, &answer)
    }
}

fn decode<A: DeserializeOwned>(request: RequestKind, answer: &[u8]) -> Result<A, Error> {
    let invalid = |error| Error::invalid_answer(request, error);
    let refusal: Refusal = serde_json::from_slice(answer).map_err(invalid)?;
    if let Some(Fault { code: status, err_code: code, description: text }) = refusal.error {
        return Err(Error::Refused { request, code, status, text });
    }
    serde_json::from_slice(answer).map_err(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn an_answer_is_read_or_is_a_refusal_that_passes_or_not() {
        #[derive(Debug, Deserialize)]
        struct Answer {
            success: bool,
        }
        let decode = |text: &str| decode::<Answer>(RequestKind::StreamInfo, text.as_bytes());
        assert!(decode(r#"{"type":"x","success":true}"#).is_ok_and(|answer| answer.success));
        for (text, code, kind) in [
            (
                r#"{"error":{"code":404,"err_code":10059,"description":"stream not found"}}"#,
                10059,
                ErrorKind::Permanent,
            ),
            (
                r#"{"error":{"code":503,"err_code":10008,"description":"unavailable"}}"#,
                10008,
                ErrorKind::Retryable,
            ),
            (r#"{"error":{"code":500}}"#, 0, ErrorKind::Retryable),
        ] {
            let error = decode(text).expect_err(text);
            assert_eq!((error.code(), error.kind()), (Some(code), kind), "{text}");
        }
        for text in ["", "{}", "[]", "nonsense"] {
            let error = decode(text).expect_err(text);
            assert!(matches!(error, Error::InvalidAnswer { .. }), "{text}: {error:?}");
        }
    }
}
