//! What the broker's monitor tells of channels and clients.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::http;

/// A channel and who is subscribed to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ChannelState {
    /// Name of the channel.
    pub name: String,
    /// How many messages are stored.
    pub msgs: u64,
    /// The lowest sequence that is stored.
    pub first_seq: u64,
    /// The highest sequence that is stored.
    pub last_seq: u64,
    /// One for each member of each queue group, and one for a group that is offline.
    pub subscriptions: Vec<SubscriptionState>,
}

/// One subscription of a channel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SubscriptionState {
    /// The client it belongs to, or belonged to last when it is offline.
    pub client_id: String,
    /// Where its messages are sent.
    pub inbox: String,
    /// Where its acks are awaited.
    pub ack_inbox: String,
    /// The durable name, when it is durable without a queue group.
    pub durable_name: String,
    /// `durable:group` of a durable queue group.
    pub queue_name: String,
    /// Whether it is kept when its client goes.
    pub is_durable: bool,
    /// Whether its client has gone.
    pub is_offline: bool,
    /// Whether it has as many messages unacknowledged as it may have.
    pub is_stalled: bool,
    /// How many messages it may have unacknowledged.
    pub max_inflight: u64,
    /// After how many seconds an unacknowledged message is sent again.
    pub ack_wait: u64,
    /// The highest sequence sent to this member.
    pub last_sent: u64,
    /// How many messages are sent and unacknowledged.
    pub pending_count: u64,
}

/// One client the broker takes for alive.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ClientState {
    /// The id that the client has registered.
    pub id: String,
    /// Where it is asked whether it lives.
    pub hb_inbox: String,
    /// How many subscriptions it has.
    pub subs_count: u64,
}

pub(super) async fn channel(port: u16, name: &str) -> Result<ChannelState> {
    let path = format!("/streaming/channelsz?channel={name}&subs=1");
    match http::get(port, &path).await? {
        (404, _) => Ok(ChannelState { name: name.to_owned(), ..ChannelState::default() }),
        answer => parse(&path, answer),
    }
}

pub(super) async fn clients(port: u16) -> Result<Vec<ClientState>> {
    #[derive(Deserialize)]
    struct List {
        #[serde(default)]
        clients: Vec<ClientState>,
    }
    let path = "/streaming/clientsz?subs=1";
    let list: List = parse(path, http::get(port, path).await?)?;
    Ok(list.clients)
}

fn parse<T: DeserializeOwned>(path: &str, (status, body): (u16, String)) -> Result<T> {
    ensure!(status == 200, "the broker's monitor answered {status} to {path}: {body}");
    serde_json::from_str(&body).with_context(|| format!("the answer to {path} is not as expected"))
}
