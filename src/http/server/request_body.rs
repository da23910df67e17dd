//! A request's body that tells its connection whether it was read to its end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::deadline::Activity;

/// The body of a request as it arrives.
#[derive(Debug)]
pub struct RequestBody {
    incoming: Incoming,
    /// None once there is nothing more to tell.
    activity: Option<Arc<Activity>>,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, activity: &Arc<Activity>) -> Self {
        let has_body = !incoming.is_end_stream();
        activity.request_began(has_body);
        Self { incoming, activity: has_body.then(|| Arc::clone(activity)) }
    }
}

impl From<Incoming> for RequestBody {
    /// A body of a connection that is served elsewhere, and is not told.
    fn from(incoming: Incoming) -> Self {
        Self { incoming, activity: None }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        if (frame.is_none() || self.incoming.is_end_stream())
            && let Some(activity) = self.activity.take()
        {
            activity.request_ended();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
