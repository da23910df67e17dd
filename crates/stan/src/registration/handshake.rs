//! Registering: the one request that makes a connection, and what its answer tells.

use std::time::Duration;

use async_nats::Subscriber;
use bytes::Bytes;

use crate::error::{Error, MissingField, RequestKind};
use crate::options::{FEWEST_PINGS_OUT, Options};
use crate::protocol::{self, ConnectRequest, ConnectResponse};
use crate::transport::Transport;

/// What a server answered that accepted the registration.
pub(super) struct Handshake {
    /// Tells this registration from any other under the same client id.
    pub(super) conn_id: Bytes,
    pub(super) subjects: Subjects,
    pub(super) heartbeats: Subscriber,
    /// How often to ping, and how many pings may stay unanswered; none = not at all.
    pub(super) pings: Option<(Duration, u32)>,
}

/// Where this server takes requests, as it said in its answer to the connect request.
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

/// Sends the connect request: one attempt.
pub(super) async fn register(transport: &Transport, options: &Options) -> Result<Handshake, Error> {
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
        transport.request(RequestKind::Connect, &subject, &request, within).await?;
    if answer.pub_prefix.is_empty() {
        return Err(Error::invalid_answer(RequestKind::Connect, MissingField("publish prefix")));
    }
    let takes_pings = answer.protocol >= protocol::VERSION && answer.ping_interval > 0;
    let pings = takes_pings.then(|| agreed_pings(options, &answer));
    let subjects = Subjects {
        publish: answer.pub_prefix,
        subscribe: answer.sub_requests,
        close_subscription: answer.sub_close_requests,
        unsubscribe: answer.unsub_requests,
        close: answer.close_requests,
        ping: if takes_pings { answer.ping_requests } else { String::new() },
    };
    Ok(Handshake { conn_id, subjects, heartbeats, pings })
}

/// The server decides on pings, within bounds: at none allowed to stay unanswered the
/// first one would end the registration, and at an hour between two a loss would go unnoticed.
fn agreed_pings(options: &Options, answer: &ConnectResponse) -> (Duration, u32) {
    const LONGEST_INTERVAL: Duration = Duration::from_mins(1);
    const MOST_OUT: u32 = 100;
    let interval = Duration::from_secs(u64::try_from(answer.ping_interval).unwrap_or(0));
    let interval =
        interval.clamp(Duration::from_secs(1), LONGEST_INTERVAL.max(options.ping_interval));
    let max_out = u32::try_from(answer.ping_max_out).unwrap_or(0);
    let max_out = max_out.clamp(FEWEST_PINGS_OUT, MOST_OUT.max(options.ping_max_out));
    (interval, max_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_wants_of_pings_is_kept_to_within_bounds() {
        let mut options = Options::new("nats://127.0.0.1:4222", "c", "me");
        let agreed = |options: &Options, ping_interval, ping_max_out| {
            let answer =
                ConnectResponse { ping_interval, ping_max_out, ..ConnectResponse::default() };
            let (interval, max_out) = agreed_pings(options, &answer);
            (interval.as_secs(), max_out)
        };
        for (wanted, expected) in [
            ((5, 6), (5, 6)),
            ((10, 88), (10, 88)),
            ((5, 0), (5, 2)),
            ((5, -1), (5, 2)),
            ((i32::MAX, i32::MAX), (60, 100)),
        ] {
            assert_eq!(agreed(&options, wanted.0, wanted.1), expected, "{wanted:?}");
        }
        options.ping_interval = Duration::from_hours(1);
        options.ping_max_out = 500;
        assert_eq!(agreed(&options, 3_600, 500), (3_600, 500), "what we asked for ourselves");
    }
}
