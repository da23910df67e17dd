//! What the clones of a connection share, and what happens when the last of them is dropped.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::{OnceCell, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::handshake::Subjects;
use crate::farewell::Farewell;
use crate::options::Options;
use crate::publisher::Publisher;
use crate::state::ConnectionState;
use crate::transport::Transport;

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) transport: Transport,
    pub(super) options: Options,
    pub(super) conn_id: Bytes,
    pub(super) subjects: Subjects,
    pub(super) state: Arc<watch::Sender<ConnectionState>>,
    /// Ends the tasks that answer heartbeats and send pings.
    pub(super) ended: CancellationToken,
    pub(super) publisher: OnceCell<Publisher>,
    /// Channels and delivery inboxes of subscriptions that the server may have made though we
    /// never heard of it.
    pub(super) doubtful: Mutex<Vec<(String, String)>>,
    /// The tasks that send acks; each ends when its subscription does and all is sent.
    pub(super) ack_tasks: TaskTracker,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.ended.cancel();
        let was_open = *self.state.borrow() == ConnectionState::Open;
        self.state.send_replace(ConnectionState::Closed);
        if let (true, Ok(runtime)) = (was_open, tokio::runtime::Handle::try_current()) {
            let farewell = self.farewell();
            runtime.spawn(async move {
                if let Err(error) = farewell.close().await {
                    tracing::debug!(%error, "A dropped connection could not be closed");
                }
            });
        }
    }
}

impl Inner {
    pub(super) fn farewell(&self) -> Farewell {
        Farewell {
            transport: self.transport.clone(),
            client_id: self.options.client_id.clone(),
            conn_id: self.conn_id.clone(),
            close: self.subjects.close.clone(),
            ping: self.subjects.ping.clone(),
            within: self.options.request_timeout,
        }
    }
}
