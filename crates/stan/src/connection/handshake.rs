//! Registering: the one request that makes a connection, and what its answer tells.

use std::time::Duration;

use async_nats::Subscriber;
use bytes::Bytes;

use crate::error::{Error, Request};
use crate::options::Options;
use crate::protocol::{self, ConnectRequest, ConnectResponse};
use crate::transport::Transport;

/// What a server that took us in has told.
pub(super) struct Registration {
    /// Tells this registration from any other under the same client id.
    pub(super) conn_id: Bytes,
    pub(super) subjects: Subjects,
    pub(super) heartbeats: Subscriber,
    /// How often to ping, and how many pings may stay unanswered; none = not at all.
    pub(super) pings: Option<(Duration, u32)>,
}

/// Where this server takes requests, as it told us at connect.
#[derive(Debug, Clone)]
pub(crate) struct Subjects {
    pub(crate) publish: String,
    pub(crate) subscribe: String,
    pub(crate) close_subscription: String,
    pub(crate) unsubscribe: String,
    pub(crate) close: String,
    /// Empty when it takes no pings.
    pub(crate) ping: String,
}

/// Asks the server to take us in: one attempt.
pub(super) async fn register(
    transport: &Transport,
    options: &Options,
) -> Result<Registration, Error> {
    let within = options.request_timeout;
    // The server may probe this inbox while it handles the request, so it comes first.
    let (heartbeat_inbox, heartbeats) = transport.subscribe_inbox(within).await?;
    let conn_id = Bytes::from(transport.unique_token());
    let request = ConnectRequest {
        client_id: options.client_id.clone(),
        heartbeat_inbox,
        protocol: protocol::VERSION,
        conn_id: conn_id.clone(),
        ping_interval: i32::try_from(options.ping_interval.as_secs()).unwrap_or(i32::MAX),
        ping_max_out: i32::try_from(options.ping_max_out).unwrap_or(i32::MAX),
    };
    let subject = format!("_STAN.discover.{}", options.cluster_id);
    // On any failure `heartbeats` is dropped, which unsubscribes it: else the probe that the
    // server makes at our next attempt would be answered by ourselves.
    let answer: ConnectResponse =
        transport.request(Request::Connect, &subject, &request, within).await?;
    if answer.pub_prefix.is_empty() {
        return Err(Error::Garbled(Request::Connect, "no publish prefix".to_owned()));
    }
    let takes_pings = answer.protocol >= protocol::VERSION && answer.ping_interval > 0;
    let interval = Duration::from_secs(answer.ping_interval.unsigned_abs().into());
    let pings = takes_pings.then(|| (interval, answer.ping_max_out.unsigned_abs()));
    let subjects = Subjects {
        publish: answer.pub_prefix,
        subscribe: answer.sub_requests,
        close_subscription: answer.sub_close_requests,
        unsubscribe: answer.unsub_requests,
        close: answer.close_requests,
        ping: if takes_pings { answer.ping_requests } else { String::new() },
    };
    Ok(Registration { conn_id, subjects, heartbeats, pings })
}
