//! The body of an answer: prepared bytes on the hot path, anything axum makes elsewhere.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

/// A body that costs no allocation when it is prepared bytes.
#[derive(Debug)]
pub enum Body {
    /// Bytes in memory, sent as they are.
    Prepared(Full<Bytes>),
    /// A body that a handler of the router made.
    Routed(axum::body::Body),
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match self.get_mut() {
            Self::Prepared(body) => Pin::new(body).poll_frame(cx).map_err(axum::Error::new),
            Self::Routed(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Prepared(body) => body.is_end_stream(),
            Self::Routed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Prepared(body) => body.size_hint(),
            Self::Routed(body) => body.size_hint(),
        }
    }
}
