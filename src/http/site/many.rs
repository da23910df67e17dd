//! `POST /api/v1/orders/lookup`: many orders in one answer.

use std::convert::Infallible;
use std::io::Write as _;
use std::time::Duration;
use std::vec;

use axum::Extension;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::future::join_all;
use futures_util::stream::unfold;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use opentelemetry::context::FutureExt as _;
use order::OrderUid;
use serde::Deserialize;
use tokio::time::{Instant, timeout, timeout_at};

use super::Site;
use super::view::{MaskedOrder, View};
use crate::http::audited::AskedFor;
use crate::http::problem::Problem;
use crate::lookup::{Answer, Lookup};

/// Ids in one request.
const MAX_UIDS: usize = 1_000;

/// Bytes of a request's body: twice what so many of the longest ids take.
const MAX_BODY: usize = 256 << 10;

/// How long a request's body may take to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// How long all that is not in memory may take together; for what is not known by then the
/// answer is 503.
const MISSES_WITHIN: Duration = Duration::from_secs(5);

/// Orders that are asked for at once.
const AT_ONCE: usize = 32;

/// Bytes that are collected before they are sent, so that memory stays bounded however long the
/// orders are.
const PIECE: usize = 64 << 10;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    uids: Vec<String>,
}

/// Answers for each id, in the order in which they were asked, with what a request for it alone
/// would get.
pub(super) async fn lookup(State(site): State<Site>, view: View, body: Body) -> Response {
    let uids = match read(body).await {
        Ok(uids) => uids,
        Err(problem) => return problem.response(&site.base_path),
    };
    let asked_for = site.auditor.is_some().then(|| AskedFor(uids.clone()));
    let deadline = Instant::now() + MISSES_WITHIN;
    let (lookup, uids) = (site.lookup, uids.into_iter());
    let answers = Answers { lookup, view, uids, deadline, at: At::Start };
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    // The pieces are made after this has returned, and belong to the same span.
    let pieces = unfold(answers, Answers::next_piece).with_current_context();
    (headers, asked_for.map(Extension), Body::from_stream(pieces)).into_response()
}

async fn read(body: Body) -> Result<Vec<String>, Problem> {
    let body = match timeout(BODY_WITHIN, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return Err(Problem::body_too_large(MAX_BODY)),
        Err(_) => return Err(Problem::body_too_slow(BODY_WITHIN)),
    };
    let question: Question = serde_json::from_slice(&body).map_err(|error| {
        Problem::bad_body(&format!("{error}; must be an object as in {{\"uids\":[\"a\",\"b\"]}}"))
    })?;
    match question.uids.len() {
        0..=MAX_UIDS => Ok(question.uids),
        many => {
            Err(Problem::bad_body(&format!("`uids` has {many} ids; must be {MAX_UIDS} at most")))
        }
    }
}

/// An answer that is being written.
struct Answers {
    lookup: Lookup,
    view: View,
    uids: vec::IntoIter<String>,
    deadline: Instant,
    at: At,
}

#[derive(PartialEq, Eq)]
enum At {
    Start,
    Orders,
    End,
}

impl Answers {
    async fn next_piece(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if self.at == At::End {
            return None;
        }
        let mut piece = BytesMut::with_capacity(PIECE);
        let mut separator = ",";
        if self.at == At::Start {
            piece.put_slice(b"{\"orders\":[");
            separator = "";
            self.at = At::Orders;
        }
        while piece.len() < PIECE {
            let uids: Vec<String> = self.uids.by_ref().take(AT_ONCE).collect();
            if uids.is_empty() {
                piece.put_slice(b"]}");
                self.at = At::End;
                break;
            }
            for (uid, answer) in uids.iter().zip(self.find(&uids).await) {
                piece.put_slice(separator.as_bytes());
                separator = ",";
                write(&mut piece, uid, &answer, self.view);
            }
        }
        Some((Ok(piece.freeze()), self))
    }

    async fn find(&self, uids: &[String]) -> Vec<Result<Answer, String>> {
        let mut misses = Vec::new();
        let mut answers = Vec::with_capacity(uids.len());
        for (place, uid) in uids.iter().enumerate() {
            answers.push(
                match self.lookup.in_memory(uid).ok_or_else(|| OrderUid::try_from(&**uid)) {
                    Ok(order) => Ok(Answer::Found(order)),
                    Err(Ok(uid)) => {
                        misses.push((place, uid));
                        Ok(Answer::CannotTell)
                    }
                    Err(Err(illegal)) => Err(illegal.to_string()),
                },
            );
        }
        let found = misses.iter().map(|(_, uid)| timeout_at(self.deadline, self.lookup.find(uid)));
        for ((place, _), answer) in misses.iter().zip(join_all(found).await) {
            answers[*place] = Ok(answer.unwrap_or(Answer::CannotTell));
        }
        answers
    }
}

/// Writes one member of `orders`: the document as `view` shows it, or why there is none.
fn write(piece: &mut BytesMut, uid: &str, answer: &Result<Answer, String>, view: View) {
    let json = |text: &str| serde_json::to_string(text).expect("a string always serializes");
    let masked = match answer {
        Ok(Answer::Found(order)) if view == View::Masked => MaskedOrder::new(order.document()),
        _ => None,
    };
    let (status, order) = match answer {
        Ok(Answer::Found(order)) if view == View::Full => (200, Some(order.document())),
        Ok(Answer::Found(_)) => match &masked {
            Some(masked) => (200, Some(&*masked.document)),
            None => (500, None),
        },
        Ok(Answer::Erased) => (410, None),
        Ok(Answer::Absent) => (404, None),
        Ok(Answer::CannotTell) => (503, None),
        Err(_) => (400, None),
    };
    // Writing to memory cannot fail.
    let _ = write!(piece.writer(), "{{\"uid\":{},\"status\":{status}", json(uid));
    if let Some(document) = order {
        piece.put_slice(b",\"order\":");
        piece.put_slice(document);
    }
    if let Err(illegal) = answer {
        let _ = write!(piece.writer(), ",\"detail\":{}", json(illegal));
    }
    piece.put_u8(b'}');
}
