//! What the broker's own monitor tells of the channel.

use anyhow::ensure;
use http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::config::Broker;
use crate::http_client::HttpClient;
use crate::tls::ClientTls;

/// The monitor lists every subscription of the channel; more than this is none of our brokers.
const MAX_ANSWER: usize = 8 << 20;

/// Asks the monitor about the channel of the settings.
#[derive(Debug, Clone)]
pub struct Monitor {
    address: String,
    /// What it answers when there is no such channel.
    unknown: String,
    group: String,
    client: HttpClient,
}

/// A channel as the monitor shows it (`/streaming/channelsz`). One that nobody has used yet is
/// all zeros.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Channel {
    /// How many messages are stored.
    pub msgs: u64,
    /// Number of the oldest message.
    pub first_seq: u64,
    /// Number of the newest message.
    pub last_seq: u64,
    /// The members of every group, and of a group that is offline one that stands for it.
    #[serde(default)]
    pub subscriptions: Vec<Member>,
}

/// One subscription of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Member {
    /// `durable:group` of a durable queue group.
    #[serde(default)]
    pub queue_name: String,
    /// Number of the newest message sent to this member.
    pub last_sent: u64,
    /// How many messages it has not acknowledged; which ones, the monitor does not tell.
    pub pending_count: u64,
}

impl Monitor {
    /// None when the settings name no monitor.
    #[must_use]
    pub fn new(settings: &Broker) -> Option<Self> {
        let monitor = settings.monitor_url.as_ref()?;
        let channel = &settings.channel;
        let base = monitor.trim_end_matches('/');
        let escaped = utf8_percent_encode(channel, NON_ALPHANUMERIC);
        Some(Self {
            address: format!("{base}/streaming/channelsz?channel={escaped}&subs=1"),
            unknown: format!("Channel {channel} not found"),
            // The server names a durable group so.
            group: format!("{}:{}", settings.durable_name, settings.queue_group),
            client: HttpClient::new(&ClientTls::none(), MAX_ANSWER),
        })
    }

    /// The channel as it is now. The caller bounds the waiting.
    ///
    /// # Errors
    /// A monitor that does not answer, or answers something else.
    pub async fn channel(&self) -> anyhow::Result<Channel> {
        let (head, body) = self.client.get(&self.address).await?.into_parts();
        let status = head.status;
        // Any other server would say 404 too, so the words count.
        if status == StatusCode::NOT_FOUND && body.trim_ascii() == self.unknown.as_bytes() {
            return Ok(Channel::default());
        }
        ensure!(status == StatusCode::OK, "the monitor answers {status}");
        Ok(serde_json::from_slice(&body)?)
    }

    /// The members of our own group among those of the channel.
    pub fn members<'a>(&'a self, channel: &'a Channel) -> impl Iterator<Item = &'a Member> {
        channel.subscriptions.iter().filter(|member| member.queue_name == self.group)
    }
}
