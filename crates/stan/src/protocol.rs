//! The messages of the STAN protocol, version 1, as proto3 structs.
//!
//! Field numbers are those of `pb/protocol.proto` in stan.go v0.10.4. Fields that no server
//! since 0.10 reads or sets are left out; proto3 skips what it does not know.

use bytes::Bytes;

/// The protocol version that asks for client pings.
pub(crate) const VERSION: i32 = 1;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ConnectRequest {
    #[prost(string, tag = "1")]
    pub(crate) client_id: String,
    #[prost(string, tag = "2")]
    pub(crate) heartbeat_inbox: String,
    #[prost(int32, tag = "3")]
    pub(crate) protocol: i32,
    /// Bytes that tell this registration from any other under the same client id.
    #[prost(bytes = "bytes", tag = "4")]
    pub(crate) conn_id: Bytes,
    /// In seconds: what the client wishes for; the server answers with what it wants.
    #[prost(int32, tag = "5")]
    pub(crate) ping_interval: i32,
    #[prost(int32, tag = "6")]
    pub(crate) ping_max_out: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ConnectResponse {
    #[prost(string, tag = "1")]
    pub(crate) pub_prefix: String,
    #[prost(string, tag = "2")]
    pub(crate) sub_requests: String,
    #[prost(string, tag = "3")]
    pub(crate) unsub_requests: String,
    #[prost(string, tag = "4")]
    pub(crate) close_requests: String,
    #[prost(string, tag = "5")]
    pub(crate) error: String,
    #[prost(string, tag = "6")]
    pub(crate) sub_close_requests: String,
    #[prost(string, tag = "7")]
    pub(crate) ping_requests: String,
    /// Seconds; 0 = the server takes no pings.
    #[prost(int32, tag = "8")]
    pub(crate) ping_interval: i32,
    #[prost(int32, tag = "9")]
    pub(crate) ping_max_out: i32,
    #[prost(int32, tag = "10")]
    pub(crate) protocol: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Ping {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) conn_id: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PingResponse {
    #[prost(string, tag = "1")]
    pub(crate) error: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PubMsg {
    #[prost(string, tag = "1")]
    pub(crate) client_id: String,
    #[prost(string, tag = "2")]
    pub(crate) guid: String,
    /// The channel, without the prefix that the server gave for publishing.
    #[prost(string, tag = "3")]
    pub(crate) subject: String,
    #[prost(bytes = "bytes", tag = "5")]
    pub(crate) data: Bytes,
    #[prost(bytes = "bytes", tag = "6")]
    pub(crate) conn_id: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct PubAck {
    #[prost(string, tag = "1")]
    pub(crate) guid: String,
    #[prost(string, tag = "2")]
    pub(crate) error: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct MsgProto {
    #[prost(uint64, tag = "1")]
    pub(crate) sequence: u64,
    /// The channel, as the subscription named it.
    #[prost(string, tag = "2")]
    pub(crate) subject: String,
    #[prost(bytes = "bytes", tag = "4")]
    pub(crate) data: Bytes,
    /// Nanoseconds since 1970, set by the server; never goes back within a channel.
    #[prost(int64, tag = "5")]
    pub(crate) timestamp: i64,
    #[prost(bool, tag = "6")]
    pub(crate) redelivered: bool,
    #[prost(uint32, tag = "7")]
    pub(crate) redelivery_count: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Ack {
    /// The channel, as the delivery named it.
    #[prost(string, tag = "1")]
    pub(crate) subject: String,
    #[prost(uint64, tag = "2")]
    pub(crate) sequence: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SubscriptionRequest {
    #[prost(string, tag = "1")]
    pub(crate) client_id: String,
    #[prost(string, tag = "2")]
    pub(crate) subject: String,
    #[prost(string, tag = "3")]
    pub(crate) queue_group: String,
    #[prost(string, tag = "4")]
    pub(crate) inbox: String,
    #[prost(int32, tag = "5")]
    pub(crate) max_in_flight: i32,
    #[prost(int32, tag = "6")]
    pub(crate) ack_wait_seconds: i32,
    #[prost(string, tag = "7")]
    pub(crate) durable_name: String,
    /// 0 new only, 1 last received, 2 time delta, 3 sequence, 4 first.
    #[prost(int32, tag = "10")]
    pub(crate) start_position: i32,
    #[prost(uint64, tag = "11")]
    pub(crate) start_sequence: u64,
    /// In nanoseconds before the server's present time.
    #[prost(int64, tag = "12")]
    pub(crate) start_time_delta: i64,
}

/// The reply to subscribe, unsubscribe and close-subscription requests; it has no field 1.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SubscriptionResponse {
    #[prost(string, tag = "2")]
    pub(crate) ack_inbox: String,
    #[prost(string, tag = "3")]
    pub(crate) error: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct UnsubscribeRequest {
    #[prost(string, tag = "1")]
    pub(crate) client_id: String,
    #[prost(string, tag = "2")]
    pub(crate) subject: String,
    /// The ack inbox, or the delivery inbox when no ack inbox is known.
    #[prost(string, tag = "3")]
    pub(crate) inbox: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct CloseRequest {
    #[prost(string, tag = "1")]
    pub(crate) client_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct CloseResponse {
    #[prost(string, tag = "1")]
    pub(crate) error: String,
}

/// What a server answers to a request: with a text where it refuses.
pub(crate) trait Answer: prost::Message + Default {
    /// Empty when it does not refuse.
    fn error(&self) -> &str;
}

impl Answer for ConnectResponse {
    fn error(&self) -> &str {
        &self.error
    }
}

impl Answer for SubscriptionResponse {
    fn error(&self) -> &str {
        &self.error
    }
}

impl Answer for PingResponse {
    fn error(&self) -> &str {
        &self.error
    }
}

impl Answer for CloseResponse {
    fn error(&self) -> &str {
        &self.error
    }
}
