//! The body of an answer: an order out of memory on the hot path, anything axum makes elsewhere.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use crate::cache::Prepared;

/// A body that costs no allocation when it is an order.
#[derive(Debug)]
pub enum Body {
    /// An order's document; none once it is sent, or where a 304 has none.
    Order(Option<Prepared>),
    /// A body that a handler of the router made.
    Routed(axum::body::Body),
}

/// A piece of a [`Body`].
#[derive(Debug)]
pub enum Data {
    /// An order's document, and how much of it has been written.
    Order(Prepared, usize),
    /// What a handler of the router made.
    Routed(Bytes),
}

impl Buf for Data {
    fn remaining(&self) -> usize {
        self.chunk().len()
    }

    fn chunk(&self) -> &[u8] {
        match self {
            Self::Order(order, written) => &order.document()[*written..],
            Self::Routed(bytes) => bytes,
        }
    }

    fn advance(&mut self, count: usize) {
        match self {
            Self::Order(_, written) => *written += count,
            Self::Routed(bytes) => bytes.advance(count),
        }
    }
}

impl HttpBody for Body {
    type Data = Data;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Data>, axum::Error>>> {
        match self.get_mut() {
            Self::Order(order) => {
                Poll::Ready(order.take().map(|order| Ok(Frame::data(Data::Order(order, 0)))))
            }
            Self::Routed(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map(|frame| frame.map_data(Data::Routed)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Order(order) => order.is_none(),
            Self::Routed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Order(order) => {
                SizeHint::with_exact(order.as_ref().map_or(0, |o| o.document().len() as u64))
            }
            Self::Routed(body) => body.size_hint(),
        }
    }
}

impl From<Body> for axum::body::Body {
    fn from(body: Body) -> Self {
        match body {
            Body::Order(None) => Self::empty(),
            Body::Order(Some(order)) => Bytes::copy_from_slice(order.document()).into(),
            Body::Routed(body) => body,
        }
    }
}
