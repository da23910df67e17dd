//! A request's body that tells its connection whether it was read to its end.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::Instant;

use super::deadline::Activity;

/// The body of a request as it arrives.
#[derive(Debug)]
pub struct RequestBody {
    incoming: Incoming,
    peer: IpAddr,
    read_at: Instant,
    /// None once there is nothing more to tell.
    activity: Option<Arc<Activity>>,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, activity: &Arc<Activity>) -> Self {
        let has_body = !incoming.is_end_stream();
        activity.request_began(has_body);
        let watched = has_body.then(|| Arc::clone(activity));
        Self { incoming, peer: activity.peer(), read_at: activity.read_at(), activity: watched }
    }

    /// The address at the other end of the connection, that of a proxy if there is one.
    #[must_use]
    pub fn peer(&self) -> IpAddr {
        self.peer
    }

    /// When the last bytes of the request's head were read.
    #[must_use]
    pub fn read_at(&self) -> Instant {
        self.read_at
    }
}

impl From<Incoming> for RequestBody {
    /// A body of a connection that is served elsewhere, and is not told.
    fn from(incoming: Incoming) -> Self {
        let peer = Ipv4Addr::UNSPECIFIED.into();
        Self { incoming, peer, read_at: Instant::now(), activity: None }
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
